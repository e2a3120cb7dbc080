"""The series in memory, in columns.

A commit first plans (see `changes`): it works the new values out without changing anything, so that a commit which
fails can be given again. The plan is then written to SQLite, and only after that applied here.

The columns are arrays of plain numbers: copying them for a snapshot takes a fraction of a millisecond for a
hundred thousand series, and the garbage collector has nothing to look at.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, islice
from typing import NamedTuple

import msgspec

from statsd_tcp.aggregate.amounts import identity_bytes
from statsd_tcp.aggregate.values import Counted
from statsd_tcp.mapping.rules import Treatment
from statsd_tcp.store.snapshot import SeriesTable
from statsd_tcp.store.traits import PLAIN_TRAITS, Traits

__all__ = [
    "Change",
    "SeriesColumns",
    "SeriesPlan",
    "SeriesRow",
    "Update",
]

_CHUNK = 10_000
"""Entries put into a dictionary at once: the time for which another thread can't run, about a millisecond."""


_FEW = 10
"""Of fewer series than all divided by this each is looked up; of more all are gone through."""


class SeriesRow(NamedTuple):
    """A row of the table ``series``. ``updated`` is wall time in seconds, as the process knew it that wrote it.

    ``lasting`` is 1 if it came in more than one commit.
    """

    series_id: int
    kind: str
    identity: str
    value: float
    weight: float
    updated: float
    lasting: int = 0


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
    """What a commit does to the series of one kind: new ones, by identity, and updates, by position.

    ``ids`` are those of the new ones, in their order. ``emptied`` are positions of sets to which nothing came any more:
    their value is 0 now, and that is no news. ``left_out`` has the last identity of each kind of conflict. ``traits``
    are those that change, by identity. ``observed`` are the observations that belong to summaries.
    """

    fresh: dict[str, Change]
    updates: list[Update]
    expired: list[int]
    ids: list[int] = []
    emptied: list[int] = []
    negative: int = 0
    left_out: dict[str, str] = {}
    traits: dict[str, Traits] = {}
    observed: list[tuple[str, Counted, Treatment]] = []

    def is_empty(self) -> bool:
        """Tell whether nothing changes."""
        return not (self.fresh or self.updates or self.expired or self.emptied)


class SeriesColumns:
    """All series of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.size = 0
        """Bytes of all names and tags."""
        self.positions: dict[str, int] = {}
        self._epoch = 0
        self._ids = array("q")
        self._identities: list[str] = []
        self._values = array("d")
        self._weights = array("d")
        self._updated = array("d")
        self._lasting = bytearray()
        self._table: SeriesTable | None = None
        # By id. Replaced, never changed: snapshots have it.
        self._traits: Mapping[int, Traits] = {}
        # Raised when it changes what the exposition looks like, beyond its numbers.
        self._layout_version = 0

    def __len__(self) -> int:
        """Count the series."""
        return len(self._values)

    def load(self, row: SeriesRow) -> None:
        """Take in a row of the file; rows come in the order of their ids."""
        self._append(row.series_id, row.identity, Change(row.value, row.weight), row.updated, row.lasting)

    def load_traits(self, traits: Mapping[int, Traits]) -> None:
        """Take in the traits of the series that were loaded, by their ids."""
        self._traits = {series_id: traits[series_id] for series_id in self._ids if series_id in traits}

    def traits(self, identity: str) -> Traits:
        """Give the traits of a series; those of a plain one if it is new."""
        position = self.positions.get(identity)
        return PLAIN_TRAITS if position is None else self._traits.get(self._ids[position], PLAIN_TRAITS)

    def has_traits(self) -> bool:
        """Tell whether any series has traits."""
        return bool(self._traits)

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

    def lapsed(self, now: float, busy: Iterable[Update]) -> list[int]:
        """Give the positions of the series whose own time to live is over, but for the busy ones."""
        spared = {update.position for update in busy}
        limited = ((bisect_left(self._ids, each), traits.ttl) for each, traits in self._traits.items() if traits.ttl)
        return [at for at, ttl in limited if self._updated[at] + ttl < now and at not in spared]

    def shortest_ttl(self, otherwise: float) -> float:
        """Give the shortest time to live of a series, in seconds."""
        return min((traits.ttl for traits in self._traits.values() if traits.ttl), default=otherwise)

    def identity(self, position: int) -> str:
        """Give the identity of the series at a position."""
        return self._identities[position]

    def updated(self, position: int) -> float:
        """Give the wall time of the last update of the series at a position."""
        return self._updated[position]

    def series_id(self, position: int) -> int:
        """Give the id of the series at a position."""
        return self._ids[position]

    def after(self, series_id: int, most: int) -> tuple[Sequence[int], Sequence[str]]:
        """Give the ids and identities of the first series that came after that one, so ``most`` of them."""
        start = bisect_right(self._ids, series_id)
        return self._ids[start : start + most], self._identities[start : start + most]

    def identity_of(self, series_id: int) -> str:
        """Give the identity of the series with an id."""
        return self._identities[bisect_left(self._ids, series_id)]

    def standing(self, ids: Sequence[int]) -> tuple[array[int], float, bool]:
        """Give those of these series that are still there, when the last news of any came, and whether it lasts.

        It does when they came in more than one commit. The ids must be in order.
        """
        places = self._places(ids)
        updated = list(map(self._updated.__getitem__, places))
        lasting = any(map(self._lasting.__getitem__, places)) or min(updated, default=0.0) < max(updated, default=0.0)
        return array("q", map(self._ids.__getitem__, places)), max(updated, default=0.0), lasting

    def _places(self, ids: Sequence[int]) -> list[int]:
        """Give the positions of those of these series that are still there."""
        if len(ids) * _FEW > len(self._ids):
            wanted = set(ids)
            return [place for place, each in enumerate(self._ids) if each in wanted]
        found = ((bisect_left(self._ids, each), each) for each in ids)
        return [place for place, each in found if place < len(self._ids) and self._ids[place] == each]

    def newest(self) -> float:
        """Give the wall time of the latest update, 0.0 if there are no series."""
        return max(self._updated, default=0.0)

    def shift(self, seconds: float) -> None:
        """Have every series be updated so much later."""
        self._updated = array("d", [updated + seconds for updated in self._updated])

    def apply(self, plan: SeriesPlan, now: float) -> None:
        """Do what the plan says."""
        if plan.is_empty():
            return
        self._table = None
        for position, value, weight in plan.updates:
            self._values[position] = value
            self._weights[position] = weight
            self._updated[position] = now
            self._lasting[position] = 1
        for position in plan.emptied:
            self._values[position] = 0.0
        for series_id, (identity, change) in zip(plan.ids, plan.fresh.items(), strict=True):
            self._append(series_id, identity, change, now)
        if plan.traits:
            self._put_traits(plan.traits)
        if plan.expired:
            self._remove(plan.expired)

    def table(self) -> SeriesTable:
        """Give the series as they are now, for a snapshot."""
        if self._table is None:
            values, weights = self._values[:], self._weights[:]
            columns = (self._ids, self._identities, values, weights)
            self._table = SeriesTable(self.kind, self._epoch, *columns, self._traits, self._layout_version)
        return self._table

    def _append(self, series_id: int, identity: str, change: Change, updated: float, lasting: int = 0) -> None:
        self.size += identity_bytes(identity)
        self.positions[identity] = len(self._values)
        self._ids.append(series_id)
        self._identities.append(identity)
        self._values.append(change.value)
        self._weights.append(change.weight)
        self._updated.append(updated)
        self._lasting.append(lasting)

    def _put_traits(self, changed: Mapping[str, Traits]) -> None:
        traits = dict(self._traits)
        for identity, fresh in changed.items():
            series_id = self._ids[self.positions[identity]]
            before = traits.get(series_id, PLAIN_TRAITS)
            self._layout_version += (before.help, before.bounds) != (fresh.help, fresh.bounds)
            if fresh == PLAIN_TRAITS:
                del traits[series_id]
            else:
                traits[series_id] = fresh
        self._traits = traits

    def _remove(self, positions: list[int]) -> None:
        # New columns, because snapshots share the old ones.
        kept = bytearray(b"\1") * len(self._values)
        for position in positions:
            kept[position] = 0
            self.size -= identity_bytes(self._identities[position])
        self._epoch += 1
        gone = {self._ids[position] for position in positions}
        self._traits = {series_id: traits for series_id, traits in self._traits.items() if series_id not in gone}
        self._ids = array("q", compress(self._ids, kept))
        self._identities = list(compress(self._identities, kept))
        self._values = array("d", compress(self._values, kept))
        self._weights = array("d", compress(self._weights, kept))
        self._updated = array("d", compress(self._updated, kept))
        self._lasting = bytearray(compress(self._lasting, kept))
        self.positions = {}
        numbered = zip(self._identities, range(len(self._identities)), strict=True)
        while chunk := dict(islice(numbered, _CHUNK)):
            self.positions.update(chunk)
