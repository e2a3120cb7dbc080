"""What the open flush has."""

from __future__ import annotations

from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.console.open_flush import open_series
from statsd_tcp.flush.rules import FlushRules
from tests.unit.aggregate.model import came
from tests.unit.store.cases import FlushTestCase

SOME = Interval(
    listeners={"tcp:1": ListenerCounts(lines=9, datagrams=2)},
    bad_lines={"malformed_line": 1},
    counters={"b": 1.0, "a\nk\nv": 0.5},
    gauges={"g": [(1, False, 5.0)]},
    times={"t": came({10.0: 2.0, 20.0: 2.0})},
    sets={"s": {"x", "y"}},
)

OWN = [("statsd.bad_lines_seen", 1), ("statsd.metrics_received", 9), ("statsd.packets_received", 2)]
NOTHING = [(name, 0) for name, _ in OWN]
TIMERS = TimerRules(only=frozenset({"count", "mean"}))


class OpenSeriesTests(FlushTestCase):
    """What is shown of a flush, and of what is idle."""

    def test_what_has_come(self) -> None:
        """Series are shown by their written names, in order, with what came for them; whole numbers without a point."""
        store = self.open_with()
        self.commit(store, SOME)
        self.assertEqual([("a;k=v", 0.5), ("b", 1), *OWN], open_series(store, "counters", TIMERS))
        self.assertEqual([("s", 2)], open_series(store, "sets", TIMERS))
        self.assertEqual([("g", 5)], open_series(store, "gauges", TIMERS))
        self.assertEqual([("t", {"count": 4, "mean": 15})], open_series(store, "timers", TIMERS))

    def test_one_text_for_two(self) -> None:
        """Two series whose names read the same are both shown."""
        store = self.open_with()
        twice = {"a\nk\nv": came({1.0: 1.0}), "a;k=v": came({2.0: 1.0})}
        self.commit(store, Interval(times=twice))
        found = open_series(store, "timers", TIMERS)
        self.assertEqual({"a;k=v"}, {name for name, _ in found})
        self.assertEqual([1, 2], sorted(numbers["mean"] for _, numbers in found))

    def test_idle(self) -> None:
        """In the next flush the series are still there, with zeros, and gauges with their values."""
        store = self.open_with()
        self.commit(store, SOME)
        self.at(10)
        self.commit(store)
        self.assertEqual([("a;k=v", 0), ("b", 0), *NOTHING], open_series(store, "counters", TIMERS))
        self.assertEqual([("s", 0)], open_series(store, "sets", TIMERS))
        self.assertEqual([("g", 5)], open_series(store, "gauges", TIMERS))
        self.assertEqual([("t", {"count": 0})], open_series(store, "timers", TIMERS))

    def test_without_outputs(self) -> None:
        """Where no output has to be told of what is idle, only counters and gauges outlive the flush."""
        store = self.open_with(FlushRules(seconds=10))
        self.commit(store, SOME)
        self.assertEqual([("s", 2)], open_series(store, "sets", TIMERS))
        self.at(10)
        self.commit(store)
        found = [open_series(store, kind, TIMERS) for kind in ("counters", "sets", "gauges", "timers")]
        self.assertEqual([[("a;k=v", 0), ("b", 0), *NOTHING], [], [("g", 5)], []], found)

    def test_no_flushes(self) -> None:
        """Before the first commit, and in a store without flushes, there is nothing."""
        self.assertEqual([], open_series(self.open_with(), "timers", TIMERS))
        self.assertEqual([], open_series(self.open(), "counters", TIMERS))
