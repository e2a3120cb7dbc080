"""The families of the exposition: which of them has a name, which series share a line, and which find no place.

Of a name and of a line only a hash is kept, and where its first series is; what else must be known is read from that
series, or from the rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby, islice
from typing import NamedTuple

from statsd_tcp.mapping.shown import OBSERVED, PARTS, Family, is_reserved, whole_of
from statsd_tcp.series.owners import Owner
from statsd_tcp.web.exposition_absent import Absent, AbsentSeries
from statsd_tcp.web.exposition_blocks import Key, Row, Rows
from statsd_tcp.web.exposition_changes import PLAINLY, Said, Series, SeriesFields, said_of
from statsd_tcp.web.exposition_lookup import Lookup
from statsd_tcp.web.exposition_rows import WRITERS
from statsd_tcp.web.exposition_totals import Totals

__all__ = ["Conflict", "Families"]

_FIRST_SERIES = 20_000
"""Series that are entered before their rows are put where they belong."""


class Conflict(NamedTuple):
    """A series that found no place, and those that have it, of which the latest counts.

    None of these where that is the service itself, or gone.
    """

    reason: str
    loser: Series
    holders: Sequence[Series] = ()


class Families:
    """All families of the tables of ``lookup``, which are replaced between `leave` and `enter`.

    ``counted`` are by reason the ids of all series that were ever left out. ``quoted`` are the families whose help has
    a quote in it.
    """

    def __init__(self, lookup: Lookup, counted: Mapping[str, set[int]]) -> None:
        self.lookup = lookup
        self.owners: Mapping[str, Owner] = {}
        self.rows = [Rows() for _ in lookup.columns]
        self.quoted: set[str] = set()
        self.totals = Totals(self.kind)
        self._kinds = [each.kind for each in lookup.columns]
        self._said: dict[str, Said] = {}
        self._absent = AbsentSeries(counted)
        self._gone: list[set[Key]] = [set() for _ in lookup.columns]
        self._come: list[list[Row]] = [[] for _ in lookup.columns]
        self._touched: list[set[Key]] = [set() for _ in lookup.columns]
        self._respell: set[str] = set()

    def kind(self, name: str) -> str:
        """Return the kind of the family that has a name, or "" if there is none."""
        first = self.lookup.family(name)
        return "" if first is None else self._kinds[first.number]

    def conflicts(self) -> list[Conflict]:
        """Return the first series that are left out."""
        return [self._conflict(each) for each in self._absent.first()]

    def leave(self, gone: Iterable[Series], names: Iterable[str]) -> list[Series]:
        """Take series out; return others that are out now too, because they are to be entered again.

        Those are all of the ``names``, and of the names that depend on these.
        """
        again = set(names)
        ids: set[int] = set()
        by_name = sorted((self.lookup.spell(each)[0], each) for each in gone)
        for name, several in groupby(by_name, lambda each: each[0]):
            leaving = [each for _, each in several]
            ids.update(each.series_id for each in leaving)
            if name in again or not self._leave(name, leaving):
                again.add(name)
        self._edit()
        found = [each for name in self._related(again) for each in self._take_out(name)]
        return [each for each in found if each.series_id not in ids]

    def enter(self, come: Iterable[SeriesFields]) -> None:
        """Find places for series, in the order of their ids."""
        series = iter(come)
        # More each time, so that little is held at once and the rows are not moved often.
        most = _FIRST_SERIES
        while some := list(islice(series, most)):
            for each in some:
                self._enter(Series(*each))
            self._edit()
            most *= 2
        for name in self._respell:
            self._spell_again(name)
        self._respell.clear()
        self._edit()

    def _enter(self, series: Series) -> None:
        name, labels = self.lookup.spell(series)
        first = self.lookup.family(name)
        if first is None:
            if is_reserved(name):
                self._absent.add(Absent("reserved", series, name))
                return
            other = self._other(name, self._kinds[series.number])
        else:
            other = None if first.number == series.number else Family(name, self._kinds[first.number])
        if other is not None:
            kinds = {self._kinds[series.number], other.kind}
            reason = "unit" if other.name == name and kinds <= OBSERVED else "type"
            self._absent.add(Absent(reason, series, name, other.name))
            return
        if first is None:
            first = series
            self.lookup.add_family(name, series)
            self.totals.note(name, self._kinds[series.number])
        if self.lookup.columns[series.number].traits:
            self._hear(name, said_of(self.lookup.columns[series.number], series.series_id))
        self._put(first, series, name, labels)

    def _put(self, first: Series, series: Series, name: str, labels: str) -> None:
        line = self.lookup.line(name, labels) if first is not series else None
        if line is None:
            if labels or first is not series:
                self.lookup.add_line(name, labels, series)
            text = self._text(series, first.series_id, name, labels)
            self._come[series.number].append((first.series_id, series.series_id, series.position, text))
            return
        rows = self.rows[series.number]
        rows.followers.setdefault(line.series_id, array("q")).append(series.position)
        self._touched[series.number].add((first.series_id, line.series_id))
        if WRITERS[self._kinds[series.number]].is_latest:
            self._absent.add(Absent("duplicate", series))

    def _other(self, name: str, kind: str) -> Family | None:
        """Return the family that has a name which this one needs, by the store's decision or because it came first."""
        whole = whole_of(name)
        kind_of_whole = self.kind(whole) if whole else ""
        if kind not in OBSERVED and not self.owners:
            return Family(whole, kind_of_whole) if kind_of_whole in OBSERVED else None
        family = Family(name, kind)
        for each in family.names:
            owner = self.owners.get(each)
            if owner is not None and owner.family != family:
                return owner.family
            if each == name:
                if kind_of_whole in OBSERVED:
                    return Family(whole, kind_of_whole)
            elif other := self.kind(each):
                return Family(each, other)
        return None

    def _hear(self, name: str, said: Said) -> None:
        """Take in what a series says of its family: of several texts the first one counts."""
        before = self._said.get(name, PLAINLY)
        now = Said(before.help or said.help, before.histogram or said.histogram)
        if now != before:
            self._said[name] = now
            self._respell.add(name)
            if '"' in now.help:
                self.quoted.add(name)

    def _leave(self, name: str, leaving: Sequence[Series]) -> bool:
        """Take out series of one name if nothing else depends on them; return whether that is so."""
        placed = [each for each in leaving if not self._absent.forget(each)]
        first = self.lookup.family(name)
        if not placed or first is None:
            return not placed
        rows, ids = self.rows[first.number], {each.series_id for each in placed}
        lines = [(each, self.lookup.spell(each)) for each in placed]
        if any(self.lookup.line(*line) != each or each.series_id in rows.followers for each, line in lines):
            return False
        heir: Series | None = first
        if first in placed:
            if self._absent.names() and not self._related([name]).isdisjoint(self._absent.names()):
                return False
            heirs = (Series(own, first.number, at) for _, own, at, _ in rows.of_family(first.series_id))
            heir = next((each for each in heirs if each.series_id not in ids), None)
        said = self._said.get(name, PLAINLY)
        if heir and said not in (PLAINLY, said_of(self.lookup.columns[first.number], heir.series_id)):
            return False
        for each, line in lines:
            self.lookup.remove_line(*line, each)
        if heir != first:
            self.lookup.remove_family(name, first)
        if heir is None:
            self._end(name, first.number)
        elif heir != first:
            self.lookup.add_family(name, heir)
            first = self._inherit(name, first, heir, ids)
        self._gone[first.number].update((first.series_id, each) for each in ids)
        return True

    def _inherit(self, name: str, first: Series, heir: Series, ids: Collection[int]) -> Series:
        """Set another first series of a family; return the one by which those that go are found."""
        number, opening = first.number, self._opening(name, first.number)
        stays = self.rows[number].rename(first.series_id, heir.series_id)
        found = heir if stays else first
        for _, own, position, text in self.rows[number].of_family(found.series_id):
            if own == heir.series_id or not (stays or own in ids):
                row = (heir.series_id, own, position, opening + text if own == heir.series_id else text)
                self._gone[number].add((found.series_id, own))
                self._come[number].append(row)
            if stays and own == heir.series_id:
                break
        return found

    def _take_out(self, name: str) -> list[Series]:
        """Take out all series of a name."""
        found = self._absent.waiting_for(name)
        for each in found:
            self._absent.forget(each)
        first = self.lookup.family(name)
        if first is None:
            return found
        rows, ids = self.rows[first.number], self.lookup.columns[first.number].ids
        for key_of_family, own, position, _ in rows.of_family(first.series_id):
            several = [position, *rows.followers.pop(own, ())]
            series = [Series(ids[each], first.number, each) for each in several]
            self.lookup.remove_line(*self.lookup.spell(series[0]), series[0])
            self._gone[first.number].add((key_of_family, own))
            for each in series:
                self._absent.forget(each)
            found += series
        self.lookup.remove_family(name, first)
        self._end(name, first.number)
        return found

    def _end(self, name: str, number: int) -> None:
        """Forget what was said of a family that is gone."""
        self._said.pop(name, None)
        self.quoted.discard(name)
        self.totals.note(name, self._kinds[number])

    def _related(self, names: Iterable[str]) -> set[str]:
        """Return these names, and all that are parts of one another with them, as far as there are series of them."""
        found: set[str] = set()
        ahead = list(names)
        while ahead:
            name = ahead.pop()
            if name not in found:
                found.add(name)
                others = (whole_of(name), *(name + part for part in PARTS))
                ahead += [
                    each for each in others if each and (each in self._absent.names() or self.lookup.family(each))
                ]
        return found

    def _opening(self, name: str, number: int) -> str:
        return WRITERS[self._kinds[number]].opening(name, self._said.get(name, PLAINLY))

    def _text(self, series: Series, first: int, name: str, labels: str) -> str:
        row = WRITERS[self._kinds[series.number]].row(name, labels, self._said.get(name, PLAINLY))
        return self._opening(name, series.number) + row if series.series_id == first else row

    def _conflict(self, left: Absent) -> Conflict:
        if left.reason == "duplicate":
            return Conflict(left.reason, left.series, self._sharing(left.series))
        holder = self.lookup.family(left.other) if left.other else None
        return Conflict(left.reason, left.series, [] if holder is None else [holder])

    def _sharing(self, series: Series) -> list[Series]:
        """Return all series of the line that this one has."""
        first = self.lookup.line(*self.lookup.spell(series)) or series
        others = self.rows[first.number].followers.get(first.series_id, ())
        return [first, *(self.lookup.series(first.number, each) for each in others)]

    def _spell_again(self, name: str) -> None:
        """Write the texts of a family again, because its help or its type has changed."""
        first = self.lookup.family(name)
        if first is None:
            return
        for key_of_family, own, position, _ in self.rows[first.number].of_family(first.series_id):
            series = Series(own, first.number, position)
            text = self._text(series, key_of_family, *self.lookup.spell(series))
            self._gone[first.number].add((key_of_family, own))
            self._come[first.number].append((key_of_family, own, position, text))

    def _edit(self) -> None:
        for number, rows in enumerate(self.rows):
            rows.edit(self._gone[number], self._come[number], self._touched[number])
            self._gone[number], self._come[number], self._touched[number] = set(), [], set()
