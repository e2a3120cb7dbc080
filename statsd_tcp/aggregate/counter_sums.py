"""What counters went up by in an interval, and what they went down by, each added up without an error.

A total has the rises only: what falls would make it fall, by more or less as the seconds happen to cut the lines. So
the two are kept apart from the line on. However the addends are grouped, repeated and ordered, each sum that comes out
is the double that is nearest to the true one. So the part in C, the code in Python and the reader of a journal say the
same to the last bit, also where huge numbers cancel each other. `_sums.c`, which leaves numbers with a sign to Python,
adds in numbers of 256 bits, and hands over numbers that have exactly its sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import Final, NamedTuple, Self

from statsd_tcp.wire.numbers import LIMIT

__all__ = ["CounterSums", "Fall", "product", "reduced"]

_MANY: Final = 32
"""When a series has this many addends, they are reduced to few."""

_SPLITTER: Final = 2.0**27 + 1


class Fall(NamedTuple):
    """What a counter went down by: ``amount``, not above zero, in ``lines`` values below zero, rates applied.

    ``rest`` is what the rises and the falls are together beyond the sum of the two, which are rounded: with it nothing
    is lost where they cancel each other.
    """

    amount: float
    lines: int
    rest: float = 0.0

    def plus(self, other: Self) -> Self:
        """Return both together."""
        return type(self)(self.amount + other.amount, self.lines + other.lines, self.rest + other.rest)

    def times(self, scale: float) -> Self:
        """Return the same of a counter that is multiplied by a number not below zero."""
        return type(self)(self.amount * scale, self.lines, self.rest * scale)

    def change(self, rises: float) -> float:
        """Return by how much the counter changed, with what it went up by."""
        return fsum((rises, self.amount, self.rest))


class CounterSums:
    """The sums of an interval, by series.

    ``wholes`` are those of whole numbers from 0 up: below 2**53 adding doubles is exact. Code
    that adds such a number to such a sum may do it there.
    """

    __slots__ = ("_fallen", "_parts", "wholes")

    def __init__(self) -> None:
        self.wholes: dict[str, float] = {}
        self._parts: dict[str, list[float]] = {}
        # By series the addends, and how many values they stand for.
        self._fallen: dict[str, tuple[list[float], int]] = {}

    def add(self, series: str, number: float, times: int = 1) -> None:
        """Add a number ``times`` times; ``times`` is less than 2**26."""
        total = self.wholes.get(series, 0.0) + times * number
        if number.is_integer() and number >= 0.0 and total < LIMIT:
            self.wholes[series] = total
            return
        if number < 0.0:
            parts, lines = self._fallen.get(series) or ([], 0)
            self._fallen[series] = parts, lines + times
        else:
            parts = self._parts.get(series) or self._parts.setdefault(series, [])
        if not parts:
            self.wholes.setdefault(series, 0.0)
        parts.extend(product(number, times) if times != 1 else (number,))
        if len(parts) > _MANY:
            parts[:] = reduced(parts)

    def take(self) -> tuple[dict[str, float], dict[str, Fall]]:
        """Return the sums of the rises and of the falls, and start from zero. What fell is among the rises as well."""
        rises, self.wholes = self.wholes, {}
        parts, self._parts = self._parts, {}
        fallen, self._fallen = self._fallen, {}
        falls: dict[str, Fall] = {}
        for series, (numbers, lines) in fallen.items():
            rising = [rises[series], *parts.get(series, ())]
            amount = fsum(numbers)
            falls[series] = Fall(amount, lines, fsum([*rising, *numbers, -fsum(rising), -amount]))
        for series, numbers in parts.items():
            rises[series] = fsum([rises[series], *numbers])
        return rises, falls


def product(number: float, times: int) -> tuple[float, float]:
    """Return two numbers whose sum is exactly ``times * number``; ``times`` is below 2**26 (Veltkamp's splitting)."""
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
