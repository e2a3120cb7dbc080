"""What commits make of the series, and how series end."""

from __future__ import annotations

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.firsts import First
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.aggregate.model import came
from tests.unit.store.cases import DAY, StoreTestCase, counts, values


class SeriesTests(StoreTestCase):
    """Values of series."""

    def commit(self, store: Store, interval: Interval) -> Snapshot:
        """Commit one interval after what the ledger has."""
        known = store.snapshot.ledgers.get("L1")
        start = known.committed if known else 0
        piece = Piece("L1", start, start + 8, encode(interval))
        return store.commit(CommitBatch(counts=[counts("L1")], pieces=[piece]))

    def test_a_counter_does_not_fall(self) -> None:
        """What goes down is left out, and each of its lines counted as a conflict."""
        store = self.open()
        self.commit(store, Interval(counters={"a": 3.0}))
        snapshot = self.commit(
            store,
            Interval(counters={"a": 2.0, "b": 0.0, "c": 0.0}, falls={"a": Fall(-9.0, 3), "b": Fall(-1.0, 1)}),
        )
        self.assertEqual(values(snapshot.counters), {"a": 5.0, "b": 0.0, "c": 0.0})
        self.assertEqual((snapshot.stats.conflicts["negative"], snapshot.stats.left_out), (4, {"negative": "b"}))

    def test_gauges(self) -> None:
        """A gauge starts at 0, relative changes add to it, a setting replaces it, from commit to commit."""
        store = self.open()
        changes: list[tuple[list[tuple[int, bool, float]], float]] = [
            ([(1, True, -2.0)], -2.0),
            ([(2, False, 10.0), (3, True, 5.0)], 15.0),
            ([(4, True, 1.0)], 16.0),
            ([(5, False, 0.5)], 0.5),
        ]
        for news, expected in changes:
            with self.subTest(news=news):
                self.assertEqual(values(self.commit(store, Interval(gauges={"g": news})).gauges), {"g": expected})

    def test_a_late_setting_of_a_gauge_loses(self) -> None:
        """Of two settings that are committed in the wrong order, the one that was made later stays."""
        store = self.open()
        self.commit(store, Interval(gauges={"g": [(200, False, 2.0)]}))
        snapshot = self.commit(store, Interval(gauges={"g": [(100, False, 1.0), (150, True, 5.0)]}))
        self.assertEqual(values(snapshot.gauges), {"g": 2.0})
        snapshot = self.commit(store, Interval(gauges={"g": [(150, True, 5.0), (300, True, 1.0)]}))
        self.assertEqual(values(snapshot.gauges), {"g": 3.0})

    def test_ticks_do_not_outlive_the_process(self) -> None:
        """After a reopen, perhaps after a reboot with smaller ticks, a gauge can be set."""
        store = self.open()
        self.commit(store, Interval(gauges={"g": [(10**15, False, 2.0)]}))
        store.close()
        snapshot = self.commit(self.open(), Interval(gauges={"g": [(5, False, 1.0)]}))
        self.assertEqual(values(snapshot.gauges), {"g": 1.0})

    def test_observations_add_up(self) -> None:
        """Sums and weights of timers and distributions add up over commits; a sum may fall."""
        store = self.open()
        self.commit(store, Interval(times={"t": came({10.0: 2.0, -5.0: 1.0})}, distributions={"d": came({1.0: 0.5})}))
        snapshot = self.commit(store, Interval(times={"t": came({4.0: 10.0})}, distributions={"d": came({3.0: 1.0})}))
        self.assertEqual(values(snapshot.times), {"t": 55.0})
        self.assertEqual(list(snapshot.times.weights), [13.0])
        self.assertEqual(values(snapshot.distributions), {"d": 3.5})
        self.assertEqual(list(snapshot.distributions.weights), [1.5])
        self.assertEqual((snapshot.stats.conflicts["negative"], snapshot.stats.left_out), (0, {}))
        snapshot = self.commit(store, Interval(distributions={"d": came({-9.0: 1.0})}))
        self.assertEqual((values(snapshot.distributions), list(snapshot.distributions.weights)), ({"d": -5.5}, [2.5]))

    def test_one_name_in_two_units(self) -> None:
        """A name that comes as ms and as h is two series, each with its totals."""
        store = self.open()
        news = Interval(times={"t": came({1.0: 1.0})}, distributions={"t": came({2.0: 1.0})})
        self.commit(store, news)
        snapshot = self.commit(store, news)
        self.assertEqual((values(snapshot.times), values(snapshot.distributions)), ({"t": 2.0}, {"t": 4.0}))
        self.assertEqual((snapshot.stats.conflicts, snapshot.stats.left_out), ({"negative": 0}, {}))

    def test_idle_series_expire(self) -> None:
        """A series that got nothing for the whole time is dropped from memory and file; a busy one stays."""
        store = self.open(ttl=100.0)
        first = self.commit(store, Interval(counters={"old": 1.0, "busy": 1.0, "other": 1.0}))
        self.clocks.advance(90.0)
        self.commit(store, Interval(counters={"busy": 1.0}))
        self.clocks.advance(61.0)
        snapshot = self.commit(store, Interval(counters={"other": 1.0}))
        self.assertEqual(values(snapshot.counters), {"busy": 2.0, "other": 2.0})
        self.assertNotEqual(snapshot.counters.epoch, first.counters.epoch)
        self.assertEqual(snapshot.stats.expired, 1)
        snapshot = self.commit(store, Interval(counters={"busy": 1.0, "old": 1.0}))
        self.assertEqual(values(snapshot.counters), {"busy": 3.0, "other": 2.0, "old": 1.0})
        store.close()
        self.assertEqual(values(self.open().snapshot.counters), values(snapshot.counters))

    def test_ids_are_in_the_order_of_coming(self) -> None:
        """New series of one commit have ids by tick and place, over all kinds; the others come behind."""
        store = self.open()
        self.commit(store, Interval(counters={"old": 1.0}))
        snapshot = self.commit(
            store,
            Interval(
                counters={"old": 1.0, "unmet": 1.0, "c": 1.0, "a": 1.0},
                gauges={"g": [(1, False, 1.0)]},
                times={"t": came({1.0: 1.0})},
                met=[
                    First(7, 0, "times", "t"),
                    First(7, 1, "counters", "c"),
                    First(8, 0, "gauges", "g"),
                    First(9, 0, "counters", "gone"),
                    First(9, 1, "counters", "a"),
                    First(9, 2, "counters", "old"),
                ],
            ),
        )
        tables = (snapshot.counters, snapshot.gauges, snapshot.times)
        ids = {name: at for table in tables for name, at in zip(table.identities, table.ids, strict=True)}
        self.assertEqual(sorted(ids, key=ids.__getitem__), ["old", "t", "c", "g", "a", "unmet"])
        store.close()
        again = self.open().snapshot
        self.assertEqual(list(again.counters.ids), list(snapshot.counters.ids))
        self.assertEqual(values(again.gauges), {"g": 1.0})

    def test_pieces_in_the_order_of_coming(self) -> None:
        """What came first is first, whichever worker's piece is taken in first."""
        store = self.open()
        late = Interval(counters={"n": 1.0}, times={"u": came({1.0: 1.0})})
        late.met = [First(5, 0, "counters", "n"), First(6, 0, "times", "u")]
        early = Interval(gauges={"n": [(4, False, 1.0)]}, distributions={"u": came({1.0: 1.0})})
        early.met = [First(4, 0, "gauges", "n"), First(6, 1, "distributions", "u")]
        pieces = [Piece("L1", 0, 8, encode(late)), Piece("L2", 0, 8, encode(early))]
        snapshot = store.commit(CommitBatch(counts=[counts("L1"), counts("L2")], pieces=pieces))
        self.assertLess(snapshot.gauges.ids[0], snapshot.counters.ids[0])
        self.assertLess(snapshot.times.ids[0], snapshot.distributions.ids[0])

    def test_an_id_is_not_used_again(self) -> None:
        """A series that comes after another expired has an id of its own."""
        store = self.open(ttl=100.0)
        first = self.commit(store, Interval(counters={"a": 1.0}))
        old = first.counters.ids[0]
        self.clocks.advance(200.0)
        store.commit(CommitBatch())
        self.assertGreater(self.commit(store, Interval(counters={"b": 1.0})).counters.ids[0], old)

    def test_a_clock_that_jumps_expires_nothing(self) -> None:
        """A wall clock set forward while the service runs, or wrong at a start, does not expire series."""
        store = self.open()
        self.commit(store, Interval(counters={"a": 1.0}))
        self.clocks.now += 365 * DAY
        self.clocks.ticks += 120.0
        self.assertEqual(values(store.commit(CommitBatch()).counters), {"a": 1.0})
        store.close()
        self.clocks.now = 5.0
        late = self.open()
        self.commit(late, Interval(counters={"b": 1.0}))
        late.close()
        self.clocks.now = 1_700_000_000.0 + 3600.0
        snapshot = self.open().commit(CommitBatch())
        self.assertEqual(values(snapshot.counters), {"a": 1.0, "b": 1.0})

    def test_odd_names_survive(self) -> None:
        """Names with NUL, quotes and any letters come back from the file as they were."""
        store = self.open()
        names = {"a\0b": 1.0, 'it\'s "so"': 2.0, "naïve😱": 3.0, "": 4.0}
        self.commit(store, Interval(counters=dict(names)))
        store.close()
        self.assertEqual(values(self.open().snapshot.counters), names)
