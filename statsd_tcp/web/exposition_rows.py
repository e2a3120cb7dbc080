"""The rows of one kind of series: the parts of their lines that stay the same from scrape to scrape."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import fsum

from statsd_tcp.store.snapshot import SeriesTable

__all__ = ["CounterRows", "GaugeRows", "ObservedRows", "PlainRows", "Rows"]

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
        """Give the rows' numbers from a column of the table; those of several series are added up."""
        numbers = [column[position] for position in self.positions]
        # Rounded once: a sum of what only rises never falls, in whatever order.
        for row, several in self.all_positions().items():
            numbers[row] = fsum(column[position] for position in several)
        return numbers

    def all_positions(self) -> dict[int, list[int]]:
        """Give the positions of the rows that have several, by row."""
        several: dict[int, list[int]] = {}
        for row, position in self.merged:
            several.setdefault(row, [self.positions[row]]).append(position)
        return several


class PlainRows(Rows):
    """One line each. ``heads`` are all that stands before the numbers."""

    _type: str

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.heads: list[str] = []

    def put(self, name: str, labels: str, position: int, *, first: bool, text: str, histogram: bool) -> None:
        """Add a row."""
        opening = _opening(name, self._type, text) if first else ""
        self.heads.append(f"{opening}{name}{labels} ")
        self.positions.append(position)

    def shown(self, table: SeriesTable) -> list[float]:
        """Return the numbers of the lines."""
        raise NotImplementedError


class CounterRows(PlainRows):
    """Counters."""

    _type = "counter"

    def shown(self, table: SeriesTable) -> list[float]:
        """Return what the counters of each line add up to."""
        return self.numbers(table.values)


class GaugeRows(PlainRows):
    """Gauges, and what is shown as such."""

    _type = "gauge"

    def shown(self, table: SeriesTable) -> list[float]:
        """Return the value of each line's gauge."""
        values = table.values
        return [values[position] for position in self.latest(table.weights)]

    def latest(self, set_at: Sequence[float]) -> Sequence[int]:
        """Return the position of each line's gauge: of several that which was set last, by the ticks ``set_at``."""
        latest = self.positions[:]
        for row, position in self.merged:
            if set_at[position] > set_at[latest[row]]:
                latest[row] = position
        return latest


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
