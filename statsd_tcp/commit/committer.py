"""Once a second: everything that the workers gathered goes into the store, in a thread of its own.

The reactor never waits for the disk. It collects what came, gives it away, and gets a snapshot back. While commits
fail, what came is kept and tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.commit.recovery import IRecovery
from statsd_tcp.commit.replay import Replay, replay
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.ledger.layout import LedgerCounts
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.queues import IQueue, Queued
from statsd_tcp.store.snapshot import LedgerState, Snapshot
from statsd_tcp.words import in_words

__all__ = ["Committer"]

_T = TypeVar("_T")


class _Work(NamedTuple):
    """What one commit takes in."""

    gathered: list[Piece]
    counts: list[LedgerCounts]
    ledgers: dict[str, Ledger]
    retired: list[Ledger]
    recovered: dict[str, Replay]
    unlinked: list[str]
    delivered: list[tuple[str, int]]
    files: set[str] | None


class _Done(NamedTuple):
    """What one commit has brought.

    ``folded`` are the ledgers that are done with, ``unread`` those whose journals have to be read first, and ``lost``
    those that the store knows and that aren't there any more.
    """

    snapshot: Snapshot
    folded: list[Ledger]
    unread: list[Ledger]
    lost: list[LedgerState]


@implementer(IQueue)
class Committer:
    """The only user of the store.

    ``pool`` has exactly one thread: the store belongs to it. ``recovery`` reads the journals of the dead.

    _running  _again   state                               what `commit` does   when the commit is over
    None      False    nothing is in the thread            begins one           -
    Deferred  False    a commit is in the thread           sets _again          fires _running
    Deferred  True     it is, and another is asked for     nothing more         begins the other one

    Who calls `commit` while one is in the thread waits for the other one: the first lacks what came after it began.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        pool: Any,
        open_store: Callable[[], Store],
        ledger_folder: LedgerFolder,
        recovery: IRecovery,
    ) -> None:
        self._reactor = reactor
        self._recovery = recovery
        self._pool = pool
        self._open_store = open_store
        self._ledger_folder = ledger_folder
        self._store: Store | None = None
        self._waiting: list[Piece] = []
        self._unlinked: list[str] = []
        self._delivered: list[tuple[str, int]] = []
        self._running: Deferred[None] | None = None
        self._again = False
        self._reconciled = False
        self.snapshot: Snapshot | None = None
        self.failure = ""
        """Why the last commit failed, in one line; empty while all is well."""
        self.after_commit: list[Callable[[Snapshot], None]] = []
        """Called with the snapshot of every commit."""

    def add(self, piece: Piece) -> None:
        """Keep a worker's answer for the next commit."""
        self._waiting.append(piece)

    def commit(self) -> Deferred[None]:
        """Commit what there is; fires when all that was given until now is in the store, or the attempt has failed."""
        if self._running is not None:
            self._again = True
            return _follow(self._running)
        work = _Work(
            self._waiting,
            self._ledger_folder.counts(),
            dict(self._ledger_folder.ledgers),
            [ledger for ledger in self._ledger_folder.ledgers.values() if ledger.retired],
            dict(self._recovery.results),
            self._unlinked,
            self._delivered,
            None if self._reconciled else self._ledger_folder.names(),
        )
        self._waiting, self._delivered = [], []
        running: Deferred[None] = Deferred()
        self._running = running
        done = deferToThreadPool(self._reactor, self._pool, self._write, work)
        done.addCallbacks(self._written, self._failed, callbackArgs=(work,), errbackArgs=(work,))
        done.addBoth(self._finished, running)
        return _follow(running)

    def ask(self, question: Callable[[Store], _T]) -> Deferred[_T]:
        """Call a function with the store in the store's thread, between two commits; it fails before the first one."""
        return deferToThreadPool(self._reactor, self._pool, lambda: question(self._opened()))

    def after(self, output: str, flush_id: int) -> Deferred[Queued | None]:
        """Read the first flush behind that one which waits for an output."""
        return self.ask(lambda store: store.after(output, flush_id))

    def acknowledge(self, output: str, flush_id: int) -> None:
        """Have a flush that an output has written taken out with the next commit."""
        self._delivered.append((output, flush_id))

    async def _finish(self) -> None:
        await self.commit()
        if self._recovery.busy:
            await self._recovery.settled()
            await self.commit()

    def finish(self) -> Deferred[None]:
        """Commit all that there is, with what the journals of the dead hold, as far as that can be read soon."""
        return Deferred.fromCoroutine(self._finish())

    async def _close(self) -> None:
        await self._recovery.stop()
        if self._store is not None:
            await deferToThreadPool(self._reactor, self._pool, self._close_store)

    def close(self) -> Deferred[None]:
        """Close the store. Another commit would open it again."""
        return Deferred.fromCoroutine(self._close())

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self) -> Store:
        if self._store is None:
            raise StoreError("the store is not open yet")
        return self._store

    def _write(self, work: _Work) -> _Done:
        """Commit, in the store's thread."""
        if self._store is None:
            self._store = self._open_store()
        store = self._store
        pieces = _without_gaps(work.gathered, store, work.ledgers)
        ends = {piece.ledger_id: piece.end for piece in pieces}
        folded: list[Ledger] = []
        for ledger in work.retired:
            end = ends.get(ledger.ledger_id, _safe_offset(store, ledger.ledger_id))
            found = work.recovered.get(ledger.ledger_id)
            if found is not None and found.start == end:
                pieces.append(_recovered(ledger.ledger_id, found))
                folded.append(ledger)
            elif found is None and ledger.head <= end:
                folded.append(ledger)
        lost = _without_file(store, work, self._ledger_folder.unreadable)
        gone = [state.ledger_id for state in lost]
        batch = CommitBatch(
            counts=work.counts,
            pieces=pieces,
            folded=[ledger.ledger_id for ledger in folded] + gone,
            unlinked=work.unlinked + [name for name in gone if name not in (work.files or ())],
            delivered=work.delivered,
        )
        unread = [ledger for ledger in work.retired if ledger not in folded]
        return _Done(store.commit(batch), folded, unread, lost)

    def _written(self, done: _Done, work: _Work) -> None:
        self.snapshot = snapshot = done.snapshot
        if self.failure:
            self._log.info("commits work again")
            self.failure = ""
        for refusal in snapshot.refused:
            self._log.error("an interval does not fit its ledger and was left out: {refusal}", refusal=refusal)
        self._reconciled = True
        for lost in done.lost:
            if not lost.folded:
                self._log.error(
                    "the ledger {ledger} of worker {worker} is not there: what it had beyond the last commit is lost",
                    ledger=lost.ledger_id,
                    worker=lost.worker,
                )
        self._unlinked = [ledger.ledger_id for ledger in done.folded if self._let_go(ledger)]
        for ledger in done.unread:
            if ledger.ledger_id in work.recovered:
                # It did not begin where the store is.
                del self._recovery.results[ledger.ledger_id]
            self._recovery.read(ledger, snapshot.ledgers[ledger.ledger_id].committed, self.commit)
        for callback in self.after_commit:
            self._tell(callback, snapshot)

    def _tell(self, callback: Callable[[Snapshot], None], snapshot: Snapshot) -> None:
        try:
            callback(snapshot)
        except Exception:  # noqa: BLE001  (one that fails must not keep the snapshot from the others)
            self._log.failure("what follows a commit failed")

    def _let_go(self, ledger: Ledger) -> bool:
        """Delete a ledger's file, or set it aside; tell whether it is gone.

        While there is one the store must not forget how much of it it has: somebody may mend it and put it back.
        """
        found = self._recovery.results.pop(ledger.ledger_id, None)
        try:
            if found is not None and found.fault:
                self._ledger_folder.give_up(ledger, found.fault)
                return False
            self._ledger_folder.remove(ledger)
        except OSError as error:
            self._log.error("a ledger that is not needed any more can't be deleted: {error}", error=in_words(error))
            return False
        return True

    def _failed(self, failure: Failure, work: _Work) -> None:
        self._waiting = work.gathered + self._waiting
        self._delivered = work.delivered + self._delivered
        text = in_words(failure.value)
        if text != self.failure:
            self.failure = text
            self._log.error("a commit failed and is tried again every second: {text}", text=text)
            if not failure.check(StoreError):
                self._log.failure("a commit failed in an unexpected way", failure=failure)

    def _finished(self, outcome: object, running: Deferred[None]) -> None:
        self._running = None
        if isinstance(outcome, Failure):
            self._log.failure("what follows a commit failed", failure=outcome)
        if self._again:
            self._again = False
            self.commit().chainDeferred(running)
        else:
            running.callback(None)


def _recovered(ledger_id: str, found: Replay) -> Piece:
    return Piece(ledger_id, found.start, found.end, found.payload, recovered=True)


def _safe_offset(store: Store, ledger_id: str) -> int:
    """Give up to where a ledger's journal is in the store."""
    known = store.snapshot.ledgers.get(ledger_id)
    return known.committed if known else 0


def _without_file(store: Store, work: _Work, unreadable: set[str]) -> list[LedgerState]:
    """Find the ledgers that the store knows and of which there is nothing more to come. Only the first commit looks.

    Their file is gone, because a crash came between deleting it and forgetting the row or because somebody took it; or
    it was set aside. What the store has of them is settled then, or their connections would be open for ever.
    """
    if work.files is None:
        return []
    known = store.snapshot.ledgers
    return [state for name, state in known.items() if name not in work.ledgers and name not in unreadable]


def _without_gaps(pieces: list[Piece], store: Store, ledgers: Mapping[str, Ledger]) -> list[Piece]:
    """Put in what is missing before a piece: one that was lost between a worker and the store.

    That happens when the supervisor became another image while it had it in hand. The journal still has the lines.
    """
    result = []
    ends: dict[str, int] = {}
    for piece in pieces:
        ledger_id = piece.ledger_id
        end = ends.get(ledger_id, _safe_offset(store, ledger_id))
        if piece.start > end and ledger_id in ledgers:
            result.append(_recovered(ledger_id, replay(ledgers[ledger_id].map, end, piece.start)))
        result.append(piece)
        ends[ledger_id] = max(end, piece.end)
    return result


def _follow(running: Deferred[None]) -> Deferred[None]:
    """Give a Deferred of the caller's own that fires when ``running`` does."""
    own: Deferred[None] = Deferred()

    def fire(result: None) -> None:
        own.callback(None)
        return result

    running.addCallback(fire)
    return own
