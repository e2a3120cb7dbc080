"""How many series there may be: room is made by what is idle, and what finds none is poured together or refused."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from heapq import heapify, heappop
from typing import NamedTuple

from statsd_tcp.aggregate.amounts import LINES_SHOWN, NO_SERIES, Amount
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.overflow import admit, fresh_amount
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import Positions, positions_of

__all__ = ["IDLE_ENOUGH", "Room", "Roomed"]

IDLE_ENOUGH = 3600.0
"""Seconds after which an idle series may have to go for a new one. A flood of names cannot drive out what is in use."""

_FIELDS: Mapping[str, str] = {"c": "counters", "g": "gauges", "ms": "times", "h": "distributions", "s": "sets"}

_NO_POSITIONS = positions_of(())

_LOOK_AGAIN = 60.0
"""Seconds until all series are looked at again, after there were not enough idle ones."""


class Roomed(NamedTuple):
    """What may be kept of an interval, the positions of the series that go for it, and how many found no room.

    ``left_out`` has one of those that ``overflow``, and of those that are ``refused``.
    """

    news: Interval
    gone: Sequence[Positions]
    overflowed: int
    refused: int
    left_out: Mapping[str, str]


class Room:
    """The limit of all kinds together; ``open_sets`` gives the sets of the open flush, which are series at its end."""

    def __init__(
        self, columns: Sequence[SeriesColumns], limit: Amount, open_sets: Callable[[], Collection[str]]
    ) -> None:
        self._columns = columns
        self._limit = limit
        self._open_sets = open_sets
        (self._sets,) = (each for each in columns if each.kind == "s")
        self._look_at = 0.0

    def make(self, news: Interval, busy: Positions, now: float) -> Roomed:
        """Find room for an interval at wall time ``now``: the longest idle series go, if there are any.

        ``busy`` are positions of counters to which something else comes.
        """
        nothing = [_NO_POSITIONS for _ in self._columns]
        known: dict[str, Mapping[str, int]] = {_FIELDS[each.kind]: each.positions for each in self._columns}
        opened = [identity for identity in self._open_sets() if identity not in self._sets.positions]
        known["sets"] = ChainMap(dict.fromkeys(opened, 0), self._sets.positions)
        taken = reduce(Amount.plus, map(_taken, self._columns), Amount.of("sets", opened))
        lacking = fresh_amount(news, known).plus(taken).less(self._limit)
        if lacking.fits(NO_SERIES):
            return Roomed(news, nothing, 0, 0, {})
        gone, freed = nothing, NO_SERIES
        if now >= self._look_at:
            gone, freed = self._idle(news, busy, now, lacking)
        admitted = admit(news, known, self._limit.less(taken).plus(freed))
        return Roomed(admitted.interval, gone, admitted.overflowed, admitted.refused, admitted.left_out)

    def _idle(self, news: Interval, busy: Positions, now: float, lacking: Amount) -> tuple[list[Positions], Amount]:
        """Find series that nothing came to for long, the longest idle first, that are as much as what is lacking."""
        cut = now - IDLE_ENOUGH
        found = [
            (float(columns.updated[position]), kind, position)
            for kind, columns in enumerate(self._columns)
            for position in columns.idle_since(cut, busy if columns.kind == "c" else _NO_POSITIONS).tolist()
            if columns.identity(position) not in getattr(news, _FIELDS[columns.kind])
        ]
        heapify(found)
        gone: list[list[int]] = [[] for _ in self._columns]
        freed = NO_SERIES
        while found and not lacking.fits(freed):
            _, kind, position = heappop(found)
            gone[kind].append(position)
            columns = self._columns[kind]
            freed = freed.plus(Amount.of(_FIELDS[columns.kind], (columns.identity(position),)))
        if not lacking.fits(freed):
            self._look_at = now + _LOOK_AGAIN
        return [positions_of(sorted(each)) for each in gone], freed


def _taken(columns: SeriesColumns) -> Amount:
    return Amount(len(columns), LINES_SHOWN[_FIELDS[columns.kind]] * columns.size)
