"""What is said of timers at the end of a flush, and who works it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from statsd_tcp.aggregate.values import Values

__all__ = ["FIELDS", "Histogram", "OpenTimers", "TimerRules", "clean_percentile", "idle_timer"]

FIELDS = ("count", "count_ps", "lower", "upper", "sum", "sum_squares", "mean", "median", "std")
"""What a timer has apart from its percentiles and its histogram."""


class Histogram(msgspec.Struct, frozen=True):
    """A histogram for the timers whose name contains ``metric``.

    ``limits`` are the bins' upper limits, as written and as numbers; a bin does not include its limit. What is
    not below the last one is not counted. Without limits there are no bins for them.
    """

    metric: str
    limits: tuple[tuple[str, float], ...]


class TimerRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which numbers are made of a timer.

    ``percentiles`` are between -100 and 100, but not 0: a negative one looks at the largest values. Of
    ``histograms`` the first that fits is taken. ``only`` names the numbers that are wanted (all, if it is
    empty), those of percentiles as ``upper_percent``.
    """

    percentiles: tuple[float, ...] = (90.0,)
    histograms: tuple[Histogram, ...] = ()
    only: frozenset[str] = frozenset()


class OpenTimers(Protocol):
    """The timers of an open flush.

    ``places`` has those that came; one that is taken out of it is forgotten. ``approximated`` counts the timers of
    which not all values are exact.
    """

    places: dict[str, int]
    approximated: int

    def add(self, news: Mapping[str, Values]) -> None:
        """Add what an interval has."""

    def numbers(self, seconds: float, rules: TimerRules) -> dict[str, dict[str, float]]:
        """Compute all timers, by name, of a flush of ``seconds``."""

    def together(
        self, groups: Iterable[Sequence[str]], seconds: float, rules: TimerRules
    ) -> dict[str, dict[str, float]]:
        """Work out what those of each group are together, by the group's first name; it is not there if none came."""


def clean_percentile(percentile: float) -> str:
    """Write a percentile as it is part of names: ``90``, ``99_9``, ``top10``."""
    text = repr(int(percentile)) if percentile == int(percentile) else repr(percentile)
    return text.replace(".", "_").replace("-", "top")


def idle_timer(rules: TimerRules) -> dict[str, float]:
    """Return what is said of a timer to which nothing came."""
    return {name: 0.0 for name in ("count", "count_ps") if not rules.only or name in rules.only}
