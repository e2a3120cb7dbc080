"""What a timer was during a flush, worked out one by one in the plainest way: from how often each value came.

Order statistics are made of the values that were received; only ``count`` and ``count_ps`` are corrected for
sampling. A rank is rounded half up, and of a single value every percentile is that value.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from itertools import accumulate
from operator import mul
from typing import NamedTuple

from statsd_tcp.aggregate.timers import Histogram, TimerRules, clean_percentile
from statsd_tcp.aggregate.values import Counted

__all__ = ["summarise"]

_PERCENT_SUFFIX = re.compile(r"_(top)?[0-9]+\Z")


class _Steps(NamedTuple):
    """The values in their order, and up to each how many came, their sum and the sum of their squares."""

    values: Sequence[float]
    counts: Sequence[int]
    sums: Sequence[float]
    squares: Sequence[float]

    def upto(self, rank: int) -> tuple[float, float, float]:
        """Return the value with that rank, from 1, and the sums of all values up to it."""
        at = bisect_left(self.counts, rank)
        value = self.values[at]
        if not at:
            return value, rank * value, rank * value * value
        more = rank - self.counts[at - 1]
        return value, self.sums[at - 1] + more * value, self.squares[at - 1] + more * value * value


def summarise(name: str, received: Counted, count: float, seconds: float, rules: TimerRules) -> dict[str, float]:
    """Work out a timer of which these values were ``received``, at least one of them.

    ``count`` is how many events these stand for, ``seconds`` the length of the flush. ``name`` is only for finding
    the histogram.
    """
    steps = _Steps(
        received.values,
        list(accumulate(received.counts)),
        list(accumulate(map(mul, received.values, received.counts))),
        list(accumulate(map(mul, map(mul, received.values, received.values), received.counts))),
    )
    fields: dict[str, float] = {}
    for percentile in rules.percentiles:
        fields.update(_percentile(steps, percentile))
    total = steps.counts[-1]
    mean = steps.sums[-1] / total
    # Not with sum: from Python 3.12 on that is better than adding up one after the other.
    spreads = (times * (value - mean) ** 2 for value, times in zip(steps.values, _each(steps.counts), strict=True))
    spread = list(accumulate(spreads))[-1]
    fields["std"] = math.sqrt(spread / total)
    fields["upper"] = steps.values[-1]
    fields["lower"] = steps.values[0]
    fields["count"] = count
    fields["count_ps"] = count / seconds
    fields["sum"] = steps.sums[-1]
    fields["sum_squares"] = steps.squares[-1]
    fields["mean"] = mean
    fields["median"] = _median(steps)
    fields.update(_histogram(name, steps, rules.histograms))
    return _wanted(fields, rules.only)


def _each(counts: Sequence[int]) -> list[int]:
    return [count - before for before, count in zip([0, *counts], counts, strict=False)]


def _percentile(steps: _Steps, percentile: float) -> dict[str, float]:
    total = steps.counts[-1]
    rank = 1 if total == 1 else math.floor(abs(percentile) / 100 * total + 0.5)
    if rank == 0:
        return {}
    if percentile > 0 or total == 1:
        bound, part, squares = steps.upto(rank)
    else:
        bound, part, squares = _largest(steps, rank)
    clean = clean_percentile(percentile)
    return {
        f"count_{clean}": rank,
        f"mean_{clean}": part / rank,
        f"{'upper' if percentile > 0 else 'lower'}_{clean}": bound,
        f"sum_{clean}": part,
        f"sum_squares_{clean}": squares,
    }


def _largest(steps: _Steps, number: int) -> tuple[float, float, float]:
    """Return the smallest of the ``number`` largest values, and their sums."""
    rest = steps.counts[-1] - number
    bound = steps.values[bisect_left(steps.counts, rest + 1)]
    if not rest:
        return bound, steps.sums[-1], steps.squares[-1]
    _, part, squares = steps.upto(rest)
    return bound, steps.sums[-1] - part, steps.squares[-1] - squares


def _median(steps: _Steps) -> float:
    total = steps.counts[-1]
    middle = total // 2
    upper = steps.values[bisect_left(steps.counts, middle + 1)]
    return upper if total % 2 else (steps.values[bisect_left(steps.counts, middle)] + upper) / 2


def _histogram(name: str, steps: _Steps, histograms: Sequence[Histogram]) -> dict[str, float]:
    limits = next((bins.limits for bins in histograms if bins.metric in name), ())
    fields: dict[str, float] = {}
    before = 0
    for text, limit in limits:
        at = len(steps.values) if math.isinf(limit) else bisect_left(steps.values, limit)
        below = max(before, steps.counts[at - 1] if at else 0)
        fields[f"histogram.bin_{text.replace('.', '_', 1)}"] = below - before
        before = below
    return fields


def _wanted(fields: dict[str, float], only: Collection[str]) -> dict[str, float]:
    if not only:
        return fields
    return {name: value for name, value in fields.items() if _general(name) in only}


def _general(name: str) -> str:
    """Return the name under which a number is asked for."""
    return "histogram" if name.startswith("histogram.") else _PERCENT_SUFFIX.sub("_percent", name)
