"""Ledger files: made, mapped, locked, and refused when they are not what they should be."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import zlib
from pathlib import Path

from statsd_tcp.formats import LEDGER
from statsd_tcp.ledger.cells import (
    ACCEPT_ERRNOS,
    CLOSE_REASONS,
    GLOBAL_CELLS,
    HEARTBEAT,
    JOURNAL_HEAD,
    cells_in,
    ledger_cells,
    listener_cells,
)
from statsd_tcp.ledger.file import create_ledger, ledger_paths, lock_ledger, read_boot_id
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.ledger.layout import HEADER_SIZE, MAGIC, CellName, Directory, LedgerError
from tests.unit.descriptors import open_here
from tests.unit.ledger.cases import BOOT_ID, LISTENERS, LedgerTestCase


class LedgerFileTests(LedgerTestCase):
    """A ledger and its readers."""

    def test_a_new_ledger(self) -> None:
        """A new ledger says whose it is, has its cells at 0, and every name has its cell."""
        path = self.create(worker=7)
        ledger = self.map(path)
        self.assertEqual((7, 1234), (ledger.header.worker, ledger.header.created))
        self.assertEqual((path.stem, BOOT_ID.hex()), (ledger.ledger_id, ledger.boot_id))
        self.assertEqual(LISTENERS, ledger.directory.listeners)
        self.assertEqual([0] * len(ledger.directory.cells), ledger.cells.tolist())
        self.assertEqual((4096, 0), (len(ledger.ring), sum(ledger.ring)))

    def test_all_space_is_allocated(self) -> None:
        """The file has no hole: a store into one on a full disk would be a signal."""
        path = self.create(ring_size=1 << 20)
        status = path.stat()
        self.assertGreaterEqual(status.st_blocks * 512, status.st_size)
        self.assertEqual(0o600, status.st_mode & 0o777)

    def test_no_two_are_alike(self) -> None:
        """Every ledger has an id and a file of its own."""
        paths = {self.create() for _ in range(5)}
        self.assertEqual(sorted(paths), ledger_paths(self.folder))
        self.assertEqual(5, len({self.map(path).ledger_id for path in paths}))

    def test_alignment(self) -> None:
        """Flushes are aligned, so that a number is stored in one piece; the ring begins on a cache line."""
        header = self.map(self.create()).header
        self.assertEqual((0, 0), (header.cells_at % 8, header.ring_at % 64))

    def test_a_reader_sees_what_the_writer_stores(self) -> None:
        """Writer and reader share the memory, and it outlives them."""
        path = self.create()
        writer, reader = self.map(path, writable=True), self.map(path)
        writer.cells[HEARTBEAT] = 2**64 - 1
        Journal(writer.ring, writer.cells).append(0, b"a\n", 1, 2)
        self.assertEqual(2**64 - 1, reader.cells[HEARTBEAT])
        self.assertEqual(bytes(writer.ring), bytes(reader.ring))
        writer.close()
        again = self.map(path)
        self.assertEqual((2**64 - 1, 40), (again.cells[HEARTBEAT], again.cells[JOURNAL_HEAD]))

    def test_a_reader_can_t_write(self) -> None:
        """Who maps a ledger to read it cannot change it."""
        reader = self.map(self.create())
        with self.assertRaises(TypeError):
            reader.cells[0] = 1

    def test_no_room(self) -> None:
        """When the disk is full there is an error, and no file is left."""

        def full(descriptor: int, offset: int, size: int) -> None:
            raise OSError(errno.ENOSPC, "no space")

        self.patch(os, "posix_fallocate", full)
        self.assertEqual(errno.ENOSPC, self.assertRaises(OSError, self.create).errno)
        self.assertEqual([], list(self.folder.iterdir()))

    def test_boot_id(self) -> None:
        """The boot's id is read from the kernel, 16 bytes."""
        setting = self.folder / "sys/kernel/random/boot_id"
        setting.parent.mkdir(parents=True)
        setting.write_text("00010203-0405-0607-0809-0a0b0c0d0e0f\n")
        self.assertEqual(BOOT_ID, read_boot_id(self.folder))
        self.assertEqual(16, len(read_boot_id()))


class DamageTests(LedgerTestCase):
    """Files that cannot be used."""

    def assert_refused(self, path: Path, words: str) -> None:
        """Check that a file is refused with one line that names it and the fault."""
        text = str(self.assertRaises(LedgerError, self.map, path))
        self.assertTrue(text.startswith(str(path)), text)
        self.assertIn(words, text)
        self.assertNotIn("\n", text)

    def altered(self, offset: int, data: bytes, *, seal: bool = False) -> Path:
        """Make a ledger and overwrite some bytes; ``seal`` makes the header's checksum fit again."""
        path = self.create()
        content = bytearray(path.read_bytes())
        content[offset : offset + len(data)] = data
        if seal:
            struct.pack_into("<I", content, HEADER_SIZE - 4, zlib.crc32(content[: HEADER_SIZE - 4]))
        path.write_bytes(content)
        return path

    def test_empty(self) -> None:
        """An empty file is refused."""
        path = self.folder / "x.ledger"
        path.touch()
        self.assert_refused(path, "is empty")

    def test_foreign(self) -> None:
        """So is a file of another program, long or short."""
        for size in (3, HEADER_SIZE - 1, 10_000):
            path = self.folder / "x.ledger"
            path.write_bytes(b"?" * size)
            self.assert_refused(path, "is not a ledger")

    def test_only_the_beginning(self) -> None:
        """A file that ends within the header is no ledger."""
        path = self.folder / "x.ledger"
        path.write_bytes(MAGIC)
        self.assert_refused(path, "is not a ledger")

    def test_every_byte_of_the_header_counts(self) -> None:
        """A header with any wrong byte is refused."""
        path = self.create()
        content = path.read_bytes()
        for offset in range(HEADER_SIZE):
            path.write_bytes(content[:offset] + bytes([content[offset] ^ 0x10]) + content[offset + 1 :])
            self.assertRaises(LedgerError, self.map, path)

    def test_damaged_header(self) -> None:
        """The fault is named."""
        self.assert_refused(self.altered(20, b"\xff"), "header is damaged")

    def test_other_version(self) -> None:
        """A later format is refused, naming both versions."""
        path = self.altered(len(MAGIC), struct.pack("<I", LEDGER + 1), seal=True)
        self.assert_refused(path, f"format version {LEDGER + 1}; this program reads {LEDGER}")

    def test_version_before(self) -> None:
        """The format without batches, in which release 0.1.0 has left its ledgers, is read."""
        self.map(self.altered(len(MAGIC), struct.pack("<I", 1), seal=True))

    def test_torn(self) -> None:
        """A file that is shorter than its header says is refused."""
        path = self.create()
        os.truncate(path, path.stat().st_size - 1)
        self.assert_refused(path, "is torn")

    def test_damaged_directory(self) -> None:
        """A directory that cannot be read is refused."""
        self.assert_refused(self.altered(HEADER_SIZE, b"\0"), "directory is damaged")

    def test_a_directory_of_another_size(self) -> None:
        """A directory that does not name every cell is refused."""
        path = create_ledger(self.folder, 0, Directory([CellName("a")], []), created=0, boot_id=BOOT_ID)
        content = bytearray(path.read_bytes())
        content[HEADER_SIZE:] = content[HEADER_SIZE:].replace(b'[["a","",""]]', b"[]           ")
        path.write_bytes(content)
        self.assert_refused(path, "0 names for 1 cells")


class LockTests(LedgerTestCase):
    """The writer's lock."""

    def test_one_writer(self) -> None:
        """While a writer has the ledger no other process gets it."""
        path = self.create()
        descriptor = lock_ledger(path)
        self.assertRaises(BlockingIOError, lock_ledger, path)
        os.close(descriptor)
        os.close(lock_ledger(path))

    def test_the_lock_passes_on(self) -> None:
        """The lock lasts as long as any copy of the descriptor, which is how a child keeps it."""
        path = self.create()
        descriptor = lock_ledger(path)
        inherited = os.dup(descriptor)
        os.close(descriptor)
        self.assertRaises(BlockingIOError, lock_ledger, path)
        os.close(inherited)
        os.close(lock_ledger(path))

    def test_a_refusal_leaves_nothing_open(self) -> None:
        """Who does not get the lock keeps no descriptor."""
        path = self.create()
        descriptor = lock_ledger(path)
        self.addCleanup(os.close, descriptor)
        before = open_here()
        self.assertRaises(BlockingIOError, lock_ledger, path)
        self.assertEqual(frozenset(), open_here() - before)

    def test_not_inherited_by_chance(self) -> None:
        """A child that is not given the descriptor on purpose does not have it."""
        descriptor = lock_ledger(self.create())
        self.addCleanup(os.close, descriptor)
        self.assertTrue(fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)


class CellTests(LedgerTestCase):
    """Which cells there are."""

    def test_indexes_and_names_agree(self) -> None:
        """Every cell that a lane counts in has the name that a reader looks for."""
        labels = ["tcp:1", "tcp:2", "udp:1"]
        names = ledger_cells(labels)
        self.assertEqual(list(GLOBAL_CELLS), names[: len(GLOBAL_CELLS)])
        for index, label in enumerate(labels):
            indexes = listener_cells(index)
            self.assertEqual(CellName("accepted", label), names[indexes.accepted])
            self.assertEqual(CellName("paused", label), names[indexes.paused])
            for reason in CLOSE_REASONS:
                self.assertEqual(CellName("closed", label, reason), names[getattr(indexes, reason)])
            for number, cell in indexes.accept_errors.items():
                self.assertEqual(CellName("accept_errors", label, errno.errorcode[number]), names[cell])
            self.assertEqual(CellName("accept_errors", label, "other"), names[indexes.other_accept_error])
            self.assertEqual(len(ACCEPT_ERRNOS), len(indexes.accept_errors) + 1)

    def test_found_by_name(self) -> None:
        """In a ledger of this version the cells are found where they are known to be."""
        directory = Directory(ledger_cells(["tcp:1", "tcp:2"]), [("tcp:1", "etsy"), ("tcp:2", "etsy")])
        for index in range(2):
            self.assertEqual(listener_cells(index), cells_in(directory)[index])

    def test_ledger_of_release_0_1_0(self) -> None:
        """In a ledger that lacks the newer reasons they are counted as idle, and no other cell is moved."""
        newer = {"evicted", "first_byte", "max_age", "bad_proxy_header", "proxy_check"}
        names = [name for name in ledger_cells(["tcp:1"]) if name.detail not in newer]
        indexes = cells_in(Directory(names, [("tcp:1", "etsy")]))[0]
        self.assertEqual({indexes.idle}, {getattr(indexes, reason) for reason in newer})
        self.assertEqual(CellName("closed", "tcp:1", "shutdown"), names[indexes.shutdown])
        self.assertEqual(CellName("paused", "tcp:1"), names[indexes.paused])
        self.assertEqual(CellName("accept_errors", "tcp:1", "EMFILE"), names[indexes.accept_errors[errno.EMFILE]])

    def test_no_cell_has_two_names(self) -> None:
        """All names differ, and all indexes do."""
        names = ledger_cells(["a", "b"])
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), listener_cells(1).paused + 1)
