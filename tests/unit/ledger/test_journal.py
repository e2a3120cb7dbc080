"""The journal: what is appended is read back, wrapped or not, and damage ends the reading instead of giving garbage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ledger.cells import GLOBAL_CELLS, JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.journal import BATCH_OVERHEAD, FRAME_HEAD, Frame, Journal, read_frames
from statsd_tcp.wire.batches import BatchKey

SIZE = 512
U32, U64 = 2**32 - 1, 2**64 - 1

contents = st.tuples(
    st.binary(min_size=1, max_size=120), st.integers(0, U64), st.integers(0, U32), st.integers(0, U32),
    st.integers(0, U32),
)  # fmt: skip


class Ring:
    """A ring in memory with its cells and its journal."""

    def __init__(self, size: int = SIZE, start: int = 0) -> None:
        self.memory = bytearray(size)
        self.ring = memoryview(self.memory)
        self.cells = memoryview(bytearray(8 * len(GLOBAL_CELLS))).cast("Q")
        self.cells[JOURNAL_HEAD] = self.cells[JOURNAL_RELEASED] = start
        self.journal = Journal(self.ring, self.cells)

    def append(self, lines: bytes, tick: int = 1, listener: int = 0, received: int = 0, datagrams: int = 0) -> Frame:
        """Append a frame; give what a reader should see of it."""
        self.journal.append(listener, lines, tick, received, datagrams)
        return Frame(self.journal.head, tick, listener, received, datagrams, lines)

    def append_batch(self, lines: bytes, key: BatchKey) -> Frame:
        """Append a batch; give what a reader should see of it."""
        self.journal.append_batch(3, key, lines, 5, len(lines) + 9)
        return Frame(self.journal.head, 5, 3, len(lines) + 9, 0, lines, key)

    def read(self, start: int = 0) -> list[Frame]:
        """Read back from an offset."""
        return list(read_frames(self.ring, start, self.cells[JOURNAL_HEAD]))


class JournalTests(SynchronousTestCase):
    """Appending, releasing, reading."""

    def test_empty(self) -> None:
        """A new journal has no frames."""
        self.assertEqual([], Ring().read())

    def test_the_head_is_published(self) -> None:
        """The head in the ledger's cell is behind the last frame, on a multiple of eight bytes."""
        ring = Ring()
        ring.append(b"a\n")
        self.assertEqual((40, 40), (ring.journal.head, ring.cells[JOURNAL_HEAD]))
        ring.append(b"12345678")
        self.assertEqual(80, ring.cells[JOURNAL_HEAD])

    def test_room(self) -> None:
        """As many bytes as there is room for certainly fit, and after them there is none."""
        ring = Ring()
        room = ring.journal.room()
        self.assertEqual(SIZE - FRAME_HEAD - 8, room)
        frame = ring.append(b"x" * room)
        self.assertEqual([frame], ring.read())
        self.assertLess(ring.journal.room(), 0)
        ring.journal.release(ring.journal.head)
        self.assertEqual(room, ring.journal.room())

    def test_release(self) -> None:
        """Released space is noted in the ledger; an older offset, as of a late answer, changes nothing."""
        ring = Ring()
        first, second = ring.append(b"a\n"), ring.append(b"b\n")
        ring.journal.release(second.next)
        ring.journal.release(first.next)
        self.assertEqual(second.next, ring.cells[JOURNAL_RELEASED])

    def test_going_on(self) -> None:
        """A journal that is opened again goes on where its cells say."""
        ring = Ring()
        first = ring.append(b"a\n")
        ring.journal = Journal(ring.ring, ring.cells)
        second = ring.append(b"b\n")
        self.assertEqual([first, second], ring.read())

    def test_batches(self) -> None:
        """A batch is one frame with its client and its number, also where the ring wraps around."""
        ring = Ring()
        key = BatchKey(bytes(range(16)), (1 << 63) - 1)
        for length in (SIZE // 3, SIZE // 5) * 4:
            start = ring.journal.head
            frames = [ring.append(b"a\n"), ring.append_batch(b"x" * length + b"\n", key), ring.append(b"b\n")]
            self.assertEqual(frames, ring.read(start))
            self.assertLessEqual(frames[1].next - frames[0].next, length + 1 + BATCH_OVERHEAD)
            ring.journal.release(ring.journal.head)
        self.assertGreater(ring.journal.head, SIZE)

    def test_lines_since(self) -> None:
        """The lines since an offset are those that came without a batch; a batch is a frame without lines there."""
        ring = Ring()
        start = ring.append(b"a\n").next
        ring.append_batch(b"b\n", BatchKey(bytes(16), 1))
        ring.append(b"c\n", listener=2)
        self.assertEqual([(3, b""), (2, b"c\n")], list(ring.journal.since(start, 9)))

    def test_a_batch_for_an_older_reader(self) -> None:
        """A reader that does not look at the kind of a frame finds a batch damaged, and lines as they are."""
        ring = Ring()
        lines, batch = ring.append(b"a\n"), ring.append_batch(b"b\n", BatchKey(bytes(16), 1))
        ring.memory[lines.next + FRAME_HEAD - 4] = 0
        self.assertEqual([lines], ring.read())
        ring.memory[lines.next + FRAME_HEAD - 4] = 1
        self.assertEqual([lines, batch], ring.read())

    @given(st.lists(contents, max_size=60), st.integers(0, 10_000))
    def test_round_trip(self, frames: list[tuple[bytes, int, int, int, int]], laps: int) -> None:
        """Whatever is appended is read back as it was, wherever in the ring it lies."""
        ring = Ring(start=laps * 8)
        pending: list[Frame] = []
        start = ring.journal.head
        for lines, *numbers in frames:
            if len(lines) > ring.journal.room():
                self.assertEqual(pending, ring.read(start))
                start = ring.journal.head
                ring.journal.release(start)
                pending = []
            pending.append(ring.append(lines, *numbers))
        self.assertEqual(pending, ring.read(start))

    @given(st.lists(contents, min_size=1, max_size=3), st.data())
    def test_from_the_middle(self, frames: list[tuple[bytes, int, int, int, int]], data: st.DataObject) -> None:
        """Reading begins at any frame's end, as after a commit."""
        ring = Ring()
        written = [ring.append(lines, *numbers) for lines, *numbers in frames]
        begun = data.draw(st.integers(0, len(written)))
        start = written[begun - 1].next if begun else 0
        self.assertEqual(written[begun:], ring.read(start))


class DamageTests(SynchronousTestCase):
    """A ring that lost pages."""

    def setUp(self) -> None:
        """Write frames across the end of the ring, beginning in a later lap."""
        self.start = 5 * SIZE + 320
        self.ring = Ring(start=self.start)
        self.frames = [self.ring.append(b"x" * size, tick) for tick, size in enumerate((30, 1, 100, 17))]

    def read(self, start: int | None = None) -> list[Frame]:
        """Read from the beginning, or from an offset."""
        return self.ring.read(self.start if start is None else start)

    def test_unharmed(self) -> None:
        """The frames wrap around, and all are there."""
        self.assertGreater(self.frames[-1].next, 6 * SIZE)
        self.assertEqual(self.frames, self.read())

    def test_any_bit(self) -> None:
        """Whatever bit of a frame is wrong, that frame and all behind it are left out, those before it are kept."""
        starts = [self.start, *(frame.next for frame in self.frames)]
        for index, frame in enumerate(self.frames):
            length = FRAME_HEAD - 4 + len(frame.lines)
            for offset in range(length):
                # The last four bytes of a frame's head are padding.
                at = (starts[index] + offset + 4 * (offset >= FRAME_HEAD - 4)) % SIZE
                self.ring.memory[at] ^= 0x04
                self.assertEqual(self.frames[:index], self.read(), (index, offset))
                self.ring.memory[at] ^= 0x04
        self.assertEqual(self.frames, self.read())

    def test_zeroed(self) -> None:
        """A page that never reached the disk ends the reading."""
        self.ring.memory[:] = bytes(SIZE)
        self.assertEqual([], self.read())

    def test_the_lap_before(self) -> None:
        """A whole frame that was left from the lap before is not taken for the one that should lie there."""
        ring = Ring()
        old = ring.append(b"old\n" * 10)
        ring.journal.release(old.next)
        before = bytes(ring.memory)
        ring.cells[JOURNAL_HEAD] = ring.cells[JOURNAL_RELEASED] = SIZE
        ring.journal = Journal(ring.ring, ring.cells)
        ring.append(b"new\n" * 10)
        ring.memory[:] = before
        self.assertEqual([], ring.read(SIZE))

    def test_a_torn_head(self) -> None:
        """A head that lies within a frame ends the reading before that frame."""
        for cut in (1, 8, 40):
            self.ring.cells[JOURNAL_HEAD] = self.frames[-1].next - cut
            self.assertEqual(self.frames[:-1], self.read())

    def test_impossible_offsets(self) -> None:
        """Offsets that cannot be, as from a damaged file, give nothing."""
        head = self.frames[-1].next
        self.assertEqual([], self.read(head))
        self.assertEqual([], self.read(head + 8))
        self.assertEqual([], self.read(-8))
        self.assertEqual([], self.read(head - SIZE - 8))

    @given(st.binary(min_size=64, max_size=64), st.integers(-100, 200), st.integers(0, U64))
    def test_never_garbage(self, memory: bytes, start: int, head: int) -> None:
        """Random memory gives no frame, and never an error."""
        self.assertEqual([], list(read_frames(memoryview(memory), start, head)))
