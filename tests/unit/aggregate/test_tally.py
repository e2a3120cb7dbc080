"""Tests of the tally: whatever way a line takes through it, it counts as if read alone."""

from __future__ import annotations

import math
import tracemalloc
from functools import partial
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate import digest as digest_module
from statsd_tcp.aggregate import listener_lines
from statsd_tcp.aggregate import tally as tally_module
from statsd_tcp.aggregate.firsts import First
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.sums import NewSums
from statsd_tcp.aggregate.tally import Tally, tally_for
from statsd_tcp.aggregate.values import joined
from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.reasons import LINE_TOO_LONG, TRUNCATED
from statsd_tcp.wire.samples import GAUGE_MARK, SPACED_MARK
from statsd_tcp.wire.tails import Tails
from tests.unit.aggregate.model import GRAMMARS, LABELS, Chunk, came, chunks, exact_lines, expected, first, sums
from tests.unit.wire import cases

NEW_SUMS: NewSums | None = None
"""Changed where all this is tested with sums."""


def make_tally() -> Tally:
    """Return a tally for the model's listeners."""
    return Tally([(label, GRAMMARS.get(label, Grammar())) for label in LABELS], new_sums=NEW_SUMS)


def counted(lines: list[bytes]) -> Interval:
    """Return the interval of lines that come to the first listener in one chunk."""
    tally = make_tally()
    tally.add(0, Chunk(0, lines, 1).data, 1)
    return tally.take()


def _may_change_a_gauge(line: bytes) -> bool:
    return GAUGE_MARK in line or SPACED_MARK in line


class TallyTests(SynchronousTestCase):
    """One worker's interval."""

    def test_nothing(self) -> None:
        """Without lines there is nothing but the listeners."""
        self.assertEqual(sums(make_tally().take()), expected([]))

    def test_kinds(self) -> None:
        """Each type ends up where it belongs."""
        interval = counted([b"c:1|c", b"g:2|g", b"t:3|ms", b"h:4|h", b"d:5|d", b"s:m|s"])
        self.assertEqual(interval.samples, {"c": 1, "g": 1, "ms": 1, "h": 1, "d": 1, "s": 1})
        self.assertEqual(interval.counters, {"c": 1.0})
        self.assertEqual(interval.gauges, {"g": [(1, False, 2.0)]})
        self.assertEqual(interval.times, {"t": came({3.0: 1.0})})
        self.assertEqual(interval.distributions, {"h": came({4.0: 1.0}), "d": came({5.0: 1.0})})
        self.assertEqual(interval.sets, {"s": {"m"}})

    def test_repetition(self) -> None:
        """A line that comes a thousand times counts a thousand times."""
        lines = [
            b"c:3|c",
            b"c:1|c|@0.5",
            b"t:7|ms",
            b"t:8|ms|@0.25",
            b"p:1:2|h",
            b"m:1|c:2|ms",
            b"bad",
            b"_sc|a|0",
            b"",
            b"\r",
        ]
        interval = counted(lines * 1000)
        self.assertEqual(interval.counters, {"c": 5000.0, "m": 1000.0})
        self.assertEqual(
            interval.times, {"t": joined([came({7.0: 1000.0}), came({8.0: 4000.0}, 4.0)]), "m": came({2.0: 1000.0})}
        )
        self.assertEqual(interval.distributions, {"p": came({1.0: 1000.0, 2.0: 1000.0})})
        self.assertEqual(interval.samples, {"c": 3000, "ms": 3000, "h": 2000})
        self.assertEqual(interval.bad_lines, {"malformed_line": 1000})
        self.assertEqual(interval.service_checks, 1000)
        self.assertEqual(interval.listeners["tcp:8125"], ListenerCounts(0, 8000, 2000, 0))

    def test_no_negative_zero(self) -> None:
        """Zero has no sign, packed or not, so that no output shows one."""
        for line in (b"t:-0|ms", b"t:-0:-0|ms", b"t:-0:1|ms"):
            values = counted([line]).times["t"].counted().values
            self.assertEqual([math.copysign(1.0, value) for value in values], [1.0] * len(values), line)

    def test_packed_limits(self) -> None:
        """Packed values have the same limits as others: one that is too large after the rate spoils the line."""
        for line in (b"t:1:1e10|h|@1e-6", b"t:1:-1e10|d|@1e-6", b"t:1:1e16|h", b"t:-1e16:1|c|#", b"t:1:.|h"):
            self.assertEqual(counted([line]).bad_lines, {"malformed_value": 1}, line)
        self.assertEqual(counted([b"t:1:1e9|h|@1e-6"]).samples, {"h": 2})

    def test_much_at_once(self) -> None:
        """Whatever grows with the lines, and not only with the series, is to be taken early when it is much."""
        self.patch(listener_lines, "HELD", 1000)
        self.patch(digest_module, "COLLECTED", 100)
        many = range(listener_lines.TABLE_LINES + 2)
        for name, lines in {
            "values": b"".join(b"t:%d|ms\n" % number for number in many),
            "packed": b"t:%s|h\n" % b":".join(b"%d" % number for number in range(200)),
            "members": b"".join(b"s:m%d|s\n" % number for number in many),
            "changes": b"".join(b"g%d:+1|g\n" % number for number in many),
            "beside a gauge": b"g:1|g:%s|h\n" % b":".join(b"%d" % number for number in range(200)),
        }.items():
            calls: list[None] = []
            tally = tally_for([("tcp", "etsy")], new_sums=NEW_SUMS, holds_much=partial(calls.append, None))
            tally.add(0, lines, 1)
            tally._listeners[0].split()
            tally._listeners[0].settle()
            self.assertTrue(calls, name)
            tally.take()
            calls.clear()
            tally.add(0, b"t:1|ms\nc:1|c\n", 1)
            tally.take()
            self.assertEqual(calls, [], name)

    def test_gauges_in_order(self) -> None:
        """The changes of a gauge come in the order of lines and chunks, whatever comes between."""
        tally = make_tally()
        tally.add(0, b"g:5|g\nc:1|c\ng:+2|g\n", 10)
        tally.add(1, b"c:1|c\n", 11)
        tally.add(1, b"g:-1|g\nx:1|c:+1|g\n", 12)
        interval = tally.take()
        self.assertEqual(
            interval.gauges, {"g": [(10, False, 5.0), (10, True, 2.0), (12, True, -1.0)], "x": [(12, True, 1.0)]}
        )
        self.assertEqual(interval.counters, {"c": 2.0, "x": 1.0})

    def test_repeated_gauge_lines(self) -> None:
        """Equal lines that change a gauge each change it."""
        interval = counted([b"g:+1|g"] * 100)
        self.assertEqual(interval.gauges, {"g": [(1, True, 100.0)]})
        self.assertEqual(interval.samples, {"g": 100})
        self.assertEqual(interval.listeners["tcp:8125"].lines, 100)

    def test_looks_like_a_gauge(self) -> None:
        """A line with the letters of a gauge elsewhere is counted like any other."""
        interval = counted([b"a:1|c|gone", b"a:1|c|#k:v|garbage:x", b"a|g", b"|g", b"a:1|gauge", b"a:g|s|g"])
        self.assertEqual(interval.counters, {"a": 1.0, "a\nk\nv": 1.0})
        self.assertEqual(interval.gauges, {})
        self.assertEqual(interval.bad_lines, {"malformed_line": 2, "unknown_type": 1})
        self.assertEqual(interval.listeners["tcp:8125"].lines, 6)

    def test_dialects(self) -> None:
        """Each listener speaks its own dialect, even about the same line."""
        tally = make_tally()
        tally.add(0, b"g:-5|g\n", 1)
        tally.add(2, b"h:-5|g\n", 2)
        self.assertEqual(tally.take().gauges, {"g": [(1, True, -5.0)], "h": [(2, False, -5.0)]})

    def test_listeners(self) -> None:
        """Bytes, datagrams and lines are counted by label; two listeners of one label add up."""
        tally = make_tally()
        tally.add(0, b"a:1|c\n\n", 1)
        tally.add(3, b"a:1|c\nb\n", 1)
        tally.received(0, 7)
        tally.received(3, 100)
        tally.received(1, 5)
        tally.datagrams(1, 2)
        listeners = tally.take().listeners
        self.assertEqual(listeners["tcp:8125"], ListenerCounts(107, 3, 1, 0))
        self.assertEqual(listeners["udp:8125"], ListenerCounts(5, 0, 0, 2))

    def test_reject(self) -> None:
        """Lines that a framer dropped are lines, under their reason."""
        tally = make_tally()
        tally.reject(0, LINE_TOO_LONG, 2)
        tally.reject(1, TRUNCATED, 1)
        tally.add(0, b"x" * 9000 + b"\n", 1)
        interval = tally.take()
        self.assertEqual(interval.bad_lines, {"line_too_long": 3, "truncated": 1})
        self.assertEqual(interval.listeners["tcp:8125"].lines, 3)
        self.assertEqual(interval.listeners["udp:8125"].lines, 1)

    def test_reject_unknown(self) -> None:
        """There are no other reasons."""
        self.assertRaises(ValueError, make_tally().reject, 0, "bad_mood", 1)

    def test_begins_anew(self) -> None:
        """An interval that was taken is finished; the next one begins with nothing."""
        tally = make_tally()
        for tick in (1, 2):
            tally.add(0, b"a:1|c\nt:1|ms\ng:1|g\n", tick)
            tally.received(0, 20)
            tally.reject(0, TRUNCATED, 1)
            interval = tally.take()
            self.assertEqual(interval.counters, {"a": 1.0})
            self.assertEqual(interval.times, {"t": came({1.0: 1.0})})
            self.assertEqual(interval.gauges, {"g": [(tick, False, 1.0)]})
            self.assertEqual(interval.listeners["tcp:8125"], ListenerCounts(20, 4, 0, 0))
        self.assertEqual(sums(tally.take()), expected([]))

    def test_tables_of_cases(self) -> None:
        """Every case of the grammar counts as it reads."""
        lines = [case.line for case in cases.ALL if b"@0.3" not in case.line and b"9" * 15 not in case.line]
        self.assertGreater(len(lines), 300)
        tally = make_tally()
        for line in lines:
            tally.add(0, line + b"\n", 1)
            self.assertEqual(sums(tally.take()), expected([Chunk(0, [line], 1)]), line)


class TallyProperties(SynchronousTestCase):
    """What holds for all lines."""

    @given(chunks())
    def test_as_the_model(self, received: list[Chunk]) -> None:
        """Whatever comes, in whatever chunks, the interval is that of the lines read one by one."""
        tally = make_tally()
        for chunk in received:
            tally.add(chunk.listener, chunk.data, chunk.tick)
        self.assertEqual(sums(tally.take()), expected(received))

    @given(chunks())
    def test_full_tables(self, received: list[Chunk]) -> None:
        """How often a table is full makes no difference."""
        self.patch(listener_lines, "TABLE_LINES", 1)
        self.patch(tally_module, "_BATCH_BYTES", 10)
        self.patch(digest_module, "COLLECTED", 2)
        tally = make_tally()
        for chunk in received:
            tally.add(chunk.listener, chunk.data, chunk.tick)
        self.assertEqual(sums(tally.take()), expected(received))

    @given(chunks())
    def test_what_is_remembered(self, received: list[Chunk]) -> None:
        """What a tally has met before makes no difference."""
        tally = make_tally()
        for _ in range(2):
            for chunk in received:
                tally.add(chunk.listener, chunk.data, chunk.tick)
            self.assertEqual(sums(tally.take()), expected(received))

    @given(st.lists(st.lists(exact_lines(), max_size=5), max_size=5))
    def test_add_plain(self, contents: list[list[bytes]]) -> None:
        """Many chunks without gauges at once count as if one by one."""
        received = [Chunk(1, [line for line in lines if not _may_change_a_gauge(line)], 7) for lines in contents]
        tally = make_tally()
        tally.add_plain(1, [chunk.data for chunk in received], 7)
        self.assertEqual(sums(tally.take()), expected(received))

    @given(st.lists(exact_lines(), max_size=10), st.lists(st.integers(0, 200), max_size=6), st.sampled_from([10, 8192]))
    def test_any_split(self, lines: list[bytes], cuts: list[int], max_line: int) -> None:
        """However a stream is cut, framing and counting give the same."""
        grammar = Grammar(max_line=max_line)
        data = b"\n".join(lines)
        whole = self.streamed([data], grammar)
        places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        pieces = [data[begin:end] for begin, end in pairwise(places)]
        self.assertEqual(self.streamed(pieces, grammar), whole)

    def streamed(self, pieces: list[bytes], grammar: Grammar) -> Interval:
        """Return the interval of one connection that sends these pieces, all at one tick, and ends."""
        tally, framer = Tally([("tcp", grammar)], new_sums=NEW_SUMS), LineFramer(grammar.max_line, Tails())
        for piece in pieces:
            tally.add(0, framer.feed(piece), 1)
        tally.add(0, framer.finish(clean=True), 1)
        if framer.line_too_long:
            tally.reject(0, LINE_TOO_LONG, framer.line_too_long)
        return sums(tally.take())


class FirstTests(SynchronousTestCase):
    """Which series came first."""

    TABLE: tuple[tuple[list[bytes], str], ...] = (
        ([b"g1:2|g\ng1:1|c"], "gauges g1, counters g1"),
        ([b"g1:1|c\ng1:2|g"], "counters g1, gauges g1"),
        ([b"g1:1|c", b"g1:2|g"], "counters g1, gauges g1"),
        ([b"req:5|ms\nreq.count:1|c"], "times req, counters req.count"),
        ([b"req.count:1|c\nreq:5|ms"], "counters req.count, times req"),
        ([b"a:1|c\nb:1|g\nc:1|c\nd:+1|g\nd:+1|g\ne:1|h\ne:1|d"], "c a, g b, c c, g d, d e"),
        ([b"a:1|c:2|g\nb:1|c"], "counters a, gauges a, counters b"),
        ([b"a:x|c", b"a:1|g", b"a:1|c"], "gauges a, counters a"),
        ([b"a:x|g\na:1|c\na:1|g"], "counters a, gauges a"),
        ([b"a:x|c:1|s", b"|c", b"_e{1,1}:a|b", b"a:1|ms|@x"], ""),
        ([b"b:1|g", b"a:1|c\nb:1|g\nc:1|c", b"a:1|h"], "gauges b, counters a, counters c, distributions a"),
        ([b"\n\r\na:1|c", b"\nb:1|ms"], "counters a, times b"),
    )

    def met(self, tally: Tally) -> list[tuple[str, str]]:
        """Take what came first."""
        return [(first.field, first.identity) for first in tally.take().met]

    def test_table(self) -> None:
        """The first of several is the first in the stream, within a chunk and over chunks, early or late ones."""
        short = {"c": "counters", "g": "gauges", "d": "distributions"}
        for contents, order in self.TABLE:
            for step in (0, 1, 10**9):
                tally = make_tally()
                for number, content in enumerate(contents):
                    tally.add(0, content + b"\n", 7 + step * number)
                names = [tuple(each.split()) for each in order.split(", ") if each]
                self.assertEqual(self.met(tally), [(short.get(field, field), name) for field, name in names], contents)

    def test_ticks(self) -> None:
        """Each is there with its tick, and once."""
        tally = make_tally()
        tally.add(0, b"a:1|c\n", 10**9)
        tally.add(0, b"b:1|c\na:7|c\n", 2 * 10**9)
        tally.add(0, b"c:1|g\na:1|c|@0.1\n", 3 * 10**9)
        first = [
            First(10**9, 0, "counters", "a"),
            First(2 * 10**9, 1, "counters", "b"),
            First(3 * 10**9, 2, "gauges", "c"),
        ]
        self.assertEqual(tally.take().met, first)
        tally.add(0, b"b:1|c\na:7|c\nc:2|g\nb:1|ms\n", 4 * 10**9)
        self.assertEqual(tally.take().met, [First(4 * 10**9, 0, "times", "b")])

    def test_listeners(self) -> None:
        """What came to several listeners is in the order of time."""
        tally = make_tally()
        for number, listener in enumerate((3, 1, 0, 2, 1, 3)):
            tally.add(listener, b"n%d:1|%s\n" % (number, (b"c", b"g", b"ms")[number % 3]), 7 + number * 10**9)
        self.assertEqual([name for _, name in self.met(tally)], [f"n{number}" for number in range(6)])

    def test_late(self) -> None:
        """What is handed over after a new gauge, and came before it, comes before it."""
        tally = make_tally()
        self.assertTrue(tally.add(0, b"a:1|g\n", 10))
        tally.add_late(0, [b"a:1|c\n", b"b:1|c\n"])
        tally.add_late(1, [b"c:1|c\n"])
        self.assertFalse(tally.add(0, b"a:1|ms\n", 10))
        self.assertFalse(tally.add(0, b"a:2|g\n", 10))
        self.assertFalse(tally.add(0, b"d:x|g\n", 10))
        names = ["counters a", "counters b", "counters c", "gauges a", "times a"]
        self.assertEqual([" ".join(each) for each in self.met(tally)], names)

    @given(st.lists(st.lists(exact_lines(), max_size=6), max_size=6), st.sampled_from([1, 4096]))
    def test_as_the_model(self, contents: list[list[bytes]], table: int) -> None:
        """Whatever comes, in whatever chunks, and how often a table is full: the order is that of the lines."""
        self.patch(listener_lines, "TABLE_LINES", table)
        received = [Chunk(0, lines, 7 + number * 10**7) for number, lines in enumerate(contents)]
        tally = make_tally()
        for chunk in received:
            tally.add(0, chunk.data, chunk.tick)
        self.assertEqual(self.met(tally), first(received))
        for chunk in received:
            tally.add(0, chunk.data, chunk.tick)
        self.assertEqual(self.met(tally), [])


class BoundTests(SynchronousTestCase):
    """A tally's memory has bounds."""

    def test_remembered_shapes(self) -> None:
        """After a flood of names that never return no more is kept than two generations of shapes."""
        tally = make_tally()
        self.patch(tally._listeners[0].digest._memo, "_limit", 1 << 20)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for block in range(10):
            tally.add(0, b"".join(b"name.%d.%d:1|c\n" % (block, number) for number in range(2000)), 1)
            tally.take()
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 4 << 20)

    def test_full_table_is_read(self) -> None:
        """A table never has many more lines than its limit, nor bytes."""
        tally = make_tally()
        listener = tally._listeners[0]
        for block in range(30):
            tally.add(0, b"".join(b"a%d:%d|c\n" % (block, number) for number in range(2000)), 1)
            self.assertLess(len(listener.table), listener_lines.TABLE_LINES + 6000)
            self.assertLess(listener.pending_bytes, 1 << 17)
        for _ in range(100):
            tally.add(0, b"a:1|c\n" * 3000, 1)
            self.assertLess(listener.table.size, listener_lines.TABLE_BYTES + (1 << 17))
        self.assertEqual(tally.take().listeners["tcp:8125"].lines, 30 * 2000 + 100 * 3000)

    def test_full_table_beside_gauges(self) -> None:
        """Lines that come together with gauges fill a table that is read like any other."""
        tally = make_tally()
        for block in range(30):
            tally.add(0, b"g:1|g\n" + b"".join(b"a%d:%d|c\n" % (block, number) for number in range(2000)), block)
            self.assertLess(len(tally._listeners[0].table), listener_lines.TABLE_LINES + 1)
        self.assertEqual(tally.take().listeners["tcp:8125"].lines, 30 * 2001)
