"""The end of a worker's service: what waits is read, connections that have just begun have their time, all are closed.

lanes rest --> queues are read --> is any connection young?
^                 | yes: a little later    | no, or it takes too long
'-----------------'                        '--> all are read and closed --> done
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.protocol import LineFactory
from statsd_tcp.ingest.watched import Watched

__all__ = ["LONGEST_DRAIN", "YOUTH", "Draining"]

CHECK = 0.005
"""Seconds between two looks at what is open."""

YOUTH = 0.5
"""Seconds that a connection has from its beginning, before a drain closes it: its client was not refused, and may be
about to send."""

LONGEST_DRAIN = 1.0
"""Seconds for which a worker that drains goes on accepting, at most: a listener under full load is never found empty,
and of those that are accepted one after the other one is always young."""


class Draining:
    """Closes all connections of a worker in good order. ``ticks`` are the nanoseconds of CLOCK_MONOTONIC."""

    def __init__(
        self,
        reactor: Any,
        ticks: Callable[[], int],
        intake: Intake,
        moderator: Moderator,
        factories: Collection[LineFactory],
    ) -> None:
        self._reactor = reactor
        self._ticks = ticks
        self._intake = intake
        self._moderator = moderator
        self._factories = factories
        self._call: IDelayedCall | None = None

    def begin(
        self,
        lanes: Sequence[Watched[Any]],
        are_read: Callable[[], float],
        done: Callable[[], None],
        seconds: float = LONGEST_DRAIN,
    ) -> None:
        """Read what waits, close all connections, and call ``done``. A drain that is under way is given up.

        Reading takes no longer than ``seconds``, and `LONGEST_DRAIN`. ``are_read`` is called after it, and returns for
        how many seconds clients may still end connections that wait for a confirmation.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for lane in lanes:
            lane.stop()
        self._read(lanes, are_read, done, self._ticks() + int(min(seconds, LONGEST_DRAIN) * NANOSECONDS))

    def _read(
        self, lanes: Sequence[Watched[Any]], are_read: Callable[[], float], done: Callable[[], None], until: int
    ) -> None:
        """Read the queues until they are empty, and again as long as a connection is young.

        A connection in a queue is established for its client, which may have sent its lines and gone: closing the
        socket would reset it, and lose them.
        """
        self._call = None
        self.read(lanes, until)
        self._moderator.rest()
        if self._is_any_young() and self._ticks() < until:
            self._call = self._reactor.callLater(CHECK, self._read, lanes, are_read, done, until)
            return
        for connection in self._moderator.unfinished():
            connection.drain()
        for factory in self._factories:
            factory.drain()
        self._await_ends(done, self._ticks() + int(are_read() * NANOSECONDS))

    def read(self, lanes: Sequence[Watched[Any]], until: int) -> None:
        """Poll these lanes until they find nothing, or that moment of the clock has come."""
        while self._poll(lanes) and self._ticks() < until:
            pass

    def _poll(self, lanes: Sequence[Watched[Any]]) -> int:
        self._intake.tick = self._ticks()
        return sum(lane.poll() for lane in lanes)

    def _is_any_young(self) -> bool:
        latest = self._ticks() - int(YOUTH * NANOSECONDS)
        kept = chain.from_iterable(factory.kept for factory in self._factories)
        return self._moderator.has_unfinished or any(one.begun > latest for one in kept)

    def _await_ends(self, done: Callable[[], None], until: int) -> None:
        self._call = None
        are_open = any(factory.kept for factory in self._factories)
        if are_open and self._ticks() >= until:
            for factory in self._factories:
                factory.abandon()
        if are_open:
            self._call = self._reactor.callLater(CHECK, self._await_ends, done, until)
        else:
            done()
