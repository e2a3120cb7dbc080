"""Names on the page that several families want, from commit to commit and over restarts."""

from __future__ import annotations

from unittest import mock

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.mapping.shown import Family
from statsd_tcp.series import ownership
from statsd_tcp.series.owners import FIRST, HELD, SILENCE, Owner
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store, StoreError
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.aggregate.model import came
from tests.unit.store.cases import FlushTestCase, StoreTestCase, counts

COUNTER, GAUGE = Family("q", "c"), Family("q", "g")


def counter(identity: str = "q") -> Interval:
    """Make an interval with a counter."""
    return Interval(counters={identity: 1.0})


def gauge(identity: str = "q") -> Interval:
    """Make an interval with a gauge."""
    return Interval(gauges={identity: [(1, False, 17.0)]})


class ConflictTests(StoreTestCase):
    """A store, its clocks, and what is sent once or again and again."""

    def commit(self, store: Store, *intervals: Interval) -> Snapshot:
        """Commit one interval after the other, a second apart."""
        snapshot = store.snapshot
        for interval in intervals:
            self.clocks.advance(1.0)
            known = snapshot.ledgers.get("L1")
            start = known.committed if known else 0
            piece = Piece("L1", start, start + 8, encode(interval))
            snapshot = store.commit(CommitBatch(counts=[counts("L1")], pieces=[piece]))
        return snapshot

    def minutes(self, store: Store, number: float, *intervals: Interval) -> Snapshot:
        """Let time pass, with these intervals in each minute."""
        snapshot = store.snapshot
        for _ in range(int(number)):
            self.clocks.advance(60.0 - len(intervals))
            snapshot = self.commit(store, *intervals) if intervals else store.commit(CommitBatch())
        # What is found in one commit is decided with the next one.
        return store.commit(CommitBatch()) if number else snapshot

    def owner(self, snapshot: Snapshot) -> Family | None:
        """Return the owner of the name ``q``; None if no other wants it."""
        owner = snapshot.owners.get("q")
        return None if owner is None else owner.family

    def test_a_mistake_of_one_line(self) -> None:
        """What came once by mistake gives its name to what comes again, within two minutes."""
        store = self.open()
        self.commit(store, counter(), gauge(), gauge())
        snapshot = self.minutes(store, 2, gauge())
        self.assertEqual((self.owner(snapshot), snapshot.stats.takeovers), (GAUGE, 1))
        self.assertEqual(snapshot.stats.taken_over, ("q", "q"))

    def test_another_type_from_now_on(self) -> None:
        """A series that is no longer sent gives its name to what is sent instead, after ten minutes."""
        store = self.open()
        self.commit(store, counter(), counter())
        snapshot = self.minutes(store, 8, gauge())
        self.assertEqual((self.owner(snapshot), snapshot.stats.takeovers), (COUNTER, 0))
        snapshot = self.minutes(store, 4, gauge())
        self.assertEqual((self.owner(snapshot), snapshot.stats.takeovers), (GAUGE, 1))

    def test_both_are_sent(self) -> None:
        """While both are sent the first one has the name."""
        store = self.open()
        snapshot = self.minutes(store, 30, counter(), gauge())
        self.assertEqual((self.owner(snapshot), snapshot.stats.takeovers), (COUNTER, 0))

    def test_a_restart(self) -> None:
        """A decision is kept, and the time since: the name does not go back within the hour, also after a long stop."""
        store = self.open()
        self.commit(store, counter(), gauge())
        snapshot = self.minutes(store, 2, gauge())
        taken = snapshot.owners["q"]
        self.assertEqual(taken.family, GAUGE)
        store.close()
        self.clocks.advance(100 * HELD)
        again = self.open()
        self.assertEqual(self.owner(again.snapshot), GAUGE)
        self.assertLess(again._memory.clock.now() - again.snapshot.owners["q"].since, 60.0)
        snapshot = self.minutes(again, 30, counter())
        self.assertEqual((self.owner(snapshot), snapshot.stats.takeovers), (GAUGE, 0))
        snapshot = self.minutes(again, 30, counter())
        self.assertEqual((self.owner(snapshot), snapshot.stats.takeovers), (COUNTER, 1))

    def test_silence_is_seen(self) -> None:
        """A stop of the service is no silence, and what came in several commits is known after it."""
        store = self.open()
        self.commit(store, counter(), counter())
        store.close()
        self.clocks.advance(5 * SILENCE)
        snapshot = self.minutes(self.open(), 8, gauge())
        self.assertEqual(self.owner(snapshot), COUNTER)

    def test_once_and_a_restart(self) -> None:
        """What came once before a restart still has come once."""
        store = self.open()
        self.commit(store, counter())
        store.close()
        snapshot = self.minutes(self.open(), 2, gauge())
        self.assertEqual(self.owner(snapshot), GAUGE)

    def test_both_units_have_totals(self) -> None:
        """Times and distributions of one name are both kept, whichever owns the name."""
        store = self.open()
        one = came({10.0: 1.0})
        self.commit(store, Interval(times={"q": one}))
        snapshot = self.minutes(store, 3, Interval(distributions={"q": one}))
        self.assertEqual(self.owner(snapshot), Family("q", "h"))
        self.assertEqual((list(snapshot.times.values), list(snapshot.distributions.values)), ([10.0], [30.0]))
        self.assertEqual(snapshot.owners["q_count"].family, Family("q", "h"))

    def test_a_failed_commit(self) -> None:
        """A decision that could not be written is not in force, and is made again."""
        store = self.open()
        self.commit(store, counter(), gauge(), gauge())
        self.minutes(store, 1)
        store._memory.ownership._next_look = 0.0
        before = store.snapshot.owners
        store._connection.execute("PRAGMA query_only = 1")
        self.clocks.advance(SILENCE)
        self.assertRaises(StoreError, self.commit, store, gauge())
        store._connection.execute("PRAGMA query_only = 0")
        self.assertEqual(store.snapshot.owners, before)
        self.assertEqual(self.owner(self.minutes(store, 1)), GAUGE)

    def test_all_gone(self) -> None:
        """A name whose owner has expired is the other's; when no other wants it any longer it has no owner."""
        store = self.open(ttl=2000.0)
        self.minutes(store, 2, counter(), gauge())
        self.assertEqual(self.owner(store.snapshot), COUNTER)
        snapshot = self.minutes(store, 36, gauge())
        self.assertEqual((self.owner(snapshot), len(snapshot.counters)), (GAUGE, 0))
        snapshot = self.minutes(store, 40, gauge())
        self.assertEqual(snapshot.owners, {})
        store.close()
        self.assertEqual(self.open().snapshot.owners, {})

    def test_in_parts(self) -> None:
        """Of many series some are looked at in each commit."""
        store = self.open()
        many = Interval(counters=dict.fromkeys([f"other{number}" for number in range(50)], 1.0))
        self.commit(store, many, counter(), gauge())
        with mock.patch.object(ownership, "_LOOKED_AT", 10):
            for _ in range(2):
                self.minutes(store, 1)
                self.assertEqual(store.snapshot.owners, {})
            for _ in range(20):
                store.commit(CommitBatch())
        self.assertEqual(store.snapshot.owners, {"q": Owner(COUNTER, FIRST)})

    def test_the_suffix_of_counters(self) -> None:
        """With a suffix it is the name with it that counts."""
        clocks = self.clocks
        store = Store(self.path, counter_suffix="_total", wall=clocks.wall, monotonic=clocks.monotonic)
        self.addCleanup(store.close)
        snapshot = self.minutes(store, 3, counter(), gauge(), gauge("q_total"))
        self.assertEqual(set(snapshot.owners), {"q_total"})

    def test_gauges_after_a_restart(self) -> None:
        """What was set before the restart is older than what is set after it, and keeps its order by the last news."""
        store = self.open()
        self.commit(store, gauge("a.b"), gauge("a_b"), gauge("a/b"))
        store.close()
        again = self.open()
        first, second, third = again.snapshot.gauges.weights
        self.assertTrue(first < second < third < 0)
        self.commit(again, gauge("a.b"))
        self.assertEqual(again.snapshot.gauges.weights[0], 1.0)


class SetTests(FlushTestCase):
    """Sets, to which something comes only at the end of a flush."""

    def test_a_set_that_is_empty_again(self) -> None:
        """That nothing more comes for a set is no change."""
        store = self.open_with()
        self.commit(store, Interval(sets={"u": {"x"}}))
        self.at(11)
        first = store.commit(CommitBatch())
        self.at(22)
        last = store.commit(CommitBatch())
        self.assertEqual((list(first.sets.values), list(last.sets.values)), ([1.0], [0.0]))
        (columns,) = (each for each in store._memory.kinds.columns if each.kind == "s")
        _, updated, lasting = columns.standing(columns.newer_than(0, 1)[0])
        self.assertEqual((round(updated - self.start), lasting), (11, False))
        store.close()
        again = self.open_with()
        self.assertEqual(list(again.snapshot.sets.values), [0.0])
