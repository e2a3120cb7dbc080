"""All values of one timer during a flush: exact as long as they are few, in buckets from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from statsd_tcp.aggregate.buckets import bucket_value
from statsd_tcp.aggregate.timers import TimerRules, summarise

__all__ = ["TimerValues"]

_NOTHING: Mapping[float, float] = {}


class TimerValues:
    """How often each value was received, and how many events all of them stand for (``weight``).

    In buckets (``exact`` is False) the number, the sum, the sum of the squares, the lowest and the highest value
    stay exact; the others are as wrong as a value in its bucket, see `buckets.ERROR`.
    """

    __slots__ = ("_highest", "_lowest", "_squares", "_sum", "exact", "values", "weight")

    def __init__(self) -> None:
        self.values: dict[float, float] = {}
        self.weight = 0.0
        self.exact = True
        self._sum = self._squares = 0.0
        self._lowest = self._highest = 0.0

    def add(self, weights: Mapping[float, float], unseen: Mapping[float, float] = _NOTHING) -> None:
        """Add what an interval has: the weight of each value, and how much of it was never received."""
        self.weight += sum(weights.values())
        if unseen:
            # Whatever rounding does to huge weights: a value that is there came at least once.
            weights = {value: max(weight - unseen.get(value, 0.0), 1.0) for value, weight in weights.items()}
        if self.exact:
            self._count(weights)
        else:
            self._measure(weights)
            self._count(_bucketed(weights))

    def coarsen(self) -> None:
        """Put the values into buckets, now and later."""
        if self.exact:
            self._sum, self._squares, self._lowest, self._highest = self.measures()
            self.exact = False
            self.values = _bucketed(self.values)

    @classmethod
    def together(cls, parts: Sequence[TimerValues]) -> TimerValues:
        """Make one timer of several, at least one, which stay as they are."""
        whole = cls()
        for part in parts:
            whole.weight += part.weight
            whole._count(part.values)
        whole.exact = all(part.exact for part in parts)
        if not whole.exact:
            sums, squares, lowest, highest = zip(*(part.measures() for part in parts), strict=True)
            whole._sum, whole._squares = sum(sums), sum(squares)
            whole._lowest, whole._highest = min(lowest), max(highest)
        return whole

    def summary(self, name: str, seconds: float, rules: TimerRules) -> dict[str, float]:
        """Work out the numbers of a flush of so many seconds, as `timers.summarise` does."""
        fields = summarise(name, self.values, self.weight, seconds, rules)
        if not self.exact:
            known = {
                "sum": self._sum,
                "sum_squares": self._squares,
                "mean": self._sum / sum(self.values.values()),
                "lower": self._lowest,
                "upper": self._highest,
            }
            fields.update({field: value for field, value in known.items() if field in fields})
        return fields

    def _count(self, weights: Mapping[float, float]) -> None:
        values = self.values
        get = values.get
        for value, weight in weights.items():
            values[value] = get(value, 0.0) + weight

    def measures(self) -> tuple[float, float, float, float]:
        """Give the sum, the sum of the squares, the lowest and the highest value."""
        if not self.exact:
            return self._sum, self._squares, self._lowest, self._highest
        values = self.values
        squares = sum(value * value * weight for value, weight in values.items())
        return sum(value * weight for value, weight in values.items()), squares, min(values), max(values)

    def _measure(self, weights: Mapping[float, float]) -> None:
        self._sum += sum(value * weight for value, weight in weights.items())
        self._squares += sum(value * value * weight for value, weight in weights.items())
        lowest, highest = min(weights), max(weights)
        self._lowest = min(self._lowest, lowest)
        self._highest = max(self._highest, highest)


def _bucketed(weights: Mapping[float, float]) -> dict[float, float]:
    result: dict[float, float] = {}
    for value, weight in weights.items():
        bucket = bucket_value(value)
        result[bucket] = result.get(bucket, 0.0) + weight
    return result
