"""Ledgers read while they are written: no half numbers, and a file that is cut off or gone is an error like others."""

from __future__ import annotations

import os
import struct

from hypothesis import given
from hypothesis import strategies as st

from statsd_tcp.ledger import reader as module
from statsd_tcp.ledger.cells import HEARTBEAT, JOURNAL_HEAD
from statsd_tcp.ledger.journal import Journal, read_frames
from statsd_tcp.ledger.layout import LedgerError
from statsd_tcp.ledger.reader import LedgerReader, ShrunkError
from statsd_tcp.ledger.suspect import Suspect, pack_suspect, unpack_suspect
from tests.unit.descriptors import open_here
from tests.unit.ledger.cases import LedgerTestCase


class LedgerReaderTests(LedgerTestCase):
    """A ledger that is written through a mapping and read by pread."""

    def setUp(self) -> None:
        """Make it."""
        super().setUp()
        self.path = self.create()
        self.writer = self.map(self.path, writable=True)
        self.reader = LedgerReader.open(self.path)
        self.addCleanup(self.reader.close)

    def test_cells(self) -> None:
        """What the writer stores is read, of one cell and of all."""
        self.writer.cells[HEARTBEAT], self.writer.cells[JOURNAL_HEAD] = 2**64 - 1, 7
        self.assertEqual((2**64 - 1, 7), (self.reader.cell(HEARTBEAT), self.reader.cell(JOURNAL_HEAD)))
        self.assertEqual(self.writer.cells.tolist(), self.reader.cells())

    def test_frames(self) -> None:
        """The journal is read as through a mapping, also where it wraps around."""
        journal = Journal(self.writer.ring, self.writer.cells)
        for number in range(300):
            if journal.room() < 100:
                journal.release(journal.head)
            journal.append(0, b"a:%d|c\n" % number, number, 9)
        start = journal.released
        frames = list(read_frames(self.reader.ring, start, journal.head))
        self.assertEqual(list(read_frames(self.writer.ring, start, journal.head)), frames)
        self.assertGreater(len(frames), 1)

    def test_torn_numbers(self) -> None:
        """A number that was read half from before a store and half from after it is read again."""
        readings = [struct.pack("<Q", number) for number in (0x1FF, 0x100, 0x100)]
        self.patch(self.reader, "read", lambda at, size: readings.pop(0))
        self.assertEqual(0x100, self.reader.cell(HEARTBEAT))

    def test_numbers_that_never_hold_still(self) -> None:
        """Of cells that change with every reading the smaller number of two counts."""
        numbers = iter(range(1000, 2000))
        self.patch(self.reader, "read", lambda at, size: struct.pack("<Q", next(numbers)))
        self.assertEqual(1000 + module.MOST_READINGS - 1, self.reader.cell(HEARTBEAT))

    def test_cut_off(self) -> None:
        """What was cut off is an error that names the file, wherever the cut is."""
        ring_at = self.reader.header.ring_at
        for size in (ring_at + 8, ring_at, self.reader.header.cells_at + 8, 0):
            os.truncate(self.path, size)
            self.assertTrue(self.reader.is_shrunk())
            error = self.assertRaises(ShrunkError, lambda: self.reader.ring[0:16])
            self.assertIn(f"{self.path} was cut off", str(error))
        self.assertRaises(ShrunkError, self.reader.cells)
        self.assertRaises(ShrunkError, self.reader.cell, HEARTBEAT)

    def test_its_place(self) -> None:
        """It is known whether the file is still where it was, and not another one."""
        self.assertTrue(self.reader.is_at(self.path))
        other = self.folder / "other"
        self.path.rename(other)
        self.assertEqual((False, True), (self.reader.is_at(self.path), self.reader.is_at(other)))
        self.path.write_bytes(other.read_bytes())
        self.assertFalse(self.reader.is_at(self.path))

    def test_no_descriptor_stays(self) -> None:
        """One that is refused is not left open."""
        before = open_here()
        self.path.write_bytes(b"?" * 200)
        self.assertRaises(LedgerError, LedgerReader.open, self.path)
        self.assertEqual(frozenset(), open_here() - before)


class SuspectTests(LedgerTestCase):
    """The number that names the frame which ends its readers."""

    @given(st.integers(0, 2**60), st.integers(0, 2))
    def test_there_and_back(self, offset: int, deaths: int) -> None:
        """A suspect is read back as it was noted, as long as the journal is not committed beyond it."""
        suspect = Suspect(offset & ~7, deaths)
        number = pack_suspect(suspect)
        self.assertEqual(suspect, unpack_suspect(number, 0))
        self.assertEqual(suspect, unpack_suspect(number, suspect.offset))
        self.assertEqual(None, unpack_suspect(number, suspect.offset + 8))

    def test_of_release_0_1_0(self) -> None:
        """Failures of the whole journal are of an unknown frame; none are none."""
        self.assertEqual([None, Suspect(80, 0), Suspect(80, 0)], [unpack_suspect(number, 80) for number in range(3)])
        self.assertEqual(0, pack_suspect(None))
