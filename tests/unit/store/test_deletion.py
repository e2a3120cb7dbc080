"""Series deleted by their names: from the totals, from the open flush and from what is known, for good."""

from __future__ import annotations

import sqlite3
from typing import Any

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.store import deletion
from statsd_tcp.store.database import StoreError
from statsd_tcp.store.search import Kind, Search
from tests.unit.aggregate.model import came
from tests.unit.store.cases import FlushTestCase, values

TAGGED = "a.b\nk\nv"

ALL = Interval(
    counters={"a.b": 1.0, TAGGED: 2.0, "a.c": 3.0, "ab": 4.0},
    gauges={"a.b": [(1, False, 5.0)], "g": [(1, False, 6.0)]},
    times={"a.b": came({7.0: 1.0}), "t": came({8.0: 2.0}, 2.0)},
    distributions={"h": came({9.0: 1.0})},
    sets={"a.b": {"m"}},
)


class DeletionTestCase(FlushTestCase):
    """A store with a few series of each kind, in the middle of a flush."""

    def setUp(self) -> None:
        """Fill the store."""
        super().setUp()
        self.at(1)
        self.store = self.open_with()
        self.commit(self.store, ALL)

    def delete(self, kind: Kind, *patterns: str) -> dict[str, list[str]]:
        """Delete, and give what was found for each pattern."""
        search = Search(patterns)
        search.take(self.store.deletable(kind))
        ids = self.store.parts()
        while ids:
            ids = self.store.strip(kind, set(search.found), ids)
        self.store.delete(kind, search.found)
        return {pattern: list(identities) for pattern, identities in search.deletions}

    def reopen(self, rules: FlushRules | None = None) -> None:
        """Close the store and open it again."""
        self.store.close()
        self.store = self.open_with() if rules is None else self.open_with(rules)

    def result(self) -> Any:
        """End the flush, and give its result."""
        self.at(10)
        self.commit(self.store)
        return self.results(self.store)[-1]


class DeletionTests(DeletionTestCase):
    """What is deleted, and what stays."""

    def test_exactly_one(self) -> None:
        """A name means one series of that kind; all others stay, those of other kinds too."""
        self.assertEqual({"a.b": ["a.b"], "x": []}, self.delete("counters", "a.b", "x"))
        snapshot = self.store.snapshot
        self.assertEqual({TAGGED: 2.0, "a.c": 3.0, "ab": 4.0}, values(snapshot.counters))
        self.assertEqual({"a.b": 5.0, "g": 6.0}, values(snapshot.gauges))
        result = self.result()
        self.assertEqual({TAGGED: 2.0, "a.c": 3.0, "ab": 4.0}, result.counters)
        self.assertEqual({"a.b", "t", "h"}, set(result.timers))

    def test_folder(self) -> None:
        """A folder means all that is in it; what an earlier pattern has taken is not found again."""
        self.assertEqual(
            {"a.c": ["a.c"], "a.*": ["a.b", TAGGED], "a.b": []}, self.delete("counters", "a.c", "a.*", "a.b")
        )
        self.assertEqual({"ab": 4.0}, values(self.store.snapshot.counters))

    def test_timers(self) -> None:
        """A timer goes whatever its unit is."""
        self.assertEqual({"t": ["t"], "h": ["h"]}, self.delete("timers", "t", "h"))
        self.assertEqual([["a.b"], []], [list(values(one)) for one in self.store.snapshot.tables()[2:4]])
        self.assertEqual({"a.b"}, set(self.result().timers))

    def test_gauges(self) -> None:
        """A gauge that is deleted has no value to go on from."""
        self.delete("gauges", "g")
        self.commit(self.store, Interval(gauges={"g": [(2, True, 1.0)]}))
        self.assertEqual({"a.b": 5.0, "g": 1.0}, values(self.store.snapshot.gauges))
        self.assertEqual({"a.b": 5.0, "g": 1.0}, self.result().gauges)

    def test_starts_again(self) -> None:
        """A counter that comes again after it was deleted begins at 0, and stays."""
        self.delete("counters", "ab")
        self.commit(self.store, Interval(counters={"ab": 1.5}))
        self.assertEqual(1.5, values(self.store.snapshot.counters)["ab"])
        self.assertEqual(1.5, self.result().counters["ab"])
        self.reopen()
        self.assertEqual(1.5, values(self.store.snapshot.counters)["ab"])
        self.at(20)
        self.commit(self.store)
        self.assertEqual(0.0, self.results(self.store)[-1].counters["ab"])

    def test_idle(self) -> None:
        """A series that is only known from earlier flushes is found, and is not in the next one."""
        self.result()
        self.assertEqual({"ab": ["ab"]}, self.delete("counters", "ab"))
        self.at(20)
        self.commit(self.store)
        self.assertEqual({"a.b", TAGGED, "a.c"}, set(self.results(self.store)[-1].counters))

    def test_is_not_idle(self) -> None:
        """Deleted series are not counted among those that were dropped because they were idle."""
        self.delete("counters", "a.*")
        self.assertEqual(0, self.store.snapshot.stats.expired)

    def test_in_parts(self) -> None:
        """The open flush is rewritten in parts, each of which says where the next one begins."""
        self.patch(deletion, "_STRIPPED", 1)
        for number in range(3):
            self.commit(self.store, Interval(gauges={"ab": [(2, False, 1.0)], "new": [(2, False, float(number))]}))
        ids, times = self.store.parts(), 0
        self.commit(self.store, Interval(gauges={"ab": [(3, True, 4.0)]}))
        while ids:
            ids = self.store.strip("gauges", {"ab", "a.b"}, ids)
            times += 1
        self.assertEqual(times, 4)
        self.reopen()
        self.assertEqual({"new": 2.0, "ab": 4.0, "g": 6.0}, self.result().gauges)

    def test_nothing_found(self) -> None:
        """A pattern that means nothing changes nothing."""
        before = [values(table) for table in self.store.snapshot.tables()]
        self.assertEqual({"x.*": []}, self.delete("counters", "x.*"))
        self.assertEqual(before, [values(table) for table in self.store.snapshot.tables()])

    def test_without_flushes(self) -> None:
        """A store without flushes forgets totals."""
        self.store.close()
        store = self.open()
        self.assertEqual({"a.b", TAGGED, "a.c", "ab"}, set(store.deletable("counters")))
        store.delete("counters", ["ab"])
        self.assertNotIn("ab", values(store.snapshot.counters))


class DurableDeletionTests(DeletionTestCase):
    """What a restart or an error makes of it."""

    def test_restart(self) -> None:
        """After a restart in the same flush the series are still deleted, and the others are still there."""
        self.delete("counters", "a.*")
        self.delete("timers", "t")
        self.delete("gauges", "g")
        self.reopen()
        result = self.result()
        self.assertEqual({"ab": 4.0}, result.counters)
        self.assertEqual(({"a.b": 5.0}, {"a.b", "h"}, {"a.b": 1}), (result.gauges, set(result.timers), result.sets))

    def test_restart_idle(self) -> None:
        """A series that was known and deleted is not known after a restart."""
        self.result()
        self.delete("counters", "ab")
        self.reopen()
        self.at(20)
        self.commit(self.store)
        self.assertNotIn("ab", self.results(self.store)[-1].counters)

    def test_begins_again(self) -> None:
        """A series that comes again has another id, and begins at what comes."""
        before = dict(zip(self.store.snapshot.counters.identities, self.store.snapshot.counters.ids, strict=True))
        self.delete("counters", "ab")
        found = self.commit(self.store, Interval(counters={"ab": 1.0})).counters
        after = dict(zip(found.identities, found.ids, strict=True))
        self.assertEqual(1.0, values(found)["ab"])
        self.assertGreater(after.pop("ab"), max(before.values()))
        self.assertEqual(after, {name: number for name, number in before.items() if name != "ab"})

    def test_fails(self) -> None:
        """A file that cannot be written keeps everything, and so does the memory."""
        blocker = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(blocker.close)
        blocker.execute("BEGIN IMMEDIATE")
        self.assertRaises(StoreError, self.store.delete, "counters", ["ab"])
        blocker.execute("ROLLBACK")
        self.assertEqual(4.0, values(self.store.snapshot.counters)["ab"])
        self.assertEqual(4.0, self.result().counters["ab"])
