"""The series in memory, in columns, and how a commit's news are put to them.

A commit first plans: it works the new values out without changing anything, so that a commit which fails can
be given again. The plan is then written to SQLite, and only after that applied here.

The columns are arrays of plain numbers: copying them for a snapshot takes a fraction of a millisecond for a
hundred thousand series, and the garbage collector has nothing to look at.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from itertools import compress, islice
from typing import NamedTuple

import msgspec

from statsd_tcp.aggregate.gauges import Change as GaugeChange
from statsd_tcp.aggregate.gauges import apply_changes
from statsd_tcp.store.snapshot import SeriesTable

__all__ = [
    "Change",
    "SeriesColumns",
    "SeriesPlan",
    "SeriesRow",
    "Update",
    "plan_counters",
    "plan_gauges",
    "plan_observations",
]

_CHUNK = 10_000
"""Entries put into a dictionary at once: the time for which another thread can't run, about a millisecond."""


class SeriesRow(NamedTuple):
    """A row of the table ``series``. ``updated`` is wall time in seconds."""

    series_id: int
    kind: str
    identity: str
    value: float
    weight: float
    updated: float


class Update(NamedTuple):
    """New numbers for a series that exists."""

    position: int
    value: float
    weight: float


class Change(NamedTuple):
    """A series' numbers before or after an interval."""

    value: float
    weight: float = 0.0


class SeriesPlan(msgspec.Struct):
    """What a commit does to the series of one kind: new ones, by identity, and updates, by position."""

    fresh: dict[str, Change]
    updates: list[Update]
    expired: list[int]
    negative: int = 0
    unit: int = 0

    def is_empty(self) -> bool:
        """Tell whether nothing changes."""
        return not (self.fresh or self.updates or self.expired)


class SeriesColumns:
    """All series of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.positions: dict[str, int] = {}
        self._epoch = 0
        self._ids = array("q")
        self._identities: list[str] = []
        self._values = array("d")
        self._weights = array("d")
        self._updated = array("d")
        self._table: SeriesTable | None = None

    def __len__(self) -> int:
        """Count the series."""
        return len(self._values)

    def load(self, row: SeriesRow) -> None:
        """Take in a row of the file; rows come in the order of their ids."""
        self._append(row.series_id, row.identity, Change(row.value, row.weight), row.updated)

    def before(self, identity: str) -> tuple[int, Change]:
        """Give a series' position and numbers; -1 and zeros for one that is new."""
        position = self.positions.get(identity, -1)
        if position < 0:
            return position, Change(0.0)
        return position, Change(self._values[position], self._weights[position])

    def idle_since(self, cut: float, busy: Iterable[Update]) -> list[int]:
        """Give the positions of the series whose last update is older than ``cut``, but for the busy ones."""
        spared = {update.position for update in busy}
        return [at for at, updated in enumerate(self._updated) if updated < cut and at not in spared]

    def identity(self, position: int) -> str:
        """Give the identity of the series at a position."""
        return self._identities[position]

    def series_id(self, position: int) -> int:
        """Give the id of the series at a position."""
        return self._ids[position]

    def newest(self) -> float:
        """Give the wall time of the latest update, 0.0 if there are no series."""
        return max(self._updated, default=0.0)

    def apply(self, plan: SeriesPlan, first_id: int, now: float) -> None:
        """Do what the plan says; the fresh series get the ids from ``first_id`` on."""
        if plan.is_empty():
            return
        self._table = None
        for position, value, weight in plan.updates:
            self._values[position] = value
            self._weights[position] = weight
            self._updated[position] = now
        for series_id, (identity, change) in enumerate(plan.fresh.items(), first_id):
            self._append(series_id, identity, change, now)
        if plan.expired:
            self._remove(plan.expired)

    def table(self) -> SeriesTable:
        """Give the series as they are now, for a snapshot."""
        if self._table is None:
            values, weights = self._values[:], self._weights[:]
            self._table = SeriesTable(self.kind, self._epoch, self._ids, self._identities, values, weights)
        return self._table

    def _append(self, series_id: int, identity: str, change: Change, updated: float) -> None:
        self.positions[identity] = len(self._values)
        self._ids.append(series_id)
        self._identities.append(identity)
        self._values.append(change.value)
        self._weights.append(change.weight)
        self._updated.append(updated)

    def _remove(self, positions: list[int]) -> None:
        # New columns, because snapshots share the old ones.
        kept = bytearray(b"\1") * len(self._values)
        for position in positions:
            kept[position] = 0
        self._epoch += 1
        self._ids = array("q", compress(self._ids, kept))
        self._identities = list(compress(self._identities, kept))
        self._values = array("d", compress(self._values, kept))
        self._weights = array("d", compress(self._weights, kept))
        self._updated = array("d", compress(self._updated, kept))
        self.positions = {}
        numbered = zip(self._identities, range(len(self._identities)), strict=True)
        while chunk := dict(islice(numbered, _CHUNK)):
            self.positions.update(chunk)


def plan_counters(columns: SeriesColumns, news: Mapping[str, float]) -> SeriesPlan:
    """Add increments to counters. A total must not fall: a negative increment is left out and counted."""
    plan = SeriesPlan({}, [], [])
    for identity, increment in news.items():
        if increment < 0:
            plan.negative += 1
            continue
        position, old = columns.before(identity)
        _note(plan, position, identity, old.value + increment, 0.0)
    return plan


def plan_gauges(columns: SeriesColumns, news: Mapping[str, list[GaugeChange]]) -> SeriesPlan:
    """Put the changes of gauges to their values.

    Workers hand over at different moments, so that what comes later may have happened earlier: a gauge's
    ``weight`` is the tick at which it was last set, and what is older than that has no effect any more.
    """
    plan = SeriesPlan({}, [], [])
    for identity, changes in news.items():
        position, (value, set_at) = columns.before(identity)
        valid = [change for change in changes if change[0] >= set_at]
        set_at = max([set_at, *(tick for tick, relative, _ in valid if not relative)])
        _note(plan, position, identity, apply_changes(value, valid), set_at)
    return plan


def plan_observations(
    columns: SeriesColumns, news: Mapping[str, Mapping[float, float]], claim: Callable[[str, str], bool]
) -> SeriesPlan:
    """Add observations to sums and counts.

    A new series whose name isn't free for this unit is left out and counted, and so are negative
    observations, which would make the sum fall.
    """
    plan = SeriesPlan({}, [], [])
    for identity, weights in news.items():
        position, old = columns.before(identity)
        if position < 0 and not claim(columns.kind, identity):
            plan.unit += 1
            continue
        rising = [(value, weight) for value, weight in weights.items() if value >= 0]
        if len(rising) != len(weights):
            plan.negative += 1
        if rising:
            total = old.value + sum(value * weight for value, weight in rising)
            _note(plan, position, identity, total, old.weight + sum(weight for _, weight in rising))
    return plan


def _note(plan: SeriesPlan, position: int, identity: str, value: float, weight: float) -> None:
    if position < 0:
        plan.fresh[identity] = Change(value, weight)
    else:
        plan.updates.append(Update(position, value, weight))
