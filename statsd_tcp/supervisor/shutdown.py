"""The end of the service: no connection begins, workers hand over what they have, sockets are closed, all is committed.

A connection that the kernel has completed is established for its client. If it waits in a queue when the socket is
closed, it is reset, and a balancer in front may tell its own client that all went well. So nothing new may come into
the queues before the workers read them to their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.commit.committer import Committer
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.supervisor.slots import Slots
from statsd_tcp.words import in_words

__all__ = ["LAST_COMMIT", "LAST_KILL", "LONGEST_END", "Shutdown"]

LAST_KILL = 1.0
"""Seconds that a killed worker may take to be gone."""

LAST_COMMIT = 3.0
"""Seconds that the last commit and the closing of the store may take where less is left of the drain time. What is not
in the store then is in the ledgers."""

LONGEST_END = LAST_KILL + LAST_COMMIT
"""Seconds beyond the drain time after which a stop is over whatever hangs. With the default drain time that is sooner
than `docker stop` and systemd lose their patience: whom they kill has said nothing."""


class Shutdown:
    """Ends the workers in ``slots``. `check` must be called whenever one has ended.

    ``given_up`` are the listeners that a reload was closing, as long as it has not. Of sockets that are ``kept`` by
    systemd nothing is turned away: clients wait in their queues for the next start.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        slots: Slots,
        listeners: Sequence[BoundListener],
        given_up: Sequence[BoundListener],
        committer: Committer,
        *,
        kept: bool,
    ) -> None:
        self._kept = kept
        self._reactor = reactor
        self._slots = slots
        self._listeners = listeners
        self._given_up = given_up
        self._committer = committer
        self._deadline: IDelayedCall | None = None
        self._end = 0.0
        self._stopped: Deferred[None] | None = None

    def begin(self, seconds: float) -> Deferred[None]:
        """Ask the workers to end, and kill those that take longer; fire when all is in the store."""
        stopped = self._stopped = Deferred[None]()
        self._deadline = self._reactor.callLater(seconds, self._out_of_time)
        self._end = self._reactor.seconds() + seconds
        if not self._kept:
            self._turn_away()
        for slot in self._slots:
            slot.stop(seconds)
        self.check()
        return stopped

    def check(self) -> None:
        """Go on if no worker is left. The sockets stay open until then: clients may still wait in their queues."""
        if self._stopped is None or not self._slots.are_empty:
            return
        stopped, self._stopped = self._stopped, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._commit(stopped)

    def _commit(self, stopped: Deferred[None]) -> None:
        """Close the sockets, and commit what there is, within the rest of the time or `LAST_COMMIT`."""
        for listener in (*self._listeners, *self._given_up):
            # Other processes may have copies of sockets that were passed to us.
            with suppress(OSError):
                listener.let_in()
            listener.close()
        left = max(0.0, self._end - self._reactor.seconds())
        finished = maybeDeferred(self._committer.finish, left)
        finished.addCallback(lambda _: self._committer.close())
        finished.addTimeout(max(left, LAST_COMMIT), self._reactor)
        finished.addCallback(self._log_end)
        finished.addErrback(self._log_hung)
        finished.addErrback(self._log_last)
        finished.chainDeferred(stopped)

    def _turn_away(self) -> None:
        failed = ""
        for listener in self._listeners:
            try:
                listener.turn_away()
            except OSError as error:
                failed = in_words(error)
        if failed:
            self._log.warn("clients that connect at the last moment are reset: {error}", error=failed)

    def _out_of_time(self) -> None:
        self._deadline = None
        late = [slot for slot in self._slots if slot.processes]
        self._log.error("{late} workers did not finish in time and are killed", late=len(late))
        for slot in late:
            slot.kill()
        self._deadline = self._reactor.callLater(LAST_KILL, self._leave_alive)

    def _leave_alive(self) -> None:
        """Go on without workers that cannot even be killed, as when they wait for a disk that does not answer."""
        self._deadline = None
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            self._log.error("workers cannot be ended; what they have is in their ledgers, for the next start")
            self._commit(stopped)

    def _log_end(self, _: None) -> None:
        if not self._committer.failure:
            self._log.info("stopped; all that was counted is in the store")

    def _log_hung(self, failure: Failure) -> None:
        failure.trap(DeferTimeoutError)
        self._log.error("the last commit has not returned; what it lacks is in the ledgers, for the next start")

    def _log_last(self, failure: Failure) -> None:
        self._log.failure("the last commit failed", failure=failure)
