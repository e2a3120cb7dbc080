"""Values of many series counted in bins, in shared columns: sorted by series, and for each by bins.

ids      a      b            c
starts   0      2            5   6
bins     3  7   -2  3   4    9
weights  1  1    2  8   1    1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from statsd_tcp.series.bins import LOWEST, Bins, Levels, joined, numbers_of, values_of
from statsd_tcp.series.exact import Doubles, Wholes
from statsd_tcp.series.increments import distinct
from statsd_tcp.series.observations import Observations

__all__ = ["MOST_BINS", "NOTHING", "Binned", "Chunk", "chunk_of", "counted", "united"]

MOST_BINS: Final = 256
"""The most bins of a series. When there are more, each pair of neighbours becomes one."""

_BIN_BITS: Final = 15
_BIN: Final = (1 << _BIN_BITS) - 1

_SLICE: Final = 1 << 18
"""Bins that are worked on at once: about 20 MB."""


class Chunk(NamedTuple):
    """What one commit brought, a row for each value: the series' id above the bin's number; no weights: one each."""

    keys: Wholes
    weights: Doubles | None


class Binned(NamedTuple):
    """The ids of series, where the bins of each start and the last ones end, and how often those were joined."""

    ids: Wholes
    starts: Wholes
    bins: Bins
    weights: npt.NDArray[Any]
    levels: Levels

    def slice(self, begin: int, end: int) -> Binned:
        """Return some of the series, by their places."""
        first, behind = int(self.starts[begin]), int(self.starts[end])
        return Binned(
            self.ids[begin:end],
            self.starts[begin : end + 1] - first,
            self.bins[first:behind],
            self.weights[first:behind],
            self.levels[begin:end],
        )

    def between(self, first: int, behind: int) -> Binned:
        """Return the series whose ids are not below the one and below the other."""
        begin, end = self.ids.searchsorted([first, behind]).tolist()
        return self.slice(begin, end)

    def without(self, ids: Wholes) -> Binned:
        """Leave series out."""
        kept = ~np.isin(self.ids, ids)
        if kept.all():
            return self
        lengths = np.diff(self.starts)
        every = np.repeat(kept, lengths)
        return Binned(self.ids[kept], _starts(lengths[kept]), self.bins[every], self.weights[every], self.levels[kept])

    def quantiles(self, wanted: Sequence[float], rows: Wholes) -> Doubles:
        """Return quantiles of the series in those rows: the smallest bins that at least these parts are not above."""
        upto = np.cumsum(self.weights, dtype=np.float64)
        firsts, behind = self.starts[rows], self.starts[rows + 1]
        before = np.append(0.0, upto)[firsts]
        whole = upto[behind - 1] - before
        found = np.empty((len(rows), len(wanted)))
        for column, quantile in enumerate(wanted):
            places = np.clip(upto.searchsorted(before + quantile * whole), firsts, behind - 1)
            found[:, column] = values_of(self.bins[places], self.levels[rows])
        return found


NOTHING: Final = Binned(
    np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.int16), np.empty(0), np.empty(0, np.int8)
)


def chunk_of(ids: Wholes, came: Observations) -> Chunk:
    """Return what came to the series with these ids."""
    return Chunk(_keys(ids, came.lengths, numbers_of(came.values)), came.weights)


def counted(chunks: Sequence[Chunk]) -> Binned:
    """Count what came."""
    if not chunks:
        return NOTHING
    keys = np.concatenate([chunk.keys for chunk in chunks])
    if all(chunk.weights is None for chunk in chunks):
        keys.sort()
        firsts = _firsts(keys)
        weights = np.diff(firsts, append=len(keys)).astype(np.float64)
    else:
        several = [np.ones(len(chunk.keys)) if chunk.weights is None else chunk.weights for chunk in chunks]
        keys, weights, firsts = _added_up(keys, np.concatenate(several))
    keys = keys[firsts]
    ids = keys >> _BIN_BITS
    firsts = _firsts(ids)
    ranks = np.repeat(np.arange(len(firsts)), np.diff(firsts, append=len(ids)))
    return _fitted(ids[firsts], ranks, _bins(keys), weights, np.zeros(len(firsts), np.int8))


def united(parts: Sequence[Binned]) -> Binned:
    """Add up what was counted apart."""
    parts = [part for part in parts if len(part.ids)]
    if len(parts) < 2:  # noqa: PLR2004
        return parts[0] if parts else NOTHING
    slices = [_united(some) for some in _slices(parts)]
    if len(slices) == 1:
        return slices[0]
    ids, starts, *columns = zip(*slices, strict=True)
    lengths = np.concatenate([np.diff(each) for each in starts])
    return Binned(np.concatenate(ids), _starts(lengths), *map(np.concatenate, columns))


def _slices(parts: Sequence[Binned]) -> Iterator[list[Binned]]:
    """Cut the parts between the same series."""
    largest = max(parts, key=lambda part: len(part.bins))
    places = largest.starts.searchsorted(np.arange(_SLICE, len(largest.bins), _SLICE), "right") - 1
    cuts = [0, *distinct(largest.ids[places]).tolist(), int(max(part.ids[-1] for part in parts)) + 1]
    for first, behind in pairwise(cuts):
        some = [part.between(first, behind) for part in parts]
        if any(len(part.ids) for part in some):
            yield some


def _united(parts: Sequence[Binned]) -> Binned:
    ids = distinct(np.concatenate([part.ids for part in parts]))
    levels = np.zeros(len(ids), np.int8)
    ranks = [ids.searchsorted(part.ids) for part in parts]
    for part, own in zip(parts, ranks, strict=True):
        levels[own] = np.maximum(levels[own], part.levels)
    keys = [_raised(part, own, levels[own] - part.levels) for part, own in zip(parts, ranks, strict=True)]
    # Each part is sorted, and a stable sort merges them.
    every, weights, firsts = _added_up(np.concatenate(keys), np.concatenate([part.weights for part in parts]))
    every = every[firsts]
    return _fitted(ids, every >> _BIN_BITS, _bins(every), weights, levels)


def _raised(part: Binned, ranks: Wholes, more: Levels) -> Wholes:
    """Return the keys of a part after the bins of each series were joined ``more`` times more."""
    lengths = np.diff(part.starts)
    return _keys(ranks, lengths, joined(part.bins, np.repeat(more, lengths)) if more.any() else part.bins)


def _keys(numbers: Wholes, lengths: Wholes, bins: Bins) -> Wholes:
    keys: Wholes = np.repeat((numbers << _BIN_BITS) - LOWEST, lengths)
    keys += bins
    return keys


def _bins(keys: Wholes) -> Bins:
    return ((keys & _BIN) + LOWEST).astype(np.int16)


def _fitted(ids: Wholes, ranks: Wholes, bins: Bins, weights: Doubles, levels: Levels) -> Binned:
    """Join the bins of those series that have too many, as often as it takes."""
    lengths = np.bincount(ranks, minlength=len(ids))
    while (wide := lengths > MOST_BINS).any():
        levels = levels + wide
        bins = np.where(wide[ranks], joined(bins, 1), bins)
        firsts = _firsts((ranks << _BIN_BITS) + bins)
        weights, ranks, bins = np.add.reduceat(weights, firsts), ranks[firsts], bins[firsts]
        lengths = np.bincount(ranks, minlength=len(ids))
    return Binned(ids, _starts(lengths), bins, weights, levels)


def _added_up(keys: Wholes, weights: Doubles) -> tuple[Wholes, Doubles, Wholes]:
    """Sort, and add up the weights of equal keys; return where each begins."""
    order = keys.argsort(kind="stable")
    keys = keys[order]
    firsts = _firsts(keys)
    return keys, np.add.reduceat(weights[order], firsts, dtype=np.float64), firsts


def _firsts(ordered: Wholes) -> Wholes:
    """Return where each different number begins."""
    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _starts(lengths: Wholes) -> Wholes:
    return np.concatenate([[0], np.cumsum(lengths)])
