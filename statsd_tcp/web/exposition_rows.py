"""How the rows of each kind of series are written: what stays the same from scrape to scrape, and the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import fsum
from operator import add
from typing import NamedTuple, Protocol

from statsd_tcp.series.quantiles import Quantiles
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.series.traits import MILLISECONDS, PLAIN_TRAITS, Traits, refit
from statsd_tcp.web.exposition_blocks import Block
from statsd_tcp.web.exposition_changes import Said

__all__ = ["WRITERS", "Numbers", "Writer", "latest_of"]

_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
_QUANTILE = 'quantile="'


class Numbers(NamedTuple):
    """Lines as numbers, in columns: the id of the row, what stands before the number, and the number."""

    rows: Sequence[int]
    heads: Sequence[str]
    values: Sequence[float]


class Writer(Protocol):
    """Writes the rows of one kind."""

    @property
    def is_latest(self) -> bool:
        """Whether of several series in a row the latest one counts."""

    def opening(self, name: str, said: Said) -> str:
        """Return what stands before the first row of a family."""

    def row(self, name: str, labels: str, said: Said) -> str:
        """Return what stays the same of a row."""

    def lines(self, block: Block, table: SeriesTable, quantiles: Quantiles) -> list[str]:
        """Return the lines of a block."""

    def numbers(self, block: Block, table: SeriesTable) -> Numbers:
        """Return the lines of a block as numbers; quantiles are left out."""


class _Plain(NamedTuple):
    """One line each: what stands before the number."""

    type: str
    is_latest: bool

    def opening(self, name: str, said: Said) -> str:
        """Return what stands before the first row of a family."""
        return _opening(name, self.type, said.help)

    def row(self, name: str, labels: str, said: Said) -> str:
        """Return what stays the same of a row."""
        return f"{name}{labels} "

    def lines(self, block: Block, table: SeriesTable, quantiles: Quantiles) -> list[str]:
        """Return the lines of a block."""
        return list(map(add, block.texts, map(repr, self._values(block, table))))

    def numbers(self, block: Block, table: SeriesTable) -> Numbers:
        """Return the lines of a block as numbers."""
        heads = [text.rpartition("\n")[2] if text[0] == "#" else text for text in block.texts]
        return Numbers(block.ids, heads, self._values(block, table))

    def _values(self, block: Block, table: SeriesTable) -> list[float]:
        if self.is_latest:
            values = [table.values[position] for position in block.positions]
            for place, several in block.shared.items():
                values[place] = table.values[latest_of(several, table.weights)]
            return values
        return _sums(block, table.values)


class _Observed(NamedTuple):
    """Summaries and histograms.

    A row's text is of four parts, with line ends between them: the opening, which most do not have; the beginning of
    the lines of its quantiles or buckets, up to the value of their label; those of the lines of the sum and the count.
    """

    unit: float
    is_latest: bool = False

    def opening(self, name: str, said: Said) -> str:
        """Return what stands before the first row of a family."""
        return _opening(name, "histogram" if said.histogram else "summary", said.help)

    def row(self, name: str, labels: str, said: Said) -> str:
        """Return what stays the same of a row."""
        part, label = (f"{name}_bucket", 'le="') if said.histogram else (name, _QUANTILE)
        return f"\n{part}{labels[:-1] + ',' if labels else '{'}{label}\n{name}_sum{labels} \n{name}_count{labels} "

    def lines(self, block: Block, table: SeriesTable, quantiles: Quantiles) -> list[str]:
        """Return the lines of a block."""
        sums = _sums(block, table.values)
        # A sampled observation weighs 1/rate, but a count must be whole.
        counts = map(round, _sums(block, table.weights))
        traits, unit = table.traits, self.unit
        several = [[series_id] for series_id in block.ids]
        for row, positions in block.shared.items():
            several[row] = [table.ids[position] for position in positions]
        lines = []
        for text, members, total, count in zip(block.texts, several, sums, counts, strict=True):
            opening, part, sum_head, count_head = text.rsplit("\n", 3)
            if part.endswith(_QUANTILE):
                shown = "".join([f'{part}{label}"}} {value / unit!r}\n' for label, value in quantiles(members)])
            else:
                known = [traits.get(member, PLAIN_TRAITS) for member in members]
                shown = "".join([f'{part}{bound!r}"}} {upto}\n' for bound, upto in _buckets(known, count)])
                shown += f'{part}+Inf"}} {count}\n'
            lines.append(f"{opening}{shown}{sum_head}{total / unit!r}\n{count_head}{count}")
        return lines

    def numbers(self, block: Block, table: SeriesTable) -> Numbers:
        """Return the lines of a block as numbers."""
        return Numbers(*zip(*self._numbers(block, table), strict=True))

    def _numbers(self, block: Block, table: SeriesTable) -> Iterator[tuple[int, str, float]]:
        sums, counts = _sums(block, table.values), _sums(block, table.weights)
        for place, (row, text) in enumerate(zip(block.ids, block.texts, strict=True)):
            _, part, sum_head, count_head = text.rsplit("\n", 3)
            count = round(counts[place])
            if not part.endswith(_QUANTILE):
                members = [table.ids[position] for position in block.shared.get(place, ())] or [row]
                known = [table.traits.get(member, PLAIN_TRAITS) for member in members]
                for bound, upto in _buckets(known, count):
                    yield row, f'{part}{bound!r}"}} ', upto
                yield row, f'{part}+Inf"}} ', count
            yield row, sum_head, sums[place] / self.unit
            yield row, count_head, count


WRITERS: Mapping[str, Writer] = {
    "c": _Plain("counter", is_latest=False),
    "g": _Plain("gauge", is_latest=True),
    "ms": _Observed(MILLISECONDS),
    "h": _Observed(1.0),
    "s": _Plain("gauge", is_latest=True),
}
"""By kind."""


def latest_of(positions: Sequence[int], set_at: Sequence[float]) -> int:
    """Return the position of the gauge that was set last, by the ticks ``set_at``; of several the first one."""
    return max(positions, key=set_at.__getitem__)


def _sums(block: Block, column: Sequence[float]) -> list[float]:
    """Return the rows' numbers from a column of the table; those of several series are added up."""
    numbers = [column[position] for position in block.positions]
    # Rounded once: a sum of what only rises never falls, in whatever order.
    for place, several in block.shared.items():
        numbers[place] = fsum(column[position] for position in several)
    return numbers


def _opening(name: str, type_name: str, text: str) -> str:
    said = f"# HELP {name} {text.translate(_HELP_ESCAPES)}\n" if text else ""
    return f"# TYPE {name} {type_name}\n{said}"


def _buckets(members: Sequence[Traits], count: int) -> Iterator[tuple[float, int]]:
    """Yield each bound with the number of observations up to it. Of several series the first one's bounds count."""
    bounds = next((traits.bounds for traits in members if traits.bounds), ())
    fitted = [traits.counts if traits.bounds == bounds else refit(traits, bounds) for traits in members]
    counts = fitted[0] if len(fitted) == 1 else [sum(each) for each in zip(*fitted, strict=True)]
    for bound, upto in zip(bounds, accumulate(counts), strict=True):
        # Rounded weights must not add up to more than all of them.
        yield bound, min(round(upto), count)
