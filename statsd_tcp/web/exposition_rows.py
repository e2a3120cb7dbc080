"""The rows of one kind of series: the parts of their lines that stay the same from scrape to scrape."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

__all__ = ["ObservedRows", "PlainRows", "Rows"]

_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Rows:
    """Rows in the order in which they are written.

    ``positions`` are their places in the series table, and ``merged`` pairs of a row and a further position whose
    numbers are added to it.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.positions = array("q")
        self.merged: list[tuple[int, int]] = []

    def put(self, name: str, labels: str, position: int, *, first: bool, text: str, histogram: bool) -> None:
        """Add a row, which may be the first of its family; ``text`` is the family's help."""
        raise NotImplementedError

    def numbers(self, column: Sequence[float]) -> list[float]:
        """Give the rows' numbers from a column of the table."""
        numbers = [column[position] for position in self.positions]
        for row, position in self.merged:
            numbers[row] += column[position]
        return numbers

    def all_positions(self) -> dict[int, list[int]]:
        """Give the positions of the rows that have several, by row."""
        several: dict[int, list[int]] = {}
        for row, position in self.merged:
            several.setdefault(row, [self.positions[row]]).append(position)
        return several


class PlainRows(Rows):
    """Counters or gauges, one line each. ``heads`` are all that stands before the numbers."""

    def __init__(self, kind: str, type_name: str) -> None:
        super().__init__(kind)
        self._type = type_name
        self.heads: list[str] = []

    def put(self, name: str, labels: str, position: int, *, first: bool, text: str, histogram: bool) -> None:
        """Add a row."""
        opening = _opening(name, self._type, text) if first else ""
        self.heads.append(f"{opening}{name}{labels} ")
        self.positions.append(position)


class ObservedRows(Rows):
    """Summaries and histograms.

    ``openings`` are what stands before a row, which for most is nothing; ``parts`` the beginnings of the lines of
    its quantiles or buckets, up to the value of their label; ``sum_heads`` and ``count_heads`` those of the two others;
    ``histograms`` is 1 for rows of a histogram.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.openings: list[str] = []
        self.parts: list[str] = []
        self.sum_heads: list[str] = []
        self.count_heads: list[str] = []
        self.histograms = bytearray()

    def put(self, name: str, labels: str, position: int, *, first: bool, text: str, histogram: bool) -> None:
        """Add a row."""
        opening = _opening(name, "histogram" if histogram else "summary", text) if first else ""
        part, label = (f"{name}_bucket", 'le="') if histogram else (name, 'quantile="')
        self.openings.append(opening)
        self.parts.append(f"{part}{labels[:-1] + ',' if labels else '{'}{label}")
        self.sum_heads.append(f"{name}_sum{labels} ")
        self.count_heads.append(f"{name}_count{labels} ")
        self.histograms.append(histogram)
        self.positions.append(position)


def _opening(name: str, type_name: str, text: str) -> str:
    said = f"# HELP {name} {text.translate(_HELP_ESCAPES)}\n" if text else ""
    return f"# TYPE {name} {type_name}\n{said}"
