"""The series of one kind in memory, in columns.

Each has a position for as long as it exists; one that is gone leaves its position to the next that comes. A commit
first plans (see `changes`): it works the new numbers out without changing anything, so that a commit which fails can
be given lasting. The plan is then written, and only after that applied here.

    kind    fields, each a column          and also
    c       total + remainder              updated: when it last changed
    g       value, tick of its setting     lasting: whether it came in more than one commit
    ms, h   sum + remainder,               ids: numbers that grow in the order of coming
            weight + remainder             identities
    s       members
    rc      (none)
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from statsd_tcp.aggregate.amounts import Amount, identity_bytes
from statsd_tcp.series.exact import Doubles, added
from statsd_tcp.series.plan import NO_POSITIONS, SUMS, WIDTHS, Fresh, Positions, SeriesPlan, positions_of
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.series.traits import PLAIN_TRAITS, Traits

__all__ = ["CHUNK", "SeriesColumns"]

_FIRST_ROOM: Final = 256

_MOST: Final = 1 << 25
"""The most positions, more than any limit of series allows for."""

CHUNK: Final = 10_000
"""Names looked up, or put into a dictionary, at once: about a millisecond, for which no other thread can run."""


class SeriesColumns:
    """All series of one kind.

    ``numbers`` are its columns: one for each field, and after it one for the remainders if the kind has sums.
    ``top`` is after the last position that was ever taken. ``size``: bytes of all names and tags.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.size = 0
        self.positions: dict[str, int] = {}
        self.top = 0
        self.identities: list[str] = []
        self.ids: Positions = np.zeros(_FIRST_ROOM, np.int64)
        self.numbers: list[Doubles] = [np.zeros(_FIRST_ROOM) for _ in range(WIDTHS[kind] * (2 if kind in SUMS else 1))]
        self.updated: Doubles = np.zeros(_FIRST_ROOM)
        self.lasting: npt.NDArray[np.bool_] = np.zeros(_FIRST_ROOM, np.bool_)
        self._vacant: list[int] = []
        self._epoch = 0
        self._table: SeriesTable | None = None
        self._ids: array[Any] | None = None
        # By id. Replaced, never changed: snapshots have it.
        self._traits: Mapping[int, Traits] = {}
        # Raised when it changes what the exposition looks like, beyond its numbers.
        self._layout_version = 0

    @property
    def number_bytes(self) -> int:
        """How many bytes the numbers of a series take in the file."""
        return 8 * (len(self.numbers) + 1) + 1

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self.positions)

    def find(self, identities: Collection[str]) -> Positions:
        """Return the positions of series, -1 for those that are new."""
        places = map(self.positions.get, identities, repeat(-1))
        found = np.empty(len(identities), np.int64)
        for start in range(0, len(found), CHUNK):
            part = found[start : start + CHUNK]
            part[:] = np.fromiter(islice(places, len(part)), np.int64, len(part))
        return found

    def room_for(self, identities: list[str]) -> Fresh:
        """Return where new series would go; their ids are still to be given."""
        number = len(identities)
        reused = self._vacant[-number:] if number else []
        behind = range(self.top, self.top + number - len(reused))
        return Fresh(identities, positions_of([*sorted(reused), *behind]), np.zeros(number, np.int64))

    def outcome(
        self, positions: Positions, numbers: Sequence[Doubles], fresh: Positions | None = None
    ) -> list[Doubles]:
        """Return the columns at these positions when the numbers have come; those at ``fresh`` places are new."""
        if self.kind not in SUMS:
            return list(numbers)
        before = [column.take(positions, mode="clip") for column in self.numbers]
        if fresh is not None:
            for column in before:
                column[fresh] = 0.0
        result: list[Doubles] = []
        for field, addends in enumerate(numbers):
            result += added(before[2 * field], before[2 * field + 1], addends)
        return result

    def traits(self, identity: str) -> Traits:
        """Return the traits of a series; those of a plain one if it is new."""
        position = self.positions.get(identity)
        return PLAIN_TRAITS if position is None else self._traits.get(int(self.ids[position]), PLAIN_TRAITS)

    def has_traits(self) -> bool:
        """Return whether any series has traits."""
        return bool(self._traits)

    def idle_since(self, cut: float, busy: Positions = NO_POSITIONS) -> Positions:
        """Return the positions of the series to which nothing came since ``cut``, except the busy ones."""
        idle = (self.updated[: self.top] < cut) & (self.ids[: self.top] != 0)
        idle[busy[busy < self.top]] = False
        return np.flatnonzero(idle)

    def lapsed(self, now: float, busy: Positions) -> Positions:
        """Return the positions of the series whose own time to live is over, except the busy ones."""
        limited = {series_id: traits.ttl for series_id, traits in self._traits.items() if traits.ttl}
        if not limited:
            return NO_POSITIONS
        spared = set(busy.tolist())
        places = np.flatnonzero(np.isin(self.ids[: self.top], list(limited))).tolist()
        over = [at for at in places if self.updated[at] + limited[int(self.ids[at])] < now and at not in spared]
        return positions_of(over)

    def shortest_ttl(self, otherwise: float) -> float:
        """Return the shortest time to live of a series, in seconds."""
        return min((traits.ttl for traits in self._traits.values() if traits.ttl), default=otherwise)

    def identity(self, position: int) -> str:
        """Return the identity of the series at a position."""
        return self.identities[position]

    def newer_than(self, series_id: int, most: int) -> tuple[list[int], list[str]]:
        """Return the ids and identities of the first series that came after that one, so ``most`` of them."""
        places = np.flatnonzero(self.ids[: self.top] > series_id)
        ids = self.ids[places]
        order = np.argsort(ids)[:most] if len(ids) <= most else _lowest(ids, most)
        return ids[order].tolist(), list(map(self.identity, places[order].tolist()))

    def identity_of(self, series_id: int) -> str:
        """Return the identity of the series with an id."""
        return self.identity(int(np.flatnonzero(self.ids[: self.top] == series_id)[0]))

    def standing(self, ids: Sequence[int]) -> tuple[array[int], float, bool]:
        """Return those of these series that are still there, when anything last came to one, and whether it lasts.

        It does when they came in more than one commit. The ids must be in order.
        """
        places = np.flatnonzero(np.isin(self.ids[: self.top], ids))
        updated = self.updated[places]
        last = float(updated.max(initial=0.0))
        lasting = bool(self.lasting[places].any()) or bool(len(places) and updated.min() < last)
        return array("q", np.sort(self.ids[places]).tolist()), last, lasting

    def load_traits(self, traits: Mapping[int, Traits]) -> None:
        """Take in the traits of the series that were loaded, by their ids."""
        known = traits.keys() & set(self.ids[: self.top].tolist())
        self._traits = {series_id: traits[series_id] for series_id in known}

    def date(self, moment: float) -> None:
        """Set the last time of the series for which it is unknown to that moment."""
        updated = self.updated[: self.top]
        updated[(updated == 0.0) & (self.ids[: self.top] != 0)] = moment

    def load(self, identities: list[str]) -> None:
        """Take in all identities by position; ids, 0 where there is no series, and numbers are there already."""
        self.top = len(identities)
        self.identities = identities
        self._vacant = np.flatnonzero(self.ids[: self.top] == 0).tolist()
        self.size = Amount.of("counters", identities).size
        self._number()

    def apply(self, plan: SeriesPlan, now: float) -> None:
        """Do what the plan says."""
        if plan.is_empty():
            return
        self._table = None
        if plan.fresh.identities:
            self._take_in(plan.fresh)
        self.put(plan.positions, plan.after, now)
        if len(plan.emptied):
            self.numbers[0][plan.emptied] = 0.0
        self.lasting[plan.positions] = True
        self.lasting[plan.fresh.positions] = False
        if plan.traits:
            self._put_traits(plan.traits)
        if len(plan.expired):
            self._remove(plan.expired)

    def put(self, positions: Positions, after: Sequence[Doubles], now: float) -> None:
        """Set all columns at some positions, to which something came at a moment of the series' clock."""
        if len(positions):
            for column, numbers in zip(self.numbers, after, strict=True):
                column[positions] = numbers
            self.updated[positions] = now

    def table(self) -> SeriesTable:
        """Return the series as they are now, for a snapshot."""
        if self._table is None:
            shown = [_plain("d", column[: self.top]) for column in self.numbers[:: 2 if self.kind in SUMS else 1]]
            if self._ids is None:
                self._ids = _plain("q", self.ids[: self.top])
            columns = (self._ids, self.identities, shown[0], shown[-1])
            self._table = SeriesTable(
                self.kind, self._epoch, *columns, self._traits, self._layout_version, len(self._vacant)
            )
        return self._table

    def make_room(self, top: int) -> None:
        """Grow the columns to at least that length; raises `LookupError` for one that only damage explains."""
        length = len(self.updated)
        if top <= length:
            return
        if top > _MOST:
            raise LookupError(f"there is no position {top - 1}")
        more = max(top, 2 * length) - length
        self.ids = np.concatenate([self.ids, np.zeros(more, np.int64)])
        self.numbers = [np.concatenate([column, np.zeros(more)]) for column in self.numbers]
        self.updated = np.concatenate([self.updated, np.zeros(more)])
        self.lasting = np.concatenate([self.lasting, np.zeros(more, np.bool_)])

    def _take_in(self, fresh: Fresh) -> None:
        places = fresh.positions.tolist()
        reused = sum(place < self.top for place in places)
        if reused:
            # New ones, because snapshots share the old ones.
            self.identities = self.identities.copy()
            del self._vacant[-reused:]
        self.top += len(places) - reused
        self.make_room(self.top)
        for place, identity in zip(places[:reused], fresh.identities, strict=False):
            self.identities[place] = identity
        self.identities.extend(fresh.identities[reused:])
        for start in range(0, len(places), CHUNK):
            some = slice(start, start + CHUNK)
            self.positions.update(zip(fresh.identities[some], places[some], strict=True))
        self.size += Amount.of("counters", fresh.identities).size
        self.ids[fresh.positions] = fresh.ids
        self._ids = None

    def _put_traits(self, changed: Mapping[str, Traits]) -> None:
        traits = dict(self._traits)
        for identity, fresh in changed.items():
            series_id = int(self.ids[self.positions[identity]])
            before = traits.get(series_id, PLAIN_TRAITS)
            self._layout_version += (before.help, before.bounds) != (fresh.help, fresh.bounds)
            if fresh == PLAIN_TRAITS:
                del traits[series_id]
            else:
                traits[series_id] = fresh
        self._traits = traits

    def _remove(self, expired: Positions) -> None:
        # New ones, because snapshots share the old ones.
        self.identities = self.identities.copy()
        gone = set(self.ids[expired].tolist())
        self._traits = {series_id: traits for series_id, traits in self._traits.items() if series_id not in gone}
        for place in expired.tolist():
            identity = self.identity(place)
            self.size -= identity_bytes(identity)
            self.identities[place] = ""
            del self.positions[identity]
            self._vacant.append(place)
        self.ids[expired] = 0
        self._ids = None
        self._epoch += 1

    def _number(self) -> None:
        places = np.flatnonzero(self.ids[: self.top]).tolist()
        numbered = ((self.identities[place], place) for place in places)
        while chunk := dict(islice(numbered, CHUNK)):
            self.positions.update(chunk)


def _plain(typecode: str, column: npt.NDArray[Any]) -> array[Any]:
    """Return a copy that others can read without numpy."""
    copy = array(typecode)
    copy.frombytes(column.view(np.uint8).data)
    return copy


def _lowest(numbers: Positions, most: int) -> Positions:
    """Return the places of the ``most`` lowest numbers, in order."""
    lowest = np.argpartition(numbers, most)[:most]
    return lowest[np.argsort(numbers[lowest])]
