"""What a dead worker's journal gives: exactly what was not committed, read as the worker would have read it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.commit.replay import replay
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.journal import Journal
from tests.unit.ledger.cases import LISTENERS, LedgerTestCase

LINES = (
    b"a:1|c\n",
    b"a:2|c\r\nb:7|g\n",
    b"\n",
    b"junk\n",
    b"t:3|ms\nt:4|ms|@0.5\n",
    b"b:-1|g\n",
    b"u:x|s\n",
    b"\xff:1|c\n",
)


class ReplayTests(LedgerTestCase):
    """A journal written by hand."""

    def setUp(self) -> None:
        """Make a ledger and open its journal."""
        super().setUp()
        self.ledger: LedgerMap = self.map(self.create(), writable=True)
        self.journal = Journal(self.ledger.ring, self.ledger.cells)

    def test_nothing(self) -> None:
        """An empty journal gives an empty interval."""
        found = replay(self.ledger, 0)
        self.assertEqual((0, 0), (found.start, found.end))
        self.assertEqual(decode(found.payload), tally_for(LISTENERS).take())

    def test_counts(self) -> None:
        """Lines, bytes and datagrams are counted for the listener that they came in at."""
        self.journal.append(0, b"a:1|c\n\na:2|c\n", 5, 20)
        self.journal.append(1, b"a:4|c\n", 6, 6, 1)
        interval = decode(replay(self.ledger, 0).payload)
        self.assertEqual({"a": 7.0}, interval.counters)
        self.assertEqual(
            {"tcp:8125": ListenerCounts(20, 2, 1, 0), "udp:8125": ListenerCounts(6, 1, 0, 1)}, interval.listeners
        )

    def test_what_was_committed_is_not_read_again(self) -> None:
        """The replay begins at the committed offset, and says how far it came."""
        self.journal.append(0, b"a:1|c\n", 5, 6)
        committed = self.journal.head
        self.journal.append(0, b"a:2|c\n", 5, 6)
        found = replay(self.ledger, committed)
        self.assertEqual((committed, self.journal.head), (found.start, found.end))
        self.assertEqual({"a": 2.0}, decode(found.payload).counters)
        self.assertEqual({}, decode(replay(self.ledger, found.end).payload).counters)

    def test_time_and_dialect(self) -> None:
        """A gauge's changes keep the order of their time, and a signed one means what its listener's dialect says."""
        self.journal.append(0, b"g:5|g\n", 10, 6)
        self.journal.append(0, b"g:+2|g\n", 20, 7)
        self.journal.append(1, b"h:-3|g\n", 30, 7)
        tally = tally_for(LISTENERS)
        tally.add(0, b"g:5|g\n", 10)
        tally.add(0, b"g:+2|g\n", 20)
        tally.add(1, b"h:-3|g\n", 30)
        self.assertEqual(tally.take().gauges, decode(replay(self.ledger, 0).payload).gauges)

    def test_damage(self) -> None:
        """Frames behind a damaged one are left out, and the fault says how many bytes that are."""
        self.journal.append(0, b"a:1|c\n", 5, 6)
        end = self.journal.head
        self.journal.append(0, b"a:2|c\n", 5, 6)
        lost = self.journal.head - end
        self.ledger.ring[end + 33] ^= 1
        found = replay(self.ledger, 0)
        self.assertEqual((end, {"a": 1.0}), (found.end, decode(found.payload).counters))
        self.assertEqual(f"{lost} bytes of its journal are damaged", found.fault)

    def test_an_unknown_listener(self) -> None:
        """A frame of a listener that the directory doesn't name ends the replay."""
        self.journal.append(0, b"a:1|c\n", 5, 6)
        end = self.journal.head
        self.journal.append(len(LISTENERS), b"a:2|c\n", 5, 6)
        self.assertEqual(end, replay(self.ledger, 0).end)

    @settings(max_examples=60)
    @given(st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(LINES)), max_size=40), st.data())
    def test_committed_and_replayed_make_the_whole(self, frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
        """Wherever the last commit was, what it had and what is replayed are together what one worker counts."""
        ledger = self.map(self.create(), writable=True)
        journal = Journal(ledger.ring, ledger.cells)
        whole, before = tally_for(LISTENERS), tally_for(LISTENERS)
        cut = data.draw(st.integers(0, len(frames)))
        committed = 0
        for tick, (listener, lines) in enumerate(frames):
            journal.append(listener, lines, tick, len(lines), listener)
            for tally in (whole, before) if tick < cut else (whole,):
                tally.add(listener, lines, tick)
                tally.received(listener, len(lines))
                tally.datagrams(listener, listener)
            if tick < cut:
                committed = journal.head
        total = Interval()
        total.add(before.take())
        total.add(decode(replay(ledger, committed).payload))
        expected = Interval()
        expected.add(whole.take())
        self.assertEqual(expected, total)
