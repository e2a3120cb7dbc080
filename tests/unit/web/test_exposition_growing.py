"""Layouts that grow by what is new and drop what is gone."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.shown import Family
from statsd_tcp.series.owners import Owner
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.series.traits import PLAIN_TRAITS, Traits
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web import exposition_blocks
from statsd_tcp.web.exposition import Exposition
from tests.unit.web.tables import make_snapshot

KINDS = ("c", "g", "ms", "h", "s")
FIELDS = ("counters", "gauges", "times", "distributions", "sets")


class Stores:
    """Makes snapshots as the store does: positions of series that are gone are taken again, ids are not."""

    def __init__(self) -> None:
        self._ids = {kind: array("q") for kind in KINDS}
        self._identities: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self._traits: dict[str, dict[int, Traits]] = {kind: {} for kind in KINDS}
        self._last = self._version = 0
        self.owners: Mapping[str, Owner] = {}

    def come(self, kind: str, identity: str, traits: Traits) -> None:
        """Enter a series, or give one that is there other traits."""
        ids, identities = self._ids[kind], self._identities[kind]
        if identity not in identities:
            self._last += 1
            place = ids.index(0) if 0 in ids else len(ids)
            ids[place : place + 1] = array("q", [self._last])
            identities[place : place + 1] = [identity]
        series_id = ids[identities.index(identity)]
        self._traits[kind] = {**self._traits[kind], series_id: traits}
        if traits == PLAIN_TRAITS:
            del self._traits[kind][series_id]
        self._version += 1

    def go(self, kind: str, identity: str) -> None:
        """Take a series away."""
        if identity in self._identities[kind]:
            place = self._identities[kind].index(identity)
            self._traits[kind] = {
                key: value for key, value in self._traits[kind].items() if key != self._ids[kind][place]
            }
            self._ids[kind][place] = 0
            self._identities[kind][place] = ""

    def snapshot(self) -> Snapshot:
        """Return all that there is; a series' value is its id, and the weight its position."""
        tables = {field: self._table(kind) for kind, field in zip(KINDS, FIELDS, strict=True)}
        return msgspec.structs.replace(make_snapshot(), owners=dict(self.owners), **tables)

    def _table(self, kind: str) -> SeriesTable:
        ids = self._ids[kind][:]
        numbers, weights = [float(each) for each in ids], [float(each) for each in range(len(ids))]
        traits = self._traits[kind]
        return SeriesTable(
            kind, 0, ids, self._identities[kind][:], numbers, weights, traits, self._version, ids.count(0)
        )


def pages(exposition: Exposition, snapshot: Snapshot) -> tuple[str, str, object]:
    """Return what there is to see of a snapshot."""
    text, openmetrics = (exposition.render(snapshot, openmetrics=each).decode() for each in (False, True))
    return text, openmetrics, exposition.left_out(snapshot)


class Step(NamedTuple):
    """Series that come and go; owners, if they change; whether a scrape is made, and how old its snapshot is."""

    come: Sequence[tuple[str, str, Traits]]
    go: Sequence[tuple[str, str]]
    owners: Mapping[str, Owner] | None
    age: int


PLAIN_NAMES = ("a", "a.b", "a_b", "a/b", "b", "a.sum", "a_sum", "a.count", "a_sum_created", "a.created", "b_created")
OTHER_NAMES = ("a.total", "b.total", "_total", "process.open.fds")
TAGS = ("", "", "\nk\n1", "\nk.\n1", "\nk_\n1", "\nk\n2", "\nk\n3")
IDENTITY = st.builds(str.__add__, st.sampled_from((*PLAIN_NAMES, *OTHER_NAMES)), st.sampled_from(TAGS))
SERIES = st.tuples(st.sampled_from(KINDS), IDENTITY)
TRAITS = st.sampled_from(
    [PLAIN_TRAITS, PLAIN_TRAITS, Traits(help="A"), Traits(help='"B"'), Traits(bounds=(1.0,), counts=(2.0,))]
)
OWNED = st.sampled_from(["a", "a_b", "a_sum", "a_count", "b_total"])
OWNERS = st.dictionaries(OWNED, st.builds(Owner, st.builds(Family, OWNED, st.sampled_from(KINDS))), max_size=2)
STEPS = st.builds(
    Step,
    st.lists(st.builds(lambda series, traits: (*series, traits), SERIES, TRAITS), max_size=8),
    st.lists(SERIES, max_size=4),
    st.none() | st.none() | OWNERS,
    st.sampled_from([0, 0, 0, 1, 2]),
)


class AnySequenceTests(SynchronousTestCase):
    """Whatever came and went before makes no difference."""

    @given(st.lists(STEPS, min_size=1, max_size=12), st.sampled_from(["", "_total"]), st.sampled_from([2, 3, 1000]))
    @settings(deadline=None)
    def test_layouts_are_as_if_made_anew(self, steps: Sequence[Step], suffix: str, most_rows: int) -> None:
        """Series of all kinds come, go and come again, in older and newer snapshots: all is as at a first scrape."""
        self.patch(exposition_blocks, "MOST_ROWS", most_rows)
        store, exposition = Stores(), Exposition(suffix)
        snapshots: list[Snapshot] = []
        gone: list[tuple[str, str]] = []
        for step in steps:
            for kind, identity in (*step.go, *gone):
                store.go(kind, identity)
            for kind, identity, traits in step.come:
                observed = kind in {"ms", "h"} or traits.bounds is None
                store.come(kind, identity, traits if observed else PLAIN_TRAITS)
            gone = [(kind, identity) for kind, identity, _ in step.come[::3]]
            store.owners = store.owners if step.owners is None else step.owners
            snapshots.append(store.snapshot())
            snapshot = snapshots[max(len(snapshots) - 1 - step.age, 0)]
            fresh = Exposition(suffix)
            self.assertEqual(pages(exposition, snapshot), pages(fresh, snapshot))
            first, ever = fresh.conflicts(snapshot), exposition.conflicts(snapshot)
            self.assertTrue(all(first[reason] <= ever[reason] for reason in first), (first, ever))


class ManySeriesTests(SynchronousTestCase):
    """More series than a block holds."""

    def test_they_come_and_go_in_all_places(self) -> None:
        """Rows come at the ends and in the middle of families, and go anywhere, the first and the last among them."""
        store, exposition = Stores(), Exposition()
        for number in range(300):
            store.come("c", f"{number % 3}\nk\n{number}", PLAIN_TRAITS)
            store.come("ms", f"t{number}", PLAIN_TRAITS)
        self.patch(exposition_blocks, "MOST_ROWS", 20)
        for start in range(0, 300, 50):
            for number in range(start, start + 50, 1 + start % 4):
                store.go("c", f"{number % 3}\nk\n{number}")
                store.go("ms", f"t{number}")
                store.come("c", f"{number % 3}\nk\nlate{number}", PLAIN_TRAITS)
            snapshot = store.snapshot()
            self.assertEqual(pages(exposition, snapshot), pages(Exposition(), snapshot))

    def test_a_layout_that_failed_is_made_anew(self) -> None:
        """A snapshot that cannot be laid out leaves nothing half done for the next one."""
        store, exposition = Stores(), Exposition()
        store.come("c", "a", PLAIN_TRAITS)
        exposition.conflicts(store.snapshot())
        store.come("c", "b", PLAIN_TRAITS)
        broken = store.snapshot()
        broken = msgspec.structs.replace(broken, counters=msgspec.structs.replace(broken.counters, identities=["a"]))
        with self.assertRaises(IndexError):
            exposition.conflicts(broken)
        snapshot = store.snapshot()
        self.assertEqual(pages(exposition, snapshot), pages(Exposition(), snapshot))
