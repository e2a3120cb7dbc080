"""Which series appear where: the plan of the StatsD part of a scrape, made once for each set of series.

A family is all series of one name, and stands together. One name has one type: the first series that came has
it. What is observed claims the names of its parts too, so that no other family can write a line that looks like one
of them; such a family is a histogram if any of its series is, and the others then show the bucket of all. What doesn't
fit is left out. Counters and observed series that get the same name and labels add up to one line; of two gauges the
first counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import repeat
from operator import itemgetter

from statsd_tcp.mapping.names import name_and_labels
from statsd_tcp.store.snapshot import SeriesTable
from statsd_tcp.store.traits import PLAIN_TRAITS
from statsd_tcp.web.exposition_rows import ObservedRows, PlainRows, Rows

__all__ = ["CONFLICT_REASONS", "Layout", "lay_out"]

CONFLICT_REASONS = ("type", "unit", "reserved", "duplicate")
"""Why a series is left out of the exposition: its name belongs to another type, or to observations in another
unit, or to the service itself; or it is a gauge whose name and labels another gauge has."""

TYPES = {"c": "counter", "g": "gauge", "ms": "observed", "h": "observed", "s": "gauge"}

_PARTS = ("_sum", "_count", "_bucket", "_created")
_TOTAL = "_total"
_OWN_PREFIX = "statscounter_"
# The series for all those beyond the limit are among those that clients send.
_OVERFLOW = "statscounter_overflow_"
_OWN_NAMES = frozenset(
    f"process_{name}"
    for name in (
        "cpu_seconds",
        # OpenMetrics keeps this name for each of its counters.
        "cpu_seconds_created",
        "cpu_seconds_total",
        "max_fds",
        "open_fds",
        "resident_memory_bytes",
        "start_time_seconds",
        "virtual_memory_bytes",
    )
)


class Layout:
    """The rows of all kinds, and by reason the ids of the series that found no place. Never changed.

    ``totals`` are the names of the counters that OpenMetrics can know as such: they end in ``_total``, and nothing
    else has the name before it. ``quoted`` tells whether a help text has a quote in it.
    """

    def __init__(
        self, rows: Sequence[Rows], left_out: dict[str, list[int]], totals: frozenset[str], *, quoted: bool
    ) -> None:
        self.rows = rows
        self.left_out = left_out
        self.totals = totals
        self.quoted = quoted


class _Family:
    """All series of one name: its place among the others, the number of its table, and what is said of it."""

    __slots__ = ("help", "histogram", "number", "rank")

    def __init__(self, rank: int, number: int) -> None:
        self.rank = rank
        self.number = number
        self.help = ""
        self.histogram = False


def lay_out(tables: Sequence[SeriesTable], counter_suffix: str = "") -> Layout:
    """Find a place for every series, in the order in which they first came.

    ``counter_suffix`` is put behind the names of counters that don't end in it.
    """
    entry = _Entry(tables, counter_suffix)
    for series_id, number, position in _in_order_of_ids(tables):
        reason = entry.enter(series_id, number, position)
        if reason is not None:
            entry.left_out[reason].append(series_id)
    return entry.finish()


class _Entry:
    """What is known while series are entered one by one."""

    def __init__(self, tables: Sequence[SeriesTable], counter_suffix: str) -> None:
        self._tables = tables
        self._suffixes = [counter_suffix if table.kind == "c" else "" for table in tables]
        self._types = [TYPES[table.kind] for table in tables]
        self._names: list[list[str]] = [[] for _ in tables]
        self._labels: list[list[str]] = [[] for _ in tables]
        self._positions = [array("q") for _ in tables]
        self._merged: list[list[tuple[int, int]]] = [[] for _ in tables]
        self._families: dict[str, _Family] = {}
        self._parts: set[str] = set()
        self._placed: dict[str, int] = {}
        self.left_out: dict[str, list[int]] = {reason: [] for reason in CONFLICT_REASONS}

    def enter(self, series_id: int, number: int, position: int) -> str | None:
        """Find a place for a series of the table with that number, or say why there is none."""
        table = self._tables[number]
        name, labels = name_and_labels(table.identities[position])
        suffix = self._suffixes[number]
        if suffix and not name.endswith(suffix):
            name += suffix
        family = self._families.get(name)
        if family is None:
            if (name.startswith(_OWN_PREFIX) and not name.startswith(_OVERFLOW)) or name in _OWN_NAMES:
                return "reserved"
            family = self._found(name, number)
        if family is None or self._types[family.number] != self._types[number]:
            return "type"
        if family.number != number:
            return "unit" if self._types[number] == "observed" else "type"
        if table.traits:
            traits = table.traits.get(series_id, PLAIN_TRAITS)
            family.help = family.help or traits.help
            family.histogram = family.histogram or traits.bounds is not None
        return self._place(number, name, labels, position)

    def finish(self) -> Layout:
        """Give the layout of what was entered."""
        rows = [self._rows(number, table) for number, table in enumerate(self._tables)]
        quoted = any('"' in family.help for family in self._families.values())
        totals = frozenset(name for name in self._families if name.endswith(_TOTAL) and self._is_total(name))
        return Layout(rows, self.left_out, totals, quoted=quoted)

    def _found(self, name: str, number: int) -> _Family | None:
        if name in self._parts:
            return None
        if self._types[number] == "observed":
            parts = [name + part for part in _PARTS]
            if any(part in self._families or part in self._parts for part in parts):
                return None
            self._parts.update(parts)
        family = self._families[name] = _Family(len(self._families), number)
        return family

    def _place(self, number: int, name: str, labels: str, position: int) -> str | None:
        key = name + labels
        row = self._placed.get(key)
        if row is None:
            self._placed[key] = len(self._positions[number])
            self._names[number].append(name)
            self._labels[number].append(labels)
            self._positions[number].append(position)
        elif self._types[number] == "gauge":
            return "duplicate"
        else:
            self._merged[number].append((row, position))
        return None

    def _rows(self, number: int, table: SeriesTable) -> Rows:
        names, labels, positions = self._names[number], self._labels[number], self._positions[number]
        families = [self._families[name] for name in names]
        # Those of one family stand together, in the order in which they came.
        order = sorted(range(len(names)), key=[family.rank for family in families].__getitem__)
        observed = self._types[number] == "observed"
        rows: Rows = ObservedRows(table.kind) if observed else PlainRows(table.kind, self._types[number])
        last = ""
        for row in order:
            name, family = names[row], families[row]
            first = name != last
            last = name
            rows.put(name, labels[row], positions[row], first=first, text=family.help, histogram=family.histogram)
        if self._merged[number]:
            moved = dict(zip(order, range(len(order)), strict=True))
            rows.merged = [(moved[row], position) for row, position in self._merged[number]]
        return rows

    def _is_total(self, name: str) -> bool:
        base = name.removesuffix(_TOTAL)
        others = (base, base + "_created")
        taken = any(other in self._families or other in self._parts or other in _OWN_NAMES for other in others)
        return bool(base) and not taken and self._types[self._families[name].number] == "counter"


def _in_order_of_ids(tables: Sequence[SeriesTable]) -> Iterator[tuple[int, int, int]]:
    columns = [zip(table.ids, repeat(number), range(len(table)), strict=False) for number, table in enumerate(tables)]
    return merge(*columns, key=itemgetter(0))
