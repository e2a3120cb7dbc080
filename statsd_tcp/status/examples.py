"""The last example of everything that was rejected, harmless to look at.

What clients send is foreign: a terminal obeys what it is shown, and a page may be made to say something else. So
nothing but printable characters is left of it, and whoever writes HTML or JSON escapes those that mean something there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from statsd_tcp.aggregate.examples import BAD_TAGS, Example
from statsd_tcp.store.snapshot import BAD_LINES

__all__ = ["LastExamples", "shown"]

_FIRST_BYTE = 0xDC00
"""Where Python's ``surrogateescape`` puts bytes that are no UTF-8."""


class LastExamples:
    """One example for each metric and reason, since the process became this image. Nothing of it is on the disk."""

    def __init__(self, clock: Any, *, kept: bool) -> None:
        """Take the time from the ``seconds`` of ``clock``. Nothing is ``kept`` if the operator does not want that."""
        self._clock = clock
        self._kept = kept
        self._last: dict[tuple[str, str], tuple[float, Example]] = {}

    def add(self, examples: Iterable[Example]) -> None:
        """Take what was rejected lately, in the place of what was before."""
        if self._kept:
            now = self._clock.seconds()
            for example in examples:
                metric = BAD_TAGS if example.reason == BAD_TAGS else BAD_LINES
                self._last[metric, example.reason] = (now, example)

    def rows(self) -> list[dict[str, Any]]:
        """Give them for the status, the latest first."""
        now = self._clock.seconds()
        return [
            {
                "metric": metric,
                "reason": reason,
                "listener": example.listener,
                "text": shown(example.line),
                "cut": example.cut,
                "age_seconds": round(now - at, 3),
            }
            for (metric, reason), (at, example) in sorted(self._last.items(), key=lambda item: -item[1][0])
        ]


def shown(line: bytes) -> str:
    r"""Give printable text: ``\n``, ``\x1b`` and ``\u202e`` stand for what is not, ``\\`` for a backslash."""
    return "".join(map(_shown, line.decode(errors="surrogateescape")))


def _shown(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    code = ord(character)
    if _FIRST_BYTE <= code <= _FIRST_BYTE + 0xFF:
        return f"\\x{code - _FIRST_BYTE:02x}"
    return character.encode("unicode_escape").decode()
