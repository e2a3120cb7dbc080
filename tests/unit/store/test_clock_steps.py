"""A wall clock that is set while the store is open, or was wrong at a start: flushes go on, and nothing expires."""

from __future__ import annotations

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import IdleRules
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import WIDTHS
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store, StoreError
from statsd_tcp.store.loading import load_series
from tests.unit.store.cases import DAY, RULES, FlushTestCase, StoreTestCase, counts, hits, values

HOUR = 3600.0
TEN_YEARS = 3652 * DAY


class SteppedTestCase(FlushTestCase):
    """A store to which one hit comes each second."""

    def step(self, seconds: float) -> None:
        """Set the wall clock."""
        self.clocks.now += seconds

    def run_for(self, store: Store, seconds: int) -> None:
        """Let time pass, with a hit each second."""
        for _ in range(seconds):
            self.clocks.advance(1.0)
            self.commit(store, hits(1.0))

    def set_back(self, store: Store) -> int:
        """Return how often flushes followed a clock that was set back."""
        assert store.snapshot.flushes is not None
        return store.snapshot.flushes.set_back


class FlushEndTests(SteppedTestCase):
    """The ends of flushes."""

    def setUp(self) -> None:
        """Run for a while, into the second flush."""
        super().setUp()
        self.store = self.open_with()
        self.clocks.advance(0.01)
        self.run_for(self.store, 13)

    def test_a_little_back(self) -> None:
        """Set back by less than a flush, the open flush ends where it would have, a little later."""
        self.step(-7)
        self.run_for(self.store, 20)
        self.assertEqual(self.counted(self.store), {0: 10.0, 10: 17.0})
        self.assertEqual(self.set_back(self.store), 0)

    def test_back(self) -> None:
        """Set back by more, each flush takes twice as long until the clock has caught up; no end is skipped."""
        self.step(-25)
        self.run_for(self.store, 80)
        found = self.counted(self.store)
        self.assertEqual(list(found), [0, 10, 20, 30, 40, 50])
        self.assertEqual([found[20], found[30], found[50]], [20.0, 20.0, 10.0])
        self.assertLessEqual(max(found.values()), 20.0)
        assert self.store.flushes is not None
        assert self.store.flushes.open is not None
        flush = self.store.flushes.open
        self.assertTrue(flush.start <= self.clocks.now < flush.end)
        self.assertEqual(sum(found.values()) + self.store.flushes.open_counters()["hits"], 93.0)

    def test_back_at_rest(self) -> None:
        """So it is when nothing comes: outputs are told so, and of each end once."""
        self.step(-25)
        for _ in range(80):
            self.clocks.advance(1.0)
            self.commit(self.store)
        self.assertEqual(self.counted(self.store), {0: 10.0, 10: 3.0, 20: 0.0, 30: 0.0, 40: 0.0, 50: 0.0})

    def test_back_and_forth(self) -> None:
        """Set right again, the open flush ends as soon as that is noticed, and the next one with the clock."""
        self.step(-25)
        self.run_for(self.store, 5)
        self.step(25)
        self.run_for(self.store, 13)
        self.assertEqual(self.counted(self.store), {0: 10.0, 10: 8.0, 20: 12.0})

    def test_far_back(self) -> None:
        """Set back by ten minutes and more, the open flush ends with the present clock; it is said and counted once."""
        self.step(-HOUR)
        self.store._connection.execute("CREATE TEMP TRIGGER stop BEFORE INSERT ON slot_parts BEGIN SELECT nope; END")
        before = self.offset
        self.assertRaises(StoreError, self.commit, self.store, hits(1.0))
        self.store._connection.execute("DROP TRIGGER stop")
        self.offset = before
        self.run_for(self.store, 17)
        self.assertEqual(self.counted(self.store), {0: 10.0, 10 - HOUR: 10.0, 20 - HOUR: 10.0})
        self.assertEqual(self.set_back(self.store), 1)

    def test_far_back_is_durable(self) -> None:
        """After a restart the open flush still ends with the present clock."""
        self.step(-HOUR)
        self.run_for(self.store, 1)
        self.store.close()
        store = self.open_with()
        self.run_for(store, 6)
        self.assertEqual(self.counted(store), {0: 10.0, 10 - HOUR: 10.0})
        self.assertEqual(self.set_back(store), 0)

    def test_ahead(self) -> None:
        """Set ahead, the open flush ends at once, and nothing is made up for the time that did not pass."""
        self.step(300)
        self.run_for(self.store, 18)
        self.assertEqual(self.counted(self.store), {0: 10.0, 10: 3.0, 310: 7.0, 320: 10.0})

    def test_ahead_and_back(self) -> None:
        """Ten years ahead and back again, flushes follow both times."""
        self.step(TEN_YEARS)
        self.run_for(self.store, 2)
        self.step(-TEN_YEARS)
        self.run_for(self.store, 17)
        found = [(each.start - self.start, each.counters["hits"]) for each in self.results(self.store)]
        self.assertEqual(found, [(0, 10.0), (10, 3.0), (10, 7.0), (20, 10.0)])
        self.assertEqual(self.set_back(self.store), 1)

    def test_start_under_a_clock_that_is_behind(self) -> None:
        """A flush that was opened under a clock far ahead ends with the present one."""
        self.store.close()
        self.step(-DAY)
        store = self.open_with()
        self.run_for(store, 8)
        self.assertEqual(self.counted(store), {0: 10.0, 10 - DAY: 10.0})
        self.assertEqual(self.set_back(store), 1)

    def test_a_longer_flush(self) -> None:
        """An open flush of greater length ends with the present clock, after as long as it was really open."""
        self.store.close()
        store = self.open_with(FlushRules(seconds=3600, outputs=("one",)))
        self.at(20.01)
        self.commit(store)
        store.close()
        store = self.open_with(RULES)
        self.run_for(store, 15)
        last = self.results(store)[-1]
        self.assertEqual((last.start % 3600, last.timestamp - self.start, last.counters["hits"]), (0, 30, 10.0))

    def test_sets(self) -> None:
        """The members of a set are counted for the flush of the outputs, not for less."""
        self.commit(self.store, Interval(sets={"s": {"a", "b"}}))
        self.step(-7)
        for _ in range(13):
            self.clocks.advance(1.0)
            self.assertEqual(values(self.commit(self.store).sets).get("s", 0.0), 0.0)
        self.clocks.advance(2.0)
        self.assertEqual(values(self.commit(self.store).sets), {"s": 2.0})


class KnownSeriesTests(SteppedTestCase):
    """The idle series of which outputs are told."""

    def test_steps_forget_nothing(self) -> None:
        """What the clock is set to, a start under a wrong clock and a long downtime forget no series."""
        store = self.open_with(FlushRules(seconds=10, outputs=("one",), idle=IdleRules(ttl=200.0)))
        self.commit(store, Interval(counters={"idle": 1.0}))
        for step in (TEN_YEARS, -TEN_YEARS, HOUR, -50.0, -HOUR):
            self.step(step)
            self.run_for(store, 12)
            store.close()
            self.clocks.advance(DAY)
            store = self.open_with(FlushRules(seconds=10, outputs=("one",), idle=IdleRules(ttl=200.0)))
            self.run_for(store, 1)
        self.assertIn("idle", self.results(store)[-1].counters)
        self.run_for(store, 220)
        self.assertNotIn("idle", self.results(store)[-1].counters)


class ExpiryTests(StoreTestCase):
    """The series of the store, with a time to live of a hundred seconds."""

    offset = 0

    def commit(self, store: Store, **counters: float) -> dict[str, float]:
        """Commit increments of counters, and give the counters."""
        pieces = [Piece("a", 0, 0, encode(Interval(counters=counters)))]
        return values(store.commit(CommitBatch(counts=[counts("a")], pieces=pieces)).counters)

    def test_idle_time_adds_up(self) -> None:
        """Only what processes saw pass makes a series idle, not the time without a process, whatever the clock was."""
        store = self.open(ttl=100.0)
        self.commit(store, idle=1.0, busy=1.0)
        for step in (0.0, 30 * DAY, -TEN_YEARS, TEN_YEARS, -40.0):
            for _ in range(2):
                self.clocks.advance(9.0)
                self.assertIn("idle", self.commit(store, busy=1.0))
            store.close()
            self.clocks.now += step
            store = self.open(ttl=100.0)
            self.assertIn("idle", self.commit(store))
        self.clocks.advance(60.0)
        self.assertEqual(set(self.commit(store, busy=1.0)), {"busy"})

    def test_written_once(self) -> None:
        """The time without a process is written down by the first commit that succeeds, and only by that."""
        store = self.open(ttl=100.0)
        self.commit(store, idle=1.0)
        store.close()
        self.clocks.advance(DAY)
        store = self.open(ttl=100.0)
        store._connection.execute("PRAGMA query_only = 1")
        self.assertRaises(StoreError, self.commit, store)
        store._connection.execute("PRAGMA query_only = 0")
        for _ in range(2):
            self.commit(store)
            self.clocks.advance(1.0)
        self.assertEqual(self.updated(store), self.clocks.now - 2.0)

    def test_dates_are_put_right(self) -> None:
        """What was written under a clock that was wrong has the right date after the next start."""
        self.clocks.now += TEN_YEARS
        store = self.open()
        self.commit(store, a=1.0)
        store.close()
        self.clocks.now -= TEN_YEARS
        store = self.open()
        self.commit(store)
        self.assertEqual(self.updated(store), self.clocks.now)

    def updated(self, store: Store) -> float:
        """Return the date of the one series."""
        columns = [SeriesColumns(kind) for kind in WIDTHS]
        row = load_series(store._connection, columns).row
        assert row is not None
        return float(columns[0].updated[0]) + row.ahead
