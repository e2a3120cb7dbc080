"""The name of this machine in prefixes, suffixes and labels: ``{hostname}`` and ``{short_hostname}``."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

__all__ = ["expand"]

_PART = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")


def expand(text: str, hostname: Callable[[], str] = socket.gethostname) -> str:
    """Put the machine's name into a text, whole or up to its first dot; ``{{`` and ``}}`` are braces.

    Raises ``ValueError`` for anything else in braces, and for a brace alone.
    """
    return _PART.sub(lambda match: _meant(match[0], hostname), text)


def _meant(part: str, hostname: Callable[[], str]) -> str:
    if part in ("{{", "}}"):
        return part[0]
    if part == "{hostname}":
        return hostname()
    if part == "{short_hostname}":
        return hostname().partition(".")[0]
    raise ValueError(f"{part} is not {{hostname}} or {{short_hostname}}; a brace itself is written twice, {{{{ or }}}}")
