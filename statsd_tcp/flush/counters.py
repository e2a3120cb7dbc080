"""The counters of the open flush: by how much each changed, in columns next to those of the raw counters.

A flush has no names of its own. A raw counter that exists has come at some time, so that outputs know it: in a flush to
which it does not come it is 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from statsd_tcp.series.columns import CHUNK, SeriesColumns
from statsd_tcp.series.exact import Doubles
from statsd_tcp.series.increments import Increments
from statsd_tcp.series.plan import Fresh, Positions
from statsd_tcp.series.raw import RawLayer

__all__ = ["Changes", "FlushCounters", "Places", "last_id"]


class Changes(NamedTuple):
    """By how much counters changed, up or down: their raw positions, each once, their ids, and a number each."""

    positions: Positions
    ids: Positions
    amounts: Doubles

    def pack(self) -> bytes:
        """Return what a part of the open flush has of them in the file: the ids, and after them the numbers."""
        return self.ids.astype("<i8").tobytes() + self.amounts.astype("<f8").tobytes()


def last_id(parts: Iterable[bytes]) -> int:
    """Return the highest id in what `Changes.pack` gave, 0 if there is none."""
    return max((int(np.frombuffer(packed, "<i8", len(packed) // 16).max(initial=0)) for packed in parts), default=0)


class Places:
    """The positions of raw counters by their ids."""

    def __init__(self, columns: SeriesColumns) -> None:
        self._order = np.flatnonzero(columns.ids[: columns.top])
        self._order = self._order[np.argsort(columns.ids[self._order])]
        self._ids = columns.ids[self._order]

    def unpack(self, packed: bytes) -> Increments:
        """Return what `Changes.pack` gave by position, without what was deleted since; raises `LookupError`."""
        if len(packed) % 16:
            raise LookupError(f"slot_parts: the counters have {len(packed)} bytes")
        number = len(packed) // 16
        ids, amounts = np.frombuffer(packed, "<i8", number), np.frombuffer(packed, "<f8", number, 8 * number)
        at = self._ids.searchsorted(ids)
        there = np.flatnonzero(at < len(self._ids))
        there = there[self._ids[at[there]] == ids[there]]
        return Increments(self._order[at[there]], amounts[there])


class FlushCounters:
    """What came to counters in the open flush."""

    def __init__(self, raw: RawLayer) -> None:
        self._raw = raw
        self.begin()

    def begin(self) -> None:
        """Start again with nothing."""
        self._sums: Doubles = np.zeros(0)
        self._came = np.zeros(0, np.bool_)
        # Of parts by releases that did not know ids; only what is no longer a series.
        self._named: dict[str, float] = {}

    def load(self, parts: Sequence[tuple[bytes, Mapping[str, float]]]) -> None:
        """Take in the parts of the flush that are in the file: what `Changes.pack` gave, and numbers by name.

        Raises `LookupError` for what cannot be a part.
        """
        self.begin()
        columns = self._raw.columns
        places, before_rules = Places(columns), None if self._raw.is_shared else Places(self._raw.shown)
        for packed, old in parts:
            self._add(*places.unpack(packed))
            named = old if before_rules is None else {**old, **self._named_by(before_rules.unpack(packed))}
            positions = columns.find(named)
            known = positions >= 0
            self._add(positions[known], np.fromiter(named.values(), np.float64, len(named))[known])
            for name, position in zip(named, positions.tolist(), strict=True):
                if position < 0:
                    self._named[name] = self._named.get(name, 0.0) + named[name]

    def _named_by(self, increments: Increments) -> dict[str, float]:
        """Return by name what came when there were no rules: the raw counters were the shown ones then."""
        names = map(self._raw.shown.identity, increments.positions.tolist())
        return dict(zip(names, increments.amounts.tolist(), strict=True))

    def add(self, changes: Changes) -> None:
        """Add what came."""
        self._add(changes.positions, changes.amounts)

    def _add(self, positions: Positions, amounts: Doubles) -> None:
        if not len(positions):
            return
        lacking = int(positions.max()) + 1 - len(self._sums)
        if lacking > 0:
            room = max(lacking, len(self._sums))
            self._sums = np.concatenate([self._sums, np.zeros(room)])
            self._came = np.concatenate([self._came, np.zeros(room, np.bool_)])
        np.add.at(self._sums, positions, amounts)
        self._came[positions] = True

    def drop(self, names: Collection[str]) -> None:
        """Forget what came to counters that are deleted."""
        positions = self._raw.columns.find(names)
        here = positions[(positions >= 0) & (positions < len(self._sums))]
        self._sums[here] = 0.0
        self._came[here] = False
        for name in self._named.keys() & set(names):
            del self._named[name]

    @property
    def named(self) -> Mapping[str, float]:
        """Return what came to counters that are no series."""
        return self._named

    def spared(self, positions: Positions) -> Positions:
        """Return those of some positions to which nothing came in the flush: a counter in it stays until its end."""
        came = np.zeros(len(positions), np.bool_)
        inside = positions < len(self._came)
        came[inside] = self._came[positions[inside]]
        return positions[~came]

    def result(self, fresh: Fresh, *, idle: bool) -> dict[str, float]:
        """Return by how much each changed that came, and 0 of those that are ``idle``, if they are wanted.

        ``fresh`` are those that are not in the columns yet.
        """
        columns = self._raw.columns
        sums = np.zeros(max(columns.top, len(self._sums)))
        sums[: len(self._sums)] = self._sums
        there = np.arange(columns.top) if idle else np.flatnonzero(self._came[: columns.top])
        found: dict[str, float] = {}
        for start in range(0, len(there), CHUNK):
            some = there[start : start + CHUNK]
            found.update(zip(map(columns.identities.__getitem__, some.tolist()), sums[some].tolist(), strict=True))
        # Positions without a series, where those may be that are new.
        found.pop("", None)
        new = np.flatnonzero(fresh.positions < len(self._came))
        new = new[self._came[fresh.positions[new]]]
        found.update(
            zip([fresh.identities[at] for at in new.tolist()], sums[fresh.positions[new]].tolist(), strict=True)
        )
        for name, amount in self._named.items():
            found[name] = found.get(name, 0.0) + amount
        return found
