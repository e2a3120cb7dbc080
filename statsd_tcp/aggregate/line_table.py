"""How often each line came, for the lines that wait to be read; and when those came of which there was none before."""

from __future__ import annotations

import collections
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from statsd_tcp.aggregate.firsts import Moment

__all__ = ["LineTable", "count_into"]

# What `collections.Counter` counts with. It has no public name, but it takes a plain dictionary, whose numbers need not
# be whole.
count_into: Callable[[dict[Any, Any], Iterable[Any]], None] = collections._count_elements  # type: ignore[attr-defined]  # noqa: SLF001
"""Add 1 in a dictionary for each element, at the speed of C."""

_EMPTY: Final = (b"", b"\r")


class LineTable:
    """Lines in the order in which they came first, with how often they came.

    The empty ones are there from the beginning, so that those that come are at no place of another. ``size``: the bytes
    of all lines, repetitions included.
    """

    __slots__ = ("_marks", "_starts", "lines", "size")

    def __init__(self) -> None:
        self.lines = dict.fromkeys(_EMPTY, 0)
        self.size = 0
        # From which place on lines came at which moment.
        self._starts: list[int] = []
        self._marks: list[Moment] = []

    def __len__(self) -> int:
        """Count the different lines that are not empty."""
        return len(self.lines) - len(_EMPTY)

    def count(self, lines: list[bytes], size: int, moment: Moment) -> None:
        """Count lines of ``size`` bytes in total that arrived at a moment."""
        before = len(self.lines)
        count_into(self.lines, lines)
        if len(self.lines) > before:
            self._starts.append(before)
            self._marks.append(moment)
        self.size += size

    def take_empty(self) -> int:
        """Take the empty lines out, and return how many there were; nothing can be counted after that."""
        return sum(map(self.lines.pop, _EMPTY))

    def moments(self, lines: Iterable[bytes]) -> Iterator[Moment]:
        """Return when each of these lines came first, after the empty ones were taken out."""
        places = {line: place for place, line in enumerate(self.lines, len(_EMPTY))}
        return (self._marks[bisect_right(self._starts, places[line]) - 1] for line in lines)
