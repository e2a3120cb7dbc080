"""Which series appear where: the plan of the StatsD part of a scrape, made from the plan of the scrape before.

A family is all series of one name, and stands together. One name has one type: that of its owner, if several wanted it
and the store has decided (`store.owners`), else of the first series that came. What is observed claims the names of its
parts too, so that no other family can write a line that looks like one of them; such a family is a histogram if any of
its series is, and the others then show the bucket of all. What does not fit is left out. Counters and observed series
that get the same name and labels add up to one line; of such gauges the one that was set last counts.

A layout depends on its snapshot alone, and not on the layouts before it. What comes is entered after what is there.
What goes leaves its place, if nothing else depends on that; otherwise all series of its name, and of the names that
depend on it, are taken out and entered again in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, starmap
from typing import NamedTuple

from statsd_tcp.mapping.shown import Family, whole_of
from statsd_tcp.series.owners import Owner
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.web.exposition_absent import CONFLICT_REASONS
from statsd_tcp.web.exposition_blocks import Block
from statsd_tcp.web.exposition_changes import Columns, Series, come_and_gone, said_otherwise
from statsd_tcp.web.exposition_families import Conflict, Families
from statsd_tcp.web.exposition_lookup import Lookup

__all__ = ["Layout", "Layouts"]


class Layout(NamedTuple):
    """The rows of all kinds, in blocks, and the first series that found no place.

    ``ambiguous`` are the counters whose names end in ``_total`` and that OpenMetrics cannot know as such all the same:
    something else has the name before it. ``quoted`` tells whether a help text has a quote in it.
    """

    blocks: Sequence[Sequence[Block]]
    conflicts: Sequence[Conflict]
    ambiguous: frozenset[str]
    quoted: bool


class Layouts:
    """Makes layouts of snapshots, each by what is different from the one before, which may be older or newer.

    ``counter_suffix`` is appended to the names of counters that do not end in it. Not for several threads; layouts are.
    """

    def __init__(self, counter_suffix: str = "") -> None:
        self._suffix = counter_suffix
        self._counted: Mapping[str, set[int]] = {reason: set() for reason in CONFLICT_REASONS}
        self._families: Families | None = None
        self._layout: Layout

    def left_out(self) -> dict[str, int]:
        """Return by reason how many series ever found no place, each counted once."""
        return {reason: len(ids) for reason, ids in self._counted.items()}

    def of(self, tables: Sequence[SeriesTable], owners: Mapping[str, Owner]) -> Layout:
        """Find a place for every series, in the order in which they first came. ``owners`` are those of names."""
        now = [Columns.of(table) for table in tables]
        # What fails half way is made again the next time.
        families, self._families = self._families, None
        if families is None:
            families = Families(Lookup([Columns.of(each) for each in _empty(tables)], self._suffix), self._counted)
            self._newest = 0
            self._layout = _picture(families)
        if self._change(families, now, owners):
            self._layout = _picture(families)
        self._families = families
        return self._layout

    def _change(self, families: Families, now: Sequence[Columns], owners: Mapping[str, Owner]) -> bool:
        """Bring the families up to date; return whether anything is different."""
        lookup = families.lookup
        pairs = list(enumerate(zip(lookup.columns, now, strict=True)))
        found = [come_and_gone(number, before, after) for number, (before, after) in pairs]
        come, gone = (sorted(chain.from_iterable(each)) for each in zip(*found, strict=True))
        names = _claimed(families.owners, owners)
        names.update(lookup.spell(each)[0] for number, pair in pairs for each in said_otherwise(number, *pair))
        names.update(lookup.spell(Series(*each), now)[0] for each in come if each[0] < self._newest)
        again = families.leave(starmap(Series, gone), names) if gone or names else []
        lookup.columns, families.owners = now, owners
        families.enter(sorted([*come, *again]))
        self._newest = max(self._newest, come[-1][0] if come else 0)
        return bool(come or gone or names)


def _empty(tables: Sequence[SeriesTable]) -> Iterable[SeriesTable]:
    return (SeriesTable(table.kind, 0, (), (), (), ()) for table in tables)


def _picture(families: Families) -> Layout:
    return Layout(
        [rows.blocks for rows in families.rows],
        families.conflicts(),
        frozenset(families.totals.ambiguous),
        quoted=bool(families.quoted),
    )


def _claimed(before: Mapping[str, Owner], now: Mapping[str, Owner]) -> set[str]:
    """Return the names that have other owners, and those of which they are parts."""
    if before is now:
        return set()
    names = {name for name in before.keys() | now.keys() if _family(before.get(name)) != _family(now.get(name))}
    return names.union(filter(None, map(whole_of, names)))


def _family(owner: Owner | None) -> Family | None:
    return None if owner is None else owner.family
