"""A committer over a real store and real ledgers, and workers that write them."""

from __future__ import annotations

import os

import msgspec

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.numbered import SaidNames
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.commit.committer import Committer
from statsd_tcp.ledger.cells import listener_cells
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.state.lock import StateError
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.snapshot import RECOVERED_LINES, Snapshot, TotalKey
from tests.unit.supervisor.fakes import LISTENERS, ImmediatePool, ImmediateRecovery, WorkersTestCase

__all__ = ["CommitterTestCase", "FailingStore", "FakeWorker"]


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


class FailingStore(Store):
    """A store whose commits fail as long as a test wants."""

    failing: str = ""

    def commit(self, batch: CommitBatch) -> Snapshot:
        """Commit, or fail."""
        if self.failing:
            raise StoreError(self.failing)
        return super().commit(batch)


class CommitterTestCase(WorkersTestCase):
    """Makes a committer and one worker."""

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

    def commit_counters(self) -> dict[str, float]:
        """Commit, and give the counters."""
        self.commit()
        return self.counters()

    def committed_snapshot(self) -> Snapshot:
        """Return what the last commit made."""
        assert self.committer.snapshot is not None
        return self.committer.snapshot

    def next_run(self) -> None:
        """End this run as a kill would, and begin another one."""
        self.successResultOf(self.committer.close())
        self._close_ledgers()
        self.ledger_folder = LedgerFolder(self.folder)
        self.ledger_folder.find()
        self.ledger_folder.retire_orphans()
        self.committer = self.make_committer()
