"""The end of a slot: what a commit has becomes requests that wait.

By a wall clock that may be set. A slot ends at a multiple of its length, and later than the last one that the output
had, whatever the clock was set to: a receiver refuses what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.core import Metric
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from statsd_tcp.remote_write.clock_guard import MOST_AHEAD
from statsd_tcp.remote_write.freezing import Freezer, Slot
from statsd_tcp.remote_write.stored_queue import StoredQueue
from statsd_tcp.store.frozen import Known
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.words import span

__all__ = ["SlotEnds", "ended"]


class SlotEnds:
    """Sees to it that each slot of ``seconds`` is frozen when it has ended.

    ``own`` returns the service's own metrics, ``in_thread`` calls a function in some thread, ``say`` is told what is
    wrong, and ``wall`` is the wall clock.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        seconds: int,
        queue: StoredQueue,
        freezer: Freezer,
        own: Callable[[Snapshot], Iterable[Metric]],
        in_thread: Callable[..., Deferred[Any]],
        say: Callable[[str], None],
        wall: Callable[[], float],
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._queue = queue
        self._freezer = freezer
        self._own = own
        self._in_thread = in_thread
        self._say = say
        self._wall = wall

    async def look(self, snapshot: Snapshot) -> bool:
        """Look after a commit; return whether a slot has ended, and its requests wait."""
        now = self._wall()
        latest = round((now + MOST_AHEAD) * 1000)
        if self._queue.known.last > max(latest, self._queue.known.taken):
            await self._queue.leave_ahead(latest)
        before = self._queue.known
        slot = ended(now, self._seconds, before.last)
        if slot is None:
            if before.last > latest:
                behind = span(before.last / 1000 - now)
                self._say(f"the clock is {behind} behind the last samples that were taken; none are made until then")
            return False
        families = self._own(snapshot)
        try:
            known, requests = await self._in_thread(self._freezer.freeze, snapshot, families, slot, before)
            await self._queue.put(known, before, requests)
        except BaseException:
            self._freezer.forget()
            raise
        self._note_gone(before, known)
        return True

    def _note_gone(self, before: Known, known: Known) -> None:
        left = {each.uuid for each in known.leaving}
        for each in before.leaving:
            if each.uuid not in left:
                text = "output {name}: the series of the node that had the store {uuid} have ended"
                self._log.info(text, name=self._name, uuid=each.uuid)


def ended(now: float, seconds: int, last: int) -> Slot | None:
    """Return the slot that has ended at a moment of the wall clock, None while it is open.

    ``last`` is the end of the last one in milliseconds, 0 if there was none.
    """
    number = int(now // seconds)
    end = number * seconds * 1000
    if end <= last:
        return None
    return Slot(end, max(end - seconds * 1000, last), number)
