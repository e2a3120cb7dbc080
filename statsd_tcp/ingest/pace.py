"""When the lanes poll under load whose clients do not wait for an answer.

Those of datagrams poll as seldom as their sockets' buffers allow.

A poll costs as much as some fifty datagrams. No client waits for an answer to a datagram, so that it may wait in the
socket's buffer, as long as that has room for what comes meanwhile, and for what comes while the worker waits for the
processor.

==========================  ============================
the socket's buffer         the next poll
==========================  ============================
large                       up to `LONGEST` later
fills in a few intervals    when `SAFE` of it may be full
fills within an interval    at once
==========================  ============================

The lane of connections that stay polls every `LONGEST` as long as they bring little, and once in an interval while they
bring much: what is not read yet keeps their clients from sending more.
"""

from __future__ import annotations

import socket

from statsd_tcp.ingest.moderation import BACKLOGGED, INTERVAL
from statsd_tcp.kernel.accept_queue import receive_memory
from statsd_tcp.ledger.journal import Journal

__all__ = ["LONGEST", "MUCH", "KeptPace", "Pace", "PacedSocket"]

LONGEST = 0.004
"""Seconds between two polls, at most."""

SAFE = 0.25
"""The part of a buffer that may be full when it is read, if datagrams go on to come as fast as before."""

BURST = 2_500_000_000
"""Bytes of a buffer that a burst takes in a second. A datagram takes 768 bytes at least, so that these are 3 million
small ones, more than one processor sends; a network card's driver may take three times as much for each."""

MUCH = 1 << 16
"""Bytes in the journal between two polls of the connections that stay, with which these bring much."""

_NANOSECONDS = 1_000_000_000


class Pace:
    """The time of the next poll of a worker's datagram lanes, which is that of the lane that can wait least."""

    def __init__(self) -> None:
        self._patience = LONGEST

    def note(self, patience: float) -> None:
        """Take in for how many seconds a lane can wait that was polled."""
        self._patience = min(self._patience, patience)

    def delay(self, found: int) -> float:
        """Return the seconds to the next poll, 0 for at once, and start again. The kernel waits whole milliseconds."""
        patience, self._patience = self._patience, LONGEST
        if patience < INTERVAL / 2:
            return 0.0
        return max(INTERVAL, patience)


class PacedSocket:
    """Says for how long a socket of datagrams can wait, given how full it is at each poll."""

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        self._last = 0

    def patience(self, now: int) -> float:
        """Return the seconds until the next poll, at most; to be asked before the socket is read, at ``now``."""
        waiting, room = self._memory()
        elapsed, self._last = now - self._last, now
        longest = min(LONGEST, max(INTERVAL, room / BURST))
        if not waiting:
            return longest
        return min(longest, SAFE * room / waiting * elapsed / _NANOSECONDS)

    def _memory(self) -> tuple[int, int]:
        try:
            return receive_memory(self._port)
        except OSError:
            # A socket that is not known to have room is polled once in an interval.
            return 0, 0


class KeptPace:
    """The time of the next poll of a worker's connections that stay. ``journal`` is where goes what they bring."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._head = journal.head

    def delay(self, found: int) -> float:
        """Return the seconds to the next poll, after one that found that many."""
        before, self._head = self._head, self._journal.head
        if found >= BACKLOGGED:
            return 0.0
        return LONGEST if self._head - before < MUCH else INTERVAL
