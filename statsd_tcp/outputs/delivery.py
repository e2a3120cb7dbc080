"""Delivering flushes to one output: in order, again and again until each is written, at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.flush.queues import IQueue, Waiting
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.words import in_words

__all__ = ["Delivery", "OutputFacts", "since"]

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts, doubled with each that fails."""


LONGEST_DELIVERY = 600.0
"""Seconds that an output may take for one flush, sixty times what it has by default; those of ours give up by
themselves long before. Whatever an output that hangs waits for, its next attempt may get."""

LONGEST_STOP = 2.0
"""Seconds that an output may take to stop. What is counted is committed only after that."""


class NotDeliveredError(Exception):
    """An output neither wrote a flush nor failed."""


class OutputFacts(NamedTuple):
    """How an output does.

    ``last_success`` is wall time, 0.0 for never; ``since_success`` how many seconds have passed since, whatever the
    wall clock was set to. ``error`` is empty while all is well. ``queue_used`` is the part of its queue that is full,
    from 0 to 1, None if it has none on the disk.
    """

    name: str
    queued: int
    sent: int
    failed: int
    dropped: int
    last_success: float
    error: str
    since_success: float | None = None
    queue_used: float | None = None


def since(moment: float | None, now: float) -> float | None:
    """Return how many seconds have passed since a moment of the same clock, if there was one."""
    return None if moment is None else round(now - moment, 3)


class Delivery(Service):
    """Takes flushes out of a queue and gives them to an output.

        idle --a commit has something new--> delivering --written: acknowledge--> the next one, or idle
                                              |     ^
                                        failed|     |the pause is over: the same one again
                                              v     |
                                              waiting (1 s, doubled up to 60 s)

    An output that fails delays only itself. Its flushes wait in the store, the oldest of them leaves when the
    queue is full, and the ones in front of it are never skipped: a backend gets them in order.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, name: str, output: IOutput, queue: IQueue, wall: Callable[[], float] = time.time
    ) -> None:
        self._reactor = reactor
        self.output_name = name
        self.output = output
        # It brings half of Twisted's clients with it, which a service without outputs does not need.
        from twisted.application.internet import backoffPolicy

        self._queue = queue
        self._wall = wall
        self._pause = backoffPolicy(SHORTEST_PAUSE, LONGEST_PAUSE, factor=2.0)
        self._waiting = Waiting(0, 0, 0)
        self._done = 0
        self._attempts = 0
        self._sent = self._failed = 0
        self._last_success = 0.0
        self._succeeded: float | None = None
        self._error = ""
        self._began: float | None = None
        self._work: Deferred[None] | None = None

    def facts(self) -> OutputFacts:
        """Describe how it does."""
        return OutputFacts(
            self.output_name,
            self._waiting.flushes,
            self._sent,
            self._failed,
            self._waiting.dropped,
            self._last_success,
            self._error,
            since(self._succeeded, self._reactor.seconds()),
            self._waiting.used,
        )

    @property
    def underway(self) -> float | None:
        """Return for how many seconds the flush in front has been tried to be delivered; None if there is none."""
        return None if self._began is None else float(self._reactor.seconds() - self._began)

    def committed(self, snapshot: Snapshot) -> None:
        """Look for what waits after a commit, and begin if there is something new."""
        if snapshot.flushes is not None:
            self._waiting = snapshot.flushes.queues.get(self.output_name, self._waiting)
        if self.running and self._work is None and self._waiting.newest > self._done:
            work = Deferred.fromCoroutine(self._deliver_all())
            self._work = work
            work.addBoth(self._rest)

    def stopService(self) -> Deferred[None]:
        """Give up what is under way; it comes again with the next start."""
        super().stopService()
        if self._work is not None:
            self._work.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        try:
            await _apart(maybeDeferred(self.output.stop)).addTimeout(LONGEST_STOP, self._reactor)
        except Exception:  # noqa: BLE001 - an output may be foreign code
            self._log.failure("output {name} does not stop", name=self.output_name)

    async def _deliver_all(self) -> None:
        while self.running:
            try:
                queued = await self._queue.after(self.output_name, self._done)
                if queued is None:
                    return
                if self._began is None:
                    self._began = self._reactor.seconds()
                delivered = _apart(maybeDeferred(self.output.deliver, queued.result))
                await delivered.addTimeout(LONGEST_DELIVERY, self._reactor, _give_up)
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - an output may be foreign code; the flush waits
                self._note_failure(error)
                await deferLater(self._reactor, self._pause(self._attempts))
            else:
                self._note_success(queued.flush_id)

    def _note_success(self, flush_id: int) -> None:
        if self._error:
            self._log.info("output {name} works again", name=self.output_name)
        self._done = flush_id
        self._began = None
        self._attempts, self._error = 0, ""
        self._sent += 1
        self._last_success = self._wall()
        self._succeeded = self._reactor.seconds()
        self._queue.acknowledge(self.output_name, flush_id)

    def _note_failure(self, error: Exception) -> None:
        text = in_words(error)
        if text != self._error:
            self._log.error("output {name}: {text}; its flushes wait", name=self.output_name, text=text)
        self._error = text
        self._failed += 1
        self._attempts += 1

    def _rest(self, outcome: object) -> None:
        self._work = self._began = None
        if isinstance(outcome, Failure) and not outcome.check(CancelledError):
            self._log.failure("delivering to {name} failed", failure=outcome, name=self.output_name)


def _apart(deferred: Deferred[Any]) -> Deferred[Any]:
    """Return a Deferred that fires with this one, or when it is cancelled: a coroutine may go on all the same."""
    own: Deferred[Any] = Deferred(lambda _: deferred.cancel())

    def fire(result: object) -> None:
        if not own.called:
            own.callback(result)

    deferred.addBoth(fire)
    return own


def _give_up(result: object, seconds: float) -> None:
    raise NotDeliveredError(f"it gave no answer in {seconds:g} s")
