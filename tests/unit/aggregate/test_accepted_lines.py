"""The lines that were accepted, behind the tally."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.accepted_lines import AcceptedLines
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.wire.grammar import DIALECTS
from statsd_tcp.wire.line import parse_line

LISTENERS = [("a", "etsy"), ("b", "dogstatsd")]

SOME: list[bytes] = [b"a:1|c", b"a:1|c\r", b"t:3|ms|@0.1", b"s:x|s", b"g:1|g", b"g:+2|g", b"bad", b"a:x|c", b"g:x|g"]
SOME += [b"", b"\r", b"_sc|up|0", b"_e{1,1}:a|b", b"a:1:2|c", b"a:1|c:x|c", b"m:1|ms|#k:v"]


class AcceptedLinesTests(SynchronousTestCase):
    """A tally of two listeners, and what it passes on."""

    def setUp(self) -> None:
        """Make the tally."""
        self.blocks: list[bytes] = []
        self.tally = tally_for(LISTENERS, AcceptedLines(self.blocks.append))

    def lines(self) -> list[bytes]:
        """Take the interval, and give the lines that were passed on, without their newlines."""
        self.tally.take()
        return b"".join(self.blocks).split(b"\n")[:-1]

    def test_as_often_as_they_came(self) -> None:
        """A line is passed on as often as it came, and not before its table is read."""
        self.tally.add(0, b"a:1|c\n" * 3 + b"t:2|ms\n", 1)
        self.assertEqual([], self.blocks)
        self.assertEqual(Counter({b"a:1|c": 3, b"t:2|ms": 1}), Counter(self.lines()))

    def test_bad_lines(self) -> None:
        """Bad and empty lines are left out, whichever listener they come to."""
        self.tally.add(0, b"bad\na:x|c\n\na:1|c\n", 1)
        self.tally.add(1, b"bad\ng:x|g\nb:1|c\n", 1)
        self.assertEqual([b"a:1|c", b"b:1|c"], sorted(self.lines()))

    def test_a_bad_line_once_good_elsewhere(self) -> None:
        """A line is judged again each time: what one listener rejects may be good at another."""
        self.tally.add(0, b"bad\n", 1)
        self.tally.take()
        self.tally.add(0, b"a:1|c\nbad\n", 2)
        self.assertEqual([b"a:1|c"], self.lines())

    def test_gauges_at_once(self) -> None:
        """What happens to gauges is passed on at once and in its order, without the bad ones."""
        self.tally.add(0, b"g:1|g\ng:+1|g\na:1|c\ng:x|g\ng:1|g\n", 1)
        self.assertEqual([b"g:1|g\ng:+1|g\ng:1|g\n"], self.blocks)
        self.assertEqual([b"g:1|g", b"g:+1|g", b"g:1|g", b"a:1|c"], self.lines())

    def test_carriage_return(self) -> None:
        """The carriage return of a line's end is not passed on: for many servers it would be a part of the line."""
        self.tally.add(0, b"a:1|c\r\ng:1|g\r\n", 1)
        self.assertEqual([b"a:1|c", b"g:1|g"], sorted(self.lines()))

    def test_without(self) -> None:
        """A tally without a listener does the same."""
        other = tally_for(LISTENERS)
        for tally in (other, self.tally):
            tally.add(0, b"a:1|c\nbad\ng:1|g\n", 1)
        self.assertEqual(other.take(), self.tally.take())

    @given(st.lists(st.sampled_from(SOME), max_size=30))
    def test_the_good_ones(self, lines: list[bytes]) -> None:
        """Exactly those lines are passed on that the grammar takes."""
        blocks: list[bytes] = []
        tally = tally_for(LISTENERS, AcceptedLines(blocks.append))
        tally.add(0, b"".join(line + b"\n" for line in lines), 1)
        tally.take()
        good = [
            line.removesuffix(b"\r")
            for line in lines
            if parse_line(line, DIALECTS["etsy"]).what not in ("bad", "empty")
        ]
        self.assertEqual(Counter(good), Counter(b"".join(blocks).split(b"\n")[:-1]))
