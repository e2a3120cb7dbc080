"""Why a line is rejected: the fixed vocabulary of ``statscounter_bad_lines_total``.

A rejected line is counted under exactly one of these. The list is part of the public contract: dashboards
rely on it.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "EMPTY_NAME",
    "IDENTITY_TOO_LONG",
    "INVALID_SAMPLE_RATE",
    "LINE_TOO_LONG",
    "MALFORMED_LINE",
    "MALFORMED_VALUE",
    "MIXED_TAGGING_STYLES",
    "NOT_UTF8",
    "PROXY_HEADER",
    "REASONS",
    "TOO_MANY_TAGS",
    "TRUNCATED",
    "UNIT_CONFLICT",
    "UNKNOWN_TYPE",
    "Rejected",
]

MALFORMED_LINE: Final = "malformed_line"
EMPTY_NAME: Final = "empty_name"
MALFORMED_VALUE: Final = "malformed_value"
UNKNOWN_TYPE: Final = "unknown_type"
INVALID_SAMPLE_RATE: Final = "invalid_sample_rate"
MIXED_TAGGING_STYLES: Final = "mixed_tagging_styles"
LINE_TOO_LONG: Final = "line_too_long"
TRUNCATED: Final = "truncated"
NOT_UTF8: Final = "not_utf8"
PROXY_HEADER: Final = "proxy_header"
UNIT_CONFLICT: Final = "unit_conflict"
TOO_MANY_TAGS: Final = "too_many_tags"
IDENTITY_TOO_LONG: Final = "identity_too_long"

REASONS: Final = (
    LINE_TOO_LONG,
    TRUNCATED,
    NOT_UTF8,
    PROXY_HEADER,
    MALFORMED_LINE,
    EMPTY_NAME,
    MIXED_TAGGING_STYLES,
    TOO_MANY_TAGS,
    IDENTITY_TOO_LONG,
    UNKNOWN_TYPE,
    UNIT_CONFLICT,
    INVALID_SAMPLE_RATE,
    MALFORMED_VALUE,
)
"""All of them. Of several things that are wrong with a line, it is counted under what comes first here."""


class Rejected(Exception):  # noqa: N818 - a verdict on a line, not an error of the program
    """The line being read is rejected for ``reason``, one of ``REASONS``."""

    def __init__(self, reason: str) -> None:
        """Reject it for this reason."""
        super().__init__(reason)
        self.reason = reason
