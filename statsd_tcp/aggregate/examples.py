"""An example of what was rejected: one line for each reason, to help find the client that sends such lines."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["BAD_PROXY_HEADER", "BAD_TAGS", "LONGEST", "Example", "Examples"]

LONGEST: Final = 200
"""Bytes of a line that are kept: a name, a value and the first tags."""

BAD_TAGS: Final = "bad_tags"
"""Stands for the reason of a line that is good except for tags, which are left out of it."""

BAD_PROXY_HEADER: Final = "bad_proxy_header"
"""Stands for the reason of a connection that did not begin with the header that it needs."""


BAD_BYTES: Final = 1 << 20
"""Bytes of different bad lines that are kept until it is found out who sent them."""

BAD_OVERHEAD: Final = 128
"""Bytes that each of them takes besides."""


class Example(msgspec.Struct, frozen=True):
    """A line that was rejected for ``reason``; ``listener`` is a label.

    The reason is one of ``reasons.REASONS``, or `BAD_TAGS`, or `BAD_PROXY_HEADER`: then it is no line, but what came
    first on a connection. Or it is one of ``batches.REFUSALS``, with the control line, or what came in its place.

    ``line`` is its beginning, as it arrived: code that shows it must escape it. ``cut``: the line was longer.
    """

    reason: str
    listener: str
    line: bytes
    cut: bool = False


class Examples:
    """The first line of each reason since they were last taken.

    So a flood of bad lines costs a look-up for each that is different, and what is kept has a bound. ``listener``, a
    label, is to be set before its lines are read.
    """

    __slots__ = ("_bad", "_bad_bytes", "_found", "listener")

    def __init__(self) -> None:
        self.listener = ""
        self._found: dict[str, Example] = {}
        self._bad: dict[str, set[bytes]] = {}
        self._bad_bytes = 0

    def note(self, reason: str, line: bytes) -> None:
        """Keep a line, or the beginning of one, unless there is one with that reason."""
        if reason not in self._found:
            self._found[reason] = Example(reason, self.listener, line[:LONGEST], len(line) > LONGEST)

    def note_line(self, reason: str, line: bytes) -> None:
        """Keep a whole line that came without being good, also for `take_bad` while there is room."""
        self.note(reason, line)
        if self._bad_bytes < BAD_BYTES:
            self._bad_bytes += len(line) + BAD_OVERHEAD
            self._bad.setdefault(self.listener, set()).add(line)

    def take_bad(self) -> dict[str, set[bytes]]:
        """Return the lines that were bad, by label, and start again with nothing."""
        if not self._bad:
            return {}
        bad, self._bad, self._bad_bytes = self._bad, {}, 0
        return bad

    def take(self) -> tuple[Example, ...]:
        """Return what there is, and start again with nothing."""
        found, self._found = self._found, {}
        return tuple(found.values())
