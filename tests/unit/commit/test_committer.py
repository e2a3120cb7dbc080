"""The committer: what the workers gathered goes into the store once, whatever fails meanwhile."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
from twisted.internet.defer import CancelledError, Deferred

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.numbered import SaidNames
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.commit.committer import Committer
from statsd_tcp.commit.replay import Replay
from statsd_tcp.ledger import folder as ledger_folder
from statsd_tcp.ledger.cells import listener_cells
from statsd_tcp.ledger.file import LedgerMap, ledger_paths
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.state.lock import StateError
from statsd_tcp.store.backup import write_backup
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.snapshot import ACCEPTED, CLOSED, LINES, RECOVERED_LINES, Snapshot, TotalKey
from tests.unit.store.cases import values
from tests.unit.supervisor.fakes import LISTENERS, ImmediatePool, ImmediateRecovery, WorkersTestCase


class FakeWorker:
    """Writes a ledger as a worker does, and gathers from it."""

    def __init__(self, ledger: Ledger, descriptor: int) -> None:
        self.ledger = ledger
        self.map = LedgerMap(descriptor, str(ledger.path), writable=True)
        os.close(descriptor)
        self.journal = Journal(self.map.ring, self.map.cells)
        self.tally = tally_for(LISTENERS)
        self.collected = 0
        self.said = SaidNames()

    def receive(self, lines: bytes) -> None:
        """Take lines from a connection that ends."""
        indexes = listener_cells(0)
        self.map.cells[indexes.accepted] += 1
        self.journal.append(0, lines, 1, len(lines))
        self.tally.add(0, lines, 1)
        self.map.cells[indexes.eof] += 1

    def gather(self) -> Piece:
        """Return what was aggregated since the last time."""
        start, self.collected = self.collected, self.journal.head
        return Piece(self.ledger.ledger_id, start, self.collected, encode(self.tally.take()))

    def gather_numbered(self, token: int = 1) -> Piece:
        """Return the same with numbers for counters, in the session that is asked for."""
        start, self.collected = self.collected, self.journal.head
        self.said.begin(token)
        interval = self.tally.take()
        numbered = self.said.numbered(interval.counters)
        payload = encode(msgspec.structs.replace(interval, counters={}, numbered=numbered))
        return Piece(self.ledger.ledger_id, start, self.collected, payload)

    def die(self) -> None:
        """Be gone."""
        self.map.close()
        self.ledger.retired = True


ALL = {"hits": 7.0, "only0": 1.0, "only1": 1.0, "only2": 1.0}
"""What `CommitterTests.spoil_one` has received."""


class FailingStore(Store):
    """A store whose commits fail as long as a test wants."""

    failing: str = ""

    def commit(self, batch: CommitBatch) -> Snapshot:
        """Commit, or fail."""
        if self.failing:
            raise StoreError(self.failing)
        return super().commit(batch)


class CommitterTests(WorkersTestCase):
    """A committer over a real store and real ledgers."""

    def setUp(self) -> None:
        """Make the committer and one worker."""
        super().setUp()
        self.pool = ImmediatePool()
        self.safe: list[tuple[str, int]] = []
        self.patch(FailingStore, "failing", "")
        self.guarded = ""
        self.path = self.folder / "totals.sqlite"
        self.committer = self.make_committer()
        self.worker = self.make_worker()

    def make_committer(self) -> Committer:
        """Make a committer, as a run of the service does."""
        self.recovery = ImmediateRecovery()
        committer = Committer(
            self.reactor,
            self.pool,
            lambda: FailingStore(self.path),
            self.ledger_folder,
            self.recovery,
            self._guard,
        )
        committer.after_commit.append(self._note_safe)
        self.asked_anew: list[str] = []
        committer.not_understood.heard.append(self.asked_anew.append)
        self.addCleanup(committer.close)
        return committer

    def _guard(self) -> None:
        if self.guarded:
            raise StateError(self.guarded)

    def _note_safe(self, snapshot: Snapshot) -> None:
        self.safe += [(state.ledger_id, state.committed) for state in snapshot.ledgers.values() if state.committed]

    def make_worker(self, number: int = 0) -> FakeWorker:
        """Start a worker."""
        worker = FakeWorker(*self.ledger_folder.make(number, LISTENERS))
        self.addCleanup(worker.map.close)
        return worker

    def commit(self) -> Snapshot:
        """Commit, and give the snapshot."""
        self.successResultOf(self.committer.commit())
        assert self.committer.snapshot is not None
        return self.committer.snapshot

    def total(self, metric: str, worker: str = "", detail: str = "") -> int:
        """Return a durable total of the first listener, or of none."""
        assert self.committer.snapshot is not None
        totals = self.committer.snapshot.totals(self.ledger_folder.counts())
        listener = "" if metric == RECOVERED_LINES else "tcp:8125"
        return totals.get(TotalKey(metric, listener, worker, detail), 0)

    def counters(self) -> dict[str, float]:
        """Return the series."""
        return dict(self.commit().counters.items())

    def test_follower_fails(self) -> None:
        """One that raises does not keep a commit's snapshot from those behind it, and its error is in the log."""

        def fail(snapshot: Snapshot) -> None:
            raise ZeroDivisionError

        heard: list[Snapshot] = []
        self.committer.after_commit += [fail, heard.append]
        self.assertEqual([self.commit()], heard)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertIn("what follows a commit failed", self.logged)

    def test_the_first_commit_opens_the_store(self) -> None:
        """The store is made when the first commit comes, and there is a picture even of nothing."""
        self.assertIs(None, self.committer.snapshot)
        self.assertFalse(self.path.exists())
        self.commit()
        self.assertTrue(self.path.exists())
        self.assertEqual("", self.committer.failure)

    def test_gathered(self) -> None:
        """What was gathered is in the store after the commit, and its journal may be used again."""
        self.worker.receive(b"a:1|c\na:2|c\n")
        self.committer.add(self.worker.gather())
        self.assertEqual({"a": 3.0}, self.counters())
        self.assertEqual([(self.worker.ledger.ledger_id, self.worker.journal.head)], self.safe)
        self.assertEqual((2, 1), (self.total(LINES), self.total(ACCEPTED, "0")))

    def test_once(self) -> None:
        """What is in the store is not added again by later commits."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        for _ in range(3):
            self.assertEqual({"a": 1.0}, self.counters())

    def test_the_same_twice(self) -> None:
        """An interval that comes twice counts once, and is reported."""
        self.worker.receive(b"a:1|c\n")
        gathered = self.worker.gather()
        self.committer.add(gathered)
        self.committer.add(gathered)
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertEqual(1, len(self.logged))
        self.assertIn("does not fit its ledger", self.logged[0])

    def test_a_failing_store(self) -> None:
        """While commits fail nothing is lost or released; when they work again everything is there, once, in order."""
        self.commit()
        FailingStore.failing = "x.sqlite cannot grow: the disk is full"
        for number in (1, 2, 3):
            self.worker.receive(b"a:%d|c\n" % number)
            self.committer.add(self.worker.gather())
            self.successResultOf(self.committer.commit())
            self.assertEqual("x.sqlite cannot grow: the disk is full", self.committer.failure)
        self.assertEqual([], self.safe)
        FailingStore.failing = ""
        self.assertEqual({"a": 6.0}, self.counters())
        self.assertEqual("", self.committer.failure)
        self.assertEqual([(self.worker.ledger.ledger_id, self.worker.journal.head)], self.safe)

    def test_a_folder_that_another_instance_has(self) -> None:
        """While the state folder is not ours the store is not used; it is said without a traceback, and tried again."""
        self.commit()
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.guarded = "--state-dir x is in use by another instance"
        self.successResultOf(self.committer.commit())
        self.assertEqual(self.guarded, self.committer.failure)
        self.assertEqual([], self.flushLoggedErrors())
        refused = self.failureResultOf(self.committer.ask(lambda _: None), StoreError)
        self.assertEqual(self.guarded, str(refused.value))
        self.guarded = ""
        self.assertEqual({"a": 1.0}, self.counters())

    def test_answers_while_a_commit_fails(self) -> None:
        """What comes while a commit is failing is tried again behind what that commit had."""
        self.commit()
        FailingStore.failing = "no"
        self.pool.held = True
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        failing = self.committer.commit()
        self.worker.receive(b"a:2|c\n")
        self.committer.add(self.worker.gather())
        self.pool.release()
        self.successResultOf(failing)
        self.pool.held = False
        FailingStore.failing = ""
        self.assertEqual({"a": 3.0}, self.counters())

    def test_a_failure_is_said_once(self) -> None:
        """A failure that lasts is one line, another one is another, and the end of it is one."""
        for failing in ("one", "one", "one", "two", ""):
            FailingStore.failing = failing
            self.committer.commit()
        self.assertEqual(
            [
                "a commit failed and is tried again every second: one",
                "a commit failed and is tried again every second: two",
                "commits work again",
            ],
            self.logged,
        )

    def test_a_store_that_can_t_be_opened(self) -> None:
        """A store that cannot be opened is a failed commit; it is tried again."""
        self.path.mkdir()
        self.committer.commit()
        self.assertIn(f"{self.path} cannot be opened", self.committer.failure)
        self.assertIs(None, self.committer.snapshot)
        self.path.rmdir()
        self.commit()
        self.assertEqual("", self.committer.failure)

    def test_a_fault_of_ours(self) -> None:
        """What fails in an unforeseen way fails the commit as well, and leaves its trace in the log."""

        def fail(store: Store, batch: CommitBatch) -> Snapshot:
            raise ZeroDivisionError

        self.patch(FailingStore, "commit", fail)
        self.committer.commit()
        self.assertNotEqual("", self.committer.failure)
        self.assertEqual(2, len(self.logged))
        self.assertEqual(1, len(self.flushLoggedErrors()))

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

    def test_many_questions(self) -> None:
        """A commit waits for one question at most, however many there are."""
        self.commit()
        self.pool.held = True
        order: list[object] = []
        for _ in range(3):
            self.committer.ask(lambda _: "answer").addCallback(order.append)
        self.committer.commit().addCallback(order.append)
        self.pool.release()
        self.pool.held = False
        self.assertEqual(order, ["answer", None, "answer", "answer"])

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

    def next_run(self) -> None:
        """End this run as a kill would, and begin another one."""
        self.successResultOf(self.committer.close())
        self._close_ledgers()
        self.ledger_folder = LedgerFolder(self.folder)
        self.ledger_folder.find()
        self.ledger_folder.retire_orphans()
        self.committer = self.make_committer()

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

    def commit_counters(self) -> dict[str, float]:
        """Commit, and give the counters."""
        self.commit()
        return self.counters()

    def committed_snapshot(self) -> Snapshot:
        """Return what the last commit made."""
        assert self.committer.snapshot is not None
        return self.committer.snapshot

    def spoilt(self, piece: Piece) -> Piece:
        """Return a piece of which nothing is understood."""
        return msgspec.structs.replace(piece, payload=b"\x04rubbish")

    def spoil_one(self) -> None:
        """Have a worker say three things, of which the second is not understood."""
        for number in range(3):
            self.worker.receive(b"hits:%d|c\nonly%d:1|c\n" % (1 << number, number))
            piece = self.worker.gather_numbered()
            self.committer.add(self.spoilt(piece) if number == 1 else piece)

    def test_not_understood(self) -> None:
        """What a worker says that is not understood is read from its journal; it is asked again, and said once."""
        self.spoil_one()
        self.assertEqual(ALL, self.counters())
        name = self.worker.ledger.ledger_id
        # The third one belongs to a session that is given up.
        self.assertEqual(([name, name], 1), (self.asked_anew, self.committer.not_understood.number))
        (line,) = self.logged
        self.assertTrue(line.startswith(f"what came from the ledger {name} is not understood ("))
        self.worker.receive(b"hits:8|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.assertEqual((15.0, 4), (self.counters()["hits"], self.total(RECOVERED_LINES)))
        self.worker.receive(b"hits:16|c\n")
        self.committer.add(self.spoilt(self.worker.gather_numbered(token=2)))
        self.assertEqual((31.0, 2), (self.counters()["hits"], self.committer.not_understood.number))
        self.assertEqual(1, len(self.logged))

    def test_silence_behind_it(self) -> None:
        """Its lines are read at once, also when the worker says nothing more."""
        self.worker.receive(b"hits:1|c\n")
        self.committer.add(self.spoilt(self.worker.gather_numbered()))
        self.assertEqual({"hits": 1.0}, self.commit_counters())
        self.assertEqual([(self.worker.ledger.ledger_id, self.worker.journal.head)], self.safe[-1:])

    def test_others_are_not_kept_out(self) -> None:
        """What others say is in the store, and what comes behind it waits until the journal was read."""
        other = self.make_worker(1)
        self.recovery.held = True
        self.spoil_one()
        other.receive(b"b:1|c\n")
        self.committer.add(other.gather_numbered())
        self.assertEqual({"hits": 1.0, "only0": 1.0, "b": 1.0}, self.counters())
        self.worker.receive(b"hits:8|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.commit()
        self.recovery.release()
        self.assertEqual({**ALL, "hits": 15.0, "b": 1.0}, self.counters())
        self.assertEqual(8, self.total(LINES))

    def test_not_understood_behind_a_gap(self) -> None:
        """Nor is anything lost or counted twice when another piece before it went lost."""
        self.worker.receive(b"hits:1|c\n")
        self.worker.gather_numbered()
        self.worker.receive(b"hits:2|c\n")
        self.recovery.held = True
        self.recovery.piece_bytes = 1
        self.committer.add(self.spoilt(self.worker.gather_numbered()))
        self.commit()
        self.worker.receive(b"hits:4|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.commit()
        self.recovery.release()
        self.assertEqual({"hits": 7.0}, self.counters())

    def test_last_words(self) -> None:
        """The last message of a worker that ends, which is not understood, is read from its journal."""
        self.worker.receive(b"hits:1|c\n")
        self.committer.add(self.worker.gather_numbered())
        self.commit()
        self.worker.receive(b"hits:2|c\n")
        self.committer.add(self.spoilt(self.worker.gather_numbered()))
        self.worker.die()
        self.assertEqual({"hits": 3.0}, self.commit_counters())
        self.assertEqual(([], 1), (ledger_paths(self.folder), self.total(RECOVERED_LINES)))

    def test_not_understood_while_commits_fail(self) -> None:
        """While commits fail it is counted once, and read when they work again."""
        self.commit()
        FailingStore.failing = "no"
        self.spoil_one()
        for _ in range(3):
            self.committer.commit()
        self.assertEqual((1, 2), (self.committer.not_understood.number, len(self.asked_anew)))
        FailingStore.failing = ""
        self.assertEqual(ALL, self.counters())

    def test_sessions_while_commits_fail(self) -> None:
        """Numbers keep their meaning while commits fail, also when their session has ended meanwhile."""
        self.commit()
        FailingStore.failing = "no"
        for token, lines in ((1, b"a:1|c\nb:2|c\n"), (1, b"b:4|c\n"), (2, b"b:8|c\n"), (2, b"a:16|c\n")):
            self.worker.receive(lines)
            self.committer.add(self.worker.gather_numbered(token))
            self.committer.commit()
        FailingStore.failing = ""
        self.assertEqual({"a": 17.0, "b": 14.0}, self.counters())
        self.assertEqual(0, self.total(RECOVERED_LINES))

    def test_another_image(self) -> None:
        """What belongs to a session of the image before this one is read from the journal, and is no fault."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather_numbered())
        self.commit()
        self.successResultOf(self.committer.close())
        self.committer = self.make_committer()
        self.worker.receive(b"a:2|c\n")
        self.committer.add(self.worker.gather_numbered())
        self.worker.receive(b"a:4|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.assertEqual({"a": 7.0}, self.counters())
        self.assertEqual((1, 0, []), (self.total(RECOVERED_LINES), self.committer.not_understood.number, self.logged))

    def test_a_reader_that_is_not_understood(self) -> None:
        """A journal whose reader says what is not understood is read again; other commits go on meanwhile."""
        other = self.make_worker(1)
        self.worker.receive(b"a:1|c\n")
        self.worker.die()
        self.recovery.held = True
        self.commit()
        name = self.worker.ledger.ledger_id
        self.recovery.results[name] = Replay(0, self.worker.collected, b"\x09rubbish")
        other.receive(b"b:1|c\n")
        self.committer.add(other.gather_numbered())
        self.recovery.held = False
        self.assertEqual({"b": 1.0}, values(self.commit().counters))
        self.assertEqual(1, self.committer.not_understood.number)
        self.commit()
        self.assertEqual({"a": 1.0, "b": 1.0}, self.counters())

    def test_several_workers(self) -> None:
        """What several workers gathered is added up."""
        others = [self.make_worker(number) for number in (1, 2)]
        for number, worker in enumerate([self.worker, *others], 1):
            worker.receive(b"a:%d|c\n" % number)
            self.committer.add(worker.gather())
        self.assertEqual({"a": 6.0}, self.counters())
        self.assertEqual(3, len(self.safe))
        self.assertEqual([1, 1, 1], [self.total(ACCEPTED, str(number)) for number in range(3)])

    def test_while_one_runs(self) -> None:
        """Commits that are asked for while one runs become one, which has all that was given until then."""
        self.pool.held = True
        first = self.committer.commit()
        waiting: list[Deferred[None]] = []
        for number in (1, 2):
            self.worker.receive(b"a:%d|c\n" % number)
            self.committer.add(self.worker.gather())
            waiting.append(self.committer.commit())
        self.pool.release()
        for deferred in (first, *waiting):
            self.successResultOf(deferred)
        self.pool.held = False
        self.assertEqual({"a": 3.0}, self.counters())
        assert self.committer.snapshot is not None
        self.assertEqual(3, self.committer.snapshot.stats.commits)

    def test_who_is_told(self) -> None:
        """All that follow the commits get each one's snapshot; what fails there is only logged."""
        seen: list[Snapshot] = []

        def fail(snapshot: Snapshot) -> None:
            raise ZeroDivisionError

        self.committer.after_commit += [seen.append, fail]
        snapshot = self.commit()
        self.assertEqual([snapshot], seen)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.commit()
        self.assertEqual(2, len(seen))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_a_close_that_is_given_up(self) -> None:
        """A close that is no longer waited for is under way until it is over, and not after that."""
        self.successResultOf(self.committer.commit())
        self.pool.held = True
        closing = self.committer.close()
        self.reactor.advance(3.0)
        closing.cancel()
        self.failureResultOf(closing, CancelledError)
        self.assertEqual(3.0, self.committer.underway)
        self.pool.release()
        self.assertIsNone(self.committer.underway)

    def test_a_close_that_fails(self) -> None:
        """A store that cannot be closed is not under way either, and the failure is the caller's."""
        self.successResultOf(self.committer.commit())
        close = FailingStore.close

        def fail(store: FailingStore) -> None:
            close(store)
            raise ZeroDivisionError

        self.patch(FailingStore, "close", fail)
        self.failureResultOf(self.committer.close(), ZeroDivisionError)
        self.assertIsNone(self.committer.underway)

    def test_close_without_a_store(self) -> None:
        """A committer that never committed has nothing to close."""
        self.successResultOf(self.make_committer().close())
