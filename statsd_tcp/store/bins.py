"""Bins that grow with the values: which one a value falls into, and the weights in them, small and mergeable.

Only bins with something in them are there, as numbers in arrays.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, Literal

from statsd_tcp.aggregate.values import Counted

__all__ = ["ERROR", "Bins", "binned", "joined_times", "sum_of", "value_of"]

ERROR: Final = 0.01
"""How far the value by which a bin is known may be from the values in it, as a part of them, before bins are joined."""

_BASE: Final = (1 + ERROR) / (1 - ERROR)
_PER_LOG: Final = 1 / math.log(_BASE)

_SMALLEST: Final = 1e-9
_ZERO: Final = -(2**13)
"""The bin of all that is nearer to zero than `_SMALLEST`. It stays what it is when bins are joined."""


_MIRROR: Final = -(3 * 2**12)
"""The bin of a value below zero is as far below this as that of its magnitude is above 0. Magnitudes from `_SMALLEST`
to a scaled 2**53 have bins from -1036 to 3570, so that the mirror images are below `_ZERO`."""


class Bins:
    """Weights by bin, in the order of the bins."""

    __slots__ = ("numbers", "weights")

    def __init__(self, typecode: Literal["d", "f"]) -> None:
        self.numbers = array("h")
        self.weights: array[float] = array(typecode)

    def add(self, numbers: Iterable[int], weights: Iterable[float]) -> None:
        """Add weights to bins."""
        own, totals = self.numbers, self.weights
        for number, weight in zip(numbers, weights, strict=True):
            place = bisect_left(own, number)
            if place < len(own) and own[place] == number:
                totals[place] += weight
            else:
                own.insert(place, number)
                totals.insert(place, weight)

    def join(self) -> None:
        """Make one bin of each pair of neighbours."""
        numbers, weights = self.numbers, self.weights
        self.numbers, self.weights = array("h"), array(weights.typecode)
        self.add(map(_joined, numbers), weights)


def binned(counted: Counted) -> tuple[list[int], list[float]]:
    """Give the bins of values in their order, and the weight in each."""
    numbers: list[int] = []
    weights: list[float] = []
    last = None
    log, ceil = math.log, math.ceil
    for value, weight in zip(counted.values, counted.weights, strict=True):
        if value > _SMALLEST:
            number = ceil(log(value) * _PER_LOG)
        else:
            number = _MIRROR - ceil(log(-value) * _PER_LOG) if value < -_SMALLEST else _ZERO
        if number == last:
            weights[-1] += weight
        else:
            last = number
            numbers.append(number)
            weights.append(weight)
    return numbers, weights


def sum_of(many: Iterable[Bins]) -> Bins:
    """Add up."""
    result = Bins("d")
    for bins in many:
        result.add(bins.numbers, bins.weights)
    return result


def _joined(number: int) -> int:
    if number > _ZERO:
        return (number + 1) >> 1
    return number if number == _ZERO else _MIRROR - ((_MIRROR - number + 1) >> 1)


def value_of(number: int, joined: int) -> float:
    """Give the value in the middle of a bin, from which both its ends are as far; it was joined so many times."""
    base: float = _BASE ** (1 << joined)
    if number > _ZERO:
        return 2 * base**number / (base + 1)
    return 0.0 if number == _ZERO else -2 * base ** (_MIRROR - number) / (base + 1)


def joined_times(numbers: Iterable[int], times: int) -> Iterable[int]:
    """Give the bins that these have become after so many times."""
    for _ in range(times):
        numbers = map(_joined, numbers)
    return numbers
