"""The intake: first the journal, then, batch by batch, the tally; and what happens when the journal is full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.ingest.intake import RESERVE, Intake
from statsd_tcp.ledger.cells import GLOBAL_CELLS
from statsd_tcp.ledger.journal import FRAME_HEAD, Journal, read_frames
from statsd_tcp.wire.grammar import Grammar
from tests.unit.ingest.loopback import RING_SIZE, IngestTestCase, RecordingTally

LINE = b"x" * 60000 + b"\n"


class IntakeTests(IngestTestCase):
    """One listener's lines."""

    def test_journal_first(self) -> None:
        """Lines are in the journal when they are taken, and in the tally when they are settled."""
        self.intake.tick = 77
        self.intake.take(0, b"a\nb\n", 9, 2)
        (frame,) = read_frames(self.journal.ring, 0, self.journal.head)
        self.assertEqual((77, 0, 9, 2, b"a\nb\n", None), frame[1:])
        self.assertEqual([], self.tally.lines)
        self.intake.settle()
        self.assertEqual(([b"a", b"b"], 9, 2), (self.tally.lines, self.tally.bytes, self.tally.datagram_count))
        self.assertEqual([77], self.tally.ticks)

    def test_settled_once(self) -> None:
        """What was settled is not settled again."""
        self.intake.take(0, b"a\n", 2, 1)
        self.intake.settle()
        self.intake.settle()
        self.assertEqual(([b"a"], 2, 1), (self.tally.lines, self.tally.bytes, self.tally.datagram_count))

    def test_bytes_without_a_line(self) -> None:
        """Bytes that complete no line are counted, and make no frame."""
        self.intake.take(0, b"", 5)
        self.assertEqual(0, self.journal.head)
        self.intake.settle()
        self.assertEqual(([], 5), (self.tally.lines, self.tally.bytes))

    def test_order_within_a_listener(self) -> None:
        """Chunks reach the tally in the order in which they were taken."""
        for line in (b"a\n", b"b\nc\n", b"d\n"):
            self.intake.take(0, line, len(line))
        self.intake.settle()
        self.assertEqual([b"a", b"b", b"c", b"d"], self.tally.lines)

    def test_new_gauges(self) -> None:
        """What waits for the end of a batch came before a gauge that is new, and what comes later came after it."""
        for calls in (
            lambda intake: (
                intake.take(0, b"a:1|c\n", 6),
                intake.take(0, b"a:1|g\n", 6),
                intake.take(0, b"b:1|c\n", 6),
                intake.take(0, b"a:1|g\n", 6),
                intake.take(0, b"b:1|g\nc:1|g\n", 12),
                intake.take(0, b"c:1|c\n", 6),
            ),
            lambda intake: intake.took(
                0,
                [b"a:1|c\n", b"b:1|c\n", b"c:1|c\n"],
                [(1, b"a:1|g\n", 1), (1, b"a:1|g\n", 2), (1, b"b:1|g\nc:1|g\n", 2)],
                36,
            ),
        ):
            tally = Tally([("tcp", Grammar())])
            cells = memoryview(bytearray(8 * len(GLOBAL_CELLS))).cast("Q")
            journal = Journal(memoryview(bytearray(RING_SIZE)), cells)
            intake = Intake(journal, tally, 1, scarce=list, ample=list, full=list, resumed=list)
            intake.tick = 1
            calls(intake)
            intake.settle()
            interval = tally.take()
            self.assertEqual(
                [f"{first.field[0]} {first.identity}" for first in interval.met],
                ["c a", "g a", "c b", "g b", "g c", "c c"],
            )
            self.assertEqual(interval.counters, {"a": 1.0, "b": 1.0, "c": 1.0})

    def test_gauges_have_their_own_time(self) -> None:
        """A gauge's time is that of its own arrival, in the journal as in the tally; a counter's need not be."""
        self.intake.take(0, b"a:1|c\n", 6)
        begun = self.intake.tick
        self.reactor.advance(0.002)
        self.intake.take(0, b"g:1|g\n", 6)
        self.intake.settle()
        frames = list(read_frames(self.journal.ring, 0, self.journal.head))
        self.assertEqual([begun, begun + 2_000_000], [frame.tick for frame in frames])
        self.assertIn(begun + 2_000_000, self.tally.ticks)
        self.assertEqual([b"a:1|c", b"g:1|g"], sorted(self.tally.lines))

    def test_rejects(self) -> None:
        """Lines that were never whole are counted at once."""
        self.intake.reject(0, "truncated", 3, b"a:")
        self.assertEqual({"truncated": 3}, self.tally.rejected)


class FullTests(IngestTestCase):
    """The journal's room ends."""

    def setUp(self) -> None:
        """Note who is told what."""
        super().setUp()
        self.said: list[str] = []
        self.intake._scarce = lambda: self.said.append("scarce")
        self.intake._ample = lambda: self.said.append("ample")
        self.intake._full = lambda: self.said.append("full")
        self.intake._resumed = lambda: self.said.append("resumed")

    def fill(self) -> None:
        """Take lines until it is full."""
        while not self.intake.is_full:
            self.intake.take(0, LINE, len(LINE))

    def test_told_once(self) -> None:
        """Who has to stop reading is told once, while there is still room for what is on its way."""
        self.fill()
        self.assertGreater(self.journal.room(), len(LINE))
        self.intake.take(0, LINE, len(LINE))
        self.assertEqual(["scarce", "full"], self.said)

    def test_release(self) -> None:
        """Room in the journal makes the intake go on."""
        self.fill()
        self.intake.release(self.journal.head)
        self.assertEqual((["scarce", "full", "resumed", "ample"], False), (self.said, self.intake.is_full))

    def test_the_reserve(self) -> None:
        """Connections that stay stop at a reserve, and go on only when it is free again."""
        while not self.intake.is_scarce:
            self.intake.take(0, LINE, len(LINE))
        self.assertGreater(self.journal.room(), RING_SIZE // RESERVE)
        self.intake.take(0, LINE, len(LINE))
        self.intake.release(FRAME_HEAD)
        self.assertEqual((["scarce"], True, False), (self.said, self.intake.is_scarce, self.intake.is_full))
        self.fill()
        self.intake.release(self.journal.head - RING_SIZE * 13 // 16)
        self.assertEqual(["scarce", "full", "resumed"], self.said)
        self.intake.release(self.journal.head - RING_SIZE // 2)
        self.assertEqual(["scarce", "full", "resumed", "ample"], self.said)

    def test_a_small_release(self) -> None:
        """A release that does not make enough room does not."""
        self.fill()
        self.intake.take(0, LINE, len(LINE))
        self.intake.release(FRAME_HEAD)
        self.assertEqual((["scarce", "full"], True), (self.said, self.intake.is_full))

    def test_again(self) -> None:
        """It can be full any number of times."""
        for _ in range(3):
            self.fill()
            self.intake.release(self.journal.head)
        self.assertEqual(["scarce", "full", "resumed", "ample"] * 3, self.said)

    def test_release_when_not_full(self) -> None:
        """An ordinary commit says nothing to the lanes."""
        self.intake.take(0, LINE, len(LINE))
        self.intake.release(self.journal.head)
        self.assertEqual([], self.said)

    @given(st.lists(st.tuples(st.integers(1, 1 << 17), st.booleans()), max_size=40))
    def test_nothing_is_overwritten(self, chunks: list[tuple[int, bool]]) -> None:
        """As long as reading stops when it must, no frame that is not committed is ever overwritten."""
        cells = memoryview(bytearray(8 * len(GLOBAL_CELLS))).cast("Q")
        journal = Journal(memoryview(bytearray(RING_SIZE)), cells)
        intake = Intake(journal, RecordingTally(), 1, scarce=list, ample=list, full=list, resumed=list)
        for size, commit in chunks:
            if intake.is_full or commit:
                intake.release(journal.head)
            intake.take(0, b"x" * (size - 1) + b"\n", size)
            self.assertLessEqual(journal.head - journal.released, RING_SIZE)
