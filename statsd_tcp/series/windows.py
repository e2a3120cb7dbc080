"""The last minutes of all summaries, for their quantiles: counts in bins that grow with the values, in shared columns.

The windows of one length move on together, in a few steps: each step is a part, of which the oldest goes when a new
one begins. A commit only appends what came to the latest part; it is counted when there is as much of it as was counted
before. All parts are added up by who reads them. A quantile is wrong by at most `bins.ERROR` of it as long as the
values of a window differ by a factor of 150 at most. When a series has too many bins, each pair of neighbours becomes
one: twice as wrong then, up to a factor of 20,000, and so on.

Windows are in memory only. They are written by the thread of the store and read by those that write scrapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from statsd_tcp.mapping.rules import Treatment
from statsd_tcp.series.binned import NOTHING, Binned, Chunk, chunk_of, counted, united
from statsd_tcp.series.exact import Wholes
from statsd_tcp.series.increments import distinct
from statsd_tcp.series.observations import Observations
from statsd_tcp.series.quantiles import Quantile, Quantiles

__all__ = ["MOST_WINDOWS", "Ages", "Windows"]

MOST_WINDOWS: Final = 100_000
"""Summaries that have quantiles at the same time: 4 to 10 kB each when they are busy. The others are counted."""

_LEAST: Final = 1 << 20
"""Fewer values than this, 16 MB, are not counted yet."""

_NONE: Final[Wholes] = np.empty(0, np.int64)


class Ages(NamedTuple):
    """How windows move on: the seconds that they last, and the number of their steps."""

    max_age: float
    age_buckets: int

    def turn(self, now: float) -> int:
        """Return the number of the present step."""
        return int(now * self.age_buckets / self.max_age)

    def has(self, turn: int, now: float) -> bool:
        """Return whether a step is part of the window."""
        return turn > self.turn(now) - self.age_buckets


class _Part:
    """One step of all windows of one length: which one, what was counted, and what waits for it."""

    __slots__ = ("binned", "chunks", "turn", "waiting")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.binned = NOTHING
        self.chunks: tuple[Chunk, ...] = ()
        self.waiting = 0

    def append(self, chunk: Chunk) -> None:
        """Add what came."""
        self.chunks = (*self.chunks, chunk)
        self.waiting += len(chunk.keys)

    def is_full(self) -> bool:
        """Return whether as much waits as was counted."""
        return self.waiting > max(_LEAST, len(self.binned.bins))


class Windows:
    """The windows of all summaries, by the ids of their series. Any thread may read them; one writes.

    ``clock`` gives seconds; there are at most ``most`` windows. ``refused`` counts how often there was none left.
    """

    def __init__(self, clock: Callable[[], float], most: int = MOST_WINDOWS) -> None:
        self._clock = clock
        self._most = most
        self.refused = 0
        # The arrays that it guards are replaced, never changed: a reader keeps those that it has.
        self._lock = Lock()
        self._ids = _NONE
        self._kinds = _NONE
        self._treatments: dict[Treatment, int] = {}
        self._parts: dict[Ages, list[_Part]] = {}

    def __len__(self) -> int:
        """Count the windows."""
        return len(self._ids)

    def observe(self, ids: Wholes, came: Observations, treatment: Treatment) -> None:
        """Add what came to series, each of which is there once, with its id."""
        admitted = self._admit(ids, treatment)
        if not admitted.all():
            self.refused += len(ids) - int(admitted.sum())
            ids, came = ids[admitted], came.of(admitted)
        if len(ids):
            chunk, part = chunk_of(ids, came), self._present(_ages(treatment))
            with self._lock:
                part.append(chunk)
            if part.is_full():
                self._count(part)

    def forget(self, ids: Wholes) -> None:
        """Drop windows."""
        if len(ids):
            for ages in self._parts:
                self._drop(ages, ids)
            self._keep(~np.isin(self._ids, ids))

    def sweep(self) -> None:
        """Drop the windows that are empty."""
        filled = [_NONE]
        for ages in self._parts:
            self._move(ages)
            for part in self._parts[ages]:
                self._count(part)
                filled.append(part.binned.ids)
        self._keep(np.isin(self._ids, np.concatenate(filled)))

    def read(self) -> Quantiles:
        """Work out the quantiles of all windows as they are now."""
        now = self._clock()
        with self._lock:
            ids, kinds, treatments = self._ids, self._kinds, list(self._treatments)
            parts = {
                ages: [(part.binned, part.chunks) for part in several if ages.has(part.turn, now)]
                for ages, several in self._parts.items()
            }
        totals = {
            ages: united([each for binned, chunks in several for each in (binned, counted(chunks))])
            for ages, several in parts.items()
        }
        return _Reading(totals, ids, kinds, treatments).quantiles

    def _admit(self, ids: Wholes, treatment: Treatment) -> npt.NDArray[np.bool_]:
        """Return which of these series have windows; they have that treatment from now on."""
        kind = self._treatments.setdefault(treatment, len(self._treatments))
        places = self._ids.searchsorted(ids)
        found: npt.NDArray[np.bool_] = np.append(self._ids, -1)[places] == ids
        self._treat(places[found], kind)
        fresh = np.flatnonzero(~found)[: max(0, self._most - len(self))]
        found[fresh] = True
        if len(fresh):
            every = np.concatenate([self._ids, ids[fresh]])
            kinds = np.concatenate([self._kinds, np.full(len(fresh), kind)])
            order = every.argsort()
            with self._lock:
                self._ids, self._kinds = every[order], kinds[order]
        return found

    def _treat(self, places: Wholes, kind: int) -> None:
        """Set the treatment of windows from now on; those whose steps change start over."""
        places = places[self._kinds[places] != kind]
        if not len(places):
            return
        treatments = list(self._treatments)
        for before in distinct(self._kinds[places]).tolist():
            if _ages(treatments[before]) != _ages(treatments[kind]):
                self._drop(_ages(treatments[before]), self._ids[places[self._kinds[places] == before]])
        kinds = self._kinds.copy()
        kinds[places] = kind
        with self._lock:
            self._kinds = kinds

    def _present(self, ages: Ages) -> _Part:
        """Return the part of the present step."""
        self._move(ages)
        parts, turn = self._parts[ages], ages.turn(self._clock())
        if not parts or parts[-1].turn != turn:
            if parts:
                self._count(parts[-1])
            with self._lock:
                parts = self._parts[ages] = [*parts, _Part(turn)]
        return parts[-1]

    def _move(self, ages: Ages) -> None:
        """Let the parts go that are too old."""
        now = self._clock()
        with self._lock:
            self._parts[ages] = [part for part in self._parts.get(ages, ()) if ages.has(part.turn, now)]

    def _drop(self, ages: Ages, ids: Wholes) -> None:
        for part in self._parts.get(ages, ()):
            self._count(part)
            binned = part.binned.without(ids)
            with self._lock:
                part.binned = binned

    def _count(self, part: _Part) -> None:
        """Count what waits."""
        if part.chunks:
            whole = united([part.binned, counted(part.chunks)])
            small = whole._replace(weights=whole.weights.astype(np.float32))
            with self._lock:
                part.binned, part.chunks, part.waiting = small, (), 0

    def _keep(self, kept: npt.NDArray[np.bool_]) -> None:
        with self._lock:
            self._ids, self._kinds = self._ids[kept], self._kinds[kept]


class _Member(NamedTuple):
    """How a window is treated, and its quantiles."""

    treatment: Treatment
    values: list[float]


class _Reading:
    """All windows as they were at one moment: what was in them, and by id how each is treated."""

    def __init__(
        self, totals: Mapping[Ages, Binned], ids: Wholes, kinds: Wholes, treatments: Sequence[Treatment]
    ) -> None:
        self._totals = totals
        self._members: dict[int, _Member] = {}
        for total in totals.values():
            places = ids.searchsorted(total.ids)
            # What is gone has no treatment.
            own = np.where(np.append(ids, -1)[places] == total.ids, np.append(kinds, -1)[places], -1)
            for kind in distinct(own[own >= 0]).tolist():
                treatment, rows = treatments[kind], np.flatnonzero(own == kind)
                values = total.quantiles(treatment.quantiles, rows).tolist()
                members = (_Member(treatment, each) for each in values)
                self._members.update(zip(total.ids[rows].tolist(), members, strict=True))

    def quantiles(self, ids: Sequence[int]) -> Sequence[Quantile]:
        """Return the quantiles of a series, or of several taken together; none if nothing came to them lately."""
        members = {each: member for each in ids if (member := self._members.get(each)) is not None}
        if not members:
            return ()
        treatment, values = next(iter(members.values()))
        if len(members) > 1:
            parts = [self._totals[_ages(member.treatment)].between(each, each + 1) for each, member in members.items()]
            whole = united([part._replace(ids=np.zeros(1, np.int64)) for part in parts])
            (values,) = whole.quantiles(treatment.quantiles, np.zeros(1, np.int64)).tolist()
        return tuple(map(Quantile, _labels(treatment.quantiles), values))


def _ages(treatment: Treatment) -> Ages:
    return Ages(treatment.max_age, treatment.age_buckets)


@lru_cache
def _labels(quantiles: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(map(repr, quantiles))
