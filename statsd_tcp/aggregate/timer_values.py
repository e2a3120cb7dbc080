"""All values of one timer during a flush: exact as long as they are few, in buckets from then on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from math import fsum
from typing import NamedTuple

from statsd_tcp.aggregate.buckets import bucket_value
from statsd_tcp.aggregate.timers import TimerRules, summarise
from statsd_tcp.aggregate.values import Counted, Values, added_up

__all__ = ["Measures", "TimerValues"]


class Measures(NamedTuple):
    """What of some values, at least one, stays exact when they are put into buckets."""

    sum: float
    sum_squares: float
    lower: float
    upper: float

    def plus(self, other: Measures) -> Measures:
        """Return those of the values of both."""
        return Measures(
            self.sum + other.sum,
            self.sum_squares + other.sum_squares,
            min(self.lower, other.lower),
            max(self.upper, other.upper),
        )


class TimerValues:
    """How often each value was received, and how many events all of them stand for (``weight``).

    What comes waits as it came until it is counted: ``counted`` has it then, in arrays, the counts also as weights.
    In buckets (``exact`` is False) the number and the `Measures` stay exact; all else is as wrong as a value in its
    bucket, see `buckets.ERROR`.
    """

    __slots__ = ("_doubled", "_measured", "_waiting", "counted", "weight")

    def __init__(self) -> None:
        self.weight = 0.0
        self.counted = Counted((), (), ())
        self._waiting = Values()
        self._measured: Measures | None = None
        self._doubled = 0

    @property
    def exact(self) -> bool:
        """Return whether the values are not in buckets."""
        return self._measured is None

    @property
    def waiting(self) -> int:
        """Return how many values are not counted yet."""
        return len(self._waiting)

    def add(self, values: Values) -> None:
        """Add what an interval has, at least one value."""
        self.weight += values.events()
        self._waiting.extend(values)

    def count(self) -> None:
        """Count what waits."""
        if not self._waiting.values:
            return
        waiting, self._waiting = self._waiting, Values()
        fresh = waiting.counted()
        if self._measured is not None:
            self._measured = self._measured.plus(_measured(fresh))
            fresh = _bucketed(fresh, self._doubled)
        elif not self.counted.values:
            # Most timers are counted once, at the end of the flush.
            self.counted = _small(fresh.values, fresh.counts)
            return
        self.counted = _together([self.counted, fresh])

    def coarsen(self) -> None:
        """Put the values, at least one, into buckets, now and later."""
        if self.exact:
            self.count()
            self._measured = _measured(self.counted)
            self.counted = _together([_bucketed(self.counted, 0)])

    def widen(self, most: int) -> bool:
        """Double the buckets' width until there are at most so many; return whether that was necessary.

        Of values of both signs, very small and very large ones, there stay five.
        """
        wide = len(self.counted.values) > most
        while len(self.counted.values) > most:
            self._doubled += 1
            self.counted = _together([_bucketed(self.counted, self._doubled)])
        return wide

    def measures(self) -> Measures:
        """Return what is exact of all that was counted."""
        return self._measured or _measured(self.counted)

    @classmethod
    def together(cls, parts: Sequence[TimerValues]) -> TimerValues:
        """Make one timer of several, at least one, which stay as they are but for being counted."""
        whole = cls()
        for part in parts:
            part.count()
            whole.weight += part.weight
        whole.counted = _together(part.counted for part in parts)
        if not all(part.exact for part in parts):
            whole._measured = reduce(Measures.plus, (part.measures() for part in parts))
        return whole

    def summary(self, name: str, seconds: float, rules: TimerRules) -> dict[str, float]:
        """Work out the numbers of a flush of so many seconds, as `timers.summarise` does."""
        self.count()
        fields = summarise(name, self.counted, self.weight, seconds, rules)
        if self._measured is not None:
            known = self._measured._asdict() | {"mean": self._measured.sum / sum(self.counted.counts)}
            fields.update({field: value for field, value in known.items() if field in fields})
        return fields


def _measured(counted: Counted) -> Measures:
    squares = (value * value * count for value, count in zip(counted.values, counted.counts, strict=True))
    sums = fsum(value * count for value, count in zip(counted.values, counted.counts, strict=True))
    return Measures(sums, fsum(squares), counted.values[0], counted.values[-1])


def _bucketed(counted: Counted, doubled: int) -> Counted:
    return counted._replace(values=[bucket_value(value, doubled) for value in counted.values])


def _rows(parts: Iterable[Counted]) -> Iterator[tuple[float, int, float]]:
    for part in parts:
        yield from zip(part.values, part.counts, part.counts, strict=True)


def _together(parts: Iterable[Counted]) -> Counted:
    """Add up what was counted."""
    values, counts, _ = added_up(_rows(parts))
    return _small(values, counts)


def _small(values: Sequence[float], counts: Sequence[int]) -> Counted:
    """Return what was counted in arrays: it stays for a while."""
    packed_counts = array("q", counts)
    return Counted(array("d", values), packed_counts, packed_counts)
