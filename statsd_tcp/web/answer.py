"""A long answer, written as fast as its client reads: one that does not read holds a few kilobytes, and briefly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

__all__ = ["LONGEST_PAUSE", "LongAnswer"]

LONGEST_PAUSE = 30.0
"""Seconds in which a client must have read all that was under way to it."""

_PIECE = 1 << 16
"""Bytes that are written at a time: as many as a transport keeps before it asks to pause."""


@implementer(IPushProducer)
class LongAnswer:
    """Answers a request, when there is something to send.

    ``ended`` tells whether that is over, ``was_cut`` whether because the client did not read. ``clock`` has the
    ``seconds``, and timers.
    """

    def __init__(self, clock: Any, request: Request) -> None:
        self._clock = clock
        self._pieces: Iterator[bytes] = iter(())
        self._paused = False
        self._began: float | None = None
        self._limit: IDelayedCall | None = None
        self.request = request
        self.ended = self.was_cut = False
        request.notifyFinish().addBoth(self._end)

    @property
    def age(self) -> float:
        """Return the seconds since the client could begin to read."""
        return 0.0 if self._began is None else float(self._clock.seconds() - self._began)

    def send(self, pieces: Iterable[bytes], on_end: Callable[[], None]) -> None:
        """Start: the header is set. ``on_end`` is called when the last piece is written or the client is gone."""
        self._began = self._clock.seconds()
        self._pieces = _sliced(pieces)
        self._limit = self._clock.callLater(LONGEST_PAUSE, self.cut)
        self.request.notifyFinish().addBoth(lambda _: on_end())
        self.request.registerProducer(self, True)
        self.resumeProducing()

    def cut(self) -> None:
        """End the connection at once."""
        self.was_cut = True
        transport: Any = self.request.transport
        transport.abortConnection()

    def pauseProducing(self) -> None:
        """Stop writing until the client has read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Write on, and finish after the last piece."""
        self._paused = False
        if self._limit is not None:
            self._limit.reset(LONGEST_PAUSE)
        for piece in self._pieces:
            self.request.write(piece)
            if self._paused:
                return
        self.request.unregisterProducer()
        self.request.finish()

    def stopProducing(self) -> None:
        """Do nothing: the loss of the connection is reported by another call as well."""

    def _end(self, _: object) -> None:
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None
        # The request still knows its producer: what that has yet to write must not stay with them.
        self._pieces = iter(())
        self.ended = True


def _sliced(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), _PIECE):
            yield piece[start : start + _PIECE]
