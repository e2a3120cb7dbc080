"""One output by remote write: slots become requests in the store, and requests go to the receiver, one by one.

    a commit --the slot has ended--> frozen, in a thread --> the store's queue
                                                               | the request in front, until it is settled
                                                               v
                                                          the receiver

What a slot has is of a commit that is on the disk. So nothing is ever told that a crash could take back.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, Final, TypeVar

from prometheus_client.core import Metric
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.outputs.delivery import OutputFacts, since
from statsd_tcp.remote_write.clock_guard import MOST_AHEAD, ReceiverClock
from statsd_tcp.remote_write.conflict import CLONE, Conflict, cause_of
from statsd_tcp.remote_write.conversation import Conversation, Outcome
from statsd_tcp.remote_write.encoding import EMPTY
from statsd_tcp.remote_write.freezing import Freezer
from statsd_tcp.remote_write.receiver import IReceiver
from statsd_tcp.remote_write.search import LEFT_OUT_FOR, LeftOut, Search
from statsd_tcp.remote_write.slots import ended
from statsd_tcp.remote_write.tally import Tally
from statsd_tcp.status.own_metrics import RemoteFacts
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.frozen import Known, Queue, Request, State
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.words import span

__all__ = ["RemoteWrite", "Stored"]

_T = TypeVar("_T")

_LOOK_AGAIN: Final = 15.0
"""Seconds between two looks at the receiver's clock while ours is ahead of it."""

_STORE_AGAIN: Final = 1.0

_LONGEST_STOP: Final = 2.0

Work = Callable[[sqlite3.Connection], _T]

Stored = Callable[[Work[Any]], Deferred[Any]]
"""Does something with the store's file: in a transaction, and in the store's thread."""


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
        self.output_name = queue.output
        self._queue = queue
        self._freezer = freezer
        self._seconds = seconds
        self._receiver = receiver
        self._stored = stored
        self._own = own
        self._outputs = outputs
        self._in_thread = in_thread
        self._wall = wall
        self._tally = Tally()
        self._clock = ReceiverClock()
        self._conversation = Conversation(reactor, receiver, self._clock, self._tally, self._say, spread)
        self._left_out = LeftOut()
        self._conflict = Conflict()
        self._known: Known | None = None
        self._state = State(0, 0, 0, 0)
        self._maybe_sent = 0
        self._error = ""
        self._sent = self._dropped = 0
        self._last_success = 0.0
        self._succeeded: float | None = None
        self._began: float | None = None
        self._freezing: Deferred[None] | None = None
        self._sending: Deferred[None] | None = None
        self._more = False

    def facts(self) -> OutputFacts:
        """Describe how it does; what is counted are requests."""
        return OutputFacts(
            self.output_name,
            self._state.requests,
            self._sent,
            self._tally.failed,
            self._dropped,
            self._last_success,
            self._error or self._conflict.text(self._reactor.seconds()),
            since(self._succeeded, self._reactor.seconds()),
            self._state.used,
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

    # From commits to the queue.

    async def _slot(self, snapshot: Snapshot) -> None:
        if self._known is None:
            self._known = await self._load()
        now = self._wall()
        latest = round((now + MOST_AHEAD) * 1000)
        if self._known.last > max(latest, self._known.taken):
            await self._leave_ahead(latest)
        slot = ended(now, self._seconds, self._known.last)
        if slot is None:
            if self._known.last > latest:
                behind = span(self._known.last / 1000 - now)
                self._say(f"the clock is {behind} behind the last samples that were taken; none are made until then")
            return
        families = self._own(snapshot)
        try:
            before = self._known
            known, requests = await self._in_thread(self._freezer.freeze, snapshot, families, slot, before)
            put = partial(self._queue.put, before=before, known=known, requests=requests)
            self._note_state(await self._stored(put))
        except BaseException:
            self._freezer.forget()
            raise
        self._known = known._replace(taken=self._known.taken)
        self._note_gone(before, known)
        self._wake()

    def _note_gone(self, before: Known, known: Known) -> None:
        left = {each.uuid for each in known.leaving}
        for each in before.leaving:
            if each.uuid not in left:
                text = "output {name}: the series of the node that had the store {uuid} have ended"
                self._log.info(text, name=self.output_name, uuid=each.uuid)

    async def _load(self) -> Known:
        def load(connection: sqlite3.Connection) -> tuple[Known, State, Request | None]:
            known = self._queue.load(connection, self._outputs)
            return known, self._queue.state(connection), self._queue.first(connection)

        known: Known
        known, state, first = await self._stored(load)
        self._note_state(state)
        self._tally.delivered = known.taken / 1000
        # The process before this one may have sent it.
        self._maybe_sent = 0 if first is None else first.request_id
        self._wake()
        return known

    async def _leave_ahead(self, latest: int) -> None:
        """Drop what a clock that was ahead has made."""

        def leave(connection: sqlite3.Connection) -> tuple[Known, State]:
            return self._queue.leave_ahead(connection, latest), self._queue.state(connection)

        self._known, state = await self._stored(leave)
        self._freezer.forget()
        self._note_state(state)

    def _note_state(self, state: State) -> None:
        self._state = state
        self._tally.skipped["bounds"], self._tally.skipped["clock"] = state.thinned, state.ahead

    # From the queue to the receiver.

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
                request = await self._stored(self._queue.first)
                if request is not None:
                    await self._send(request)
                elif not self._more:
                    return
            except StoreError:
                await self._conversation.pause(_STORE_AGAIN)

    async def _send(self, request: Request) -> None:
        if self._began is None:
            self._began = self._reactor.seconds()
        if not await self._is_of_now(request):
            return
        taken = await self._settled(request)
        self._note_state(await self._stored(lambda connection: self._queue.settle(connection, request, taken=taken)))
        self._began = None
        if not taken:
            self._dropped += 1
            return
        self._sent += 1
        self._tally.delivered = max(self._tally.delivered, request.time / 1000)
        self._last_success, self._succeeded = self._wall(), self._reactor.seconds()
        if self._known is not None:
            self._known = self._known._replace(taken=max(self._known.taken, request.time))

    async def _is_of_now(self, request: Request) -> bool:
        """Wait until the receiver's clock allows for a request; return whether ours still does."""
        while True:
            latest = round((self._wall() + MOST_AHEAD) * 1000)
            if request.time > latest:
                await self._leave_ahead(latest)
                return False
            if not self._clock.is_known:
                await self._ask_for_time(_STORE_AGAIN)
                continue
            ahead = self._clock.ahead(request.time / 1000, self._reactor.seconds())
            if ahead <= MOST_AHEAD:
                return True
            self._say(f"the clock is {span(ahead)} ahead of the receiver's; nothing is sent while it is")
            await self._conversation.pause(_LOOK_AGAIN)
            await self._ask_for_time(_STORE_AGAIN)

    async def _ask_for_time(self, pause: float) -> None:
        """Send a request without series: every answer has a date."""
        answer = await self._conversation.post(EMPTY)
        if not answer.status:
            self._say(str(answer))
            await self._conversation.pause(pause)

    async def _settled(self, request: Request) -> bool:
        """Send a request until it is settled; return whether the receiver has any of it."""
        now = self._reactor.seconds()
        body, left_out = request.body, 0
        if self._left_out.is_any(now):
            # To look at 5,000 series takes longer than the reactor may be held up.
            body, left_out = await self._in_thread(self._left_out.without, request.body)
        self._tally.refused += left_out
        maybe = request.request_id == self._maybe_sent
        outcome = await self._conversation.settle(body, may_be_there=maybe)
        if outcome is Outcome.TAKEN:
            return True
        if outcome is Outcome.REPEATED:
            self._tally.repeated += request.series - left_out
            return True
        return await self._search(request, body, request.series - left_out, impatient=outcome is Outcome.POISON)

    async def _search(self, request: Request, body: bytes, series: int, *, impatient: bool) -> bool:
        """Find what the receiver does not take of a request."""
        search = Search(self._conversation, impatient=impatient)
        await search.look_into(body)
        # What is at fault itself of first or last samples is found again among the values, and left out then.
        has_fault = search.is_any_taken and not search.is_conflict and (impatient or not request.edge)
        if not has_fault:
            self._skip(request, series, search, impatient=impatient)
            return search.is_any_taken
        self._tally.repeated += search.repeated
        self._tally.skipped["unsearched"] += search.unsearched
        self._tally.refused += len(search.refused)
        for each in search.refused:
            self._left_out.add(each, self._reactor.seconds())
        self._log.error(
            "output {name}: the receiver refuses {number} of {series} series; they are left out for {time}: {names}",
            name=self.output_name,
            number=len(search.refused),
            series=series,
            time=span(LEFT_OUT_FOR),
            names=search.named,
        )
        return True

    def _skip(self, request: Request, series: int, search: Search, *, impatient: bool) -> None:
        """Give up what is not taken of a request of which no single series is at fault."""
        self._tally.repeated += search.repeated
        self._tally.skipped["poison" if impatient else "batch"] += series - search.taken - search.repeated
        if impatient:
            text = f"a request of {series} series is answered with errors alone, and is skipped"
            self._log.error("output {name}: {text}", name=self.output_name, text=text)
            return
        now = self._reactor.seconds()
        cause, why = cause_of(request.time / 1000, self._wall(), self._clock, now)
        if cause == CLONE and not search.is_conflict:
            # It is without the series by which a clone is known, and all that is refused can be at fault.
            if not self._conflict.text(now):
                refused = series - search.taken - search.repeated
                number = f"{refused} of" if search.is_any_taken else "all"
                text = f"{number} {series} series of a request are refused, and skipped"
                self._log.error("output {name}: {text}: {names}", name=self.output_name, text=text, names=search.named)
            return
        text = f"a request is refused, and is skipped: {why}"
        if self._conflict.note(cause, text, now):
            self._log.error(
                "output {name}: {text}; {series} series", name=self.output_name, text=text, cause=cause, series=series
            )

    def _say(self, text: str) -> None:
        """Log what is wrong, once, and later that it is over."""
        if text and text != self._error:
            self._log.error("output {name}: {text}; its requests wait", name=self.output_name, text=text)
        elif self._error and not text:
            self._log.info("output {name} works again", name=self.output_name)
        self._error = text
