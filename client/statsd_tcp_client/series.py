"""Series of one kind each: what was added to them since the last batch, and the lines that say so. Pure.

    name:5|c|@0.5|#env:test        a counter: the sum of its counts
    name:5|g   name:+5|g           a gauge: the last value, or the sum of the changes since an unknown one
    name:1.5|ms:2.5|ms             a timer: its values, as several samples of one line, which etsy's servers read too
    name:1.5:2.5|ms                the same for DogStatsD, which alone reads this
    name:x|s                       a set: one line for each member

A series yields `Piece`s, which are never separated. ``made`` of a series is the number of calls that it stands for.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import NamedTuple, Union

from statsd_tcp_client.text import LARGEST_CHANGE, number

__all__ = ["Counter", "Gauge", "Members", "Piece", "Series", "Timer"]

_LONGEST = 4000
"""Bytes of a line with several samples: statsd_exporter closes connections for lines of 4096."""


_LONGEST_VALUE = 24
"""Characters of a value: -9007199254740991.000000, or -2.2250738585072014e-308."""


class Piece(NamedTuple):
    """Lines that stay together: their bytes, their number, and the number of calls that they stand for."""

    data: bytes
    lines: int
    made: int
    ordered: bool = False
    """It must not overtake an earlier one of its series."""


def _piece(text: str, made: int) -> Piece:
    return Piece(f"{text}\n".encode(), 1, made)


def _within(value: float, largest: float) -> float:
    return max(-largest, min(value, largest))


class Counter:
    """The sum of what was counted under one name."""

    __slots__ = ("_largest", "made", "name", "sections", "total")

    def __init__(self, name: str, sections: str, largest: float) -> None:
        """``largest``: no line may say as much."""
        self.name = name
        self.sections = sections
        self._largest = largest
        self.total: float = 0
        self.made = 0

    def pieces(self) -> Iterator[Piece]:
        """Yield the line; several where the sum is too large for one."""
        total = self.total
        # Each call counted less than that, so there are not more lines than calls.
        most = self._largest / 2
        part = int(most) if isinstance(total, int) and most >= 1 else most
        while abs(total) >= self._largest:
            yield _piece(f"{self.name}:{number(part if total > 0 else -part)}|c{self.sections}", 0)
            total -= part if total > 0 else -part
        yield _piece(f"{self.name}:{number(total)}|c{self.sections}", self.made)


class Gauge:
    """The last value of a gauge, or its changes since a value that only the server knows."""

    __slots__ = ("_change", "_signed", "_value", "made", "name", "sections")

    def __init__(self, name: str, sections: str, *, signed: bool) -> None:
        """``signed``: the server takes a value with a sign as a change, which DogStatsD does not."""
        self.name = name
        self.sections = sections
        self._signed = signed
        self._value: float | None = None
        self._change: float = 0
        self.made = 0

    def set(self, value: float, sections: str) -> None:
        """Forget what was before."""
        self._value = value
        self.sections = sections
        self.made += 1

    def change(self, by: float) -> None:
        """Add to the last value, or to the other changes."""
        if self._value is None:
            self._change += by
        else:
            self._value += by
        self.made += 1

    def pieces(self) -> Iterator[Piece]:
        """Yield the line; two for a value below 0, which by itself would be a change.

        A sum that servers cannot take is the nearest that they can.
        """
        if self._value is None:
            sign = "+" if self._change >= 0 else ""
            line = f"{self.name}:{sign}{number(_within(self._change, LARGEST_CHANGE))}|g{self.sections}\n"
        elif self._value < 0 and self._signed:
            tags = self.sections[self.sections.find("|#") :] if "|#" in self.sections else ""
            line = f"{self.name}:0|g{tags}\n{self.name}:{number(_within(self._value, LARGEST_CHANGE))}|g{tags}\n"
        else:
            line = f"{self.name}:{number(_within(self._value, sys.float_info.max))}|g{self.sections}\n"
        yield Piece(line.encode(), line.count("\n"), self.made, ordered=True)


class Timer:
    """The values of a timer (``ms``), a histogram (``h``) or a distribution (``d``)."""

    __slots__ = ("_packed", "cost", "kind", "name", "sections", "values")

    def __init__(self, name: str, sections: str, kind: str, *, packed: bool) -> None:
        self.name = name
        self.sections = sections
        self.kind = kind
        self._packed = packed
        self.cost = 0
        """Bytes that a further value takes."""
        self.values = array("d")

    @property
    def made(self) -> int:
        """The number of calls."""
        return len(self.values)

    def pieces(self) -> Iterator[Piece]:
        """Yield lines with as many values as one takes.

        Tags contain colons, so that no further sample can follow them: without packing each value has its line then.
        """
        end = f"|{self.kind}{self.sections}"
        between = ":" if self._packed else f"{end}:"
        # As `statsd` (PyPI) writes milliseconds. Other units may need all digits.
        form = "%.6f" if self.kind == "ms" else "%r"
        alone = not self._packed and "|#" in self.sections
        number = 1 if alone else max(1, (_LONGEST - len(self.name)) // (_LONGEST_VALUE + len(between)))
        for at in range(0, len(self.values), number):
            some = tuple(self.values[at : at + number])
            # All values in one formatting, which takes half the time of one each.
            yield _piece(f"{self.name}:{between.join([form] * len(some)) % some}{end}", len(some))


class Members:
    """The members of a set, each once."""

    __slots__ = ("made", "members", "name", "sections")

    def __init__(self, name: str, sections: str) -> None:
        self.name = name
        self.sections = sections
        self.members: dict[str, int] = {}
        self.made = 0

    def pieces(self) -> Iterator[Piece]:
        """Yield a line for each member."""
        for member, made in self.members.items():
            yield _piece(f"{self.name}:{member}|s{self.sections}", made)


Series = Union[Counter, Gauge, Timer, Members]
