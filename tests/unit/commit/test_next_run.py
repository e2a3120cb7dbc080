"""What a run of the service finds that another one left: journals, missing files, a backup."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from statsd_tcp.ledger import folder as ledger_folder
from statsd_tcp.ledger.cells import listener_cells
from statsd_tcp.ledger.file import ledger_paths
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.store.backup import write_backup
from statsd_tcp.store.snapshot import ACCEPTED, CLOSED, LINES, RECOVERED_LINES
from tests.unit.commit.committing import CommitterTestCase


class NextRunTests(CommitterTestCase):
    """Each run has a committer of its own, over the same folder."""

    def test_the_next_run(self) -> None:
        """What a run that was killed had gathered but not committed is replayed by the next."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        self.worker.receive(b"a:2|c\n")
        self.committer.add(self.worker.gather())
        self.worker.map.close()
        self.successResultOf(self.committer.close())
        self._close_ledgers()
        self.ledger_folder.ledgers.clear()
        self.ledger_folder.find()
        self.ledger_folder.retire_orphans()
        self.committer = self.make_committer()
        self.assertEqual({"a": 3.0}, self.counters())

    def test_a_journal_that_could_not_be_read(self) -> None:
        """What a dead worker had committed is settled, and its file is kept; put back, it gives what it still has."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        self.worker.receive(b"a:2|c\n")
        self.worker.map.ring[self.worker.collected + 33] ^= 1
        self.worker.die()
        self.assertEqual({"a": 1.0}, self.counters())
        path = self.worker.ledger.path
        aside = path.with_suffix(".unread")
        self.assertEqual(f"{path}: 40 bytes of its journal are damaged; it is kept as {aside}", self.logged[-1])
        self.assertEqual(
            ([], 1, {}), (ledger_paths(self.folder), self.ledger_folder.set_aside, self.ledger_folder.ledgers)
        )
        self.assertEqual((2, 2), (self.total(ACCEPTED, "0"), self.total(CLOSED, "0", "eof")))
        with aside.open("r+b") as file:
            ring_at = self.worker.ledger.file.header.ring_at
            file.seek(ring_at + self.worker.collected + 33)
            (wrong,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([wrong ^ 1]))
        aside.rename(path)
        self.next_run()
        self.assertEqual({"a": 3.0}, self.counters())
        self.assertEqual((2, 2), (self.total(ACCEPTED, "0"), self.total(CLOSED, "0", "eof")))
        self.assertEqual([], ledger_paths(self.folder))

    def test_a_ledger_that_is_gone(self) -> None:
        """Of a ledger that vanished between two runs what the store has is settled, and the rest is reported."""
        self.worker.receive(b"a:1|c\n")
        self.worker.map.cells[listener_cells(0).accepted] += 1
        self.committer.add(self.worker.gather())
        self.commit()
        self.worker.map.close()
        self.worker.ledger.path.unlink()
        self.next_run()
        self.commit()
        self.assertIn("is not there", self.logged[-1])
        self.assertEqual((2, 1), (self.total(ACCEPTED, "0"), self.total(CLOSED, "0", "killed")))
        self.assertEqual({}, self.commit().ledgers)
        self.assertEqual({"a": 1.0}, self.counters())

    def test_a_file_that_can_t_be_opened_at_a_start(self) -> None:
        """A ledger that cannot be opened for a while is neither settled nor forgotten: the next start has it all."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        self.worker.receive(b"a:2|c\n")
        self.worker.map.close()

        def refuse(path: Path) -> Ledger:
            raise PermissionError(13, "Permission denied", str(path))

        patch = self.patch(ledger_folder, "Ledger", refuse)
        self.next_run()
        self.assertEqual({"a": 1.0}, self.counters())
        patch.restore()
        self.next_run()
        self.assertEqual({"a": 3.0}, self.counters())
        self.assertEqual(1, self.total(RECOVERED_LINES))

    def put_back(self, backup: Path) -> None:
        """End this run as a kill would, and begin another one with a backup of the store."""
        self.successResultOf(self.committer.close())
        backup.replace(self.path)
        self.logged.clear()
        self.next_run()

    def back_up(self) -> Path:
        """Make a backup of the store."""
        file = self.folder / "backup"
        with closing(sqlite3.connect(self.path, isolation_level=None)) as source:
            write_backup(source, file, 0.0)
        return file

    def test_a_backup_and_newer_journals(self) -> None:
        """Behind a backup counts what ledgers have that are still there, once: what it had, and what came later."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        backup = self.back_up()
        self.worker.receive(b"a:2|c\n")
        self.committer.add(self.worker.gather())
        newer = self.make_worker(1)
        newer.receive(b"a:4|c\n")
        self.committer.add(newer.gather())
        self.commit()
        self.worker.receive(b"a:8|c\n")
        self.worker.die()
        newer.die()
        self.put_back(backup)
        self.assertEqual({"a": 15.0}, self.counters())
        accepted = [self.total(ACCEPTED, number) for number in ("0", "1")]
        self.assertEqual(([3, 1], 4), (accepted, self.total(LINES)))
        self.next_run()
        self.assertEqual({"a": 15.0}, self.counters())

    def test_a_backup_without_its_ledgers(self) -> None:
        """What a backup has of workers that have ended since is settled, and nothing is said to be lost."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        backup = self.back_up()
        self.worker.receive(b"a:2|c\n")
        self.worker.die()
        self.commit()
        self.assertEqual([], ledger_paths(self.folder))
        self.put_back(backup)
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertEqual((1, 1), (self.total(ACCEPTED, "0"), self.total(CLOSED, "0", "eof")))
        self.assertEqual(({}, 0), (self.commit().ledgers, self.ledger_folder.faults["missing"]))
        (line,) = self.logged
        self.assertIn("is a backup of 19", line)
        self.assertIn("1 of its ledgers are gone", line)
