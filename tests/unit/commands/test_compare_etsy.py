"""``statscounter compare``: what is made of etsy's console."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.compare.console import ConsoleError
from statsd_tcp.commands.compare.etsy import Etsy
from statsd_tcp.commands.compare.inspected import NotInspected, Values, read_lists, read_numbers
from statsd_tcp.commands.compare.readings import COUNT, COUNTER, GAUGE, SUM, Key, There, key_of
from statsd_tcp.commands.compare.sums import Sums
from tests.unit.commands.etsy_console import SimulatedEtsy

_FIRST = 1000.3
"""When the simulated server is started: half a second off the seconds that its uptime shows."""


class InspectedTests(SynchronousTestCase):
    """Node's way to show an object."""

    def test_numbers(self) -> None:
        """Names are read as they are quoted, numbers as JavaScript writes them; what is no number is left out."""
        for text, expected in {
            "{}": {},
            "{ a: 1 }\n": {"a": 1},
            "{\n  plain: 3,\n  'a.b;k=v-w': 2.5,\n  \"it's\": -0,\n  last: 1e+21\n}": {
                "plain": 3, "a.b;k=v-w": 2.5, "it's": 0, "last": 1e21,
            },
            "{ `b\\n'\"x`: 3, 'y\\'\"`z': 4, '\\x1B': 5, ['__proto__']: 6 }": {
                "b\n'\"x": 3, "y'\"`z": 4, "\x1b": 5, "__proto__": 6,
            },
            "{ up: Infinity, toString: 'function, {} : 1', down: -Infinity }": {"up": math.inf, "down": -math.inf},
        }.items():  # fmt: skip
            with self.subTest(text):
                self.assertEqual(read_numbers(text), expected)

    def test_lists(self) -> None:
        """A timer is how many values it has and their sum, which is not known where the list is cut off."""
        for text, expected in {
            "{ a: [], 'b.c': [ 1, 2.5 ] }": {"a": Values(0, 0), "b.c": Values(2, 3.5)},
            "{\n  a: [\n     1,  2,\n    30, 40,\n    ... 130 more items\n  ],\n  b: [ 7 ]\n}": {
                "a": Values(134, None), "b": Values(1, 7),
            },
            "{ a: [ 1, ... 1 more item ], b: 3 }": {"a": Values(2, None)},
        }.items():  # fmt: skip
            with self.subTest(text):
                self.assertEqual(read_lists(text), expected)

    def test_others(self) -> None:
        """Anything else is refused, with the place."""
        for text in ("", "ERROR", "{ a: 1", "{ a: 1, {} }", '{\n"a":1,\n"b":{"c":2}}'):
            with self.subTest(text):
                self.assertRaises(NotInspected, read_numbers, text)


class SumsTests(SynchronousTestCase):
    """Sums over flushes."""

    def test_flushes(self) -> None:
        """What the flushes had is added up, without what there was before."""
        sums = Sums({"t": Values(1, 5)}, {"a": 2})
        sums.add({"t": Values(2, 7)}, {"a": 4, "b": -1})
        sums.add({"t": Values(1, 1), "u": Values(1, 9)}, {"a": 1})
        self.assertEqual(sums.counters, {"a": 3, "b": -1})
        self.assertEqual(sums.timers, {"t": Values(2, 3), "u": Values(1, 9)})

    def test_cut_off(self) -> None:
        """A sum that was not shown once is no longer known, but how many values there were is."""
        sums = Sums({}, {})
        sums.add({"t": Values(130, None)}, {})
        sums.add({"t": Values(2, 3)}, {})
        self.assertEqual(sums.timers, {"t": Values(132, None)})


class EtsyTests(SynchronousTestCase):
    """A server that is watched."""

    def watch(self, arrivals: list[tuple[float, str, str, float]], seconds: float, length: float = 10) -> There:
        """Compare for so long; give what came."""
        clock = Clock()
        clock.advance(_FIRST)
        self.console = SimulatedEtsy(clock, length, arrivals)
        self.etsy = Etsy(self.console, clock.seconds, clock.advance)
        self.etsy.await_moment()
        self.began = clock.seconds()
        self.etsy.begin()
        self.etsy.wait(seconds)
        there = self.etsy.end()
        self.ended = clock.seconds()
        return there

    def test_interval(self) -> None:
        """The interval has as many whole flushes as its seconds take, and begins and ends in the middle of one."""
        for seconds, flushes in ((1, 1), (10, 1), (10.1, 2), (60, 6)):
            with self.subTest(seconds=seconds):
                self.watch([], seconds)
                self.assertApproximates(self.began % 10, 5, 0.1)
                self.assertApproximates(self.ended - self.began, 10 * flushes, 0.1)

    def test_silent(self) -> None:
        """Nothing came where nothing came, and the console is asked for no more than a moment at each flush."""
        there = self.watch([], 60)
        self.assertEqual(set(there.numbers.values()), set())
        self.assertEqual((there.lines, there.bad, self.etsy.unseen), (0, 0, 0))
        self.assertLess(sum(at > self.began for at in self.console.asked), 6 * 120)

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 12),
                st.floats(0.01, 0.98),
                st.sampled_from(["c", "ms"]),
                st.sampled_from(["a", "b.c"]),
                st.integers(0, 1000),
            )
        )
    )
    def test_sums(self, chosen: list[tuple[int, float, str, str, int]]) -> None:
        """Whatever comes between the looks at both ends is in the sums, over all flushes, once."""
        arrivals = sorted(
            (1000 + 10 * flush + 10 * part, kind, name, value) for flush, part, kind, name, value in chosen
        )
        there = self.watch([*arrivals], 30)
        within = [each for each in arrivals if self.began + 0.002 < each[0] < self.ended - 0.01]
        edges = len([each for each in arrivals if self.began <= each[0] <= self.ended]) - len(within)
        if edges:
            return
        expected: dict[Key, float] = {}
        for _, kind, name, value in within:
            parts: list[tuple[str, float]] = [(COUNTER, value)] if kind == "c" else [(COUNT, 1), (SUM, value / 1000)]
            for what, number in parts:
                key = key_of(what, name)
                expected[key] = expected.get(key, 0) + number
        found = {key: value for key, value in there.numbers.items() if value or key in expected}
        self.assertEqual(set(found), set(expected))
        for key, total in expected.items():
            self.assertAlmostEqual(found[key] or 0.0, total)
        self.assertEqual(there.lines, len(within))

    def test_right_before_the_end(self) -> None:
        """What comes a few milliseconds before a flush ends is seen, and how much time is not is told."""
        there = self.watch([(1009.0, "c", "a", 1), (1009.99, "c", "a", 2), (1010.01, "c", "a", 4)], 10)
        self.assertEqual(there.numbers[key_of(COUNTER, "a")], 7)
        self.assertTrue(0 < self.etsy.unseen < 0.01, self.etsy.unseen)

    def test_names(self) -> None:
        """Series have the names that they have here; two that have one name are added up, of two gauges one counts."""
        arrivals = [
            (1006.0, "c", "a.b;k=v", 1.0),
            (1006.0, "c", "a-b;k=v", 2.0),
            (1006.0, "g", "g.h", 3.0),
            (1006.0, "g", "g_h", 4.0),
        ]
        there = self.watch(arrivals, 10)
        tagged = Key(COUNTER, "a_b", (("k", "v"),))
        self.assertEqual(there.numbers, {tagged: 3, Key(GAUGE, "g_h"): 3})
        self.assertEqual(there.names[tagged], "a.b;k=v, a-b;k=v")
        self.assertEqual(self.etsy.gauges(), {Key(GAUGE, "g_h"): 3})

    def test_no_etsy(self) -> None:
        """What is no console of etsy's server is refused at once."""

        class Other(SimulatedEtsy):
            def config(self) -> dict[str, str]:
                return {"listen": "1"}

        with self.assertRaisesRegex(ConsoleError, "no flushInterval"):
            Etsy(Other(Clock(), 10, []))
