"""Once a second: everything that the workers gathered goes into the store, in a thread of its own.

The reactor never waits for the disk. It collects what came, gives it away, and gets a snapshot back. While commits
fail, what came is kept and tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.commit.opening import Misunderstandings
from statsd_tcp.commit.recovery import IRecovery
from statsd_tcp.commit.replay import Replay
from statsd_tcp.commit.work import Done, Work, carry_out
from statsd_tcp.flush.queues import IQueue, Queued
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.state.lock import StateError
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.snapshot import LedgerState, Snapshot
from statsd_tcp.words import in_words

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.store.database import Store

__all__ = ["Committer"]

_T = TypeVar("_T")


@implementer(IQueue)
class Committer:
    """The only user of the store.

    ``pool`` has exactly one thread: the store belongs to it. ``recovery`` reads the journals of the dead. ``guard`` is
    called before each use of the store, in that thread; a `StateError` that it raises says why there must be none.

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
        guard: Callable[[], object] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._guard = guard
        self._recovery = recovery
        self._pool = pool
        self._open_store = open_store
        self._ledger_folder = ledger_folder
        self._store: Store | None = None
        self._waiting: list[Piece] = []
        self._unlinked: list[str] = []
        self._delivered: list[tuple[str, int]] = []
        self._questions = DeferredLock()
        self._running: Deferred[None] | None = None
        self._again = False
        self._began: float | None = None
        self._reconciled = False
        self.snapshot: Snapshot | None = None
        self.failure = ""
        """Why the last commit failed, in one line; empty while all is well."""
        self.after_commit: list[Callable[[Snapshot], None]] = []
        """Called with the snapshot of every commit."""
        self.not_understood = Misunderstandings()

    @property
    def underway(self) -> float | None:
        """Return for how many seconds a commit has been under way, or the closing of the store; None if none is."""
        return None if self._began is None else float(self._reactor.seconds() - self._began)

    def add(self, piece: Piece) -> None:
        """Keep a worker's answer for the next commit."""
        self._waiting.append(piece)

    def commit(self) -> Deferred[None]:
        """Commit what there is; fires when all that was given until now is in the store, or the attempt has failed."""
        if self._running is not None:
            self._again = True
            return _follow(self._running)
        work = Work(
            self._waiting,
            self._ledger_folder.counts(),
            dict(self._ledger_folder.ledgers),
            [ledger for ledger in self._ledger_folder.ledgers.values() if ledger.retired],
            dict(self._recovery.results),
            self._unlinked,
            self._delivered,
            None if self._reconciled else self._ledger_folder.names(),
            [],
        )
        self._waiting, self._delivered = [], []
        running: Deferred[None] = Deferred()
        self._running = running
        self._began = self._reactor.seconds()
        done = deferToThreadPool(self._reactor, self._pool, self._write, work)
        done.addCallbacks(self._written, self._failed, callbackArgs=(work,), errbackArgs=(work,))
        done.addBoth(self._finished, running)
        return _follow(running)

    def ask(self, question: Callable[[Store], _T]) -> Deferred[_T]:
        """Call a function with the store in the store's thread, between two commits; it fails before the first one.

        Questions are asked one by one, so that a commit waits for one of them at most, however many there are.
        """
        return self._questions.run(deferToThreadPool, self._reactor, self._pool, lambda: question(self._opened()))

    def after(self, output: str, flush_id: int) -> Deferred[Queued | None]:
        """Read the first flush after that one which waits for an output."""
        return self.ask(lambda store: store.after(output, flush_id))

    def acknowledge(self, output: str, flush_id: int) -> None:
        """Remove a flush that an output has written with the next commit."""
        self._delivered.append((output, flush_id))

    async def _finish(self, seconds: float) -> None:
        await self.commit()
        if self._recovery.waiting:
            await self._recovery.settled(seconds)
            await self.commit()

    def finish(self, seconds: float) -> Deferred[None]:
        """Commit all that there is, with what of the journals of the dead can be read within that time."""
        return Deferred.fromCoroutine(self._finish(seconds))

    async def _close(self) -> None:
        await self._recovery.stop()
        if self._store is not None:
            self._began = self._reactor.seconds()
            closing = deferToThreadPool(self._reactor, self._pool, self._close_store)
            closing.addBoth(self._closed)
            # A caller that no longer waits for it must not keep us from seeing its end.
            await _follow(closing)

    def close(self) -> Deferred[None]:
        """Close the store. Another commit would open it again."""
        return Deferred.fromCoroutine(self._close())

    def _closed(self, outcome: _T) -> _T:
        self._began = None
        return outcome

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self) -> Store:
        if self._store is None:
            raise StoreError("the store is not open yet")
        try:
            self._guard()
        except StateError as error:
            raise StoreError(str(error)) from None
        return self._store

    def _write(self, work: Work) -> Done:
        """Commit, in the store's thread."""
        self._guard()
        if self._store is None:
            self._store = self._open_store()
        return carry_out(work, self._store, self._ledger_folder.unreadable)

    def _written(self, done: Done, work: Work) -> None:
        self.snapshot = snapshot = done.snapshot
        if self.failure:
            self._log.info("commits work again")
            self.failure = ""
        for refusal in snapshot.refused:
            self._log.error("an interval does not fit its ledger and was left out: {refusal}", refusal=refusal)
        self._reconciled = True
        self.not_understood.tell(work.noted)
        self._tell_lost([state for state in done.lost if not state.folded], done.backup_taken)
        self._waiting = [piece.closed() for piece in done.held] + self._waiting
        self._unlinked = [ledger.ledger_id for ledger in done.folded if self._let_go(ledger, work.recovered)]
        self._read_on(done, work)
        for callback in self.after_commit:
            self._tell(callback, snapshot)

    def _tell_lost(self, lost: list[LedgerState], backup_taken: float | None) -> None:
        """Log which ledgers are gone; after a backup that is expected: their workers have ended since it was taken."""
        if backup_taken is not None:
            self._log.info(
                "the store is a backup of {date}; {number} of its ledgers are gone, and count as they did then",
                date=time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(backup_taken)),
                number=len(lost),
            )
            return
        for state in lost:
            self._ledger_folder.faults["missing"] += 1
            self._log.error(
                "the ledger {ledger} of worker {worker} is not there: what it had beyond the last commit is lost",
                ledger=state.ledger_id,
                worker=state.worker,
            )

    def _read_on(self, done: Done, work: Work) -> None:
        """Request the next piece of every journal that is not in the store to its end."""
        for ledger_id, found in work.recovered.items():
            # It is in the store, or did not begin where the store is.
            if self._recovery.results.get(ledger_id) is found:
                del self._recovery.results[ledger_id]
        self._recovery.keep({ledger.ledger_id for ledger, _ in done.unread})
        for ledger, until in done.unread:
            if ledger.ledger_id in done.in_vain:
                # With the next commit. It would follow this one by nothing if it was read at once.
                continue
            known = done.snapshot.ledgers.get(ledger.ledger_id)
            self._recovery.read(ledger, known.committed if known else 0, self.commit, until)

    def _tell(self, callback: Callable[[Snapshot], None], snapshot: Snapshot) -> None:
        try:
            callback(snapshot)
        except Exception:  # noqa: BLE001  (one that fails must not keep the snapshot from the others)
            self._log.failure("what follows a commit failed")

    def _let_go(self, ledger: Ledger, recovered: Mapping[str, Replay]) -> bool:
        """Delete a ledger's file, or set it aside; return whether it is gone.

        While the file exists, the store must remember how much of it it has: the operator may repair it and put it
        back.
        """
        found = recovered.get(ledger.ledger_id)
        self.not_understood.forget(ledger.ledger_id)
        try:
            if found is not None and found.fault:
                self._ledger_folder.give_up(ledger, found.fault)
                return False
            self._ledger_folder.remove(ledger)
        except OSError as error:
            self._log.error("a ledger that is no longer needed cannot be deleted: {error}", error=in_words(error))
            return False
        return True

    def _failed(self, failure: Failure, work: Work) -> None:
        self._waiting = [piece.closed() for piece in work.gathered] + self._waiting
        self.not_understood.tell(work.noted)
        self._delivered = work.delivered + self._delivered
        text = in_words(failure.value)
        if text != self.failure:
            self.failure = text
            self._log.error("a commit failed and is tried again every second: {text}", text=text)
            if not failure.check(StoreError, StateError):
                self._log.failure("a commit failed in an unexpected way", failure=failure)

    def _finished(self, outcome: object, running: Deferred[None]) -> None:
        self._running = self._began = None
        if isinstance(outcome, Failure):
            self._log.failure("what follows a commit failed", failure=outcome)
        if self._again:
            self._again = False
            self.commit().chainDeferred(running)
        else:
            running.callback(None)


def _follow(running: Deferred[None]) -> Deferred[None]:
    """Return a Deferred of the caller's own that fires as ``running`` does, and can be cancelled for itself."""
    own: Deferred[None] = Deferred()

    def fire(result: Any) -> None:
        own.callback(result)

    running.addBoth(fire)
    return own
