"""The sums in C: with them the tally gives what it gives without, and their memory has bounds."""

from __future__ import annotations

import random
import tracemalloc
from fractions import Fraction
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate import listener_lines
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.sums import BUILT, new_sums
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.memo import Key
from statsd_tcp.wire.shape import Shape, read_shape
from tests.unit.aggregate import test_tally
from tests.unit.aggregate.model import came

WITHOUT = None if BUILT else "the parts in C were not built"


def _with_sums() -> dict[str, Any]:
    """Return the tally's cases once more, of a module of their own, in which tallies are made with sums."""
    spec = spec_from_file_location(f"{test_tally.__name__}_with_sums", test_tally.__file__)
    module = module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    # For fewer shapes than usual, or a test of the memory that all else needs would see theirs.
    module.NEW_SUMS = partial(new_sums, 1, 1000)  # type: ignore[attr-defined]
    cases = {}
    for name, case in vars(module).items():
        if isinstance(case, type) and issubclass(case, SynchronousTestCase) and case is not SynchronousTestCase:
            cases[f"Native{name}"] = case
            if WITHOUT:
                case.skip = WITHOUT
    return cases


globals().update(_with_sums())


def numbers() -> st.SearchStrategy[bytes]:
    """Numbers as clients write them, and what looks like one."""
    written = st.one_of(
        st.integers(0, 10**17).map(str),
        st.decimals(0, 10**9, allow_nan=False).map(lambda number: format(number, "f")),
        st.text("0123456789.", max_size=18),
        st.text("0123456789.+-e", max_size=6),
    )
    return written.map(str.encode)


class LearntTests(SynchronousTestCase):
    """Lines whose shape is known."""

    if WITHOUT:
        skip = WITHOUT

    def tallies(self) -> tuple[Tally, Tally]:
        """Return a tally with sums, which knows some shapes, and one without."""
        made = (Tally([("a", Grammar())], new_sums=partial(new_sums, 1)), Tally([("a", Grammar())]))
        for tally in made:
            tally.add(0, b"c:1|c\nr:1|c|@0.125\nt:1|ms\nh:1|h|@0.5\nd;x=y:1|d\nc:1|c|#a:b\nw:1|c\r\n", 1)
            tally.take()
        return made

    def both(self, lines: list[bytes], times: int = 1) -> tuple[Interval, Interval]:
        """Return what both make of lines."""
        made = self.tallies()
        for tally in made:
            for _ in range(times):
                tally.add(0, b"".join(line + b"\n" for line in lines), 1)
        return made[0].take(), made[1].take()

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([b"c:%s|c", b"r:%s|c|@0.125", b"t:%s|ms", b"h:%s|h|@0.5", b"d;x=y:%s|d"]), numbers()
            )
        )
    )
    def test_numbers(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Every number is what it is without the sums, to the last bit, and what is none is rejected."""
        with_sums, without = self.both([shape % number for shape, number in pairs])
        self.assertEqual(without.times, with_sums.times)
        self.assertEqual(without.distributions, with_sums.distributions)
        self.assertEqual(without.bad_lines, with_sums.bad_lines)
        self.assertEqual(without.samples, with_sums.samples)
        self.assertEqual(without.listeners, with_sums.listeners)
        self.assertEqual(without.counters, with_sums.counters)

    def test_all_known(self) -> None:
        """Lines of known shapes do not come to the table at all; an unknown one does, once."""
        tally, _ = self.tallies()
        tally.add(0, b"c:2|c\nr:3|c|@0.125\nt:4.5|ms\nnew:1|c\nc:5|c|#a:b\n", 1)
        listener = tally._listeners[0]
        listener.split()
        self.assertEqual({b"new:1|c": 1}, {line: times for line, times in listener.table.lines.items() if times})
        interval = tally.take()
        self.assertEqual({"c": 2.0, "c\na\nb": 5.0, "r": 24.0, "new": 1.0}, interval.counters)
        self.assertEqual(({"t": came({4.5: 1.0})}, {"c": 4, "ms": 1}), (interval.times, interval.samples))

    def test_too_long(self) -> None:
        """A line that is too long with its value is rejected, however well its shape is known."""
        grammar = Grammar(max_line=12)
        tally = Tally([("a", grammar)], new_sums=partial(new_sums, 1))
        for _ in range(3):
            tally.add(0, b"name:123|c\nname:123456|c\n", 1)
            interval = tally.take()
            self.assertEqual(({"name": 123.0}, {"line_too_long": 1}), (interval.counters, interval.bad_lines))

    def test_gauges_between(self) -> None:
        """In a chunk with gauges the other lines are added up as well."""
        with_sums, without = self.both([b"c:1|c", b"g:1|g", b"t:1|ms", b"g:+2|g", b"c:5|c"], 3)
        self.assertEqual(without, with_sums)

    def test_many_values(self) -> None:
        """Values of timers are counted whenever many have been collected."""
        self.patch(listener_lines, "COLLECTED", 100)
        tally, without = self.tallies()
        collected = []
        for number in range(2000):
            for one in (tally, without):
                one.add(0, b"t:%d|ms\nt:1|ms\n" % number, 1)
                one._listeners[0].split()
            collected.append(tally._listeners[0].sums.collected)  # type: ignore[union-attr]
        self.assertTrue(90 < max(collected) <= 110, max(collected))
        self.assertEqual(without.take(), tally.take())

    def test_no_sums_for_a_repeater(self) -> None:
        """What good lines are passed on to has to see each of them."""
        seen: list[Any] = []

        class Accepted:
            rejected: set[bytes] = set()
            pass_on = seen.append

        tally = Tally([("a", Grammar())], accepted=Accepted(), new_sums=partial(new_sums, 1))  # type: ignore[arg-type]
        self.assertIsNone(tally._listeners[0].sums)


class MemoryTests(SynchronousTestCase):
    """The table of shapes."""

    if WITHOUT:
        skip = WITHOUT

    def setUp(self) -> None:
        """Make sums for few shapes."""
        self.sums = new_sums(1, 1000)

    def learn(self, names: range, kind: bytes = b"c") -> None:
        """Have counters learnt."""
        lines = {b"n%d:1|%s" % (name, kind): 1 for name in names}
        shapes: dict[Key, Shape] = {}
        for name in names:
            key = (b"n%d" % name, kind)
            shapes[key] = read_shape(*key, Grammar())
        self.sums.learn(lines, shapes)

    def add(self, names: range, kind: bytes = b"c") -> list[bytes]:
        """Add a line of each."""
        return self.sums.add(b"".join(b"n%d:1|%s\n" % (name, kind) for name in names))

    def test_limit(self) -> None:
        """More shapes than the limit are not learnt; what is not used makes room for new ones, what is used stays."""
        self.learn(range(3000))
        self.assertEqual((1000, 2000), (self.sums.known, len(self.add(range(3000)))))
        self.sums.take()
        self.add(range(400))
        self.sums.take()
        self.assertEqual(400, self.sums.known)
        self.learn(range(2000, 2500))
        self.assertEqual([], self.add(range(400)))
        self.assertEqual([], self.add(range(2000, 2500)))
        self.assertEqual(900, self.sums.take()[0])

    def test_many_tenths(self) -> None:
        """A sum of very many fractions is exact: the numbers that it is given in add up to all of them."""
        self.sums.learn({b"c:1|c": 1}, {(b"c", b"c"): read_shape(b"c", b"c", Grammar())})
        for _ in range(100):
            self.assertEqual([], self.sums.add(b"c:0.1|c\n" * 1000))
        found = self.sums.take()[1]
        self.assertEqual(100_000, sum(times for _, _, times in found))
        self.assertEqual(100_000 * Fraction(0.1), sum(Fraction(added) for _, added, _ in found))

    def test_every_shape_costs(self) -> None:
        """Many shapes with few values each count for what taking them out takes."""
        self.learn(range(500), b"ms")
        self.add(range(500), b"ms")
        self.assertEqual(500 * 9, self.sums.collected)

    def test_names_that_meet(self) -> None:
        """Names that were made to have one hash, whatever the seed, when it was a simpler one, are all known."""
        pair = (b"aaaaaaaaaaaaaaaa", b"aaaaaaa!aaaacaa!")
        names = [b"".join(pair[number >> bit & 1] for bit in range(7)) for number in range(128)]
        self.sums.learn(
            {name + b":1|c": 1 for name in names}, {(name, b"c"): read_shape(name, b"c", Grammar()) for name in names}
        )
        unknown = self.sums.add(b"".join(name + b":1|c\n" for name in names))
        lines, counters, _ = self.sums.take()
        self.assertEqual((128, []), (lines, unknown))
        self.assertEqual({1.0}, {added for _, added, _ in counters})

    def test_long_names(self) -> None:
        """Long names fill it sooner: 256 bytes for each shape are the limit. Very long ones are not learnt."""
        names = [b"x" * 500 + b"%04d" % number for number in range(700)]
        shapes = {(name, b"c"): read_shape(name, b"c", Grammar()) for name in names}
        lines = {name + b":1|c": 1 for name in names}
        self.sums.learn(lines, shapes)
        self.assertTrue(500 < self.sums.known < 515, self.sums.known)
        self.sums.take()
        self.assertEqual(0, self.sums.known)
        self.sums.learn(lines, shapes)
        self.assertGreater(self.sums.known, 500)
        self.sums.take()
        very = b"x" * 600
        self.sums.learn({very + b":1|c": 1}, {(very, b"c"): read_shape(very, b"c", Grammar())})
        self.assertEqual(0, self.sums.known)

    def test_any_order(self) -> None:
        """Through growth, forgetting and learning again every shape has its own sum."""
        choose = random.Random(5)
        for _ in range(60):
            names = range(start := choose.randrange(5000), start + choose.randrange(1, 700))
            self.learn(names)
            unknown = self.add(names)
            lines, counters, _ = self.sums.take()
            self.assertEqual(len(names), lines + len(unknown))
            self.assertEqual({1.0}, {added for _, added, _ in counters} | {1.0})
            self.assertEqual(lines, len({shape.series for shape, _, _ in counters}))
            self.assertLessEqual(self.sums.known, 1000)

    def test_only_plain_shapes(self) -> None:
        """Gauges, sets, packed samples and shapes that are not in the dictionary are not learnt."""
        shapes = {
            key: read_shape(*key, Grammar()) for key in ((b"g", b"g"), (b"s", b"s"), (b"p", b"c:1|c"), (b"x", b"?"))
        }
        lines = {b"g:1|g": 1, b"s:1|s": 1, b"p:1|c:1|c": 1, b"x:1|?": 1, b"y:1|c": 1, b"": 1, b":|": 1, b"nothing": 1}
        self.sums.learn(lines, shapes)
        self.assertEqual(0, self.sums.known)

    def test_nothing_leaks(self) -> None:
        """Learning, adding, taking and throwing away again and again needs no more memory than once."""

        def once() -> None:
            self.sums = new_sums(1, 1000)
            self.learn(range(500))
            self.learn(range(500), b"ms")
            self.add(range(500))
            self.add(range(500), b"ms")
            self.sums.take()
            del self.sums

        once()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            once()
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 1 << 17)

    def test_wrong_arguments(self) -> None:
        """What is no chunk, dictionary or limit is refused."""
        for call in (
            lambda: self.sums.add("text"),  # type: ignore[arg-type]
            lambda: self.sums.learn([], {}),  # type: ignore[arg-type]
            lambda: self.sums.learn({"text": 1}, {}),  # type: ignore[dict-item]
        ):
            self.assertRaises(TypeError, call)
        for limit in (0, -1, 1 << 40):
            self.assertRaises(ValueError, new_sums, 1, limit)
