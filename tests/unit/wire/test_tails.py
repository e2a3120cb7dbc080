"""Tests of the bound of all unfinished lines together."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.length_framing import LengthFramer
from statsd_tcp.wire.tails import Tails


class TailsTests(SynchronousTestCase):
    """Room for a hundred bytes."""

    def setUp(self) -> None:
        """Make the room, and a line of forty bytes."""
        self.tails = Tails(100)
        self.long = LineFramer(8192, self.tails)
        self.long.feed(b"x" * 40)

    def test_the_longest_goes(self) -> None:
        """The longest is dropped and counted as too long; what comes behind its newline is read, and so are others."""
        short, other = LineFramer(8192, self.tails), LineFramer(8192, self.tails)
        short.feed(b"a:1")
        other.feed(b"y" * 30)
        self.assertEqual(0, self.long.line_too_long)
        other.feed(b"y" * 39)
        self.assertEqual((0, 0, 1), (short.line_too_long, self.long.line_too_long, other.line_too_long))
        self.assertEqual((43, 0), (self.tails.size, len(other)))
        self.assertEqual([b"a:1|c\n", b"b:1|c\n"], [short.feed(b"|c\n"), other.feed(b"zz\nb:1|c\n")])
        self.assertEqual(b"x" * 41 + b"\n", self.long.feed(b"x\n"))

    def test_room_for_more(self) -> None:
        """An eighth is made free at once, so that not all are looked at again for the next byte."""
        others = [LineFramer(8192, self.tails) for _ in range(61)]
        for other in others:
            other.feed(b"z")
        self.assertEqual((1, 61), (self.long.line_too_long, self.tails.size))
        self.assertEqual(0, sum(other.line_too_long for other in others))
        many = [LineFramer(8192, self.tails) for _ in range(40)]
        for other in many:
            other.feed(b"z")
        self.assertEqual((13, 88), (sum(one.line_too_long for one in others + many), self.tails.size))

    def test_packets(self) -> None:
        """A packet that is dropped is left out to its end; those before and behind it are taken."""
        framer = LengthFramer(self.tails)
        before = struct.pack("<I", 5) + b"a:1|c"
        self.assertEqual(b"a:1|c\n", framer.feed(before + struct.pack("<I", 100) + b"y" * 60))
        self.assertEqual((1, 40), (framer.line_too_long, self.tails.size))
        self.assertEqual([b"", b""], [framer.feed(b"y" * 30), framer.feed(b"y" * 10)])
        self.assertEqual(b"a:1|c\n", framer.feed(before))
        self.assertEqual((b"", 0), (framer.finish(clean=True), framer.truncated))

    def test_lengths(self) -> None:
        """Of a length alone, which is four bytes at most, nothing is left out."""
        framer = LengthFramer(Tails(2))
        self.assertEqual([b"", b"a\n"], [framer.feed(b"\x01\0\0"), framer.feed(b"\0a")])
        self.assertEqual(0, framer.line_too_long)

    @given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([b"", b"x", b"x" * 9, b"\n", b"a\nbb", b"end"]))))
    def test_sum(self, events: list[tuple[int, bytes]]) -> None:
        """What waits is never more than the bound, and known exactly, however streams go on and end."""
        tails = Tails(20)
        framers = [LineFramer(12, tails) for _ in range(4)]
        for which, data in events:
            if data == b"end":
                framers[which].finish(clean=False)
                framers[which] = LineFramer(12, tails)
            else:
                framers[which].feed(data)
            self.assertEqual(sum(map(len, framers)), tails.size)
            self.assertLessEqual(tails.size, 20)
