"""What is given up of requests that a receiver refuses, and what is said of it.

refused are                          given up is
some series, which are at fault      these; they are left out for an hour
some first or last samples           these; no series is left out
all, or those that a clone has       what is not taken; the cause is named
all, with errors alone               what is not taken
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from statsd_tcp.remote_write.clock_guard import ReceiverClock
from statsd_tcp.remote_write.conflict import CLONE, Conflict, cause_of
from statsd_tcp.remote_write.conversation import Conversation
from statsd_tcp.remote_write.search import LEFT_OUT_FOR, LeftOut, Search
from statsd_tcp.remote_write.tally import Tally
from statsd_tcp.store.frozen import Request
from statsd_tcp.words import span

__all__ = ["GivenUp"]


class GivenUp:
    """What one output gives up. ``in_thread`` calls a function in some thread, and ``wall`` is the wall clock."""

    _log = Logger()

    def __init__(
        self,
        name: str,
        reactor: Any,
        conversation: Conversation,
        clock: ReceiverClock,
        conflict: Conflict,
        tally: Tally,
        in_thread: Callable[..., Deferred[Any]],
        wall: Callable[[], float],
    ) -> None:
        self._name = name
        self._reactor = reactor
        self._conversation = conversation
        self._clock = clock
        self._conflict = conflict
        self._tally = tally
        self._in_thread = in_thread
        self._wall = wall
        self._left_out = LeftOut()

    async def without_left_out(self, request: Request) -> Request:
        """Return a request without the series that are left out, which count as refused."""
        if not self._left_out.is_any(self._reactor.seconds()):
            return request
        # To look at 5,000 series takes longer than the reactor may be held up.
        body, number = await self._in_thread(self._left_out.without, request.body)
        self._tally.refused += number
        return request._replace(body=body, series=request.series - number)

    async def look_into(self, request: Request, *, impatient: bool) -> bool:
        """Find what the receiver does not take of a request, and give it up; return whether it has any of it."""
        search = Search(self._conversation, impatient=impatient)
        await search.look_into(request.body)
        self._tally.repeated += search.repeated
        # What is at fault itself of first or last samples is found again among the values, and left out then.
        if search.is_any_taken and not search.is_conflict and (impatient or not request.edge):
            self._leave_out(request, search)
            return True
        number = request.series - search.taken - search.repeated
        self._tally.skipped["poison" if impatient else "batch"] += number
        if impatient:
            text = f"a request of {request.series} series is answered with errors alone, and is skipped"
            self._log.error("output {name}: {text}", name=self._name, text=text)
        else:
            self._explain(request, search, number)
        return search.is_any_taken

    def _leave_out(self, request: Request, search: Search) -> None:
        """Give up the series that are at fault themselves."""
        self._tally.skipped["unsearched"] += search.unsearched
        self._tally.refused += len(search.refused)
        for each in search.refused:
            self._left_out.add(each, self._reactor.seconds())
        self._log.error(
            "output {name}: the receiver refuses {number} of {series} series; they are left out for {time}: {names}",
            name=self._name,
            number=len(search.refused),
            series=request.series,
            time=span(LEFT_OUT_FOR),
            names=search.named,
        )

    def _explain(self, request: Request, search: Search, number: int) -> None:
        """Log and note the cause for which this number of series is skipped: no single one is at fault."""
        series, now = request.series, self._reactor.seconds()
        which = f"{number} of" if search.is_any_taken else "all"
        counted = f"{which} {series} series of a request are refused, and skipped"
        cause, why = cause_of(request.time / 1000, self._wall(), self._clock, now)
        if cause == CLONE and not search.is_conflict:
            # It is without the series by which a clone is known, and all that is refused can be at fault.
            if not self._conflict.text(now):
                line = "output {name}: {text}: {names}"
                self._log.error(line, name=self._name, text=counted, names=search.named)
            return
        what, size = "a request is refused, and is skipped", f"; {series} series"
        if search.is_any_taken and not search.is_conflict:
            what, size = counted, ""
        text = f"{what}: {why}"
        if self._conflict.note(cause, text, now):
            line = "output {name}: {text}{size}"
            self._log.error(line, name=self._name, text=text, size=size, cause=cause, series=series)
