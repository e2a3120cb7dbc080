"""One session: the names that a worker has said by number, and where their series are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from statsd_tcp.aggregate.numbered import Numbered
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.increments import Increments
from statsd_tcp.series.plan import NO_POSITIONS, Positions

__all__ = ["Said", "Session"]


class Said(NamedTuple):
    """Numbers of a session of which it is not known where their series are."""

    session: Session
    numbers: Positions


class Session:
    """The names that a worker has said, by number, and where their series are among the raw counters."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.names: list[str] = []
        # A position is good as long as the id there is the same: no id is ever used again.
        self._positions: Positions = np.empty(0, np.int64)
        self._ids: Positions = np.empty(0, np.int64)

    def learn(self, numbered: Numbered) -> bool:
        """Take in names, perhaps once more; return whether none is missing before them."""
        first, names = numbered.first, numbered.names
        if first > len(self.names):
            return False
        self.names[first : first + len(names)] = names
        return True

    def has(self, numbers: bytes) -> bool:
        """Return whether these are numbers of names, each once."""
        places = np.frombuffer(numbers, "<u4")
        if len(places) and int(places.max()) >= len(self.names):
            return False
        found = np.zeros(len(self.names), bool)
        found[places] = True
        return int(np.count_nonzero(found)) == len(places)

    def name(self, numbers: bytes) -> list[str]:
        """Return the names that these numbers stand for."""
        return [self.names[number] for number in np.frombuffer(numbers, "<u4").tolist()]

    def take(self, numbered: Numbered, columns: SeriesColumns) -> tuple[Increments, dict[str, float], Said]:
        """Return what a message says of counters: by position, by name, and which numbers the latter are."""
        self._fit()
        numbers = np.frombuffer(numbered.numbers, "<u4").astype(np.int64)
        rises = np.frombuffer(numbered.rises, "<f8").astype(np.float64, copy=False)
        positions = self._positions[numbers]
        known = positions >= 0
        known &= columns.ids.take(positions, mode="clip") == self._ids[numbers]
        if known.all():
            return Increments(positions, rises), {}, Said(self, NO_POSITIONS)
        others = numbers[~known]
        named = dict(zip(map(self.names.__getitem__, others.tolist()), rises[~known].tolist(), strict=True))
        return Increments(positions[known], rises[known]), named, Said(self, others)

    def place(self, numbers: Positions, columns: SeriesColumns) -> None:
        """Look up the positions of the series of some numbers, as far as they exist."""
        positions = columns.find([self.names[number] for number in numbers.tolist()])
        there = positions >= 0
        numbers, positions = numbers[there], positions[there]
        self._positions[numbers], self._ids[numbers] = positions, columns.ids[positions]
        # The same objects: a name is in memory once, whatever the number of workers that say it.
        names = map(columns.identity, positions.tolist())
        if len(numbers) and (np.diff(numbers) == 1).all():
            self.names[int(numbers[0]) : int(numbers[-1]) + 1] = names
        else:
            for number, name in zip(numbers.tolist(), names, strict=True):
                self.names[number] = name

    def _fit(self) -> None:
        length = len(self._positions)
        if len(self.names) > length:
            more = max(len(self.names), length * 5 // 4) - length
            self._positions = np.concatenate([self._positions, np.full(more, -1)])
            self._ids = np.concatenate([self._ids, np.zeros(more, np.int64)])
