"""What a dead worker's journal gives: exactly what was not committed, read as the worker would have read it."""

from __future__ import annotations

import os
from fractions import Fraction
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.sums import BUILT, new_sums
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.commit import replay as module
from statsd_tcp.commit.replay import PIECE_SECONDS, Skipped, replay, replay_carefully, skip_frame
from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.ledger.layout import Directory, LedgerError
from statsd_tcp.ledger.reader import LedgerReader
from statsd_tcp.wire.batches import BatchKey
from tests.unit.aggregate.model import Chunk, exact_lines, first, sums
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

HUGE = (b"9007199254740991", b"-9007199254740991", b"0.1", b"-0.1", b"0.0000001", b"1", b"-1", b"3")


def is_short(line: bytes) -> bool:
    """Return whether many such lines find room in the journal."""
    return len(line) < 100


class ReplayTests(LedgerTestCase):
    """A journal written by hand."""

    def setUp(self) -> None:
        """Make a ledger and open its journal."""
        super().setUp()
        path = self.create()
        self.writer = self.map(path, writable=True)
        self.journal = Journal(self.writer.ring, self.writer.cells)
        self.ledger = LedgerReader.open(path)
        self.addCleanup(self.ledger.close)

    def test_offsets_that_are_damaged(self) -> None:
        """Offsets that no journal of this size can have are damage, and not what a store lacks; frames count."""
        self.journal.append(0, b"a:1|c\n", 1, 6)
        end = self.journal.head
        for released, head in ((1 << 62, 1 << 63), (end + 1, (1 << 64) - 1)):
            self.writer.cells[JOURNAL_RELEASED], self.writer.cells[JOURNAL_HEAD] = released, head
            found = replay(self.ledger, 0)
            self.assertEqual((end, 0, {"a": 1.0}), (found.end, found.overwritten, decode(found.payload).counters))
            self.assertIn("bytes of its journal are damaged", found.fault)

    def test_a_grammar_that_is_damaged(self) -> None:
        """A directory with a grammar that there is not is a fault of the ledger, and no unforeseen error."""
        for grammar in ("etzy", "etsy:max-line=6u535", "etsy:tagz=x"):
            directory = Directory(self.ledger.directory.cells, [("tcp:8125", grammar)])
            self.patch(self.ledger, "directory", directory)
            self.assertRaises(LedgerError, replay, self.ledger, 0)

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

    def test_examples(self) -> None:
        """What is rejected in a replay is rejected by example, as in the worker."""
        self.journal.append(1, b"a:1|c\njunk\n", 5, 11)
        wanted = (Example("malformed_line", "udp:8125", b"junk"),)
        self.assertEqual(wanted, replay(self.ledger, 0).examples)
        self.assertEqual(wanted, replay_carefully(self.ledger, 0, None, None, lambda _: None).examples)

    def test_batches(self) -> None:
        """Batches are added up each for itself, also frame by frame; what they took of the network is with the rest."""
        client = bytes(range(16))
        self.journal.append(0, b"a:1|c\n", 5, 6)
        self.journal.append_batch(0, BatchKey(client, 7), b"a:2|c\njunk\n\n", 6, 40)
        self.journal.append_batch(1, BatchKey(client, 8), b"a:4|c\n", 7, 30)
        for found in (replay(self.ledger, 0), replay_carefully(self.ledger, 0, None, None, lambda _: None)):
            interval = decode(found.payload)
            self.assertEqual({"a": 1.0}, interval.counters)
            counts = {"tcp:8125": ListenerCounts(46, 1, 0, 0), "udp:8125": ListenerCounts(30, 0, 0, 0)}
            self.assertEqual((counts, True), (interval.listeners, found.whole))
            first, second = found.batches.sums
            self.assertEqual(((client, 7), "tcp:8125"), (first.key, first.listener))
            self.assertEqual(((client, 8), "udp:8125"), (second.key, second.listener))
            counts = {"tcp:8125": ListenerCounts(0, 2, 1, 0)}
            one = decode(first.payload)
            self.assertEqual(({"a": 2.0}, counts, {"malformed_line": 1}), (one.counters, one.listeners, one.bad_lines))
            self.assertEqual(["junk"], [example.line.decode() for example in found.examples])

    def test_a_batch_that_is_skipped(self) -> None:
        """A batch that is left out is none that is known, and its lines are kept without its number."""
        kept: list[bytes] = []

        def keep(lines: bytes) -> tuple[str, str]:
            kept.append(lines)
            return "kept", ""

        self.journal.append_batch(0, BatchKey(bytes(16), 7), b"a:2|c\n", 6, 40)
        found = skip_frame(self.ledger, 0, None, keep)
        self.assertEqual(((), False, [b"a:2|c\n"]), (found.batches.sums, found.whole, kept))

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
        self.writer.ring[end + 33] ^= 1
        found = replay(self.ledger, 0)
        self.assertEqual((end, {"a": 1.0}), (found.end, decode(found.payload).counters))
        self.assertEqual(f"{lost} bytes of its journal are damaged", found.fault)

    @settings(max_examples=60)
    @given(st.lists(st.integers(200, 700), min_size=12, max_size=40), st.data())
    def test_an_older_store(self, sizes: list[int], data: st.DataObject) -> None:
        """Of a journal that went on since a backup each frame counts once or is overwritten, and all that are new do.

        The worker was killed while it wrote another frame into the space that was given back.
        """
        path = self.create()
        writer = self.map(path, writable=True)
        journal = Journal(writer.ring, writer.cells)
        ledger = LedgerReader.open(path)
        self.addCleanup(ledger.close)
        starts = []
        for number, size in enumerate(sizes):
            lines = b"a%d:1|c|#%s\n" % (number, b"x" * size)
            if journal.room() < len(lines) or data.draw(st.booleans()):
                journal.release(journal.head)
            starts.append(journal.head)
            journal.append(0, lines, number, len(lines))
        head, ring = journal.head, len(writer.ring)
        for offset in range(head, head + data.draw(st.integers(0, ring - (head - journal.released)))):
            writer.ring[offset % ring] = 0xFF
        backup = data.draw(st.integers(0, len(starts) - 1))
        at, lost, counted = starts[backup], 0, Interval()
        while at < head:
            found = replay(ledger, at)
            self.assertEqual("", found.fault)
            counted.add(decode(found.payload))
            at, lost = found.end, lost + found.overwritten
        numbers = [int(name.partition("\n")[0][1:]) for name in counted.counters]
        self.assertEqual({1.0}, set(counted.counters.values()) or {1.0})
        self.assertTrue(all(number >= backup for number in numbers))
        new = {number for number, start in enumerate(starts) if start >= max(journal.released, starts[backup])}
        self.assertLessEqual(new, set(numbers))
        self.assertEqual(
            lost,
            sum(
                b - a
                for n, (a, b) in enumerate(zip(starts, [*starts[1:], head], strict=True))
                if n >= backup and n not in numbers
            ),
        )

    def test_an_unknown_listener(self) -> None:
        """A frame of a listener that the directory does not name ends the replay."""
        self.journal.append(0, b"a:1|c\n", 5, 6)
        end = self.journal.head
        self.journal.append(len(LISTENERS), b"a:2|c\n", 5, 6)
        self.assertEqual(end, replay(self.ledger, 0).end)

    def append(self, *chunks: bytes) -> list[int]:
        """Write frames of the first listener, and give where each begins."""
        starts = []
        for tick, lines in enumerate(chunks):
            starts.append(self.journal.head)
            self.journal.append(0, lines, tick, len(lines))
        return starts

    def test_pieces(self) -> None:
        """A piece ends behind the frame that reaches its size, and has one frame at least."""
        starts = self.append(b"a:1|c\n", b"a:2|c\n", b"a:4|c\n", b"a:8|c\n")
        self.patch(module, "PIECE_BYTES", 41)
        self.assertEqual((starts[2], 3.0, ""), self.found(0))
        self.patch(module, "PIECE_BYTES", 1)
        self.assertEqual((starts[3], 4.0, ""), self.found(starts[2]))

    def found(self, start: int) -> tuple[int, float, str]:
        """Read a piece; give its end, a counter, and its fault."""
        found = replay(self.ledger, start)
        return found.end, decode(found.payload).counters["a"], found.fault

    def test_a_piece_takes_no_longer(self) -> None:
        """A piece ends behind the frame at which its time is over."""
        starts = self.append(b"a:1|c\n", b"a:2|c\n", b"a:4|c\n")
        seconds = iter((0.0, 0.1, PIECE_SECONDS, 9.0))
        self.assertEqual(starts[2], replay(self.ledger, 0, clock=lambda: next(seconds)).end)

    def test_until(self) -> None:
        """Of a living worker's journal nothing is read behind a gap."""
        starts = self.append(b"a:1|c\n", b"a:2|c\n")
        found = replay(self.ledger, 0, starts[1])
        self.assertEqual((starts[1], {"a": 1.0}, ""), (found.end, decode(found.payload).counters, found.fault))

    def test_carefully(self) -> None:
        """Each frame is named before it is read, its end is said, and the first one is named again at the end."""
        starts = self.append(b"a:1|c\n", b"a:2|c\n", b"a:4|c\n")
        noted: list[int | None] = []
        found = replay_carefully(self.ledger, 0, None, starts[1] + 1, noted.append)
        self.assertEqual((starts[2], {"a": 3.0}), (found.end, decode(found.payload).counters))
        self.assertEqual([0, None, starts[1], None, 0], noted)

    def test_skip(self) -> None:
        """A frame that is skipped gives its lines away; its bytes were received, and nothing else is known of it."""
        starts = self.append(b"a:1|c\n", b"a:2|c\nb:1|c\n", b"a:4|c\n")
        kept: list[bytes] = []

        def keep(lines: bytes) -> tuple[str, str]:
            kept.append(lines)
            return "/x", ""

        found = skip_frame(self.ledger, starts[1], None, keep)
        self.assertEqual((starts[2], Skipped(2, "tcp:8125", "/x")), (found.end, found.skipped))
        interval = decode(found.payload)
        self.assertEqual(({}, ListenerCounts(12, 0, 0, 0)), (interval.counters, interval.listeners["tcp:8125"]))
        self.assertEqual([b"a:2|c\nb:1|c\n"], kept)

    def test_cut_off(self) -> None:
        """Of a file that was cut off what is left counts, and the fault names the file."""
        starts = self.append(b"a:1|c\n", b"a:2|c\n")
        os.truncate(self.ledger.path, self.ledger.header.ring_at + starts[1] + 5)
        found = replay(self.ledger, 0)
        self.assertEqual((starts[1], {"a": 1.0}), (found.end, decode(found.payload).counters))
        self.assertIn(f"{self.ledger.path} was cut off", found.fault)
        os.truncate(self.ledger.path, 0)
        self.assertIn("was cut off", replay(self.ledger, 0).fault)

    @settings(max_examples=60)
    @given(st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(LINES)), max_size=40), st.data())
    def test_committed_and_replayed_make_the_whole(self, frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
        """Wherever the last commit was, what it had and what is replayed are together what one worker counts."""
        path = self.create()
        writer = self.map(path, writable=True)
        journal = Journal(writer.ring, writer.cells)
        ledger = LedgerReader.open(path)
        self.addCleanup(ledger.close)
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
        careful = data.draw(st.booleans())
        while committed < journal.head:
            stop = committed + data.draw(st.sampled_from([1, 100, 1000]))
            found = (
                replay_carefully(ledger, committed, None, stop, lambda offset: None)
                if careful
                else replay(ledger, committed)
            )
            total.add(decode(found.payload))
            committed = found.end
        expected = Interval()
        expected.add(whole.take())
        self.assertEqual(sums(expected), sums(total))

    @settings(max_examples=60)
    @given(st.lists(st.lists(exact_lines().filter(is_short), min_size=1, max_size=4), min_size=1, max_size=6))
    def test_what_came_first(self, frames: list[list[bytes]]) -> None:
        """Each way to read a journal says which series came first, and when, as a worker does."""
        path = self.create()
        writer = self.map(path, writable=True)
        journal = Journal(writer.ring, writer.cells)
        ledger = LedgerReader.open(path)
        self.addCleanup(ledger.close)
        received = [Chunk(0, lines, 10**7 * number) for number, lines in enumerate(frames, 1)]
        tally = tally_for(LISTENERS, new_sums=partial(new_sums, 1) if BUILT else None)
        for chunk in received:
            journal.append(0, chunk.data, chunk.tick, len(chunk.data))
            tally.add(0, chunk.data, chunk.tick)
        met = tally.take().met
        self.assertEqual([(one.field, one.identity) for one in met], first(received))
        for found in (replay(ledger, 0), replay_carefully(ledger, 0, None, None, lambda offset: None)):
            self.assertEqual(decode(found.payload).met, met)

    @settings(max_examples=60)
    @given(st.lists(st.lists(st.sampled_from(HUGE), min_size=1, max_size=5), min_size=1, max_size=20))
    def test_exact_frame_by_frame(self, frames: list[list[bytes]]) -> None:
        """However the same lines are cut into frames, each way to read them gives the true sums, rounded once."""
        for cut in (frames, [[number for numbers in frames for number in numbers]]):
            path = self.create()
            writer = self.map(path, writable=True)
            journal = Journal(writer.ring, writer.cells)
            ledger = LedgerReader.open(path)
            self.addCleanup(ledger.close)
            for tick, numbers in enumerate(cut):
                lines = b"".join(b"a:%s|c\n" % number for number in numbers)
                journal.append(0, lines, tick, len(lines))
            exact = [Fraction(float(number)) for numbers in frames for number in numbers]
            rises, falls = (sum(map(part, exact)) for part in (lambda one: max(one, 0), lambda one: min(one, 0)))
            for found in (replay(ledger, 0), replay_carefully(ledger, 0, None, None, lambda offset: None)):
                interval = decode(found.payload)
                fall = interval.falls.get("a", Fall(0.0, 0))
                self.assertEqual((interval.counters, fall.amount), ({"a": float(rises)}, float(falls)))
                self.assertEqual(fall.lines, sum(one < 0 for one in exact))
                self.assertEqual(fall.change(interval.counters["a"]), float(rises + falls))
