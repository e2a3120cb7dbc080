"""Flushes in the store: what is closed when, and what a restart or a failed commit changes about it: nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.collisions import PathNames
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import VERSION, VERSION_1, VERSION_2, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import IdleRules
from statsd_tcp.flush import queues
from statsd_tcp.flush.flushes import Flushes
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.store import transaction
from statsd_tcp.store.book import Book
from statsd_tcp.store.database import Store, StoreError
from tests.unit.aggregate.model import came
from tests.unit.store.cases import FlushTestCase, hits


class ClosingTests(FlushTestCase):
    """When a flush ends."""

    def test_series_that_are_alike(self) -> None:
        """An output gets with the flush what those series are together whose paths are the same."""
        store = self.open_with(
            FlushRules(seconds=10, outputs=("one",), path_names=PathNames(str.islower, str.lower, str))
        )
        times = {"t": came({1.0: 1.0}), "T": came({2.0: 1.0})}
        self.commit(store, Interval(counters={"a": 1.5, "A": 1.0}, times=times, sets={"s": {"x"}, "S": {"x", "y"}}))
        self.at(11)
        self.commit(store)
        (result,) = self.results(store)
        found = {one.kind: one.value for one in result.alike}
        self.assertEqual((found["counters"], found["sets"]), (2.5, 2))
        state = store.snapshot.flushes
        assert state is not None
        self.assertEqual((6, {"t", "T"}), (state.merged, set(state.alike)))
        self.assertEqual(result.joined().timers["t"]["sum"], 3.0)

    def test_what_comes_in_a_flush_is_one_result(self) -> None:
        """What is committed in the ten seconds of a flush, and right after its end, is one result."""
        store = self.open_with()
        for second in range(1, 13):
            self.at(second + 0.01)
            self.commit(store, hits(1.0))
        self.assertEqual(self.counted(store), {0: 10.0})
        self.assertEqual(self.results(store)[0].lines, 10)
        self.assertEqual(self.results(store), self.results(store, "two"))

    def test_a_commit_between_belongs_to_the_next(self) -> None:
        """A flush that has ended stays closed, also for a commit that comes shortly after."""
        store = self.open_with()
        for second in (1, 10.01, 10.2, 11, 20.01):
            self.at(second)
            self.commit(store, hits(1.0))
        self.assertEqual(self.counted(store), {0: 2.0, 10: 3.0})

    def test_a_late_commit(self) -> None:
        """What is committed well after the end of a flush is in the next one."""
        store = self.open_with()
        for second in (9, 10.8, 20.01):
            self.at(second)
            self.commit(store, hits(1.0))
        self.assertEqual(self.counted(store), {0: 1.0, 10: 2.0})

    def test_a_flush_without_anything(self) -> None:
        """A flush in which nothing came has a result too, also one in which there was no commit."""
        store = self.open_with()
        for second in (1, 10.01, 40.01):
            self.at(second)
            self.commit(store, *([hits(1.0)] if second == 1 else []))
        self.assertEqual(self.counted(store), {0: 1.0, 10: 0.0, 20: 0.0, 30: 0.0})

    def test_a_long_silence(self) -> None:
        """After a day without a commit there is no result for every flush of it."""
        store = self.open_with()
        self.at(1)
        self.commit(store, hits(1.0))
        self.at(86_405)
        self.commit(store)
        self.assertEqual(self.counted(store), {0: 1.0})

    def test_without_outputs(self) -> None:
        """Without outputs the open flush can be looked at, and nothing of it is written."""
        store = self.open_with(FlushRules())
        self.at(1)
        snapshot = self.commit(store, hits(3.0))
        assert store.flushes is not None
        assert store.flushes.open is not None
        self.assertEqual(store.flushes.open_counters(), {"hits": 3.0})
        assert snapshot.flushes is not None
        self.assertEqual(snapshot.flushes.queues, {})
        self.at(10.01)
        self.commit(store)
        tables = ("slot_parts", "slot_results", "slot_queue", "slot_series")
        counts = [store._connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in tables]  # noqa: S608
        self.assertEqual(counts, [(0,)] * len(tables))


class RestartTests(FlushTestCase):
    """What is left in the file."""

    def test_in_mid_flush(self) -> None:
        """What was committed before and after a restart is one result."""
        store = self.open_with()
        self.at(3)
        self.commit(store, hits(1.0))
        store.close()
        store = self.open_with()
        self.at(8)
        self.commit(store, hits(2.0))
        self.at(10.01)
        self.commit(store)
        self.assertEqual(self.counted(store), {0: 3.0})

    def test_what_a_dead_process_left(self) -> None:
        """What is replayed from before a crash is in the flush of then; what is new is in the flush of now."""
        store = self.open_with()
        self.at(3)
        self.commit(store, hits(1.0))
        store.close()
        store = self.open_with()
        self.at(25)
        self.commit(store, hits(2.0), recovered=True)
        self.at(26)
        self.commit(store, hits(4.0))
        self.at(30.01)
        self.commit(store)
        # While no process was there, there are no results.
        self.assertEqual(self.counted(store), {0: 3.0, 20: 4.0})

    def test_a_commit_that_took_long_to_write(self) -> None:
        """Flushes that end while a commit writes, before it comes to them, have results: this process was there."""
        store = self.open_with()
        self.commit(store, hits(1.0))
        self.at(5)
        write_book = transaction._write_book

        def slowly(connection: sqlite3.Connection, book: Book) -> None:
            self.at(31)
            write_book(connection, book)

        with patch.object(transaction, "_write_book", slowly):
            self.commit(store, hits(2.0))
        self.at(32)
        self.commit(store, hits(4.0))
        self.at(40.01)
        self.commit(store)
        self.assertEqual(self.counted(store), {0: 3.0, 10: 0.0, 20: 0.0, 30: 4.0})

    def test_a_pause_while_it_is_planned(self) -> None:
        """Flushes that end while the process stands still before a commit have results: it is there all the time."""
        store = self.open_with()
        self.commit(store, hits(1.0))
        self.at(10.5)
        due = Flushes.due

        def slowly(flushes: Flushes, now: float) -> bool:
            self.at(41)
            return due(flushes, now)

        with patch.object(Flushes, "due", slowly):
            self.commit(store)
        self.at(42)
        self.commit(store, hits(4.0))
        self.assertEqual(self.counted(store), {0: 1.0, 10: 0.0, 20: 0.0, 30: 0.0})

    def test_right_behind_the_end(self) -> None:
        """A restart right after the end of a flush does not open it again."""
        store = self.open_with()
        self.at(9)
        self.commit(store, hits(1.0))
        self.at(10.01)
        self.commit(store)
        store.close()
        store = self.open_with()
        self.at(10.1)
        self.commit(store, hits(2.0))
        self.at(20.01)
        self.commit(store)
        self.assertEqual(self.counted(store), {0: 1.0, 10: 2.0})

    def test_another_length(self) -> None:
        """A flush that was opened with another length is closed with that length."""
        store = self.open_with()
        self.at(3)
        self.commit(store, hits(1.0))
        store.close()
        store = self.open_with(FlushRules(seconds=60, outputs=("one",)))
        self.at(12)
        self.commit(store, hits(2.0))
        result = self.results(store)[0]
        self.assertEqual((result.start - self.start, result.seconds, result.counters["hits"]), (0, 10, 1.0))

    def test_queues_and_gauges_stay(self) -> None:
        """What waits for outputs, and the values of idle gauges, are there after a restart."""
        store = self.open_with()
        self.at(3)
        self.commit(store, Interval(gauges={"g": [(1, False, 5.0)]}), hits(1.0))
        self.at(10.01)
        self.commit(store)
        store.close()
        store = self.open_with()
        self.assertEqual(self.counted(store), {0: 1.0})
        self.at(20.01)
        self.commit(store)
        self.assertEqual([result.gauges for result in self.results(store)], [{"g": 5.0}, {"g": 5.0}])

    @settings(max_examples=25)
    @given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["commit", "fail", "restart"])), max_size=25))
    def test_nothing_is_lost_or_doubled(self, steps: list[tuple[int, str]]) -> None:
        """Whenever commits fail or the service is restarted, each increment is in exactly one result."""
        self.path = self.path.with_name(f"{self.id()}-{len(steps)}-{hash(tuple(steps))}.db")
        self.offset = 0
        store, now, sent, waiting = self.open_with(), self.clocks.now - self.start + 1, 0.0, []
        for seconds, what in steps:
            now += seconds
            self.at(now)
            waiting.append(hits(1.0))
            sent += 1.0
            if what == "restart":
                store.close()
                store = self.open_with()
            if what == "fail":
                store._connection.execute("CREATE TEMP TRIGGER stop BEFORE INSERT ON slot_parts BEGIN SELECT nope; END")
                before = self.offset
                self.assertRaises(StoreError, self.commit, store, *waiting)
                self.offset = before
                store._connection.execute("DROP TRIGGER stop")
            else:
                self.commit(store, *waiting)
                waiting = []
        self.at(now + 20)
        self.commit(store, *waiting)
        self.at(now + 40)
        self.commit(store)
        self.assertEqual(sum(self.counted(store).values()), sent)
        starts = [result.start for result in self.results(store)]
        self.assertEqual(sorted(set(starts)), starts)
        store.close()


class QueueTests(FlushTestCase):
    """What waits for outputs."""

    def fill(self, store: Store, flushes: int) -> None:
        """Close this many flushes."""
        for number in range(flushes):
            self.at(10 * number + 1)
            self.commit(store, hits(number + 1.0))
        self.at(10 * flushes + 0.01)
        self.commit(store)

    def test_what_is_delivered_goes(self) -> None:
        """An acknowledged flush waits no more, for that output; when it waits for none it is deleted."""
        store = self.open_with()
        self.fill(store, 2)
        first = store.after("one", 0)
        assert first is not None
        snapshot = self.commit(store, delivered=[("one", first.flush_id)])
        assert snapshot.flushes is not None
        self.assertEqual([each.flushes for each in snapshot.flushes.queues.values()], [1, 2])
        self.assertEqual(list(self.counted(store)), [10])
        self.assertEqual(len(self.results(store, "two")), 2)
        self.commit(store, delivered=[("two", first.flush_id)])
        self.assertEqual(store._connection.execute("SELECT count(*) FROM slot_results").fetchone(), (1,))

    def test_the_oldest_go(self) -> None:
        """Of more flushes than may wait the oldest go, and are counted for each output."""
        store = self.open_with(FlushRules(seconds=10, outputs=("one", "two"), queue=2))
        self.fill(store, 5)
        state = store.snapshot.flushes
        assert state is not None
        self.assertEqual(state.queues["one"][::2], (2, 3))
        self.assertEqual(self.counted(store), {30: 4.0, 40: 5.0})
        self.assertEqual(store._connection.execute("SELECT count(*) FROM slot_results").fetchone(), (2,))

    def test_used(self) -> None:
        """How full a queue is, is the part of the flushes or of the bytes that may wait, whichever is more."""
        store = self.open_with(FlushRules(seconds=10, outputs=("one",), queue=8))
        self.fill(store, 2)
        assert store.snapshot.flushes is not None
        self.assertEqual(store.snapshot.flushes.queues["one"].used, 0.25)
        (size,) = store._connection.execute("SELECT sum(length(payload)) FROM slot_results").fetchone()
        full = queues.Queues(("one",), longest=1000, most_bytes=2 * size)
        full.load(store._connection)
        self.assertEqual(full.waiting()["one"].used, 0.5)

    def test_an_output_that_is_gone(self) -> None:
        """What waits for an output that is no longer there is deleted; a new one begins with what comes."""
        store = self.open_with()
        self.fill(store, 2)
        store.close()
        store = self.open_with(FlushRules(seconds=10, outputs=("two", "three")))
        self.assertEqual((len(self.results(store, "two")), self.results(store, "three")), (2, []))
        self.at(30.01)
        self.commit(store)
        self.assertEqual((len(self.results(store, "two")), len(self.results(store, "three"))), (3, 1))
        queued = store._connection.execute("SELECT DISTINCT output FROM slot_queue ORDER BY output").fetchall()
        self.assertEqual(queued, [("three",), ("two",)])

    def test_a_result_that_is_too_large(self) -> None:
        """A result that the file cannot hold is dropped and counted; commits go on."""
        self.patch(queues, "LARGEST", 10)
        store = self.open_with()
        self.fill(store, 1)
        state = store.snapshot.flushes
        assert state is not None
        self.assertEqual(state.queues["one"][::2], (0, 1))
        self.assertEqual(self.results(store), [])

    def test_a_spoiled_result(self) -> None:
        """A result that cannot be read is an error that names the file."""
        store = self.open_with()
        self.fill(store, 1)
        store._connection.execute("UPDATE slot_results SET payload = x'0102'")
        self.assertIn(str(self.path), str(self.assertRaises(StoreError, store.after, "one", 0)))

    def test_a_failed_commit_acknowledges_nothing(self) -> None:
        """What was to be acknowledged in a commit that failed still waits."""
        store = self.open_with()
        self.fill(store, 1)
        first = store.after("one", 0)
        assert first is not None
        store._connection.execute("CREATE TEMP TRIGGER stop BEFORE INSERT ON slot_parts BEGIN SELECT nope; END")
        self.assertRaises(StoreError, self.commit, store, hits(1.0), delivered=[("one", first.flush_id)])
        store._connection.execute("DROP TRIGGER stop")
        self.assertEqual(len(self.results(store)), 1)


class LimitTests(FlushTestCase):
    """More series than there may be."""

    def test_flushes_have_the_limit_too(self) -> None:
        """In a flush, too, counters beyond the limit are added to one for all, and gauges are refused."""
        store = self.open_with(FlushRules(seconds=10, outputs=("one",), limit=Amount(3, 1 << 20)))
        self.at(1)
        self.commit(store, Interval(counters={"a": 1.0, "b": 2.0}))
        self.at(2)
        self.commit(store, Interval(counters={"b": 1.0, "c": 4.0, "d": 8.0}, gauges={"g": [(1, False, 1.0)]}))
        self.at(10.01)
        self.commit(store)
        result = self.results(store)[0]
        self.assertEqual(result.counters, {"a": 1.0, "b": 3.0, "c": 4.0, "statscounter_overflow.c": 8.0})
        self.assertEqual(result.gauges, {})

    def test_flushes_have_the_limit_of_bytes_too(self) -> None:
        """Names that come again and again take their room once, and those beyond it are added to one for all."""
        store = self.open_with(FlushRules(seconds=10, outputs=("one",), limit=Amount(99, 30)))
        for second in range(1, 9):
            self.at(second)
            self.commit(store, Interval(counters={"a" * 15: 1.0, "b" * 15: 1.0}))
        self.at(9)
        self.commit(store, Interval(counters={"c" * 15: 1.0, "b" * 15: 1.0}))
        self.at(10.01)
        self.commit(store)
        result = self.results(store)[0]
        self.assertEqual(result.counters, {"a" * 15: 8.0, "b" * 15: 9.0, "statscounter_overflow.c": 1.0})

    def test_idle_series_make_room_in_flushes(self) -> None:
        """Series that outputs leave out when they are idle take no room in the next flush."""
        rules = FlushRules(
            seconds=10, outputs=("one",), limit=Amount(4, 1 << 20), idle=IdleRules(delete=frozenset("s"))
        )
        store = self.open_with(rules)
        for number, names in enumerate(("ab", "cd")):
            self.at(10 * number + 1)
            self.commit(store, Interval(sets={name: {"x"} for name in names}))
        self.at(20.01)
        self.commit(store)
        self.assertEqual([set(result.sets) for result in self.results(store)], [set("ab"), set("cd")])


class OlderPartTests(FlushTestCase):
    """Parts of the open flush that an earlier version has left."""

    def test_versions(self) -> None:
        """They are read, with one number of each counter, and go on."""
        for number, version in enumerate((VERSION_1, VERSION_2, VERSION)):
            store = self.open_with()
            self.at(10 * number + 1)
            self.commit(store, Interval(counters={"up": 5.0, "down": 1.0}, falls={"down": Fall(-3.0, 2)}))
            store.close()
            part = encode(Interval(counters={"up": 5.0, "down": 1.0}, falls={"down": Fall(-3.0, 2)}), version)
            with closing(sqlite3.connect(self.path)) as connection, connection:
                connection.execute("UPDATE slot_parts SET payload = ?, counters = x'' WHERE payload != x''", (part,))
            store = self.open_with()
            self.commit(store, Interval(counters={"up": 1.0, "down": 1.0}))
            self.assertEqual(store.flushes and store.flushes.open_counters(), {"up": 6.0, "down": -1.0})
            self.at(10 * number + 11)
            self.commit(store)
            store.close()


class DamageTests(FlushTestCase):
    """A file that was spoiled."""

    def test_a_spoiled_part(self) -> None:
        """A part that cannot be read is an error that names the file."""
        store = self.open_with()
        self.at(1)
        self.commit(store, hits(1.0))
        store.close()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE slot_parts SET payload = x'0102'")
        error = self.assertRaises(StoreError, self.open_with)
        self.assertIn(str(self.path), str(error))


class OddNamesTests(FlushTestCase):
    """Counters that an output writes under one name, over many flushes."""

    def test_each_flush(self) -> None:
        """They are found in each flush, whether they are new, known from before a restart, or deleted meanwhile."""
        rules = FlushRules(seconds=10, outputs=("one",), path_names=PathNames(str.islower, str.lower, str))
        store = self.open_with(rules)
        found = []
        for number, names in enumerate((["a", "A"], ["b"], ["B"], [])):
            self.at(10 * number + 1)
            self.commit(store, Interval(counters=dict.fromkeys(names, 1.0)))
            if number == 1:
                store.close()
                store = self.open_with(rules)
            if number == 3:
                store.delete("counters", ["A"])
            self.at(10 * number + 10.6)
            self.commit(store)
            found.append({one.members: one.value for one in self.results(store)[-1].alike})
        both = {("a", "A"): 0.0}
        self.assertEqual([{("a", "A"): 2.0}, both, {**both, ("b", "B"): 1.0}, {("b", "B"): 0.0}], found)

    def test_one_that_comes_again(self) -> None:
        """One that is deleted and comes again is one among them, and counted once."""
        rules = FlushRules(seconds=10, outputs=("one",), path_names=PathNames(str.islower, str.lower, str))
        store = self.open_with(rules)
        for number in range(3):
            self.at(10 * number + 1)
            self.commit(store)
            store.delete("counters", ["A"])
            self.commit(store, Interval(counters={"A": 1.0}))
        self.at(31)
        self.commit(store)
        self.assertEqual([], [one for result in self.results(store) for one in result.alike])
