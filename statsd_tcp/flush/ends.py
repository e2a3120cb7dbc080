"""When the open flush ends, by a wall clock that may be set.

         open flush
    ----[==========)---------> wall clock
     ^       ^         ^
     |       |         '- a moment here: it has ended, and the next flush is the one by the clock
     |       '- it stays open
     '- the clock was set back

Ends do not go back, unless by more than `MOST_BACK`: outputs have had these times, and a backend would replace what it
has. The open flush stays open, though for two ends of the clock at most, and the next one goes on from its end. So
outputs are told something all the time, and with each flush the clock catches up by one.
"""

from __future__ import annotations

from statsd_tcp.aggregate.flushes import OpenFlush, flush_start

__all__ = ["MOST_BACK", "FlushEnds"]

MOST_BACK = 600.0
"""Seconds. When the clock was set back by more, flushes follow it."""


class FlushEnds:
    """The ends of flushes of ``seconds`` each, asked with the one that is open and a moment of the wall clock."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._flush: OpenFlush | None = None
        self._until = 0

    def are_lost(self, flush: OpenFlush, moment: float) -> bool:
        """Return whether the clock was set back so far that flushes are to follow it."""
        return flush.start - moment > max(MOST_BACK, self._seconds)

    def next_start(self, flush: OpenFlush, moment: float) -> int | None:
        """Return where the next flush begins, None while ``flush`` stays open."""
        by_clock = flush_start(moment, self._seconds)
        if moment >= flush.end:
            return by_clock
        if self._flush is not flush:
            self._flush, self._until = flush, flush.end
        if moment < flush.start:
            self._until = min(self._until, by_clock + 2 * self._seconds)
        return None if moment < self._until else flush.end

    def end_by_clock(self, moment: float) -> int:
        """Return the end of the flush of that moment by the clock alone."""
        return flush_start(moment, self._seconds) + self._seconds
