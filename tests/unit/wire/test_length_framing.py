"""Tests of packets with their length before them."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.framing import frame_datagram
from statsd_tcp.wire.grammar import LARGEST_PACKET
from statsd_tcp.wire.length_framing import LengthFramer
from statsd_tcp.wire.tails import Tails


def packet(data: bytes, length: int | None = None) -> bytes:
    """Write a packet with its length, or with another one."""
    return struct.pack("<I", len(data) if length is None else length) + data


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at places, wherever they lie."""
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(at)]


class LengthFramerTests(SynchronousTestCase):
    """One stream of packets."""

    def test_packets(self) -> None:
        """The lines of several packets come as one chunk; the last line of each gets the newline that it may lack."""
        framer = LengthFramer(Tails())
        data = packet(b"a:1|c\nb:2|c") + packet(b"c:3|c\n") + packet(b"d")
        self.assertEqual(b"a:1|c\nb:2|c\nc:3|c\nd\n", framer.feed(data))
        self.assertEqual((b"", False), (framer._tail, framer.broken))

    def test_newlines_are_no_ends(self) -> None:
        """A packet that is not whole gives nothing, however many lines of it are there."""
        framer = LengthFramer(Tails())
        whole = packet(b"a:1|c\nb:2|c\nc:3|c\n")
        self.assertEqual(b"", framer.feed(whole[:-1]))
        self.assertEqual(b"a:1|c\nb:2|c\nc:3|c\n", framer.feed(whole[-1:]))

    def test_byte_by_byte(self) -> None:
        """A packet may come byte by byte, its length too."""
        framer = LengthFramer(Tails())
        data = packet(b"a:1|c") + packet(b"b:2|c")
        pieces = [framer.feed(data[at : at + 1]) for at in range(len(data))]
        self.assertEqual([b"a:1|c\n", b"b:2|c\n"], [piece for piece in pieces if piece])

    def test_empty_packets(self) -> None:
        """A packet without anything in it has no line, not even an empty one."""
        framer = LengthFramer(Tails())
        self.assertEqual(b"a\n", framer.feed(packet(b"") * 3 + packet(b"a") + packet(b"")))

    def test_largest(self) -> None:
        """The largest packet that is allowed passes; one byte more breaks the stream."""
        framer = LengthFramer(Tails())
        self.assertEqual(LARGEST_PACKET + 1, len(framer.feed(packet(b"x" * LARGEST_PACKET))))
        self.assertFalse(framer.broken)
        self.assertEqual(b"", framer.feed(packet(b"", LARGEST_PACKET + 1)))
        self.assertTrue(framer.broken)

    def test_bare_lines(self) -> None:
        """Lines without lengths before them break the stream at once."""
        framer = LengthFramer(Tails())
        self.assertEqual(b"", framer.feed(b"a:1|c\n"))
        self.assertTrue(framer.broken)

    def test_broken_later(self) -> None:
        """What came before a wrong length counts; nothing that comes after it does."""
        framer = LengthFramer(Tails())
        self.assertEqual(b"a\n", framer.feed(packet(b"a") + b"\xff\xff\xff\xff" + packet(b"b")))
        self.assertEqual(b"", framer.feed(packet(b"c")))
        self.assertEqual(b"", framer.finish(clean=True))
        self.assertEqual((True, 0, b""), (framer.broken, framer.truncated, framer._tail))
        self.assertEqual(b"\xff\xff\xff\xff" + packet(b"b"), framer.beginning)

    def test_unfinished(self) -> None:
        """A packet that is not whole at the end is dropped and counted, also at a clean end."""
        for clean in (True, False):
            for piece, beginning in ((packet(b"a:1|c")[:-1], b"a:1|"), (packet(b"a")[:2], b"")):
                framer = LengthFramer(Tails())
                framer.feed(piece)
                self.assertEqual(b"", framer.finish(clean=clean))
                self.assertEqual((1, beginning), (framer.truncated, framer.beginning))

    def test_finished(self) -> None:
        """Between two packets nothing is lost by the end."""
        framer = LengthFramer(Tails())
        framer.feed(packet(b"a"))
        self.assertEqual(b"", framer.finish(clean=False))
        self.assertEqual(0, framer.truncated)

    @given(
        st.lists(st.binary(max_size=40), max_size=12),
        st.lists(st.integers(min_value=0, max_value=1000), max_size=10),
        st.booleans(),
    )
    def test_any_split(self, packets: list[bytes], places: list[int], wrong: bool) -> None:
        """However a stream is cut, it has the same lines and breaks at the same place."""
        data = b"".join(packet(one) for one in packets) + (b"\x00\x00\x01\x00rest" if wrong else b"")
        framer = LengthFramer(Tails())
        lines = b"".join(framer.feed(piece) for piece in cut(data, places))
        self.assertEqual(b"".join(frame_datagram(one) for one in packets), lines)
        self.assertEqual((wrong, b""), (framer.broken, framer._tail))

    @given(st.binary(max_size=300), st.lists(st.integers(min_value=0, max_value=1000), max_size=10))
    def test_anything(self, data: bytes, places: list[int]) -> None:
        """However the input is cut, the result is that of the whole, ends in a newline, and is not longer."""
        whole, cut_up = LengthFramer(Tails()), LengthFramer(Tails())
        expected = whole.feed(data)
        self.assertEqual(expected, b"".join(cut_up.feed(piece) for piece in cut(data, places)))
        self.assertTrue(expected.endswith(b"\n") or not expected)
        self.assertLessEqual(len(expected), len(data))
        self.assertEqual((whole.broken, whole._tail), (cut_up.broken, cut_up._tail))
