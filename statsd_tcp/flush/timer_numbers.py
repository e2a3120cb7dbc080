"""What timers were during a flush, as etsy's server works it out: from how often each value came, many at once.

Order statistics are made of the values that were received; only ``count`` and ``count_ps`` are corrected for
sampling. A rank is rounded half up, and of a single value every percentile is that value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from statsd_tcp.aggregate.timers import Histogram, TimerRules, clean_percentile
from statsd_tcp.series.exact import Doubles, Wholes

__all__ = ["Block", "Fields", "block_of", "numbers"]

_PERCENT_SUFFIX = re.compile(r"_(top)?[0-9]+\Z")

Fields = dict[str, float]
_Columns = Mapping[str, npt.NDArray[Any]]


class Block(NamedTuple):
    """Timers of equally many values, a row for each: the values in their order, and how often each came.

    ``upto``, ``sums``, ``squares``: up to each value how many came, their sum and the sum of their squares.
    """

    values: Doubles
    counts: Wholes
    upto: Wholes
    sums: Doubles
    squares: Doubles

    @property
    def total(self) -> Wholes:
        """How many values came to each."""
        return self.upto[:, -1]

    def value_at(self, rank: Wholes) -> Doubles:
        """Return the value with a rank, from 1, of each."""
        return self._taken(self.values, self._places(rank))

    def first(self, rank: Wholes) -> tuple[Doubles, Doubles]:
        """Return the sums of the ``rank`` smallest values of each, and the sums of their squares."""
        places = self._places(rank)
        value = self._taken(self.values, places)
        more = rank - self._before(self.upto, places)
        part = self._before(self.sums, places) + more * value
        return part, self._before(self.squares, places) + more * value * value

    def _places(self, rank: Wholes) -> Wholes:
        places: Wholes = (self.upto < rank[:, np.newaxis]).sum(axis=1)
        return places

    def _taken(self, column: npt.NDArray[Any], places: Wholes) -> npt.NDArray[Any]:
        return column[np.arange(len(column)), places]

    def _before(self, column: npt.NDArray[Any], places: Wholes) -> npt.NDArray[Any]:
        return np.where(places > 0, self._taken(column, np.maximum(places, 1) - 1), 0)


def block_of(values: Doubles, counts: Wholes) -> Block:
    """Add up what came to each, one value after the other."""
    sums, squares = values * counts, values * values * counts
    return Block(values, counts, counts.cumsum(axis=1), sums.cumsum(axis=1), squares.cumsum(axis=1))


def numbers(
    block: Block, names: Sequence[str], count: Doubles, known: _Columns, seconds: float, rules: TimerRules
) -> list[Fields]:
    """Work out the timers of a block, with their ``names``.

    ``count`` is how many events the values of each stand for, ``seconds`` the length of the flush. ``known`` are
    numbers that are not to be made of the values, NaN where they are.
    """
    columns = {**_percentiles(block, rules.percentiles), **_plain(block, count, seconds)}
    for name, exact in known.items():
        columns[name] = np.where(np.isnan(exact), columns[name], exact)
    columns = {name: column for name, column in columns.items() if _is_wanted(name, rules)}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True) if columns else ((),) * len(names)
    found: list[Fields] = [dict(zip(columns, row, strict=True)) for row in rows]
    for suffix, without in _unranked(block, rules.percentiles):
        for row in without:
            found[row] = {name: number for name, number in found[row].items() if not name.endswith(suffix)}
    if rules.histograms and (not rules.only or "histogram" in rules.only):
        _put_histograms(found, block, names, rules.histograms)
    return found


def _plain(block: Block, count: Doubles, seconds: float) -> _Columns:
    total, mean = block.total, block.sums[:, -1] / block.total
    spread = (block.counts * (block.values - mean[:, np.newaxis]) ** 2).cumsum(axis=1)[:, -1]
    upper = block.value_at(total // 2 + 1)
    lower = block.value_at(np.maximum(total // 2, 1))
    return {
        "std": np.sqrt(spread / total),
        "upper": block.values[:, -1],
        "lower": block.values[:, 0],
        "count": count,
        "count_ps": count / seconds,
        "sum": block.sums[:, -1],
        "sum_squares": block.squares[:, -1],
        "mean": mean,
        "median": np.where(total % 2, upper, (lower + upper) / 2),
    }


def _rank(percentile: float, total: Wholes) -> Wholes:
    rank = np.floor(abs(percentile) / 100 * total + 0.5).astype(np.int64)
    return np.where(total == 1, 1, rank)


def _percentiles(block: Block, percentiles: Sequence[float]) -> _Columns:
    """Return the numbers up to each percentile, or from it on; there is no sense in those of a rank of 0."""
    columns: dict[str, npt.NDArray[Any]] = {}
    for percentile in percentiles:
        clean, rank = clean_percentile(percentile), _rank(percentile, block.total)
        if percentile > 0:
            bound, (part, squares) = block.value_at(rank), block.first(rank)
        else:
            rest = block.total - np.maximum(rank, 1)
            bound, (part, squares) = block.value_at(rest + 1), block.first(rest)
            part, squares = block.sums[:, -1] - part, block.squares[:, -1] - squares
        columns[f"count_{clean}"] = rank
        columns[f"mean_{clean}"] = part / np.maximum(rank, 1)
        columns[f"{'upper' if percentile > 0 else 'lower'}_{clean}"] = bound
        columns[f"sum_{clean}"] = part
        columns[f"sum_squares_{clean}"] = squares
    return columns


def _unranked(block: Block, percentiles: Sequence[float]) -> Iterator[tuple[str, list[int]]]:
    """Yield by the end of their names which numbers of which timers say nothing."""
    for percentile in percentiles:
        rows = np.flatnonzero(_rank(percentile, block.total) == 0).tolist()
        if rows:
            yield f"_{clean_percentile(percentile)}", rows


def _put_histograms(found: list[Fields], block: Block, names: Sequence[str], histograms: Sequence[Histogram]) -> None:
    """Put the bins of the first histogram that fits into each timer's numbers."""
    fitting: dict[int, list[int]] = {}
    for row, name in enumerate(names):
        which = next((number for number, bins in enumerate(histograms) if bins.metric in name), None)
        if which is not None:
            fitting.setdefault(which, []).append(row)
    for which, rows in fitting.items():
        values, counts, before = block.values[rows], block.counts[rows], np.zeros(len(rows), np.int64)
        for text, limit in histograms[which].limits:
            here = counts if math.isinf(limit) else counts * (values < limit)
            below = np.maximum(before, here.sum(axis=1))
            name = f"histogram.bin_{text.replace('.', '_', 1)}"
            for row, number in zip(rows, (below - before).tolist(), strict=True):
                found[row][name] = number
            before = below


def _is_wanted(name: str, rules: TimerRules) -> bool:
    """Return whether a number is asked for, those of percentiles under their general names."""
    return not rules.only or _PERCENT_SUFFIX.sub("_percent", name) in rules.only
