"""The limit of series in the store."""

from __future__ import annotations

import msgspec

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.series.room import IDLE_ENOUGH
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.aggregate.model import came
from tests.unit.store.cases import StoreTestCase, counts, values

OVERFLOW = "statscounter_overflow"


class RoomTests(StoreTestCase):
    """A store for three series."""

    def open_small(self, most: int = 3, size: int = 1 << 20) -> Store:
        """Open the store, for the time of the test."""
        clocks = self.clocks
        store = Store(self.path, limit=Amount(most, size), wall=clocks.wall, monotonic=clocks.monotonic)
        self.addCleanup(store.close)
        return store

    def commit(self, store: Store, interval: Interval) -> Snapshot:
        """Commit one interval after what the ledger has."""
        known = store.snapshot.ledgers.get("L1")
        start = known.committed if known else 0
        piece = Piece("L1", start, start + 8, encode(interval))
        return store.commit(CommitBatch(counts=[counts("L1")], pieces=[piece]))

    def test_sums_stay_true(self) -> None:
        """Counters and timers beyond the limit add to one series for all; the others are refused; all is counted."""
        store = self.open_small()
        self.commit(store, Interval(counters={"a": 1.0, "b": 1.0}, gauges={"g": [(1, False, 1.0)]}))
        news = Interval(
            counters={"a": 1.0, "x": 2.0, "y": 3.0},
            gauges={"g": [(2, False, 9.0)], "h": [(2, False, 1.0)]},
            times={"t": came({5.0: 2.0})},
        )
        snapshot = self.commit(store, news)
        self.assertEqual(values(snapshot.counters), {"a": 2.0, "b": 1.0, f"{OVERFLOW}.c": 5.0})
        self.assertEqual(values(snapshot.gauges), {"g": 9.0})
        self.assertEqual(values(snapshot.times), {f"{OVERFLOW}.ms": 10.0})
        self.assertEqual(snapshot.stats.dropped, {"overflow": 3, "refused": 1})
        self.assertEqual(snapshot.stats.left_out, {"overflow": "t", "refused": "h"})
        snapshot = self.commit(store, Interval(counters={"x": 2.0}))
        self.assertEqual(values(snapshot.counters)[f"{OVERFLOW}.c"], 7.0)

    def test_the_idle_go_first(self) -> None:
        """A series that has been idle for long goes for a new one: the longest idle first, and no more than needed."""
        store = self.open_small()
        self.commit(store, Interval(counters={"oldest": 1.0}))
        self.clocks.advance(10)
        self.commit(store, Interval(counters={"older": 1.0}))
        self.clocks.advance(IDLE_ENOUGH)
        self.commit(store, Interval(counters={"busy": 1.0}))
        self.clocks.advance(1)
        snapshot = self.commit(store, Interval(counters={"new": 1.0, "busy": 1.0}))
        self.assertEqual(values(snapshot.counters), {"older": 1.0, "busy": 2.0, "new": 1.0})
        self.assertEqual(snapshot.stats.dropped, {"overflow": 0, "refused": 0})
        self.assertEqual(snapshot.stats.expired, 1)
        store.close()
        self.assertEqual(values(self.open_small().snapshot.counters), values(snapshot.counters))

    def test_what_comes_after_all(self) -> None:
        """Series to which something comes stay, however idle they were: those for all, and sets of an ended flush."""
        store = self.open_small()
        busy = Interval(counters={"a": 1.0}, times={"b": came({1.0: 1.0})})
        self.commit(store, msgspec.structs.replace(busy, sets={"s": {"x"}}))
        self.clocks.advance(10)
        self.commit(store, Interval(sets={"s": {"y", "z"}}))
        more = Interval(counters={"x": 2.0}, times={"y": came({5.0: 1.0})})
        self.assertEqual(values(self.commit(store, more).counters), {"a": 1.0, f"{OVERFLOW}.c": 2.0})
        self.clocks.advance(IDLE_ENOUGH + 1)
        counters = {"a": 1.0, "x": 2.0, "z": 3.0}
        snapshot = self.commit(store, Interval(counters=counters, times={"b": came({1.0: 1.0}), "y": came({5.0: 1.0})}))
        self.assertEqual(values(snapshot.counters), {"a": 2.0, "x": 2.0, f"{OVERFLOW}.c": 5.0})
        self.assertEqual(values(snapshot.times), {"b": 2.0, f"{OVERFLOW}.ms": 10.0})
        self.assertEqual(values(snapshot.sets), {"s": 2.0})
        store.close()
        self.assertEqual(values(self.open_small().snapshot.counters), values(snapshot.counters))

    def test_bytes_are_limited_too(self) -> None:
        """Long names overflow before there are many, and those that were idle for long go for new ones."""
        store = self.open_small(100, 25)
        snapshot = self.commit(store, Interval(counters={name * 10: 1.0 for name in "abc"}))
        self.assertEqual(values(snapshot.counters), {"a" * 10: 1.0, "b" * 10: 1.0, f"{OVERFLOW}.c": 1.0})
        self.assertEqual(snapshot.stats.dropped, {"overflow": 1, "refused": 0})
        self.clocks.advance(IDLE_ENOUGH + 1)
        snapshot = self.commit(store, Interval(counters={"d" * 20: 1.0}))
        self.assertIn("d" * 20, values(snapshot.counters))
        store.close()
        again = self.commit(self.open_small(100, 25), Interval(gauges={"g" * 10: [(1, False, 1.0)]}))
        self.assertEqual((values(again.gauges), again.stats.dropped["refused"]), ({}, 1))

    def test_sets_of_the_open_flush(self) -> None:
        """Sets that are not series before the flush ends are counted among those that there are."""
        store = self.open_small(5)
        for number in range(9):
            snapshot = self.commit(store, Interval(sets={f"{name}{number}": {"x"} for name in "abcde"}))
        self.assertEqual(40, snapshot.stats.dropped["refused"])
        self.assertEqual(40, self.commit(store, Interval(sets={"a0": {"y"}})).stats.dropped["refused"])
        self.clocks.advance(10)
        snapshot = store.commit(CommitBatch())
        self.assertEqual({f"{name}0" for name in "abcde"}, set(values(snapshot.sets)))
        self.assertEqual(2.0, values(snapshot.sets)["a0"])

    def test_what_is_in_use_stays(self) -> None:
        """A flood of names drives out nothing that came within the hour."""
        store = self.open_small()
        self.commit(store, Interval(counters=dict.fromkeys("abc", 1.0)))
        for number in range(20):
            self.clocks.advance(60)
            snapshot = self.commit(store, Interval(counters={f"flood{number}": 1.0}))
        self.assertEqual(set(values(snapshot.counters)), {"a", "b", "c", f"{OVERFLOW}.c"})
        self.assertEqual(values(snapshot.counters)[f"{OVERFLOW}.c"], 20.0)

    def test_what_comes_now_is_not_idle(self) -> None:
        """A series in the same news does not go for another one, however long it was idle."""
        store = self.open_small()
        self.commit(store, Interval(counters=dict.fromkeys("abc", 1.0)))
        self.clocks.advance(2 * IDLE_ENOUGH)
        snapshot = self.commit(store, Interval(counters={"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}))
        self.assertEqual(values(snapshot.counters), {"a": 2.0, "b": 2.0, "c": 2.0, f"{OVERFLOW}.c": 1.0})
