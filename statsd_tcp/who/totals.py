"""What all workers have counted since the start: the periods that are over, folded into one summary.

    a worker's finished period ──read──> totals, and kept for a minute (the rate) ──> its table is cleared
    the last table of a worker that is gone ──> likewise, and its memory is given up

The work comes in pieces, so that the reactor never waits long for it: a generator that is asked for the next one. No
two of them may be at work at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.who.layout import PERIOD
from statsd_tcp.who.memory import SourceBoard, SourceMemory
from statsd_tcp.who.reading import Periods, clear, periods, read
from statsd_tcp.who.summary import Summary, combined, nothing

__all__ = ["MOST_KEPT", "PIECE", "Finished", "Totals", "ranges"]

PIECE: Final = 1024
"""Sets that are added at a time: 8,192 records, which take a few milliseconds at most."""

MOST_KEPT: Final = 600
"""Periods that are over and count for the rate; those of more workers than that in a minute are left out of it."""


class Finished(NamedTuple):
    """A period that is over: when it began and ended, in nanoseconds, and what is in each range of its sets."""

    began: int
    ended: int
    parts: list[Summary]


class Totals:
    """The sums of all workers on ``board``.

    ``parts`` are those since the start, by `ranges`; ``finished`` are the periods that ended in the last minute.
    """

    def __init__(self, board: SourceBoard) -> None:
        """Begin with nothing."""
        self._board = board
        self.ranges = ranges(board.plan.sets)
        self.parts = [nothing() for _ in self.ranges]
        self.finished: list[Finished] = []
        self._began: dict[int, Periods] = {}

    def fold(self, now: int) -> Iterator[None]:
        """Fold all that is over by ``now``, in nanoseconds of CLOCK_MONOTONIC; yields after each piece."""
        oldest = now - PERIOD * NANOSECONDS
        self.finished = [one for one in self.finished if one.ended > oldest][-MOST_KEPT:]
        for memory in self._board.ended.copy():
            at = periods(memory)
            if at.folded < at.open - 1:
                yield from self._fold(memory, at.open - 1, self._beginning(memory, at), at.began)
            yield from self._fold(memory, at.open, at.began, now)
            self._began.pop(id(memory), None)
            self._board.forget(memory)
        for memory in self._board.living.copy():
            at = periods(memory)
            if at.folded < at.open - 1:
                yield from self._fold(memory, at.open - 1, self._beginning(memory, at), at.began)
                # It may have ended meanwhile, but is still mapped: only this forgets it.
                clear(memory, at.open - 1)
            self._began[id(memory)] = at

    def _beginning(self, memory: SourceMemory, at: Periods) -> int:
        """Return when the period before the open one began: as it was seen, or else as the shortest there is."""
        seen = self._began.get(id(memory))
        return seen.began if seen and seen.open == at.open - 1 else at.began - PERIOD * NANOSECONDS

    def _fold(self, memory: SourceMemory, period: int, began: int, ended: int) -> Iterator[None]:
        read_parts: list[Summary] = []
        for number, sets in enumerate(self.ranges):
            part = read(memory, period, sets)
            self.parts[number] = combined(self.parts[number], part)
            read_parts.append(part)
            yield
        self.finished.append(Finished(began, ended, read_parts))


def ranges(sets: int) -> list[range]:
    """Return the sets of a table in pieces."""
    return [range(start, min(sets, start + PIECE)) for start in range(0, sets, PIECE)]
