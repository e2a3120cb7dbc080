"""The values of timers and distributions, packed as they came.

A value is never the key of a table: hashes of numbers are not salted, and a client could choose numbers that all meet
in one place. So values are collected, and sorted where they are to be counted.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import fsum
from operator import mul
from typing import Final, NamedTuple, TypeVar

import msgspec

__all__ = [
    "NUMBER_BYTES",
    "Counted",
    "Values",
    "added_up",
    "joined",
    "little_endian",
    "packed",
    "packed_counts",
    "values_of",
]

NUMBER_BYTES: Final = 8
"""Bytes of one number: a double, or a whole number of 64 bits, little-endian."""

_WRITTEN_OUT: Final = 8
"""A value that came so often is put down so often: without counts all of them are sorted much faster."""

_SWAPPED: Final = sys.byteorder == "big"

_N = TypeVar("_N", int, float)


class Counted(NamedTuple):
    """The different values in their order, how often each came, and how many events each stands for in all."""

    values: Sequence[float]
    counts: Sequence[int]
    weights: Sequence[float]

    def scaled(self) -> Iterable[float]:
        """Return each value times its weight."""
        return map(mul, self.values, self.weights)


class Values(msgspec.Struct, array_like=True, eq=False):
    """Values in any order, as packed numbers.

    ``counts``: how often each of them came, empty: once. ``rates``: how many events each time stands for (the
    reciprocal of the sampling rate), empty: one. Two are equal that say the same, in whatever order.
    """

    values: bytearray = bytearray()
    counts: bytearray = bytearray()
    rates: bytearray = bytearray()

    def check(self) -> None:
        """Raise `ValueError` for columns that do not fit each other."""
        size = len(self.values)
        if size % NUMBER_BYTES or len(self.counts) not in {0, size} or len(self.rates) not in {0, size}:
            raise ValueError(f"columns of {size}, {len(self.counts)} and {len(self.rates)} bytes")

    def __len__(self) -> int:
        """Return how many values there are."""
        return len(self.values) // NUMBER_BYTES

    def __eq__(self, other: object) -> bool:
        """Compare what two say."""
        return isinstance(other, Values) and self.counted() == other.counted()

    __hash__ = None  # type: ignore[assignment]

    def add(self, numbers: bytes | bytearray, times: int = 1, rate: float = 1.0) -> None:
        """Add packed numbers, each of which came ``times`` and stood for ``rate`` events each time."""
        if times == 1 and rate == 1.0 and not self.counts and not self.rates:
            self.values += numbers
            return
        if 1 < times <= _WRITTEN_OUT:
            numbers, times = numbers * times, 1
        before, more = len(self), len(numbers) // NUMBER_BYTES
        if times != 1 or self.counts:
            self.counts = _column(self.counts, before, _ONCE) + packed_counts((times,)) * more
        if rate != 1.0 or self.rates:
            self.rates = _column(self.rates, before, _FULL) + packed((rate,)) * more
        self.values += numbers

    def extend(self, other: Values) -> None:
        """Add all that ``other`` has."""
        before, more = len(self), len(other)
        if self.counts or other.counts:
            self.counts = _column(self.counts, before, _ONCE) + _column(other.counts, more, _ONCE)
        if self.rates or other.rates:
            self.rates = _column(self.rates, before, _FULL) + _column(other.rates, more, _FULL)
        self.values += other.values

    def copy(self) -> Values:
        """Return the same, to change."""
        return Values(self.values[:], self.counts[:], self.rates[:])

    def times(self, scale: float) -> Values:
        """Return the same, with each value multiplied."""
        return Values(bytearray(packed([scale * value for value in _doubles(self.values)])), self.counts, self.rates)

    def events(self) -> float:
        """Return how many events all of them stand for."""
        counts = _wholes(self.counts) if self.counts else None
        if not self.rates:
            return float(len(self) if counts is None else sum(counts))
        rates = _doubles(self.rates)
        return fsum(rates if counts is None else map(mul, counts, rates))

    def counted(self) -> Counted:
        """Sort the values, and count them."""
        # Most have no rates, or one only.
        if not self.counts and self.rates == self.rates[:NUMBER_BYTES] * len(self):
            values, counts = _runs(sorted(_doubles(self.values)))
            (rate,) = _doubles(self.rates[:NUMBER_BYTES]) or [1.0]
            return Counted(values, counts, counts if rate == 1.0 else [rate * count for count in counts])
        counts = _wholes(self.counts) if self.counts else [1] * len(self)
        weights = list(map(mul, counts, _doubles(self.rates))) if self.rates else counts
        return Counted(*added_up(zip(_doubles(self.values), counts, weights, strict=True)))


def added_up(rows: Iterable[tuple[float, _N, float]]) -> tuple[list[float], list[_N], list[float]]:
    """Sort rows of a value, a count and a weight, and make one of those with the same value: three columns."""
    values: list[float] = []
    counts: list[_N] = []
    weights: list[float] = []
    last = None
    for value, count, weight in sorted(rows):
        if value == last:
            counts[-1] += count
            weights[-1] += weight
        else:
            last = value
            values.append(value)
            counts.append(count)
            weights.append(weight)
    return values, counts, weights


def joined(many: Iterable[Values]) -> Values:
    """Return the values of all."""
    result = Values()
    for each in many:
        result.extend(each)
    return result


def packed(numbers: Iterable[float]) -> bytes:
    """Return numbers as packed doubles."""
    return little_endian(array("d", numbers))


def packed_counts(counts: Iterable[int]) -> bytes:
    """Return packed whole numbers."""
    return little_endian(array("q", counts))


def values_of(numbers: Iterable[float]) -> Values:
    """Return values, each of which came once."""
    return Values(bytearray(packed(numbers)))


def _runs(ordered: list[float]) -> tuple[list[float], list[int]]:
    """Return the different values of a sorted list, and how often each is in it."""
    values: list[float] = []
    counts: list[int] = []
    at, size = 0, len(ordered)
    while at < size:
        value = ordered[at]
        end = at + 1
        if end < size and ordered[end] == value:
            end = bisect_right(ordered, value, end)
        values.append(value)
        counts.append(end - at)
        at = end
    return values, counts


def little_endian(numbers: array[float] | array[int]) -> bytes:
    """Return an array's numbers, packed. The array may be changed."""
    if _SWAPPED:
        numbers.byteswap()
    return numbers.tobytes()


_ONCE: Final = packed_counts((1,))
_FULL: Final = packed((1.0,))


def _column(column: bytearray, number: int, usual: bytes) -> bytearray:
    """Return a column that may be empty, because there is only what is usual in it, written out."""
    return column or bytearray(usual * number)


def _doubles(column: bytearray) -> list[float]:
    return _unpacked(array("d"), column).tolist()


def _wholes(column: bytearray) -> list[int]:
    return _unpacked(array("q"), column).tolist()


def _unpacked(empty: array[_N], column: bytearray) -> array[_N]:
    """Fill an array with what is in a column."""
    empty.frombytes(column)
    if _SWAPPED:
        empty.byteswap()
    return empty
