"""Where the frames of the journal came from, until it is known which lines were bad."""

from __future__ import annotations

from twisted.trial import unittest

from statsd_tcp.aggregate import examples
from statsd_tcp.aggregate.examples import Examples
from statsd_tcp.ingest import frame_origins
from statsd_tcp.ingest.frame_origins import LARGEST_PARTS, PART, FrameOrigins
from statsd_tcp.ingest.sources import UNKNOWN
from statsd_tcp.ledger.cells import ledger_cells
from statsd_tcp.ledger.journal import Journal

ONE, OTHER = b"1" * 16, b"2" * 16


class FrameOriginsTests(unittest.TestCase):
    """Bad lines and their sources."""

    def setUp(self) -> None:
        """Make a small journal."""
        cells = memoryview(bytearray(8 * len(ledger_cells(["tcp:1"])))).cast("Q")
        self.journal = Journal(memoryview(bytearray(1 << 10)), cells)
        self.origins = FrameOrigins(self.journal)
        self.found: dict[tuple[bytes, int], int] = {}

    def frame(self, lines: bytes, *origins: bytes, listener: int = 0) -> None:
        """Publish a frame, and say where it came from."""
        self.journal.append(listener, lines, 0, 0)
        self.origins.add(*origins)

    def add(self, address: bytes, listener: int, connections: int, lines: int, nbytes: int, bad: int) -> None:
        """Note whose bad lines there were."""
        self.assertEqual((connections, lines, nbytes), (0, 0, 0))
        self.found[address, listener] = bad

    def blame(self, *bad: bytes) -> dict[tuple[bytes, int], int]:
        """Find the sources of bad lines of the listener 0."""
        self.found.clear()
        self.origins.blame({0: set(bad)} if bad else {}, self.add)  # type: ignore[arg-type]
        return self.found

    def test_each_frame(self) -> None:
        """Each line counts for the origin of its frame, as often as it is there, on its own listener."""
        self.frame(b"bad\ngood\nbad\n", ONE)
        self.frame(b"good\n", OTHER)
        self.frame(b"worse\n", OTHER)
        self.frame(b"bad\n", OTHER, listener=1)
        self.assertEqual(self.blame(b"bad", b"worse"), {(ONE, 0): 2, (OTHER, 0): 1})

    def test_once(self) -> None:
        """What was searched once is not searched again, whether or not there was something to find."""
        self.frame(b"bad\n", ONE)
        self.assertEqual(self.blame(), {})
        self.assertEqual(self.blame(b"bad"), {})

    def test_several_frames(self) -> None:
        """The origins of many frames may come together, and some may be unknown."""
        for lines in (b"bad\n", b"bad\n", b"bad\n"):
            self.journal.append(0, lines, 0, 0)
        self.origins.add(ONE + UNKNOWN + OTHER)
        self.assertEqual(self.blame(b"bad"), {(ONE, 0): 1, (OTHER, 0): 1})

    def test_parts(self) -> None:
        """One frame may have several datagrams."""
        self.journal.append(0, b"bad\ngood\nbad\n", 0, 0)
        self.origins.add_parts(PART.pack(9, ONE) + PART.pack(13, OTHER))
        self.frame(b"bad\n", OTHER)
        self.assertEqual(self.blame(b"bad"), {(ONE, 0): 1, (OTHER, 0): 2})

    def test_around_the_end(self) -> None:
        """Frames that wrap around in the ring are found as others."""
        for number in range(100):
            self.frame(b"bad\n" * (1 + number % 5), ONE)
            self.assertEqual(self.blame(b"bad"), {(ONE, 0): 1 + number % 5})
            self.journal.release(self.journal.head)

    def test_bounds(self) -> None:
        """There is a limit to the frames that are searched, and to what is kept of datagrams."""
        self.patch(frame_origins, "MOST_FRAMES", 3)
        for _ in range(5):
            self.frame(b"bad\n", ONE)
        self.assertEqual(self.blame(b"bad"), {(ONE, 0): 3})
        self.journal.release(self.journal.head)
        self.journal.append(0, b"bad\n", 0, 0)
        self.origins.add_parts(PART.pack(4, ONE) * (LARGEST_PARTS // PART.size + 1))
        self.frame(b"bad\n", OTHER)
        self.assertEqual(self.blame(b"bad"), {(OTHER, 0): 1})


class BadLinesTests(unittest.TestCase):
    """Which lines were bad."""

    def test_bounded(self) -> None:
        """Whole lines are kept by listener up to a number of bytes; the beginning of one that is not whole is not."""
        self.patch(examples, "BAD_BYTES", 500)
        kept = Examples()
        kept.listener = "one"
        kept.note("truncated", b"begin")
        kept.note_line("malformed_line", b"bad")
        kept.listener = "other"
        for number in range(10):
            kept.note_line("malformed_line", b"%d" % number)
        bad = kept.take_bad()
        self.assertEqual((bad["one"], len(bad["other"])), ({b"bad"}, 3))
        self.assertEqual(kept.take_bad(), {})
