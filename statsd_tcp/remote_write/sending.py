"""The way of a request from the queue to the receiver, when the clocks allow for it, until it is settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from statsd_tcp.remote_write.clock_guard import MOST_AHEAD, ReceiverClock
from statsd_tcp.remote_write.conversation import Conversation, Outcome
from statsd_tcp.remote_write.encoding import EMPTY
from statsd_tcp.remote_write.given_up import GivenUp
from statsd_tcp.remote_write.stored_queue import StoredQueue
from statsd_tcp.remote_write.tally import Tally
from statsd_tcp.store.frozen import Request
from statsd_tcp.words import span

__all__ = ["RequestSender"]

_LOOK_AGAIN: Final = 15.0
"""Seconds between two looks at the receiver's clock while ours is ahead of it."""

_ASK_AGAIN: Final = 1.0
"""Seconds between two questions for the time while there is no answer."""


class RequestSender:
    """Sends one request at a time. ``say`` is told what is wrong, and ``wall`` is the wall clock.

    ``sent`` and ``dropped`` count requests. The last one was sent at ``last_success`` of the wall clock, 0.0 for never,
    and at ``succeeded`` of one that is never set.
    """

    def __init__(
        self,
        reactor: Any,
        queue: StoredQueue,
        conversation: Conversation,
        clock: ReceiverClock,
        given_up: GivenUp,
        tally: Tally,
        say: Callable[[str], None],
        wall: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._queue = queue
        self._conversation = conversation
        self._clock = clock
        self._given_up = given_up
        self._tally = tally
        self._say = say
        self._wall = wall
        self.sent = self.dropped = 0
        self.last_success = 0.0
        self.succeeded: float | None = None

    async def send(self, request: Request) -> bool:
        """Send the request in front until it is settled; return False if our clock was ahead when it was made."""
        if not await self._is_of_now(request):
            return False
        taken = await self._is_taken(request)
        await self._queue.settle(request, taken=taken)
        if taken:
            self.sent += 1
            self.last_success, self.succeeded = self._wall(), self._reactor.seconds()
        else:
            self.dropped += 1
        return True

    async def _is_of_now(self, request: Request) -> bool:
        """Wait until the receiver's clock allows for a request; return whether ours still does."""
        while True:
            latest = round((self._wall() + MOST_AHEAD) * 1000)
            if request.time > latest:
                await self._queue.leave_ahead(latest)
                return False
            if not self._clock.is_known:
                await self._ask_for_time()
                continue
            ahead = self._clock.ahead(request.time / 1000, self._reactor.seconds())
            if ahead <= MOST_AHEAD:
                return True
            self._say(f"the clock is {span(ahead)} ahead of the receiver's; nothing is sent while it is")
            await self._conversation.pause(_LOOK_AGAIN)
            await self._ask_for_time()

    async def _ask_for_time(self) -> None:
        """Send a request without series: every answer has a date."""
        answer = await self._conversation.post(EMPTY)
        if not answer.status:
            self._say(str(answer))
            await self._conversation.pause(_ASK_AGAIN)

    async def _is_taken(self, request: Request) -> bool:
        """Send a request until it is settled; return whether the receiver has any of it."""
        maybe = request.request_id == self._queue.maybe_sent
        rest = await self._given_up.without_left_out(request)
        outcome = await self._conversation.settle(rest.body, may_be_there=maybe)
        if outcome is Outcome.TAKEN:
            return True
        if outcome is Outcome.REPEATED:
            self._tally.repeated += rest.series
            return True
        return await self._given_up.look_into(rest, impatient=outcome is Outcome.POISON)
