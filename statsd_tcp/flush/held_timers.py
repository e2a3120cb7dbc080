"""What came to the timers of a flush so far: sorted, in columns, and some of it in buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.flush.buckets import bucket_values
from statsd_tcp.flush.tallied import NO_VALUES, Tallied, blocks, collapsed, tallied
from statsd_tcp.flush.timer_numbers import Fields, block_of, numbers
from statsd_tcp.series.bins import Levels
from statsd_tcp.series.exact import Doubles, Wholes

__all__ = ["NO_TIMERS", "HeldTimers"]

_EXACT: Final = -1
"""The level of a timer whose values are not in buckets; that of others is how often the buckets were widened."""

_MEASURES: Final = ("sum", "sum_squares", "lower", "upper")
"""What stays exact when values are put into buckets."""

Mask = npt.NDArray[np.bool_]


class HeldTimers(NamedTuple):
    """What came to each timer: how many events, the values, whether they are in buckets, and what is exact then."""

    events: Doubles
    values: Tallied
    levels: Levels
    measures: Doubles

    def longer(self, number: int) -> HeldTimers:
        """Return the same with ``number`` timers."""
        more = number - len(self.events)
        return HeldTimers(
            np.append(self.events, np.zeros(more)),
            self.values._replace(starts=np.append(self.values.starts, np.full(more, self.values.starts[-1]))),
            np.append(self.levels, np.full(more, _EXACT)).astype(np.int8),
            np.append(self.measures, np.full((len(_MEASURES), more), np.nan), axis=1),
        )

    def plus(self, rows: Wholes, values: Doubles, counts: Wholes | None) -> HeldTimers:
        """Add values of the timers in these rows, and how often each came; None: once."""
        number = len(self.events)
        measures, coarse = self.measures, self.levels[rows] != _EXACT
        if coarse.any():
            fresh = tallied(rows[coarse], values[coarse], None if counts is None else counts[coarse], number)
            measures = np.where(self.levels == _EXACT, measures, _both(measures, _measures(fresh)))
            values = np.where(coarse, bucket_values(values, np.maximum(self.levels[rows], 0)), values)
        if len(self.values.values):
            counts = np.ones(len(rows), np.int64) if counts is None else counts
            rows = np.concatenate([self.values.rows(), rows])
            values = np.concatenate([self.values.values, values])
            counts = np.concatenate([self.values.counts, counts])
        return self._replace(values=tallied(rows, values, counts, number), measures=measures)

    def with_more_than(self, most: int) -> Mask:
        """Return which timers have more values or buckets."""
        wide: Mask = np.diff(self.values.starts) > most
        return wide

    def are_exact(self) -> Mask:
        """Return which timers are not in buckets."""
        exact: Mask = self.levels == _EXACT
        return exact

    def coarser(self, chosen: Mask) -> HeldTimers:
        """Put the values of some timers into buckets, those that are in some into wider ones."""
        levels = (self.levels + chosen).astype(np.int8)
        rows, values = self.values.rows(), self.values.values.copy()
        here = chosen[rows]
        values[here] = bucket_values(values[here], levels[rows[here]])
        measures = np.where(chosen & self.are_exact(), _measures(self.values), self.measures)
        return HeldTimers(self.events, collapsed(rows, values, self.values.counts, len(levels)), levels, measures)

    def joined(self, groups: Sequence[Sequence[int]]) -> HeldTimers:
        """Return a timer for each group, as if its members had been one."""
        group_of = np.full(len(self.events), -1)
        for number, members in enumerate(groups):
            group_of[list(members)] = number
        rows = group_of[self.values.rows()]
        there = rows >= 0
        values = tallied(rows[there], self.values.values[there], self.values.counts[there], len(groups))
        result = NO_TIMERS.longer(len(groups))
        known = np.where(self.are_exact(), _measures(self.values), self.measures)
        for number, members in enumerate(groups):
            result.events[number] = self.events[list(members)].sum()
            result.levels[number] = self.levels[list(members)].max()
            result.measures[:, number] = reduce(_both, [known[:, member] for member in members])
        return result._replace(values=values)

    def numbers(self, names: Mapping[int, str], seconds: float, rules: TimerRules) -> dict[str, Fields]:
        """Work out the timers that have names."""
        found: dict[str, Fields] = {name: {} for name in names.values()}
        known = np.where(self.are_exact(), np.nan, self.measures)
        for rows, places in blocks(self.values.starts):
            named = np.array([row in names for row in rows.tolist()])
            some, here = rows[named], places[named]
            block = block_of(self.values.values[here], self.values.counts[here])
            own = [names[row] for row in some.tolist()]
            exact = dict(zip((*_MEASURES, "mean"), (*known[:, some], known[0, some] / block.total), strict=True))
            found.update(zip(own, numbers(block, own, self.events[some], exact, seconds, rules), strict=True))
        return found


def _measures(values: Tallied) -> Doubles:
    """Return what stays exact of each timer; NaN of those without values."""
    found = np.full((len(_MEASURES), len(values.starts) - 1), np.nan)
    for rows, places in blocks(values.starts):
        block = block_of(values.values[places], values.counts[places])
        found[:, rows] = block.sums[:, -1], block.squares[:, -1], block.values[:, 0], block.values[:, -1]
    return found


def _both(one: Doubles, other: Doubles) -> Doubles:
    """Return the measures of two timers' values together; NaN is that of no values."""
    sums = np.where(np.isnan(one[:2]), other[:2], one[:2] + np.nan_to_num(other[:2]))
    return np.concatenate([sums, np.fmin(one[2:3], other[2:3]), np.fmax(one[3:], other[3:])])


NO_TIMERS: Final = HeldTimers(np.zeros(0), NO_VALUES, np.zeros(0, np.int8), np.zeros((len(_MEASURES), 0)))
