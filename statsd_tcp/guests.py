"""The connections to the console, and to the pages: so few that the supervisor keeps descriptors for its own needs.

Those that do nothing must not keep others out. When there are too many, one goes of the source that holds the most: one
that never sent a byte, else the one that has idled longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from twisted.internet.protocol import connectionDone

from statsd_tcp.kernel.peers import Source

__all__ = ["GRACE", "Guest", "Guests", "part"]

GRACE = 1.0
"""Seconds after which one that never sent a byte goes before others: newcomers must not cut each other off."""


_READ_SIZE = 1 << 16
_READS = 16
"""Reads before a connection is closed: more than its receive buffer usually holds. One that keeps sending is reset."""


class Guest(Protocol):
    """A connection."""

    @property
    def busy(self) -> bool:
        """Return whether something is being done for it just now."""

    @property
    def source(self) -> Source:
        """Return where it comes from."""

    def evict(self) -> None:
        """Take what the client has sent, and end the connection at once."""


class Guests:
    """Knows the connections in the order in which each was last heard of; there are ``most`` of them at most."""

    def __init__(self, most: int, seconds: Callable[[], float]) -> None:
        """Go by the clock ``seconds``."""
        self._most = most
        self._seconds = seconds
        # When each came, as long as it has not sent a byte; infinity from then on.
        self._order: dict[Guest, float] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._order)

    def enter(self, guest: Guest) -> bool:
        """Take one in; return whether another had to go for it, which is a busy one only if all of its source are."""
        full = len(self._order) >= self._most
        if full:
            victim = self._victim()
            self.leave(victim)
            victim.evict()
        self._order[guest] = self._seconds()
        return full

    def heard(self, guest: Guest) -> None:
        """Note that one has said something."""
        if guest in self._order:
            del self._order[guest]
            self._order[guest] = inf

    def leave(self, guest: Guest) -> None:
        """Forget one that is gone."""
        self._order.pop(guest, None)

    def _victim(self) -> Guest:
        held = Counter(one.source for one in self._order)
        ((greatest, _),) = held.most_common(1)
        theirs = (one for one in self._order if one.source == greatest)
        silent_since = self._seconds() - GRACE
        # Of equal ones the first, which was heard of the longest time ago.
        return min(theirs, key=lambda one: (one.busy, self._order[one] > silent_since))


def part(guest: Any) -> None:
    """Let a protocol take what its client has sent, write what can be written, and close the connection at once.

    Closed with something unread it would be reset, and the client might not see what it was answered before.
    """
    transport = guest.transport
    receive = transport.getHandle().recv
    for _ in range(_READS):
        try:
            data = receive(_READ_SIZE)
        except OSError:
            break
        if not data:
            break
        guest.dataReceived(data)
    transport.doWrite()
    transport.connectionLost(connectionDone)
