"""What a worker that has ended left in its journal is committed once, and its ledger goes."""

from __future__ import annotations

import os
from pathlib import Path

from statsd_tcp.ledger.cells import listener_cells
from statsd_tcp.ledger.file import ledger_paths
from statsd_tcp.store.snapshot import ACCEPTED, CLOSED, LINES, RECOVERED_LINES
from tests.unit.commit.committing import CommitterTestCase, FailingStore


class TheDeadTests(CommitterTestCase):
    """Ledgers that are retired, and journals that are read."""

    def test_a_retired_ledger(self) -> None:
        """A dead worker's ledger is replayed, its counts are settled, and its file goes."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        self.worker.receive(b"a:2|c\nb:1|c\n")
        self.worker.map.cells[listener_cells(0).accepted] += 1
        self.worker.die()
        self.assertEqual({"a": 3.0, "b": 1.0}, self.counters())
        self.assertEqual((3, 2), (self.total(LINES), self.total(RECOVERED_LINES)))
        self.assertEqual((3, 2), (self.total(ACCEPTED, "0"), self.total(CLOSED, "0", "eof")))
        self.assertEqual(1, self.total(CLOSED, "0", "killed"))
        self.assertEqual(([], {}), (ledger_paths(self.folder), self.ledger_folder.ledgers))

    def test_the_row_goes_after_the_file(self) -> None:
        """The store remembers a folded ledger until its file is gone, and forgets it with the next commit."""
        self.worker.die()
        self.assertIn(self.worker.ledger.ledger_id, self.commit().ledgers)
        self.assertEqual({}, self.commit().ledgers)

    def test_gathered_and_died(self) -> None:
        """What a worker sent before it died is not replayed once more."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.worker.receive(b"a:10|c\n")
        self.worker.die()
        self.assertEqual({"a": 11.0}, self.counters())
        self.assertEqual(1, self.total(RECOVERED_LINES))

    def test_died_while_a_commit_runs(self) -> None:
        """Nor is it when the commit that takes it in is still running."""
        self.pool.held = True
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        first = self.committer.commit()
        self.worker.receive(b"a:10|c\n")
        self.worker.die()
        second = self.committer.commit()
        self.assertNoResult(first)
        self.pool.release()
        self.successResultOf(first)
        self.successResultOf(second)
        self.pool.held = False
        self.assertEqual({"a": 11.0}, self.counters())

    def test_a_retired_ledger_of_a_failed_commit(self) -> None:
        """A dead worker's ledger stays until a commit has taken it in."""
        FailingStore.failing = "no"
        self.worker.receive(b"a:1|c\n")
        self.worker.die()
        self.committer.commit()
        self.assertEqual([self.worker.ledger.path], ledger_paths(self.folder))
        FailingStore.failing = ""
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertEqual([], ledger_paths(self.folder))

    def test_a_file_that_can_t_be_deleted(self) -> None:
        """As long as a folded ledger's file may be there at the next start, the store knows that it has it all."""
        self.worker.receive(b"a:1|c\n")
        self.worker.die()
        ledger_id = self.worker.ledger.ledger_id

        def refuse(path: Path, *, missing_ok: bool = False) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        patch = self.patch(Path, "unlink", refuse)
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertIn(ledger_id, self.commit().ledgers)
        self.assertIn("cannot be deleted", self.logged[0])
        patch.restore()
        self.ledger_folder.find()
        self.ledger_folder.retire_orphans()
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertEqual((1, 1, []), (self.total(LINES), self.total(ACCEPTED, "0"), ledger_paths(self.folder)))

    def test_commits_go_on_beside_the_reading(self) -> None:
        """While a dead worker's journal is read, what the others gather is committed."""
        other = self.make_worker(1)
        self.recovery.held = True
        self.worker.receive(b"a:1|c\n")
        self.worker.die()
        other.receive(b"b:1|c\n")
        self.committer.add(other.gather())
        self.assertEqual({"b": 1.0}, self.counters())
        self.recovery.release()
        self.assertEqual({"a": 1.0, "b": 1.0}, self.counters())

    def test_the_end(self) -> None:
        """The last commit waits for what is still being read of the dead, and has it."""
        recovery = self.recovery
        recovery.held = True
        self.worker.receive(b"a:1|c\n")
        self.worker.die()
        finished = self.committer.finish(5.0)
        self.assertNoResult(finished)
        recovery.release()
        self.successResultOf(finished)
        assert self.committer.snapshot is not None
        self.assertEqual({"a": 1.0}, dict(self.committer.snapshot.counters.items()))

    def test_a_gap(self) -> None:
        """What went lost between a worker that lives on and the store is read from its journal, once."""
        self.worker.receive(b"hits:1|c\n")
        self.worker.gather()
        self.worker.receive(b"hits:2|c\n")
        self.committer.add(self.worker.gather())
        self.assertEqual((3.0, ()), (self.commit_counters()["hits"], self.committed_snapshot().refused))
        self.worker.receive(b"hits:4|c\n")
        self.committer.add(self.worker.gather())
        self.assertEqual(7.0, self.commit_counters()["hits"])
        self.assertEqual(1, self.total(RECOVERED_LINES))

    def test_a_gap_is_not_read_in_the_store_s_thread(self) -> None:
        """While what went lost is read, the pieces behind it wait, and what others gathered is committed."""
        other = self.make_worker(1)
        self.worker.receive(b"hits:1|c\n")
        self.worker.gather()
        self.recovery.held = True
        for lines in (b"hits:2|c\n", b"hits:4|c\n"):
            self.worker.receive(lines)
            self.committer.add(self.worker.gather())
            other.receive(b"b:1|c\n")
            self.committer.add(other.gather())
            self.commit()
        self.assertEqual({"b": 2.0}, self.counters())
        self.recovery.release()
        self.assertEqual(({"b": 2.0, "hits": 7.0}, ()), (self.counters(), self.committed_snapshot().refused))

    def test_died_before_its_gap_was_read(self) -> None:
        """Nor is anything counted twice when the worker dies meanwhile."""
        self.worker.receive(b"hits:1|c\n")
        self.worker.gather()
        self.recovery.held = True
        self.worker.receive(b"hits:2|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        self.worker.receive(b"hits:4|c\n")
        self.worker.die()
        self.commit()
        self.recovery.release()
        self.commit()
        self.assertEqual({"hits": 7.0}, self.counters())
        self.assertEqual([], ledger_paths(self.folder))

    def test_in_pieces(self) -> None:
        """A dead worker's journal is committed piece by piece, and its file goes with the last one."""
        self.recovery.piece_bytes = 100
        for number in range(10):
            self.worker.receive(b"a:%d|c\n" % (1 << number))
        self.worker.die()
        self.commit()
        offsets = [committed for _, committed in self.safe]
        self.assertEqual(sorted(offsets), offsets)
        self.assertGreater(len(set(offsets)), 3)
        self.assertEqual({"a": 1023.0}, self.counters())
        self.assertEqual(([], 10), (ledger_paths(self.folder), self.total(RECOVERED_LINES)))

    def test_killed_between_pieces(self) -> None:
        """What was committed of a journal is not read again by the next run."""
        self.recovery.piece_bytes = 100
        for number in range(10):
            self.worker.receive(b"a:%d|c\n" % (1 << number))
        self.worker.die()
        self.recovery.held = True
        self.commit()
        self.recovery.read_one()
        self.commit()
        self.recovery.held = True
        self.assertLess(0.0, self.counters()["a"])
        self.assertGreater(1023.0, self.counters()["a"])
        self.next_run()
        self.assertEqual({"a": 1023.0}, self.counters())

    def test_cut_off(self) -> None:
        """A ledger that is cut off costs what it had beyond the last commit; its file is kept, and totals stay."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.commit()
        self.worker.receive(b"a:2|c\n")
        self.commit()
        os.truncate(self.worker.ledger.path, 0)
        self.ledger_folder.check()
        self.assertEqual(2, self.total(ACCEPTED, "0"))
        self.worker.die()
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertEqual((2, 1), (self.total(ACCEPTED, "0"), self.ledger_folder.set_aside))
        self.assertEqual({"missing": 0, "shrunk": 1, "counters": 0}, self.ledger_folder.faults)
        self.assertIn("was cut off", self.logged[-1])

    def test_deleted(self) -> None:
        """A ledger that is deleted costs nothing while the service lives, and is said once."""
        self.worker.receive(b"a:1|c\n")
        self.worker.ledger.path.unlink()
        for _ in range(2):
            self.ledger_folder.check()
        self.assertEqual(1, len(self.logged))
        self.assertIn("is gone", self.logged[0])
        self.worker.die()
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertEqual(({}, 1), (self.commit().ledgers, self.ledger_folder.faults["missing"]))
