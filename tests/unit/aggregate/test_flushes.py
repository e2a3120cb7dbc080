"""Tests of flushes: what is in one, and what is said about it when it is closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate import flushes
from statsd_tcp.aggregate.collisions import PathNames
from statsd_tcp.aggregate.flushes import FlushResult, OpenFlush, flush_start
from statsd_tcp.aggregate.interval import Interval, ListenerCounts, merge
from statsd_tcp.aggregate.known_series import IdleRules, KnownRow, KnownSeries
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.flush.timers import FlushTimers
from tests.unit.aggregate.model import Chunk, came, chunks, expected

RULES = TimerRules(percentiles=())


def close(known: KnownSeries, start: int, *news: Interval, idle: Mapping[str, float] = {}) -> FlushResult:
    """Close a flush of ten seconds in which these intervals came; ``idle`` are further counters."""
    flush = OpenFlush(start, 10, FlushTimers())
    for interval in news:
        flush.add(interval)
    return known.close(flush, dict(idle) | merge(news).counters, RULES, lambda: 0.0)


def gauge(*changes: tuple[int, bool, float]) -> Interval:
    """Make an interval with the changes of one gauge."""
    return Interval(gauges={"g": list(changes)})


class StartTests(SynchronousTestCase):
    """The clock."""

    def test_aligned(self) -> None:
        """Flushes begin at multiples of their length."""
        cases = [(1000.0, 10, 1000), (1009.99, 10, 1000), (1010.0, 10, 1010), (7.5, 60, 0), (61.0, 1, 61)]
        for now, seconds, start in cases:
            self.assertEqual(flush_start(now, seconds), start)


class CloseTests(SynchronousTestCase):
    """What a flush amounts to."""

    def test_everything(self) -> None:
        """Counters and timers add up, sets are counted, gauges are followed, and so are lines."""
        known = KnownSeries(IdleRules())
        found = close(
            known,
            1000,
            Interval(
                listeners={"a": ListenerCounts(100, 7, 1, 0)},
                bad_lines={"malformed_line": 2},
                counters={"c": 2.0},
                gauges={"g": [(1, False, 5.0)]},
                times={"t": came({100.0: 10.0}, 10.0)},
                sets={"s": {"a", "b"}},
            ),
            Interval(
                listeners={"b": ListenerCounts(100, 3, 0, 2)},
                counters={"c": -0.5},
                gauges={"g": [(2, True, 1.0)]},
                distributions={"t": came({200.0: 1.0})},
                sets={"s": {"b", "c"}},
            ),
        )
        self.assertEqual(found.counters, {"c": 1.5})
        self.assertEqual(found.gauges, {"g": 6.0})
        self.assertEqual(found.sets, {"s": 3})
        timer = found.timers["t"]
        self.assertEqual((timer["count"], timer["mean"], timer["count_ps"]), (11.0, 150.0, 1.1))
        self.assertEqual((found.lines, found.bad_lines, found.datagrams), (10, 2, 2))
        self.assertEqual((found.timestamp, len(found)), (1010, 4))

    @given(st.lists(chunks(), min_size=1, max_size=3))
    def test_parts_and_whole(self, received: list[list[Chunk]]) -> None:
        """Intervals that come one after the other make the same flush as their sum."""
        intervals = [expected(each) for each in received]
        apart = close(KnownSeries(IdleRules()), 0, *intervals)
        together = close(KnownSeries(IdleRules()), 0, merge(intervals))
        self.assertEqual(apart, together)

    def test_too_many_changes(self) -> None:
        """With very many changes of all gauges few of each are kept, which come to the same."""
        self.patch(flushes, "CHANGES_IN_ALL", 200)
        flush = OpenFlush(0, 10, FlushTimers())
        names = [f"g{number}" for number in range(30)]
        for round_ in range(5):
            changes = [(100 * round_ + tick, True, 1.0) for tick in range(40)]
            flush.add(Interval(gauges={name: list(changes) for name in names}))
        self.assertLessEqual(sum(map(len, flush.gauges.values())), 200 + 40 + len(names) * flushes.FEW_CHANGES)
        found = KnownSeries(IdleRules()).close(flush, {}, RULES, lambda: 0.0)
        self.assertEqual(found.gauges, dict.fromkeys(names, 200.0))


class CollisionTests(SynchronousTestCase):
    """Series that an output cannot tell apart: here, those whose names differ in case only."""

    def setUp(self) -> None:
        """Know nothing yet."""
        self.known = KnownSeries(IdleRules(), PathNames(str.islower, str.lower, str))

    def found(self, start: int, *news: Interval, idle: Mapping[str, float] = {}) -> dict[str, object]:
        """Close a flush, and give what is alike in it, by the kind."""
        return {one.kind: one.value for one in close(self.known, start, *news, idle=idle).alike}

    def test_nothing(self) -> None:
        """As long as no two are alike nothing is said, and the joined result is the result."""
        found = close(self.known, 1000, Interval(counters={"a": 1.0, "B": 1.0}))
        self.assertEqual(found.alike, ())
        self.assertIs(found.joined(), found)

    def test_every_kind(self) -> None:
        """Counters add up, sets and timers have what came to all, and of gauges that of the latest change counts."""
        news = Interval(
            counters={"n": 1.0, "N": 2.0},
            gauges={"n": [(5, False, 7.0)], "N": [(4, False, 1.0), (9, True, 2.0)]},
            times={"n": came({1.0: 1.0}), "N": came({5.0: 1.0})},
            sets={"n": {"a", "b"}, "N": {"b", "c"}},
        )
        found = self.found(1000, news)
        timer = found.pop("timers")
        self.assertEqual(found, {"counters": 3.0, "gauges": 3.0, "sets": 3})
        self.assertEqual((timer["count"], timer["mean"], timer["upper"]), (2.0, 3.0, 5.0))  # type: ignore[index]

    def test_idle(self) -> None:
        """One that is idle takes nothing from the other, and a gauge stays what it was set to last."""
        first = Interval(
            counters={"n": 1.0}, gauges={"n": [(5, False, 7.0)]}, times={"n": came({1.0: 1.0})}, sets={"n": {"a"}}
        )
        other = Interval(
            counters={"N": 2.0}, gauges={"N": [(9, False, 1.0)]}, times={"N": came({5.0: 1.0})}, sets={"N": {"b"}}
        )
        close(self.known, 1000, first)
        found = self.found(1010, other, idle={"n": 0.0})
        self.assertEqual((found["counters"], found["gauges"], found["sets"]), (2.0, 1.0, 1))
        self.assertEqual(found["timers"]["mean"], 5.0)  # type: ignore[index]
        nothing = {"counters": 0.0, "gauges": 1.0, "sets": 0, "timers": {"count": 0.0, "count_ps": 0.0}}
        self.assertEqual(self.found(1020, idle={"n": 0.0, "N": 0.0}), nothing)

    def test_joined(self) -> None:
        """In the joined result there is one series for each group, and the others are as they were."""
        found = close(self.known, 1000, Interval(counters={"n": 1.0, "N": 2.0, "m": 4.0}, sets={"S": {"a"}}))
        joined = found.joined()
        self.assertEqual((joined.counters, joined.sets, joined.alike), ({"n": 3.0, "m": 4.0}, {"S": 1}, ()))
        self.assertEqual(found.counters, {"n": 1.0, "N": 2.0, "m": 4.0})


class IdleTests(SynchronousTestCase):
    """Series to which nothing comes."""

    def some(self) -> Interval:
        """Make an interval with a series of each kind."""
        return Interval(times={"t": came({1.0: 1.0})}, sets={"s": {"a"}}, gauges={"g": [(1, False, 5.0)]})

    def test_they_stay(self) -> None:
        """An idle timer or set is 0 in the next flush, and a gauge is what it was."""
        known = KnownSeries(IdleRules())
        close(known, 1000, self.some())
        found = close(known, 1010)
        self.assertEqual((found.sets, found.gauges), ({"s": 0}, {"g": 5.0}))
        self.assertEqual(found.timers, {"t": {"count": 0.0, "count_ps": 0.0}})

    def test_they_go(self) -> None:
        """Where it is asked for, an idle series of its kind is not in the flush."""
        whole = {"sets": {"s": 0}, "gauges": {"g": 5.0}}
        for kind, name in (("s", "sets"), ("g", "gauges"), ("ms", "timers")):
            with self.subTest(kind=kind):
                known = KnownSeries(IdleRules(delete=frozenset({kind})))
                close(known, 1000, self.some())
                found = close(known, 1010)
                self.assertEqual(getattr(found, name), {})
                for other, series in whole.items():
                    self.assertEqual(getattr(found, other), {} if other == name else series)

    def test_gauges_may_stay_longer(self) -> None:
        """A gauge stays for the flushes that are asked for, counted from the one in which it came last."""
        known = KnownSeries(IdleRules(delete=frozenset("g"), gauge_flushes=3))
        close(known, 1000, gauge((1, False, 5.0)))
        seen = [close(known, start).gauges for start in (1010, 1020, 1030, 1040)]
        self.assertEqual(seen, [{"g": 5.0}, {"g": 5.0}, {}, {}])

    def test_a_deleted_gauge_starts_again(self) -> None:
        """What changes a gauge that was deleted changes it from 0."""
        known = KnownSeries(IdleRules(delete=frozenset("g")))
        close(known, 1000, gauge((1, False, 5.0)))
        close(known, 1010)
        self.assertEqual(close(known, 1020, gauge((9, True, 2.0))).gauges, {"g": 2.0})

    def test_late_changes_of_a_gauge(self) -> None:
        """What happened before the last setting has no effect, also when that was in an earlier flush."""
        known = KnownSeries(IdleRules())
        close(known, 1000, gauge((100, False, 5.0)))
        self.assertEqual(close(known, 1010, gauge((50, True, 9.0))).gauges, {"g": 5.0})
        self.assertEqual(close(known, 1020, gauge((150, True, 1.0))).gauges, {"g": 6.0})

    def test_forgotten_in_the_end(self) -> None:
        """A series that is not sent for long is forgotten; one that is sent is not."""
        known = KnownSeries(IdleRules(ttl=6400.0))
        busy = Interval(sets={"busy": {"a"}})
        close(known, 0, self.some(), busy)
        for start in range(10, 6600, 10):
            found = close(known, start, busy)
        self.assertEqual((found.timers, set(found.sets), found.gauges), ({}, {"busy"}, {}))
        self.assertEqual(len(known), 1)


def rebuilt(rules: IdleRules, rows: dict[tuple[str, str], KnownRow]) -> KnownSeries:
    """Load the rows of a disk."""
    known = KnownSeries(rules)
    for row in rows.values():
        known.load(row)
    return known


def save(known: KnownSeries, rows: dict[tuple[str, str], KnownRow]) -> None:
    """Write what has changed to a disk."""
    rows.update({(row.kind, row.identity): row for row in known.changed})
    for key in known.gone:
        rows.pop(key, None)
    known.changed.clear()
    known.gone.clear()


def contents(result: FlushResult) -> Iterable[object]:
    """Return what matters of a result."""
    return (result.gauges, result.sets, result.timers)


class DurableTests(SynchronousTestCase):
    """Known series across restarts."""

    @given(
        st.lists(chunks(), min_size=1, max_size=5),
        st.sets(st.sampled_from(["g", "ms", "s"])),
        st.integers(1, 3),
    )
    def test_a_restart_changes_nothing(self, received: list[list[Chunk]], delete: set[str], ttl: int) -> None:
        """A process that loads what was written after each flush says the same about the next one."""
        rules = IdleRules(delete=frozenset(delete), gauge_flushes=ttl)
        running = KnownSeries(rules)
        rows: dict[tuple[str, str], KnownRow] = {}
        for number, each in enumerate(received):
            # Ticks of an earlier process are not compared with: here all that comes later is later.
            interval = expected([chunk._replace(tick=chunk.tick + 100 * number) for chunk in each])
            restarted = rebuilt(rules, rows)
            again = close(restarted, 10 * number, interval)
            self.assertEqual(contents(close(running, 10 * number, interval)), contents(again))
            save(restarted, rows)
