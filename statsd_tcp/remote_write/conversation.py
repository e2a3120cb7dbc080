"""What is done about a receiver's answers until a request is settled: wait, send it again, look for what is refused.

    post --taken------------------------------------------------> settled
      |--refused, and an attempt before may have arrived--------> settled: it is there
      |--refused at the first attempt---------------------------> halves, down to the series at fault
      |--wait---------------------------------------------------> as long as it says, then again
      |--held---------------------------------------------------> in a minute again
      '--failed-------------------------------------------------> again, 1 s later, 2 s, ... 60 s
           '--three answers of 5xx: before each attempt an empty request
                '--which is taken, and three attempts fail: it is this request; halves

A newer request is never sent before: the older ones would be out of order for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from twisted.internet.task import deferLater

from statsd_tcp.remote_write.answers import Answer, Meaning, meaning
from statsd_tcp.remote_write.clock_guard import ReceiverClock
from statsd_tcp.remote_write.encoding import EMPTY
from statsd_tcp.remote_write.receiver import IReceiver
from statsd_tcp.remote_write.tally import Tally

__all__ = ["HELD_FOR", "Conversation", "Outcome"]

HELD_FOR: Final = 60.0
"""Seconds between two attempts while the operator must correct something."""

_SHORTEST, _LONGEST = 1.0, 60.0
_SUSPICIOUS: Final = 3
"""Failures in a row of the same request before it is suspected, and again before it is given up."""

_DEFAULT_WAIT: Final = 5.0


class Outcome(Enum):
    """What became of a request."""

    TAKEN = "taken"
    REPEATED = "repeated"
    REFUSED = "refused"
    POISON = "poison"


class Conversation:
    """Speaks with a receiver about one request at a time.

    ``say`` is told what is wrong, in words, and "" when nothing is. ``spread`` returns a number from 0 to 1, by which
    the pauses of nodes differ.
    """

    def __init__(
        self,
        reactor: Any,
        receiver: IReceiver,
        clock: ReceiverClock,
        tally: Tally,
        say: Callable[[str], None],
        spread: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._receiver = receiver
        self._clock = clock
        self._tally = tally
        self._say = say
        self._spread = spread

    async def settle(self, body: bytes, *, may_be_there: bool, impatient: bool = False) -> Outcome:
        """Send a request until it is settled.

        ``may_be_there``: it may have been sent before. ``impatient``: an answer of 5xx is as good as a refusal.
        """
        failures = suspected = 0
        while True:
            answer = await self.post(body)
            what = meaning(answer)
            if what is Meaning.TAKEN:
                self._say("")
                return Outcome.TAKEN
            if what is Meaning.REFUSED:
                return Outcome.REPEATED if may_be_there else Outcome.REFUSED
            self._say(str(answer))
            if what is Meaning.WAIT:
                await self.pause(_DEFAULT_WAIT if answer.wait is None else answer.wait)
                continue
            if what is Meaning.HELD:
                await self.pause(HELD_FOR)
                continue
            may_be_there |= not answer.unsent
            if impatient and answer.status:
                return Outcome.POISON
            failures += 1
            suspected += bool(answer.status)
            if suspected == 2 * _SUSPICIOUS:
                return Outcome.POISON
            await self.pause(_pause_after(failures))
            if suspected >= _SUSPICIOUS:
                await self._until_it_takes_any()

    async def _until_it_takes_any(self) -> None:
        """Wait until the receiver takes a request without series: until then the fault is not that of ours."""
        failures = 0
        while meaning(answer := await self.post(EMPTY)) is not Meaning.TAKEN:
            self._say(str(answer))
            failures += 1
            await self.pause(_pause_after(failures))

    async def post(self, body: bytes) -> Answer:
        """Send a request once."""
        began = self._reactor.seconds()
        answer = await self._receiver.post(body)
        now = self._reactor.seconds()
        self._tally.note_request(body, answer, now - began)
        if answer.status:
            self._clock.note(answer.date, now)
        return answer

    async def pause(self, seconds: float) -> None:
        """Wait, a little longer or shorter than that."""
        await deferLater(self._reactor, seconds * (0.8 + 0.4 * self._spread()))


def _pause_after(failures: int) -> float:
    """Return how many seconds to wait after this number of failures in a row."""
    return min(_LONGEST, _SHORTEST * 2.0 ** min(failures - 1, 8))
