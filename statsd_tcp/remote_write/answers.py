"""What a receiver's answer means for the request, by remote write 1.0, and where we keep what it would give up.

2xx                               taken
400, 409, 413, 422                refused: again it would be refused again
429, and 503 with Retry-After     wait
other 5xx, or no answer           failed: it may be with the receiver, or not; not without a connection
all others                        held: credentials or the URL are wrong, and the operator must correct them
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["LONGEST_WAIT", "Answer", "Meaning", "date_of", "meaning", "wait_of"]

LONGEST_WAIT: Final = 300.0
"""Seconds that a receiver may have us wait, whatever it says."""

_REFUSED: Final = frozenset({400, 409, 413, 422})
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503


class Answer(NamedTuple):
    """An answer: its status, 0 if there was none; its text, or why there is none, in one line.

    ``wait`` is how many seconds it wants us to wait, ``date`` what it says is the time, in seconds since 1970.
    ``unsent``: there was no connection, so nothing has arrived.
    """

    status: int
    text: str = ""
    wait: float | None = None
    date: float | None = None
    unsent: bool = False

    def __str__(self) -> str:
        """Return it in words."""
        if not self.status:
            return self.text
        return f"the answer is {self.status}" + (f" ({self.text})" if self.text else "")


class Meaning(Enum):
    """What an answer means."""

    TAKEN = "taken"
    REFUSED = "refused"
    WAIT = "wait"
    FAILED = "failed"
    HELD = "held"


def meaning(answer: Answer) -> Meaning:
    """Return what an answer means."""
    status = answer.status
    if 200 <= status < 300:  # noqa: PLR2004
        return Meaning.TAKEN
    if status in _REFUSED:
        return Meaning.REFUSED
    if status == _TOO_MANY or (status == _UNAVAILABLE and answer.wait is not None):
        return Meaning.WAIT
    if not status or status >= 500:  # noqa: PLR2004
        return Meaning.FAILED
    return Meaning.HELD


def date_of(text: str) -> float | None:
    """Read the field ``Date`` of a header; None if it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def wait_of(text: str, date: float | None) -> float | None:
    """Read the field ``Retry-After``: seconds, or a date, which counts from the answer's own."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    until = date_of(text) if text else None
    if until is None or date is None:
        return None
    return min(max(0.0, until - date), LONGEST_WAIT)
