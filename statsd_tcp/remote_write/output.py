"""One output by remote write: slots become requests in the store, and requests go to the receiver, one by one.

    a commit --the slot has ended--> frozen, in a thread --> the store's queue
                                                               | the request in front, until it is settled
                                                               v
                                                          the receiver

What a slot has is of a commit that is on the disk. So nothing is ever told that a crash could take back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from prometheus_client.core import Metric
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.outputs.delivery import OutputFacts, since
from statsd_tcp.remote_write.clock_guard import ReceiverClock
from statsd_tcp.remote_write.conflict import Conflict
from statsd_tcp.remote_write.conversation import Conversation
from statsd_tcp.remote_write.freezing import Freezer
from statsd_tcp.remote_write.given_up import GivenUp
from statsd_tcp.remote_write.receiver import IReceiver
from statsd_tcp.remote_write.sending import RequestSender
from statsd_tcp.remote_write.slots import SlotEnds
from statsd_tcp.remote_write.stored_queue import Stored, StoredQueue
from statsd_tcp.remote_write.tally import Tally
from statsd_tcp.status.own_metrics import RemoteFacts
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.frozen import Queue, Request
from statsd_tcp.store.snapshot import Snapshot

__all__ = ["RemoteWrite"]

_STORE_AGAIN: Final = 1.0
"""Seconds between two looks into the queue while the store fails."""

_LONGEST_STOP: Final = 2.0


class RemoteWrite(Service):
    """Tells a receiver what the page says. ``output_name`` is its name among the outputs.

    ``own`` returns the service's own metrics, ``outputs`` are the names of all outputs of this kind, and ``in_thread``
    calls a function in some thread. ``wall`` is the wall clock, and ``spread`` returns a number from 0 to 1.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        queue: Queue,
        freezer: Freezer,
        seconds: int,
        receiver: IReceiver,
        stored: Stored,
        own: Callable[[Snapshot], Iterable[Metric]],
        outputs: Collection[str],
        in_thread: Callable[..., Deferred[Any]],
        wall: Callable[[], float] = time.time,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._reactor = reactor
        self.output_name = name = queue.output
        self._receiver = receiver
        self._outputs = outputs
        self._tally = tally = Tally()
        self._conflict = Conflict()
        self._queue = StoredQueue(queue, stored, tally, freezer.forget)
        self._slot_ends = SlotEnds(name, seconds, self._queue, freezer, own, in_thread, self._say, wall)
        clock = ReceiverClock()
        conversation = Conversation(reactor, receiver, clock, tally, self._say, spread)
        given_up = GivenUp(name, reactor, conversation, clock, self._conflict, tally, in_thread, wall)
        self._sender = RequestSender(reactor, self._queue, conversation, clock, given_up, tally, self._say, wall)
        self._conversation = conversation
        self._error = ""
        self._began: float | None = None
        self._freezing: Deferred[None] | None = None
        self._sending: Deferred[None] | None = None
        self._more = False

    def facts(self) -> OutputFacts:
        """Describe how it does; what is counted are requests."""
        now = self._reactor.seconds()
        return OutputFacts(
            self.output_name,
            self._queue.state.requests,
            self._sender.sent,
            self._tally.failed,
            self._sender.dropped,
            self._sender.last_success,
            self._error or self._conflict.text(now),
            since(self._sender.succeeded, now),
            self._queue.state.used,
        )

    def remote_facts(self) -> RemoteFacts:
        """Describe what became of its samples."""
        return self._tally.facts(self.output_name)

    def findings(self) -> list[dict[str, Any]]:
        """Return what the operator has to look at, as the status page writes findings."""
        return self._conflict.findings(self.output_name, self._reactor.seconds())

    @property
    def underway(self) -> float | None:
        """Return for how many seconds the request in front has been tried to be sent; None if there is none."""
        return None if self._began is None else float(self._reactor.seconds() - self._began)

    def committed(self, snapshot: Snapshot) -> None:
        """See after a commit whether a slot has ended."""
        if self.running and self._freezing is None:
            work = Deferred.fromCoroutine(self._slot(snapshot))
            self._freezing = work
            work.addErrback(self._note_end).addBoth(self._frozen)

    def stopService(self) -> Deferred[None]:
        """Give up what is under way; it comes again with the next start."""
        super().stopService()
        for work in (self._freezing, self._sending):
            if work is not None:
                work.cancel()
        closed = self._receiver.close()
        return closed.addTimeout(_LONGEST_STOP, self._reactor).addErrback(lambda _: None)

    def _note_end(self, failure: Failure) -> None:
        if not failure.check(CancelledError, StoreError):
            # Of the store the committer says so itself.
            self._log.failure("remote write to {name} failed", failure=failure, name=self.output_name)

    def _frozen(self, outcome: object) -> None:
        self._freezing = None

    def _rest(self, outcome: object) -> None:
        self._sending = self._began = None

    async def _slot(self, snapshot: Snapshot) -> None:
        if not self._queue.is_loaded:
            await self._queue.load(self._outputs)
            self._wake()
        if await self._slot_ends.look(snapshot):
            self._wake()

    def _wake(self) -> None:
        self._more = True
        if self.running and self._sending is None:
            work = Deferred.fromCoroutine(self._send_all())
            self._sending = work
            work.addErrback(self._note_end).addBoth(self._rest)

    async def _send_all(self) -> None:
        while self.running:
            try:
                self._more = False
                request = await self._queue.first()
                if request is not None:
                    await self._send(request)
                elif not self._more:
                    return
            except StoreError:
                await self._conversation.pause(_STORE_AGAIN)

    async def _send(self, request: Request) -> None:
        if self._began is None:
            self._began = self._reactor.seconds()
        if await self._sender.send(request):
            self._began = None

    def _say(self, text: str) -> None:
        """Log what is wrong, once, and later that it is over."""
        if text and text != self._error:
            self._log.error("output {name}: {text}; its requests wait", name=self.output_name, text=text)
        elif self._error and not text:
            self._log.info("output {name} works again", name=self.output_name)
        self._error = text
