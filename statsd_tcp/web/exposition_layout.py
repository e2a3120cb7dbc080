"""Which series appear where: the plan of the StatsD part of a scrape, made once for each set of series.

A family is all series of one name, and stands together. One name has one type: that of its owner, if several wanted it
and the store has decided (`store.owners`), else of the first series that came. What is observed claims the names of its
parts too, so that no other family can write a line that looks like one of them; such a family is a histogram if any of
its series is, and the others then show the bucket of all. What doesn't fit is left out. Counters and observed series
that get the same name and labels add up to one line; of such gauges the one that was set last counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from statsd_tcp.mapping.names import name_and_labels
from statsd_tcp.mapping.shown import OBSERVED, Family, is_reserved
from statsd_tcp.store.owners import Owner
from statsd_tcp.store.snapshot import SeriesTable
from statsd_tcp.store.traits import PLAIN_TRAITS
from statsd_tcp.web.exposition_rows import CounterRows, GaugeRows, ObservedRows, Rows

__all__ = ["CONFLICT_REASONS", "MOST_NAMED", "Conflict", "Layout", "Place", "lay_out"]

CONFLICT_REASONS = ("type", "unit", "reserved", "duplicate")
"""Why a series is left out of the exposition: its name belongs to another type, or to observations in another
unit, or to the service itself; or it is a gauge whose name and labels another gauge has."""

MOST_NAMED = 100
"""Series that are left out and can be named; the others are only counted."""

TYPES = {"c": "counter", "g": "gauge", "ms": "observed", "h": "observed", "s": "gauge"}

_KINDS_OF_ROWS: Mapping[str, Callable[[str], Rows]] = {
    "counter": CounterRows,
    "gauge": GaugeRows,
    "observed": ObservedRows,
}

_TOTAL = "_total"


class Place(NamedTuple):
    """Where a series is: the number of its table, and its position there."""

    number: int
    position: int


class Conflict(NamedTuple):
    """A series that found no place, and one that has it; None where that is the service itself, or gone."""

    reason: str
    loser: Place
    holder: Place | None


class Layout:
    """The rows of all kinds, and by reason the ids of the series that found no place. Never changed.

    ``conflicts`` are the first of these, with those that have their place.
    ``totals`` are the names of the counters that OpenMetrics can know as such: they end in ``_total``, and nothing
    else has the name before it. ``quoted`` tells whether a help text has a quote in it.
    """

    def __init__(
        self,
        rows: Sequence[Rows],
        left_out: dict[str, list[int]],
        conflicts: Sequence[Conflict],
        totals: frozenset[str],
        *,
        quoted: bool,
    ) -> None:
        self.rows = rows
        self.left_out = left_out
        self.conflicts = conflicts
        self.totals = totals
        self.quoted = quoted


class _Shown:
    """All series of one name: its place among the others, the first of them, and what is said of it."""

    __slots__ = ("help", "histogram", "number", "position", "rank")

    def __init__(self, rank: int, number: int, position: int) -> None:
        self.rank = rank
        self.number = number
        self.position = position
        self.help = ""
        self.histogram = False


def lay_out(
    tables: Sequence[SeriesTable], counter_suffix: str = "", owners: Mapping[str, Owner] | None = None
) -> Layout:
    """Find a place for every series, in the order in which they first came.

    ``counter_suffix`` is put behind the names of counters that don't end in it. ``owners`` are those of names.
    """
    entry = _Entry(tables, counter_suffix, owners or {})
    for series_id, number, position in _in_order_of_ids(tables):
        entry.enter(series_id, number, position)
    return entry.finish()


class _Entry:
    """What is known while series are entered one by one."""

    def __init__(self, tables: Sequence[SeriesTable], counter_suffix: str, owners: Mapping[str, Owner]) -> None:
        self._tables = tables
        self._suffixes = [counter_suffix if table.kind == "c" else "" for table in tables]
        self._owners = owners
        self._types = [TYPES[table.kind] for table in tables]
        self._names: list[list[str]] = [[] for _ in tables]
        self._labels: list[list[str]] = [[] for _ in tables]
        self._positions = [array("q") for _ in tables]
        self._merged: list[list[tuple[int, int]]] = [[] for _ in tables]
        self._families: dict[str, _Shown] = {}
        # What is observed, by the names of its parts.
        self._parts: dict[str, Family] = {}
        self._placed: dict[str, int] = {}
        self._left_out: dict[str, list[int]] = {reason: [] for reason in CONFLICT_REASONS}
        # Reasons, series that are left out, and the names or the series that have their place.
        self._named: list[tuple[str, Place, str | Place]] = []

    def enter(self, series_id: int, number: int, position: int) -> None:
        """Find a place for a series of the table with that number, or leave it out."""
        table = self._tables[number]
        name, labels = name_and_labels(table.identities[position])
        suffix = self._suffixes[number]
        if suffix and not name.endswith(suffix):
            name += suffix
        family, other = self._families.get(name), None
        if family is None:
            if is_reserved(name):
                self._leave_out("reserved", series_id, Place(number, position), "")
                return
            other = self._other(name, table.kind)
        elif family.number != number:
            other = Family(name, self._tables[family.number].kind)
        if other is not None:
            reason = "unit" if other.name == name and {table.kind, other.kind} <= OBSERVED else "type"
            self._leave_out(reason, series_id, Place(number, position), other.name)
            return
        if family is None:
            family = self._families[name] = _Shown(len(self._families), number, position)
            if table.kind in OBSERVED:
                found = Family(name, table.kind)
                self._parts.update(dict.fromkeys(found.names[1:], found))
        if table.traits:
            traits = table.traits.get(series_id, PLAIN_TRAITS)
            family.help = family.help or traits.help
            family.histogram = family.histogram or traits.bounds is not None
        self._put(series_id, number, position, name, labels)

    def finish(self) -> Layout:
        """Give the layout of what was entered."""
        rows = [self._rows(number, table) for number, table in enumerate(self._tables)]
        quoted = any('"' in family.help for family in self._families.values())
        totals = frozenset(name for name in self._families if name.endswith(_TOTAL) and self._is_total(name))
        conflicts = [Conflict(reason, loser, self._holder(other)) for reason, loser, other in self._named]
        return Layout(rows, self._left_out, conflicts, totals, quoted=quoted)

    def _other(self, name: str, kind: str) -> Family | None:
        """Return the family that has a name which this one needs, by the store's decision or because it came first."""
        if not self._owners and kind not in OBSERVED:
            return self._parts.get(name)
        family = Family(name, kind)
        for each in family.names:
            owner = self._owners.get(each)
            if owner is not None and owner.family != family:
                return owner.family
            if each in self._parts:
                return self._parts[each]
            if each in self._families:
                return Family(each, self._tables[self._families[each].number].kind)
        return None

    def _leave_out(self, reason: str, series_id: int, loser: Place, other: str | Place) -> None:
        self._left_out[reason].append(series_id)
        if len(self._named) < MOST_NAMED:
            self._named.append((reason, loser, other))

    def _holder(self, other: str | Place) -> Place | None:
        if isinstance(other, Place):
            return other
        family = self._families.get(other)
        return None if family is None else Place(family.number, family.position)

    def _put(self, series_id: int, number: int, position: int, name: str, labels: str) -> None:
        key = name + labels
        row = self._placed.get(key)
        if row is None:
            self._placed[key] = len(self._positions[number])
            self._names[number].append(name)
            self._labels[number].append(labels)
            self._positions[number].append(position)
            return
        self._merged[number].append((row, position))
        if self._types[number] == "gauge":
            first = Place(number, self._positions[number][row])
            self._leave_out("duplicate", series_id, Place(number, position), first)

    def _rows(self, number: int, table: SeriesTable) -> Rows:
        names, labels, positions = self._names[number], self._labels[number], self._positions[number]
        families = [self._families[name] for name in names]
        # Those of one family stand together, in the order in which they came.
        order = sorted(range(len(names)), key=[family.rank for family in families].__getitem__)
        rows = _KINDS_OF_ROWS[self._types[number]](table.kind)
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
        taken = any(other in self._families or other in self._parts or is_reserved(other) for other in others)
        return bool(base) and not taken and self._types[self._families[name].number] == "counter"


def _in_order_of_ids(tables: Sequence[SeriesTable]) -> Iterator[tuple[int, int, int]]:
    columns = [zip(table.ids, repeat(number), range(len(table.ids))) for number, table in enumerate(tables)]
    # An empty position has the id 0.
    return iter(sorted(row for row in chain.from_iterable(columns) if row[0]))
