"""Tests of framing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.framing import BEGINNING, LineFramer, frame_datagram
from statsd_tcp.wire.tails import Tails
from tests.unit.wire.strategies import streams


def frame(pieces: list[bytes], *, clean: bool, max_line: int = 20) -> tuple[list[bytes], int, int]:
    """Return the lines of a stream, and how many were too long and truncated, wherever that was noticed."""
    framer = LineFramer(max_line, Tails())
    data = b"".join([framer.feed(piece) for piece in pieces] + [framer.finish(clean=clean)])
    lines = data.split(b"\n")
    assert lines.pop() == b""
    good = [line for line in lines if len(line) <= max_line]
    return good, framer.line_too_long + len(lines) - len(good), framer.truncated


class LineFramerTests(SynchronousTestCase):
    """One stream."""

    def test_whole_lines(self) -> None:
        """Data that ends in a newline is passed on as it is, the very same object."""
        data = b"a:1|c\nb:2|c\n"
        self.assertIs(LineFramer(100, Tails()).feed(data), data)

    def test_whole_lines_after_a_tail(self) -> None:
        """That is so again once a tail was completed."""
        framer = LineFramer(100, Tails())
        framer.feed(b"a")
        framer.feed(b":1|c\n")
        data = b"b:2|c\n"
        self.assertIs(framer.feed(data), data)

    def test_nothing(self) -> None:
        """No data makes no line and no tail."""
        framer = LineFramer(100, Tails())
        self.assertEqual(framer.feed(b""), b"")
        self.assertEqual(framer.finish(clean=True), b"")
        self.assertEqual((framer.line_too_long, framer.truncated), (0, 0))

    def test_tail_waits(self) -> None:
        """An unterminated line waits for its newline."""
        framer = LineFramer(100, Tails())
        self.assertEqual(framer.feed(b"a:1|c\nb:"), b"a:1|c\n")
        self.assertEqual(len(framer._tail), 2)
        self.assertEqual(framer.feed(b"2|"), b"")
        self.assertEqual(framer.feed(b"c\nc:3|c\nd"), b"b:2|c\nc:3|c\n")
        self.assertEqual(len(framer._tail), 1)

    def test_byte_by_byte(self) -> None:
        """A line may come byte by byte."""
        framer = LineFramer(100, Tails())
        data = b"a:1|c\r\n\nb:2|c\n"
        pieces = [framer.feed(data[at : at + 1]) for at in range(len(data))]
        self.assertEqual(b"".join(pieces), data)
        self.assertEqual(len(framer._tail), 0)

    def test_clean_end(self) -> None:
        """At a clean end the tail is a line."""
        framer = LineFramer(100, Tails())
        framer.feed(b"a:1|c\nb:2|c")
        self.assertEqual(framer.finish(clean=True), b"b:2|c\n")
        self.assertEqual(framer.truncated, 0)

    def test_unclean_end(self) -> None:
        """At any other end the tail is dropped and counted."""
        framer = LineFramer(100, Tails())
        framer.feed(b"a:1|c\nb:2|c")
        self.assertEqual(framer.finish(clean=False), b"")
        self.assertEqual((framer.truncated, framer.beginning), (1, b"b:2|c"))

    def test_unclean_end_without_tail(self) -> None:
        """Without a tail nothing is truncated."""
        framer = LineFramer(100, Tails())
        framer.feed(b"a:1|c\n")
        self.assertEqual(framer.finish(clean=False), b"")
        self.assertEqual(framer.truncated, 0)

    def test_ends_once(self) -> None:
        """A second end adds nothing."""
        for clean in (True, False):
            framer = LineFramer(100, Tails())
            framer.feed(b"a:1|c")
            framer.finish(clean=clean)
            self.assertEqual(framer.finish(clean=True), b"")
            self.assertEqual(framer.finish(clean=False), b"")
            self.assertEqual(framer.truncated, not clean)

    def test_longest_line(self) -> None:
        """A line of exactly the limit passes, with its newline before or after."""
        framer = LineFramer(5, Tails())
        self.assertEqual(framer.feed(b"12345"), b"")
        self.assertEqual(framer.feed(b"\n"), b"12345\n")
        self.assertEqual(framer.feed(b"12345"), b"")
        self.assertEqual(framer.finish(clean=True), b"12345\n")
        self.assertEqual(framer.line_too_long, 0)

    def test_too_long(self) -> None:
        """A longer line is discarded up to its newline and counted once; the lines around it pass."""
        framer = LineFramer(5, Tails())
        self.assertEqual(framer.feed(b"a\n123456"), b"a\n")
        self.assertEqual(framer.line_too_long, 1)
        self.assertEqual(len(framer._tail), 0)
        self.assertEqual(framer.feed(b"7890" * 1000), b"")
        self.assertEqual(len(framer._tail), 0)
        self.assertEqual(framer.feed(b"x\nb\nc"), b"b\n")
        self.assertEqual(framer.feed(b"\n"), b"c\n")
        self.assertEqual(framer.line_too_long, 1)

    def test_beginning(self) -> None:
        """What was dropped is known by its beginning, wherever the pieces of the line end."""
        line = b"name" * 100
        for pieces in ([line], [line[:5], line[5:]], [line[:5], line[5:] + b"\n"], [line[:30], line[30:]]):
            framer = LineFramer(40, Tails())
            for piece in pieces:
                framer.feed(piece)
            self.assertEqual((1, line[:BEGINNING]), (framer.line_too_long, framer.beginning))

    def test_too_long_in_the_end(self) -> None:
        """A line that gets too long with its last piece is discarded, too."""
        framer = LineFramer(5, Tails())
        self.assertEqual(framer.feed(b"123"), b"")
        self.assertEqual(framer.feed(b"456\nb\n"), b"b\n")
        self.assertEqual(framer.line_too_long, 1)

    def test_too_long_at_the_end(self) -> None:
        """A line that is too long and never ends is counted for that, whatever the end is."""
        for clean in (True, False):
            framer = LineFramer(5, Tails())
            framer.feed(b"123456")
            self.assertEqual(framer.finish(clean=clean), b"")
            self.assertEqual((framer.line_too_long, framer.truncated), (1, 0))

    def test_bounded(self) -> None:
        """What waits is never more than the limit."""
        framer = LineFramer(50, Tails())
        for _ in range(1000):
            framer.feed(b"0123456789")
            self.assertLessEqual(len(framer._tail), 50)
        self.assertEqual(framer.line_too_long, 1)

    def test_no_dictionary(self) -> None:
        """A framer is small: there is one for each connection."""
        self.assertFalse(hasattr(LineFramer(10, Tails()), "__dict__"))

    @given(streams(), st.booleans(), st.sampled_from([0, 1, 7, 20, 8192]))
    def test_any_split(self, pieces: list[bytes], clean: bool, max_line: int) -> None:
        """However a stream is cut, it has the same lines, as many too long ones, and as many truncated."""
        whole = b"".join(pieces)
        lines = whole.split(b"\n")
        tail = lines.pop()
        expected = [line for line in lines if len(line) <= max_line]
        too_long = len(lines) - len(expected) + (len(tail) > max_line)
        truncated = 0
        if tail and len(tail) <= max_line:
            truncated = 0 if clean else 1
            expected += [tail] if clean else []
        self.assertEqual(frame(pieces, clean=clean, max_line=max_line), (expected, too_long, truncated))
        self.assertEqual(frame([whole], clean=clean, max_line=max_line), (expected, too_long, truncated))


class FrameDatagramTests(SynchronousTestCase):
    """Datagrams are complete."""

    def test_framing(self) -> None:
        """The last line of a datagram gets the newline that it may lack; an empty datagram has no line."""
        table = {b"a:1|c": b"a:1|c\n", b"a:1|c\n": b"a:1|c\n", b"a\nb": b"a\nb\n", b"": b"", b"\n": b"\n"}
        self.assertEqual({data: frame_datagram(data) for data in table}, table)
