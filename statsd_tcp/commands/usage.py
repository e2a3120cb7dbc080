"""What every subcommand shares: exit statuses, and wrong command lines."""

from __future__ import annotations

__all__ = ["EX_INTERRUPTED", "EX_USAGE", "UsageError"]

EX_USAGE = 64
"""Exit status of a wrong command line, as in sysexits.h: apart from any verdict of a subcommand."""

EX_INTERRUPTED = 130
"""What shells say of a program that Ctrl-C has ended."""


class UsageError(Exception):
    """Options that are well formed but do not go together; the text begins with the option at fault."""
