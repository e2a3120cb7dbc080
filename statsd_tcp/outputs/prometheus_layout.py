"""Which series appear where: the plan of the StatsD part of a scrape, made once for each set of series.

A family is all series of one name, and stands together. One name has one type: the first series that came has
it. A summary claims the names of its parts too, so that no other family can write a line that looks like one
of them. What doesn't fit is left out. Counters and summaries that get the same name and labels add up to one
line; of two gauges the first counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import repeat
from operator import itemgetter

from statsd_tcp.outputs.prometheus_names import name_and_labels
from statsd_tcp.store.snapshot import SeriesTable

__all__ = ["CONFLICT_REASONS", "Layout", "Rows", "lay_out"]

CONFLICT_REASONS = ("type", "unit", "reserved", "duplicate")
"""Why a series is left out of the exposition: its name belongs to another type, or to a summary in another
unit, or to the service itself; or it is a gauge whose name and labels another gauge has."""

TYPES = {"c": "counter", "g": "gauge", "ms": "summary", "h": "summary"}

_SUMMARY_PARTS = ("_sum", "_count", "_bucket", "_created")
_OWN_PREFIX = "statscounter_"
_OWN_NAMES = frozenset(
    f"process_{name}"
    for name in (
        "cpu_seconds",
        "cpu_seconds_total",
        "max_fds",
        "open_fds",
        "resident_memory_bytes",
        "start_time_seconds",
        "virtual_memory_bytes",
    )
)


class Rows:
    """The rows of one kind, in the order in which they are written.

    ``heads`` are the beginnings of the rows' lines, with the family's type line before the first, in the text
    format; ``count_heads`` those of a summary's second lines. ``positions`` are the rows' places in the
    series table, and ``merged`` pairs of a row and a further position whose numbers are added to it.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.type = TYPES[kind]
        self.heads: list[str] = []
        self.count_heads: list[str] = []
        self.positions = array("q")
        self.merged: list[tuple[int, int]] = []

    def put(self, name: str, labels: str, position: int, *, first: bool) -> int:
        """Add a row, which may be the first of its family, and give its number."""
        suffix = ""
        if self.type == "summary":
            suffix = "_sum"
            self.count_heads.append(f"{name}_count{labels} ")
        head = f"{name}{suffix}{labels} "
        self.heads.append(f"# TYPE {name} {self.type}\n{head}" if first else head)
        self.positions.append(position)
        return len(self.heads) - 1

    def group(self, ranks: Sequence[int]) -> None:
        """Put the rows in the order of their ranks; those of the same rank stay as they are."""
        order = sorted(range(len(ranks)), key=ranks.__getitem__)
        self.heads = [self.heads[row] for row in order]
        self.count_heads = [self.count_heads[row] for row in order] if self.count_heads else []
        self.positions = array("q", map(self.positions.__getitem__, order))
        if self.merged:
            moved = dict(zip(order, range(len(order)), strict=True))
            self.merged = [(moved[row], position) for row, position in self.merged]


class Layout:
    """The rows of all kinds, and by reason the ids of the series that found no place. Never changed."""

    def __init__(self, rows: Sequence[Rows], left_out: dict[str, list[int]]) -> None:
        self.rows = rows
        self.left_out = left_out


def lay_out(tables: Sequence[SeriesTable]) -> Layout:
    """Find a place for every series, in the order in which they first came."""
    entry = _Entry(tables)
    for series_id, number, position in _in_order_of_ids(tables):
        reason = entry.enter(number, tables[number].identities[position], position)
        if reason is not None:
            entry.left_out[reason].append(series_id)
    for rows, ranks in zip(entry.rows, entry.ranks, strict=True):
        rows.group(ranks)
    return Layout(entry.rows, entry.left_out)


class _Entry:
    """What is known while series are entered one by one."""

    def __init__(self, tables: Sequence[SeriesTable]) -> None:
        self.rows = [Rows(table.kind) for table in tables]
        self.ranks = [array("q") for _ in tables]
        self.left_out: dict[str, list[int]] = {reason: [] for reason in CONFLICT_REASONS}
        self._types = [TYPES[table.kind] for table in tables]
        # A family is known by its name, and has a rank and the number of its table.
        self._families: dict[str, tuple[int, int]] = {}
        self._parts: set[str] = set()
        self._placed: dict[str, int] = {}
        # The rank of a family without a row.
        self._newest = -1

    def enter(self, number: int, identity: str, position: int) -> str | None:
        """Find a place for a series of the table with that number, or say why there is none."""
        name, labels = name_and_labels(identity)
        family = self._families.get(name)
        if family is None:
            if name.startswith(_OWN_PREFIX) or name in _OWN_NAMES:
                return "reserved"
            family = self._found(name, number)
        if family is None or self._types[family[1]] != self._types[number]:
            return "type"
        if family[1] != number:
            return "unit"
        return self._place(family, name, labels, position)

    def _found(self, name: str, number: int) -> tuple[int, int] | None:
        if name in self._parts:
            return None
        if self._types[number] == "summary":
            parts = [name + part for part in _SUMMARY_PARTS]
            if any(part in self._families or part in self._parts for part in parts):
                return None
            self._parts.update(parts)
        self._newest = len(self._families)
        family = self._families[name] = (self._newest, number)
        return family

    def _place(self, family: tuple[int, int], name: str, labels: str, position: int) -> str | None:
        rank, number = family
        rows, key = self.rows[number], name + labels
        row = self._placed.get(key)
        if row is None:
            first = rank == self._newest
            self._newest = -1 if first else self._newest
            self._placed[key] = rows.put(name, labels, position, first=first)
            self.ranks[number].append(rank)
        elif self._types[number] == "gauge":
            return "duplicate"
        else:
            rows.merged.append((row, position))
        return None


def _in_order_of_ids(tables: Sequence[SeriesTable]) -> Iterator[tuple[int, int, int]]:
    columns = [zip(table.ids, repeat(number), range(len(table)), strict=False) for number, table in enumerate(tables)]
    return merge(*columns, key=itemgetter(0))
