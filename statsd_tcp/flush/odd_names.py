"""The raw counters whose names an output might write as it writes others: each name is looked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import filterfalse

import numpy as np

from statsd_tcp.series.raw import RawLayer

__all__ = ["OddNames"]


class OddNames:
    """Those of the raw counters that are not plain: see `statsd_tcp.aggregate.collisions.PathNames`."""

    def __init__(self, raw: RawLayer, is_plain: Callable[[str], object]) -> None:
        self._raw = raw
        self._is_plain = is_plain
        self._names: list[str] = []
        self._looked_at = 0

    def of(self, others: Iterable[str]) -> list[str]:
        """Return them, with those among others, which may be in the columns too, each once."""
        columns = self._raw.columns
        ids = columns.ids[: columns.top]
        newer = np.flatnonzero(ids > self._looked_at)
        there = [name for name in self._names if name in columns.positions]
        odd = filterfalse(self._is_plain, map(columns.identity, newer.tolist()))
        # One that was gone and has come again is among both.
        self._names = list(dict.fromkeys([*there, *odd]))
        self._looked_at = max(self._looked_at, int(ids.max(initial=0)))
        return list(dict.fromkeys([*self._names, *filterfalse(self._is_plain, others)]))
