"""What counters went up by in an interval, added up without an error.

However the addends are grouped, repeated and ordered, the sum that comes out is the double that is nearest to the true
one. So the part in C, the code in Python and the reader of a journal say the same to the last bit, also where huge
numbers cancel each other. `_sums.c` adds in numbers of 256 bits, and hands over numbers that have exactly its sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import Final

from statsd_tcp.wire.numbers import LIMIT

__all__ = ["CounterSums", "product", "reduced"]

_MANY: Final = 32
"""So many addends of a series wait until they are made few."""

_SPLITTER: Final = 2.0**27 + 1


class CounterSums:
    """The sums of an interval, by series.

    ``wholes`` are those of whole numbers from 0 up: below 2**53 adding doubles is exact. Whoever adds such a number to
    such a sum may do it there.
    """

    __slots__ = ("_parts", "wholes")

    def __init__(self) -> None:
        self.wholes: dict[str, float] = {}
        self._parts: dict[str, list[float]] = {}

    def add(self, series: str, number: float, times: int = 1) -> None:
        """Add a number, so many times, fewer than 2**26."""
        total = self.wholes.get(series, 0.0) + times * number
        if number.is_integer() and number >= 0.0 and total < LIMIT:
            self.wholes[series] = total
        else:
            self.extend(series, product(number, times) if times != 1 else (number,))

    def extend(self, series: str, numbers: Iterable[float]) -> None:
        """Add numbers, each once."""
        parts = self._parts.get(series)
        if parts is None:
            parts = self._parts[series] = []
            self.wholes.setdefault(series, 0.0)
        parts.extend(numbers)
        if len(parts) > _MANY:
            parts[:] = reduced(parts)

    def take(self) -> dict[str, float]:
        """Return the sums, and begin anew."""
        sums, self.wholes = self.wholes, {}
        parts, self._parts = self._parts, {}
        for series, numbers in parts.items():
            sums[series] = fsum([sums[series], *numbers])
        return sums


def product(number: float, times: int) -> tuple[float, float]:
    """Return two numbers whose sum is exactly ``number`` so many times, fewer than 2**26 (Veltkamp's splitting)."""
    shifted = _SPLITTER * number
    high = shifted - (shifted - number)
    return times * high, times * (number - high)


def reduced(numbers: Iterable[float]) -> list[float]:
    """Return few numbers that have exactly the same sum: the nearest double, then what it leaves over, and so on."""
    left = list(numbers)
    found: list[float] = []
    while part := fsum(left):
        found.append(part)
        left.append(-part)
    return found
