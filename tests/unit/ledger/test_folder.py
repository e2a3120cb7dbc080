"""The folder of ledgers: those of living workers, and those that an earlier run left."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from statsd_tcp.ledger import file
from statsd_tcp.ledger import folder as folder_module
from statsd_tcp.ledger.cells import HEARTBEAT, listener_cells
from statsd_tcp.ledger.file import ledger_paths, lock_ledger
from statsd_tcp.ledger.folder import MOST_COUNT, Ledger, LedgerFolder
from statsd_tcp.ledger.layout import CELL_SIZE, CellName
from tests.unit.supervisor.fakes import LISTENERS, WorkersTestCase


class LedgerFolderTests(WorkersTestCase):
    """Making, finding, retiring, removing."""

    def make(self, worker: int = 0) -> Ledger:
        """Make a ledger whose writer is gone at once."""
        ledger, descriptor = self.ledger_folder.make(worker, LISTENERS)
        os.close(descriptor)
        return ledger

    def next_run(self) -> LedgerFolder:
        """Make the folder of ledgers of a later run."""
        later = LedgerFolder(self.folder)
        self.addCleanup(self.close_all, later)
        return later

    def close_all(self, folder: LedgerFolder) -> None:
        """Unmap the ledgers of a folder."""
        for ledger in folder.ledgers.values():
            ledger.file.close()

    def test_make(self) -> None:
        """A new ledger is the worker's, is locked, and is read."""
        ledger, descriptor = self.ledger_folder.make(5, LISTENERS)
        self.assertEqual((5, False), (ledger.worker, ledger.retired))
        self.assertEqual({ledger.ledger_id: ledger}, self.ledger_folder.ledgers)
        self.assertRaises(BlockingIOError, lock_ledger, ledger.path)
        os.close(descriptor)
        os.close(lock_ledger(ledger.path))

    def test_make_fails(self) -> None:
        """Whatever fails while a ledger is made, nothing is left of it."""

        def fail(*arguments: object) -> None:
            raise OSError(errno.EMFILE, "too many")

        for name in ("lock_ledger", "Ledger"):
            patch = self.patch(folder_module, name, fail)
            self.assertEqual(errno.EMFILE, self.assertRaises(OSError, self.ledger_folder.make, 0, LISTENERS).errno)
            patch.restore()
        self.assertEqual(({}, []), (self.ledger_folder.ledgers, ledger_paths(self.folder)))

    def test_killed_while_it_makes_one(self) -> None:
        """Of a ledger that was never finished the next run takes no notice, and leaves nothing."""

        def kill(*arguments: object) -> None:
            raise SystemExit

        self.patch(os, "pwrite", kill)
        self.assertRaises(SystemExit, self.ledger_folder.make, 0, LISTENERS)
        self.assertEqual(1, len(list(self.folder.iterdir())))
        later = self.next_run()
        self.assertEqual((0, 0), (later.find(), later.set_aside))
        self.assertEqual([], list(self.folder.iterdir()))

    def test_a_read_that_fails(self) -> None:
        """A ledger that cannot be read for now says what it said last, and holds up nothing of the others."""
        ledger, other = self.make(), self.make(1)
        before = ledger.counts()

        def fail(*arguments: object) -> None:
            raise OSError(errno.ESTALE, "Stale file handle")

        self.patch(ledger.file, "_numbers", fail)
        self.patch(ledger.file, "is_shrunk", fail)
        self.assertEqual([before, other.counts()], self.ledger_folder.counts())
        self.assertEqual((0, 0.0), (ledger.cell(HEARTBEAT), ledger.fill()))
        self.ledger_folder.check()
        self.assertEqual({"missing": 0, "shrunk": 0, "counters": 0}, self.ledger_folder.faults)

    def test_counts(self) -> None:
        """The cells of every ledger are read under their names."""
        ledger, descriptor = self.ledger_folder.make(2, LISTENERS)
        writer = file.LedgerMap(descriptor, str(ledger.path), writable=True)
        os.close(descriptor)
        indexes = listener_cells(1)
        writer.cells[indexes.accepted], writer.cells[indexes.eof], writer.cells[HEARTBEAT] = 7, 3, 99
        writer.close()
        (counts,) = self.ledger_folder.counts()
        self.assertEqual((ledger.ledger_id, 2), (counts.ledger_id, counts.worker))
        self.assertEqual(7, counts.values[CellName("accepted", "tcp:8888")])
        self.assertEqual(3, counts.values[CellName("closed", "tcp:8888", "eof")])
        self.assertNotIn(CellName("accepted", "tcp:8125"), counts.values)
        self.assertEqual(99, ledger.cell(HEARTBEAT))

    def test_nothing_new(self) -> None:
        """What was read is made into counts again only when something was counted since."""
        ledger = self.make()
        self.write(ledger, listener_cells(0).accepted, 7)
        counts = ledger.counts()
        self.write(ledger, HEARTBEAT, 99)
        self.assertIs(ledger.counts(), counts)
        self.write(ledger, listener_cells(0).eof, 7)
        self.assertEqual(sorted(ledger.counts().values.values()), [7, 7])

    def test_damaged_counters(self) -> None:
        """Of a file with a number that no worker can have counted the last good ones count; it is said once."""
        ledger = self.make()
        accepted, named = listener_cells(0).accepted, CellName("accepted", LISTENERS[0][0])
        self.write(ledger, accepted, 7)
        self.write(ledger, HEARTBEAT, 1 << 63)
        self.assertEqual(ledger.counts().values[named], 7)
        for number in (MOST_COUNT + 1, (1 << 64) - 1):
            self.write(ledger, accepted, number)
            self.assertEqual(ledger.counts().values[named], 7)
            self.ledger_folder.check()
        self.assertEqual(self.ledger_folder.faults["counters"], 1)
        self.assertEqual(self.next_run().find(), 1)
        ledger.path.unlink()
        self.ledger_folder.check()
        self.assertEqual(self.ledger_folder.faults["missing"], 1)

    def write(self, ledger: Ledger, cell: int, number: int) -> None:
        """Write a cell."""
        with ledger.path.open("r+b") as opened:
            opened.seek(ledger.file.header.cells_at + cell * CELL_SIZE)
            opened.write(number.to_bytes(CELL_SIZE, "little"))

    def test_accepted_is_read_last(self) -> None:
        """A connection that comes and goes while the cells are read is never closed without being accepted."""
        ledger = self.make()
        first = listener_cells(0).accepted
        numbers = [0] * len(ledger.file.directory.cells)

        def race() -> list[int]:
            """Read cells between which a connection is accepted and closed."""
            numbers[first] += 1
            before = list(numbers)
            numbers[first + 1] += 1
            return before

        self.patch(ledger.file, "cells", race)
        values = ledger.counts().values
        self.assertEqual({CellName("accepted", "tcp:8125"): 2}, values)

    def test_orphans(self) -> None:
        """What an earlier run left is found, and retired when it is no longer written."""
        first, second = self.make(0), self.make(1)
        later = self.next_run()
        self.assertEqual(2, later.find())
        self.assertEqual({first.ledger_id, second.ledger_id}, set(later.ledgers))
        self.assertEqual([False, False], [ledger.retired for ledger in later.ledgers.values()])
        self.assertEqual(0, later.retire_orphans())
        self.assertEqual([True, True], [ledger.retired for ledger in later.ledgers.values()])

    def test_a_writer_that_lives_on(self) -> None:
        """An orphan with a living writer is not retired until that has gone."""
        dead = self.make(0)
        living, descriptor = self.ledger_folder.make(1, LISTENERS)
        later = self.next_run()
        later.find()
        self.assertEqual(1, later.retire_orphans())
        retired = {ledger_id: ledger.retired for ledger_id, ledger in later.ledgers.items()}
        self.assertEqual({dead.ledger_id: True, living.ledger_id: False}, retired)
        os.close(descriptor)
        self.assertEqual(0, later.retire_orphans())
        self.assertTrue(later.ledgers[living.ledger_id].retired)

    def test_our_own_are_no_orphans(self) -> None:
        """Ledgers of this run are not retired with those of an earlier one."""
        later = self.next_run()
        later.find()
        ledger, descriptor = later.make(0, LISTENERS)
        self.addCleanup(os.close, descriptor)
        self.assertEqual(0, later.retire_orphans())
        self.assertFalse(ledger.retired)

    def test_damaged(self) -> None:
        """A file that is no ledger is kept under another name, with a line that says so; the others are found."""
        good = self.make()
        bad = self.folder / "bad.ledger"
        bad.write_bytes(b"precious")
        later = self.next_run()
        self.assertEqual(1, later.find())
        self.assertEqual([good.ledger_id], list(later.ledgers))
        aside = self.folder / "bad.damaged"
        self.assertEqual(b"precious", aside.read_bytes())
        self.assertEqual([f"{bad} is not a ledger; it is kept as {aside}"], self.logged)
        self.assertEqual(1, self.next_run().find())

    def test_unreadable(self) -> None:
        """A file that cannot be opened now stays for the next run."""
        good = self.make()
        (self.folder / "bad.ledger").mkdir()
        self.patch(Path, "rename", None)
        later = self.next_run()
        self.assertEqual(1, later.find())
        self.assertEqual([good.ledger_id], list(later.ledgers))
        self.assertEqual(1, len(self.logged))
        self.assertIn("stays for the next", self.logged[0])

    def test_special_files(self) -> None:
        """Links, fifos and files with a second name are neither read nor moved, and each is named in one line."""
        good = self.make()
        elsewhere = self.folder / "elsewhere"
        elsewhere.write_bytes(good.path.read_bytes())
        (self.folder / "a.ledger").symlink_to(elsewhere)
        (self.folder / "b.ledger").hardlink_to(elsewhere)
        os.mkfifo(self.folder / "c.ledger")
        later = self.next_run()
        self.assertEqual(1, later.find())
        self.assertEqual({"a", "b", "c"}, later.unreadable)
        said = ("a.ledger: is a symbolic link", "b.ledger: has a second name", "c.ledger: is a fifo")
        for words, line in zip(said, self.logged, strict=True):
            self.assertIn(words, line)
        self.assertEqual({"a", "b", "c", good.ledger_id}, {path.stem for path in ledger_paths(self.folder)})

    def test_modes(self) -> None:
        """New ledgers, and those from before, are closed to others."""
        old = self.make()
        old.path.chmod(0o644)
        later = self.next_run()
        later.find()
        new = later.make(0, LISTENERS)
        self.addCleanup(os.close, new[1])
        self.assertEqual({0o600}, {path.stat().st_mode & 0o777 for path in (old.path, new[0].path)})

    def test_remove(self) -> None:
        """A removed ledger is neither in memory nor on the disk."""
        ledger = self.make()
        self.ledger_folder.remove(ledger)
        self.assertEqual(({}, []), (self.ledger_folder.ledgers, ledger_paths(self.folder)))
        self.assertEqual([], self.ledger_folder.counts())

    def test_removed_by_somebody_else(self) -> None:
        """A file that is gone already is no error."""
        ledger = self.make()
        ledger.path.unlink()
        self.ledger_folder.remove(ledger)
        self.assertEqual({}, self.ledger_folder.ledgers)

    def test_a_copy(self) -> None:
        """A ledger under a name that is not its own is set aside: its lines must not be read twice."""
        ledger = self.make()
        ledger.path.with_name("ff.ledger").write_bytes(ledger.path.read_bytes())
        later = self.next_run()
        self.assertEqual(1, later.find())
        self.assertEqual({ledger.ledger_id}, set(later.ledgers))
        self.assertEqual(1, later.set_aside)
        self.assertIn("is a copy of the ledger", self.logged[-1])

    def test_set_aside(self) -> None:
        """A ledger that is given up is kept under another name, and later runs count it and leave it alone."""
        ledger = self.make()
        self.ledger_folder.give_up(ledger, "it is damaged")
        aside = ledger.path.with_suffix(".unread")
        self.assertEqual(f"{ledger.path}: it is damaged; it is kept as {aside}", self.logged[-1])
        self.assertEqual((1, {}), (self.ledger_folder.set_aside, self.ledger_folder.ledgers))
        later = self.next_run()
        self.assertEqual((0, 1, {ledger.ledger_id}), (later.find(), later.set_aside, later.names()))
