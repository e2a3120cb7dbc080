"""Those who have asked for a reload over HTTP, and wait to hear how it went."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import DeferredList

from statsd_tcp.status.interfaces import Answer

__all__ = ["REST", "Askers"]

REST = 2.0
"""Seconds from one rehearsal to the next that is asked for over HTTP: each costs a process, and most of a second."""

_LONGEST_ANSWER = 2.0
"""Seconds in which clients must read the answer. It is short: only a client that has stopped reading needs longer."""


class Askers:
    """Keeps them until they are told. ``reactor`` is the clock."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._waiting: list[Answer] = []
        self._rested = 0.0

    @property
    def rested(self) -> bool:
        """Return whether the last rehearsal began long enough ago to accept another request."""
        return bool(self._reactor.seconds() >= self._rested)

    def begin(self) -> None:
        """Note that a rehearsal begins."""
        self._rested = self._reactor.seconds() + REST

    def add(self, answer: Answer) -> None:
        """Keep a request, to be answered when the rehearsal has ended."""
        self._waiting.append(answer)

    async def tell(self, refusal: str) -> None:
        """Answer all requests that it is refused, or with "" that it is not; ends when the answers are being sent."""
        waiting, self._waiting = self._waiting, []
        sent = [answer(refusal).addTimeout(_LONGEST_ANSWER, self._reactor) for answer in waiting]
        await DeferredList(sent, consumeErrors=True)
