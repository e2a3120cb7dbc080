"""Which connections go when all places of a worker are taken: those of the source that holds the most of them.

Of the greatest source the connections that never sent a byte go first, then those that were silent for the longest
time. Where no source holds much, none is to blame: accepting pauses.

The kernel is asked for a connection's address only here, and once for each: accept(2) does without, as it is on the hot
path. One look at all connections finds many victims, so that what an accepted connection costs does not grow with the
number of open ones.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.kernel.peers import Source

__all__ = ["CROWD", "Eviction", "Kept"]

CROWD = 16
"""A source that holds at most one in this many places does not keep others out by itself."""

BATCH = 32
"""One in this many places is freed by one look. A look costs a third of a microsecond for each open connection, and
closing one costs about 40: with a thirty-second of them the looks are a fifth of the work, and few are closed in vain.
The first look, which asks for all addresses, costs four microseconds for each."""

MOST_AT_ONCE = 256
"""Connections closed in one go: ten milliseconds, and as many as one poll accepts."""

GRACE = 0.25
"""Seconds for which a connection stays after it was accepted, or last heard of: a client that has something to
send sends it within a round trip. A crowd of short clients must not cut each other off."""


class Kept(Protocol):
    """A connection that may have to go. ``heard`` is when it last was heard of.

    ``source`` is None before `find_source`, and as long as a balancer has not said it: those are one source.
    """

    silent: bool
    is_held: bool
    heard: int
    source: Source | None

    @property
    def is_ending(self) -> bool:
        """Return whether it is being closed already."""

    def find_source(self) -> None:
        """Find out where the client is."""

    def evict(self) -> None:
        """Take what the client has sent, and end the connection."""


class Eviction:
    """Makes room among the connections that one worker keeps. ``kept`` gives all of them."""

    def __init__(self, reactor: Any, intake: Intake, occupancy: Occupancy, kept: Callable[[], Iterable[Kept]]) -> None:
        self._reactor = reactor
        self._intake = intake
        self._occupancy = occupancy
        self._kept = kept
        self._next_look = 0
        self._retry: IDelayedCall | None = None
        self._stopped = False

    def make_room(self) -> bool:
        """Close what may be closed, and return whether there is room now. It is tried again while a lane waits."""
        if self._stopped:
            return self._occupancy.has_room()
        now = time.monotonic_ns()
        # What is unread could not be taken while the journal is full.
        if not self._intake.is_full and now >= self._next_look:
            self._evict(now)
        if self._occupancy.has_room():
            return True
        if self._retry is None:
            self._retry = self._reactor.callLater(GRACE, self._try_again)
        return False

    def stop(self) -> None:
        """Stop closing connections: this worker no longer accepts."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _try_again(self) -> None:
        self._retry = None
        if self._occupancy.is_awaited:
            self.make_room()

    def _evict(self, now: int) -> None:
        batch = min(max(1, self._occupancy.limit // BATCH), MOST_AT_ONCE)
        victims = self._victims(now, batch)
        if len(victims) < batch:
            # Another look soon would find nothing.
            self._next_look = now + int(GRACE * NANOSECONDS)
        for victim in victims:
            if self._intake.is_full:
                break
            victim.evict()

    def _victims(self, now: int, batch: int) -> list[Kept]:
        # Those that are held were silent because nothing was read of them.
        kept = [one for one in self._kept() if not (one.is_ending or one.is_held)]
        for one in kept:
            if one.source is None:
                one.find_source()
        held = Counter(one.source for one in kept)
        if not held:
            return []
        ((greatest, number),) = held.most_common(1)
        too_many = number - self._occupancy.limit // CROWD
        latest = now - int(GRACE * NANOSECONDS)
        theirs = (one for one in kept if one.source == greatest and one.heard <= latest)
        return heapq.nsmallest(min(batch, max(0, too_many)), theirs, key=_order)


def _order(one: Kept) -> tuple[bool, int]:
    return not one.silent, one.heard
