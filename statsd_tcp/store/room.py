"""How many series there may be: room is made by what is idle, and what finds none is poured together or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from typing import NamedTuple

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.overflow import admit, count_fresh
from statsd_tcp.store.series import SeriesColumns

__all__ = ["IDLE_ENOUGH", "Room", "Roomed"]

IDLE_ENOUGH = 3600.0
"""Seconds after which an idle series may have to go for a new one. A flood of names can't drive out what is in use."""

_FIELDS: Mapping[str, str] = {"c": "counters", "g": "gauges", "ms": "times", "h": "distributions", "s": "sets"}

_LOOK_AGAIN = 60.0
"""Seconds until all series are looked at again, after there were not enough idle ones."""


class Roomed(NamedTuple):
    """What may be kept of an interval, the positions of the series that go for it, and how many found no room."""

    news: Interval
    gone: Sequence[Sequence[int]]
    overflowed: int
    refused: int


class Room:
    """The limit of all kinds together."""

    def __init__(self, columns: Sequence[SeriesColumns], most: int) -> None:
        self._columns = columns
        self._most = most
        self._look_at = 0.0

    def make(self, news: Interval, now: float) -> Roomed:
        """Find room for an interval at wall time ``now``: the longest idle series go, if there are any."""
        taken = sum(map(len, self._columns))
        coming = sum(len(getattr(news, field)) for field in _FIELDS.values())
        nothing: list[list[int]] = [[] for _ in self._columns]
        if taken + coming <= self._most:
            return Roomed(news, nothing, 0, 0)
        known = {_FIELDS[columns.kind]: columns.positions for columns in self._columns}
        lacking = count_fresh(news, known) + taken - self._most
        gone = self._idle(news, now, lacking) if lacking > 0 and now >= self._look_at else nothing
        freed = sum(map(len, gone))
        interval, overflowed, refused = admit(news, known, self._most - taken + freed)
        return Roomed(interval, gone, overflowed, refused)

    def _idle(self, news: Interval, now: float, number: int) -> list[list[int]]:
        """Find so many series that nothing came to for long, the longest idle first."""
        cut = now - IDLE_ENOUGH
        found = (
            (columns.updated(position), kind, position)
            for kind, columns in enumerate(self._columns)
            for position in columns.idle_since(cut, ())
            if columns.identity(position) not in getattr(news, _FIELDS[columns.kind])
        )
        gone: list[list[int]] = [[] for _ in self._columns]
        for _, kind, position in nsmallest(number, found):
            gone[kind].append(position)
        if sum(map(len, gone)) < number:
            self._look_at = now + _LOOK_AGAIN
        return gone
