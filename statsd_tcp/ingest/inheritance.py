"""Listening sockets that were made by an earlier image of the supervisor, matched with what is asked for now."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import msgspec

from statsd_tcp.endpoints import Endpoint
from statsd_tcp.ingest.sockets import BoundListener, bind_sibling, share
from statsd_tcp.ingest.tls import read_tls

__all__ = ["Heritage", "InheritedListener", "same_address"]


class InheritedListener(msgspec.Struct, frozen=True):
    """A listener's sockets by their descriptors: for each worker one of each address family."""

    endpoint: Endpoint
    port: int
    rows: list[list[int]]


def same_address(one: Endpoint, other: Endpoint) -> bool:
    """Tell whether two endpoints can have the same sockets: everything else about them may differ."""
    return _address(one) == _address(other)


def _address(endpoint: Endpoint) -> tuple[str, int, str | None, str]:
    kind = {"ssl": "tcp"}.get(endpoint.scheme, endpoint.scheme)
    return kind, endpoint.port, endpoint.interface, endpoint.path


def _sibling(endpoint: Endpoint, member: socket.socket) -> socket.socket:
    """Give one more worker a socket: of its own where the member has a group, else the member itself."""
    if not member.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
        return member
    return bind_sibling(endpoint, member)


class Heritage:
    """The sockets that were left to us. What nobody takes is left in ``rest``, to be closed when nobody queues there.

    ``rest[worker]`` are the sockets that the worker of that number has had, and that its successor doesn't get.
    """

    def __init__(self, left: Sequence[InheritedListener]) -> None:
        self._left = list(left)
        self._opened: dict[int, socket.socket] = {}
        self.rest: dict[int, list[socket.socket]] = {}
        self.shrunk: list[tuple[list[socket.socket], int]] = []
        """Groups that have more sockets than workers: all their sockets in order, and how many stay."""

    def take(self, endpoint: Endpoint, workers: int) -> BoundListener | None:
        """Give the listener for an endpoint out of the sockets with its address; None if there are none.

        Raises `OSError` when a worker more needs a socket more, and it can't be had.
        """
        for listener in self._left:
            if same_address(listener.endpoint, endpoint):
                self._left.remove(listener)
                return self._revive(listener, endpoint, workers)
        return None

    def settle(self) -> None:
        """Leave what nobody has taken to `rest`."""
        for listener in self._left:
            self._leave(self._rows(listener), 0)
        self._left = []

    def abandon(self) -> int:
        """Close what nobody has taken, and give the number: clients must not queue where nobody looks."""
        unwanted = [one for row in self.rest.values() for one in row]
        for one in unwanted:
            one.close()
        self.rest.clear()
        self.shrunk.clear()
        return len(unwanted)

    def _revive(self, listener: InheritedListener, endpoint: Endpoint, workers: int) -> BoundListener:
        rows = self._rows(listener)
        tls = read_tls(endpoint.tls) if endpoint.tls is not None else None
        if endpoint.path:
            return BoundListener(endpoint, 0, share(next(row[0] for row in rows if row), endpoint, workers))
        for _ in range(len(rows), workers):
            rows.append([_sibling(endpoint, one) for one in rows[0]])
        if len(rows) > workers:
            self._leave(rows, workers)
            for family in zip(*rows, strict=True):
                self.shrunk.append((list(family), workers))
        return BoundListener(endpoint, listener.port, rows[:workers], tls)

    def _leave(self, rows: list[list[socket.socket]], stay: int) -> None:
        for worker, row in enumerate(rows):
            if worker >= stay:
                self.rest.setdefault(worker, []).extend(row)

    def _rows(self, listener: InheritedListener) -> list[list[socket.socket]]:
        return [[self._open(descriptor) for descriptor in row] for row in listener.rows]

    def _open(self, descriptor: int) -> socket.socket:
        # One descriptor may be in several rows: all workers accept from the same Unix socket.
        if descriptor not in self._opened:
            one = self._opened[descriptor] = socket.socket(fileno=descriptor)
            one.setblocking(False)
        return self._opened[descriptor]
