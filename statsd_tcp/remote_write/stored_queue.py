"""The queue of an output as the reactor has it: each look and each change is made in the store's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from statsd_tcp.remote_write.tally import Tally
from statsd_tcp.store.frozen import Frozen, Known, Queue, Request, State

__all__ = ["Stored", "StoredQueue"]

_T = TypeVar("_T")

Work = Callable[[sqlite3.Connection], _T]

Stored = Callable[[Work[Any]], Deferred[Any]]
"""Does something with the store's file: in a transaction, and in the store's thread."""


class StoredQueue:
    """What waits for an output, and what the output knows of itself.

    ``state`` and ``known`` are those of the last look. ``maybe_sent`` is the id of the request that the receiver may
    have, 0 for none: the process before this one may have sent it, or the store failed when it was taken. ``forget`` is
    called when something that was made will not be sent.
    """

    def __init__(self, queue: Queue, stored: Stored, tally: Tally, forget: Callable[[], None]) -> None:
        self._queue = queue
        self._stored = stored
        self._tally = tally
        self._forget = forget
        self.is_loaded = False
        self.known = Known()
        self.state = State(0, 0, 0, 0)
        self.maybe_sent = 0

    async def load(self, outputs: Collection[str]) -> None:
        """Look for the first time; ``outputs`` are the names of all that there are."""

        def load(connection: sqlite3.Connection) -> tuple[Known, State, Request | None]:
            known = self._queue.load(connection, outputs)
            return known, self._queue.state(connection), self._queue.first(connection)

        self.known, state, first = await self._stored(load)
        self._note(state)
        self.maybe_sent = 0 if first is None else first.request_id
        self.is_loaded = True

    async def put(self, known: Known, before: Known, requests: Sequence[Frozen]) -> None:
        """Have the requests of a slot wait. ``known`` is what the output knows after it, ``before`` what it knew."""
        self._note(await self._stored(partial(self._queue.put, before=before, known=known, requests=requests)))
        self.known = known._replace(taken=self.known.taken)

    async def first(self) -> Request | None:
        """Return the request in front."""
        request: Request | None = await self._stored(self._queue.first)
        return request

    async def settle(self, request: Request, *, taken: bool) -> None:
        """Take out a request that the receiver has any of, or that is given up."""
        if taken:
            # If the store fails it is sent again.
            self.maybe_sent = request.request_id
        state = await self._stored(lambda connection: self._queue.settle(connection, request, taken=taken))
        if taken:
            self.known = self.known._replace(taken=max(self.known.taken, request.time))
        self._note(state)

    async def leave_ahead(self, latest: int) -> None:
        """Drop what a clock that was ahead has made."""

        def leave(connection: sqlite3.Connection) -> tuple[Known, State]:
            return self._queue.leave_ahead(connection, latest), self._queue.state(connection)

        self.known, state = await self._stored(leave)
        self._forget()
        self._note(state)

    def _note(self, state: State) -> None:
        self.state = state
        self._tally.delivered = self.known.taken / 1000
        self._tally.skipped["bounds"], self._tally.skipped["clock"] = state.thinned, state.ahead
