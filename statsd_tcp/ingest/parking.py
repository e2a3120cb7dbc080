"""Connections that were accepted under load before their clients had sent everything, watched all together.

To read each of them at every poll would cost more than they do, and so would a transport of Twisted's for each. They
have an epoll of their own: one call when a connection comes, and one for all of them at each poll. What stays here for
too long goes to the reactor.
"""

from __future__ import annotations

import select
import socket
from typing import Generic, Protocol, TypeVar

__all__ = ["PATIENCE", "Parked", "Parking", "end_of_stream"]

PATIENCE = 15
"""Polls after which a connection has waited long enough here; a transport is worth its price then."""

# EPOLLPRI is watched for what it says in addition to the others: a read stops short of urgent data.
_WATCHED = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLPRI


def end_of_stream(family: int) -> int:
    """Return the events that mean: the client has ended cleanly, and all that it sent can be read without a stop.

    None do on a Unix socket, where a read also stops at descriptors that came along.
    """
    return 0 if family == socket.AF_UNIX else select.EPOLLIN | select.EPOLLRDHUP


class Parked(Protocol):
    """A connection that waits here. ``until`` is the poll at which it has waited long enough."""

    until: int

    def ready(self, events: int) -> bool:
        """Read what has arrived, and return whether the connection is closed now."""

    def poll(self) -> None:
        """Read what has come for the last time here, and find the connection another place."""


_P = TypeVar("_P", bound=Parked)


class Parking(Generic[_P]):
    """The connections of all lanes of one worker that wait."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._turn = 0
        # In the order in which they came, and so in that in which their time is up.
        self._parked: dict[int, _P] = {}

    def __len__(self) -> int:
        """Return the number that wait."""
        return len(self._parked)

    def add(self, descriptor: int, connection: _P) -> None:
        """Let a connection wait; raises `OSError` when the kernel cannot watch another one."""
        self._epoll.register(descriptor, _WATCHED)
        connection.until = self._turn + PATIENCE
        self._parked[descriptor] = connection

    def poll(self) -> None:
        """Read those for which something has arrived, and send on those that have waited long enough."""
        self._turn += 1
        parked = self._parked
        if not parked:
            return
        for descriptor, events in self._epoll.poll(0, len(parked)):
            if parked[descriptor].ready(events):
                # The kernel has forgotten it: it was closed.
                del parked[descriptor]
        self._send_on()

    def take(self) -> list[_P]:
        """Take all connections that wait. They are to be closed, or the kernel would watch them still."""
        waiting = list(self._parked.values())
        self._parked.clear()
        return waiting

    def _send_on(self) -> None:
        late = []
        for descriptor, connection in self._parked.items():
            if connection.until > self._turn:
                break
            late.append((descriptor, connection))
        for descriptor, connection in late:
            del self._parked[descriptor]
            self._epoll.unregister(descriptor)
            connection.poll()
