"""Whatever dies, breaks or comes again, in whichever order: each batch of a client is in the totals once.

The clients, connections and deaths are a model; the journals, the committer, the reading of journals and the store are
the real ones. A batch has a counter of its own, so that one that is lost or counted twice is known by its name.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.batches import BatchTally
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.commit.committer import Committer
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ledger import folder as ledger_folder
from statsd_tcp.ledger.file import LedgerMap, create_ledger
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.store.transaction import Plan
from statsd_tcp.wire.batches import MOST_UNDER_WAY, Batch, BatchKey
from tests.unit.store.cases import values
from tests.unit.supervisor.fakes import LISTENERS, FakeReactor, ImmediatePool, ImmediateRecovery

RING_SIZE = 1 << 20
CLIENTS = 2
STEPS = 40
EXAMPLES = 4
"""How many times as many as of other properties: what may go wrong takes several steps in a row."""


class Connection:
    """A client's connection to a worker: what waits to be read, and what waits to be heard.

    A worker may read what has come after the client has gone, and answers then go nowhere.
    """

    def __init__(self, client: Client, worker: Worker, is_stored: Callable[[str], bool]) -> None:
        self.client = client
        self.worker = worker
        self._is_stored = is_stored
        self.unread = deque(client.unanswered)
        self.answers: deque[int] = deque()
        self.is_broken = False

    def greet(self, node: str) -> None:
        """Do nothing: there is one node."""

    def confirm(self, sequence: int, good: int, bad: int) -> None:
        """Send the answer, which must be true."""
        assert self._is_stored(self.client.counter(sequence))
        self.answers.append(sequence)

    def leave_unconfirmed(self) -> None:
        """Send nothing more."""
        self.is_broken = True
        self.unread.clear()


class Client:
    """A client with its own books: what it has made, what is not answered yet, and what is."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.made = 0
        self.unanswered: deque[int] = deque()
        self.confirmed: set[int] = set()
        self.connection: Connection | None = None

    def key(self, sequence: int) -> BatchKey:
        """Return which batch it is."""
        return BatchKey(bytes([self.number]) * 16, sequence)

    def counter(self, sequence: int) -> str:
        """Return the name of a batch's counter."""
        return f"client{self.number}.batch{sequence}"

    def hear(self) -> None:
        """Take one answer."""
        connection = self.connection
        assert connection is not None
        sequence = connection.answers.popleft()
        assert sequence == self.unanswered.popleft(), "answers come in the order of the batches"
        self.confirmed.add(sequence)


class Worker:
    """A worker without sockets: a ledger, an intake and its batches."""

    def __init__(self, ledger: Ledger, descriptor: int) -> None:
        self.ledger = ledger
        self.map = LedgerMap(descriptor, str(ledger.path), writable=True)
        os.close(descriptor)
        self._tally = tally_for(LISTENERS)
        journal = Journal(self.map.ring, self.map.cells)
        self._intake = Intake(
            journal, self._tally, 2, scarce=list, ample=list, full=list, resumed=list, takes_batches=True
        )
        labels = [label for label, _ in LISTENERS]
        self._batches = BatchIntake(self._intake, BatchTally(tally_for(LISTENERS)), labels, list)
        self._collected = 0
        self.told: deque[tuple[int, bool]] = deque()
        self.connections: list[Connection] = []
        self.is_leaving = False

    def read(self, connection: Connection) -> None:
        """Read one batch, with a line of another client before it."""
        sequence = connection.unread.popleft()
        client = connection.client
        self._intake.take(1, b"other:1|c\n", 10)
        lines = b"%s:1|c\n" % client.counter(sequence).encode()
        self._batches.take(0, Batch(client.key(sequence), lines, len(lines)), connection)

    def gather(self) -> Piece:
        """Return what came since the last time."""
        self._intake.settle()
        start, self._collected = self._collected, self._intake.journal.head
        payload = encode(self._tally.take())
        return Piece(self.ledger.ledger_id, start, self._collected, payload, batches=self._batches.gathered())

    def hear(self) -> None:
        """Take one message of the supervisor."""
        offset, whole = self.told.popleft()
        self._intake.release(offset)
        self._batches.committed(offset, whole=whole)

    def end(self) -> None:
        """Be gone."""
        for connection in self.connections:
            connection.is_broken = True
        self.map.close()


class Disk(Store):
    """A store whose disk is full as long as there is a file that says so."""

    def _write(self, plan: Plan) -> None:
        if self._path.with_name("full").exists():
            raise StoreError("the disk is full")
        super()._write(plan)


class World(RuleBasedStateMachine):
    """Clients, workers, a supervisor, and all that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self._temporary = TemporaryDirectory(prefix="statscounter-")
        self.folder = Path(self._temporary.name)
        self._patch = patch.object(ledger_folder, "create_ledger", partial(create_ledger, ring_size=RING_SIZE))
        self._patch.start()
        self.clients = [Client(number) for number in range(CLIENTS)]
        self.workers: list[Worker] = []
        self.read_lines = 0
        self._full = self.folder / "full"

    @initialize()
    def begin(self) -> None:
        """Start the service."""
        self._start()
        self._start_worker()

    def _start(self) -> None:
        self.ledger_folder = LedgerFolder(self.folder)
        self.ledger_folder.find()
        self.ledger_folder.retire_orphans()
        self._make_committer()

    def _make_committer(self) -> None:
        self.pool, self.recovery = ImmediatePool(), ImmediateRecovery()
        self.recovery.held, self.recovery.piece_bytes = True, 1
        self.committer = Committer(
            FakeReactor(), self.pool, lambda: Disk(self.folder / "totals.sqlite"), self.ledger_folder, self.recovery
        )
        self.committer.after_commit.append(self._tell)
        self.committer.commit()

    def _start_worker(self) -> None:
        self.workers.append(Worker(*self.ledger_folder.make(len(self.workers), LISTENERS)))

    def _tell(self, snapshot: Snapshot) -> None:
        for worker in self.workers:
            state = snapshot.ledgers.get(worker.ledger.ledger_id)
            if state is not None:
                worker.told.append((state.committed, worker.ledger.ledger_id not in snapshot.left_out))

    def _is_stored(self, counter: str) -> bool:
        # What a new image has in its store is not known before its first commit.
        return self.committer.snapshot is None or counter in self._totals

    def _answered(self) -> list[Client]:
        return [client for client in self.clients if client.connection is not None and client.connection.answers]

    def _unread(self) -> list[Connection]:
        return [one for worker in self.workers for one in worker.connections if one.unread]

    @property
    def _totals(self) -> dict[str, float]:
        assert self.committer.snapshot is not None
        return values(self.committer.snapshot.counters)

    # Clients.

    @rule(number=st.integers(0, CLIENTS - 1))
    def make_batch(self, number: int) -> None:
        """Make a batch, and send it; without a connection, make one."""
        client = self.clients[number]
        if client.connection is None:
            self.connect(number, client.made)
        if len(client.unanswered) < MOST_UNDER_WAY:
            client.made += 1
            client.unanswered.append(client.made)
            if client.connection is not None:
                client.connection.unread.append(client.made)

    @rule(number=st.integers(0, CLIENTS - 1), which=st.integers(0, 3))
    def connect(self, number: int, which: int) -> None:
        """Leave a connection, if there is one, for another one, and send all again that is not answered."""
        able = [worker for worker in self.workers if not worker.is_leaving]
        if able:
            client, worker = self.clients[number], able[which % len(able)]
            client.connection = Connection(client, worker, self._is_stored)
            worker.connections.append(client.connection)

    @precondition(lambda self: self._answered())
    @rule()
    def hear(self) -> None:
        """Hear an answer each."""
        for client in self._answered():
            client.hear()

    @precondition(lambda self: any(client.connection and client.connection.is_broken for client in self.clients))
    @rule()
    def notice(self) -> None:
        """Notice which connections are gone."""
        for client in self.clients:
            if client.connection is not None and client.connection.is_broken:
                client.connection = None

    @rule(number=st.integers(0, CLIENTS - 1))
    def swallow(self, number: int) -> None:
        """Lose the connection with all answers that are on their way."""
        self.clients[number].connection = None

    # Workers.

    @precondition(lambda self: self._unread())
    @rule(which=st.integers(0, 5), batches=st.integers(1, 3))
    def read(self, which: int, batches: int) -> None:
        """Read what has come on a connection, also on one that the client has left."""
        unread = self._unread()
        connection = unread[which % len(unread)]
        for _ in range(min(batches, len(connection.unread))):
            connection.worker.read(connection)
            self.read_lines += 1

    @rule(which=st.integers(0, 3))
    def gather(self, which: int) -> None:
        """Send the supervisor what came."""
        if self.workers:
            self.committer.add(self.workers[which % len(self.workers)].gather())

    @precondition(lambda self: any(worker.told for worker in self.workers))
    @rule()
    def be_told(self) -> None:
        """Hear what is committed."""
        for worker in self.workers:
            if worker.told:
                worker.hear()

    @rule()
    def pass_a_second(self) -> None:
        """Let all go well, up to the commit: no worker is told yet."""
        while unread := self._unread():
            unread[0].worker.read(unread[0])
            self.read_lines += 1
        for worker in self.workers:
            self.committer.add(worker.gather())
        self.end_commit()
        self.committer.commit()

    @rule(which=st.integers(0, 3))
    def kill_worker(self, which: int) -> None:
        """Kill a worker; another one takes its place."""
        if self.workers:
            worker = self.workers.pop(which % len(self.workers))
            worker.end()
            worker.ledger.retired = True
            self._start_worker()

    @precondition(lambda self: len(self.workers) < 3)
    @rule()
    def start_worker(self) -> None:
        """Start one more."""
        self._start_worker()

    # The supervisor.

    @rule()
    def commit(self) -> None:
        """Begin a commit, and end one that is under way."""
        self.committer.commit()
        self.pool.release()

    @rule()
    def begin_commit(self) -> None:
        """Begin one that takes a while."""
        self.pool.held = True
        self.committer.commit()

    @rule()
    def end_commit(self) -> None:
        """End it."""
        self.pool.held = False
        self.pool.release()

    @rule()
    def fill_disk(self) -> None:
        """Let commits fail, also one that is under way."""
        if self.committer.snapshot is not None:
            self._full.touch()

    @rule()
    def make_room(self) -> None:
        """Let commits succeed again."""
        self._full.unlink(missing_ok=True)

    @precondition(lambda self: self.recovery.waiting)
    @rule()
    def recover(self) -> None:
        """Read a piece of a journal: one frame."""
        self.recovery.read_one()

    @rule(is_written=st.booleans())
    def kill_supervisor(self, *, is_written: bool) -> None:
        """Kill the supervisor, before or after what is under way is written; the workers end, and all starts again."""
        self._stop_committing(is_written=is_written)
        for worker in self.workers:
            worker.end()
        self.workers = []
        for ledger in self.ledger_folder.ledgers.values():
            ledger.file.close()
        self._start()
        self._start_worker()

    @rule(is_written=st.booleans(), replace=st.booleans())
    def reload(self, *, is_written: bool, replace: bool) -> None:
        """Become another image: what it had in hand is lost, and the workers go on, some until their clients end."""
        self._stop_committing(is_written=is_written)
        if replace:
            for worker in self.workers:
                worker.is_leaving = True
        self._make_committer()
        if replace:
            self._start_worker()

    def _stop_committing(self, *, is_written: bool) -> None:
        if is_written:
            self.pool.held = False
            self.pool.release()
        else:
            self.pool._waiting.clear()
        self.pool.held = False
        self.committer._running = None
        self.committer.close()

    # What must be so.

    @invariant()
    def once(self) -> None:
        """No batch counts twice, and what a client was told is in the store."""
        if self.workers and self.committer.snapshot is not None:
            totals = self._totals
            assert all(number == 1.0 for name, number in totals.items() if name != "other")
            for client in self.clients:
                assert not [one for one in client.confirmed if client.counter(one) not in totals]

    def teardown(self) -> None:
        """Let all come to rest: every batch is confirmed to its client, and in the totals once."""
        try:
            if self.workers:
                self._rest()
                self.once()
                for client in self.clients:
                    assert not client.unanswered
                    assert client.confirmed == set(range(1, client.made + 1))
                assert self._totals.get("other", 0.0) == self.read_lines
        finally:
            self.committer.close()
            for worker in self.workers:
                worker.map.close()
            for ledger in self.ledger_folder.ledgers.values():
                ledger.file.close()
            self._patch.stop()
            self._temporary.cleanup()

    def _rest(self) -> None:
        self.make_room()
        self.pool.held = False
        self.pool.release()
        if all(worker.is_leaving for worker in self.workers):
            self._start_worker()
        for client in self.clients:
            self.connect(client.number, 0)
        for worker in self.workers:
            for connection in worker.connections:
                while connection.unread:
                    worker.read(connection)
                    self.read_lines += 1
            self.committer.add(worker.gather())
        for _ in range(3):
            self.committer.commit()
            while self.recovery.waiting:
                self.recovery.read_one()
        for worker in self.workers:
            while worker.told:
                worker.hear()
        for client in self.clients:
            while client.connection is not None and client.connection.answers:
                client.hear()


class ExactlyOnceTests(SynchronousTestCase):
    """Any order of what may happen."""

    def test_any_order(self) -> None:
        """The clients' books are equal to the totals, and what a client was told is in the store at that moment."""
        examples = EXAMPLES * settings().max_examples
        run_state_machine_as_test(World, settings=settings(max_examples=examples, stateful_step_count=STEPS))
