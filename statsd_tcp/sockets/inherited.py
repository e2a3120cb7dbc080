"""Listening sockets that were made by an earlier image of the supervisor, matched with what is asked for now."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from twisted.logger import Logger

from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.sockets.binding import bind_row, share
from statsd_tcp.sockets.bpf import let_in
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.sockets.tls import read_tls

__all__ = ["InheritedListener", "InheritedSockets", "same_address"]


class InheritedListener(msgspec.Struct, frozen=True):
    """A listener's sockets by their descriptors: for each worker one of each address family.

    ``ordered`` and ``own`` are those of `BoundListener`; earlier releases do not tell the latter. ``spare`` are sockets
    that release 0.1.0 bound ahead; they are closed.
    """

    endpoint: Endpoint
    port: int
    rows: list[list[int]]
    spare: list[list[int]] = []
    ordered: bool = True
    own: bool = False


def same_address(one: Endpoint, other: Endpoint) -> bool:
    """Return whether two endpoints can have the same sockets: everything else about them may differ."""
    return _address(one) == _address(other)


def _address(endpoint: Endpoint) -> tuple[str, int, str | None, str]:
    kind = {"ssl": "tcp"}.get(endpoint.scheme, endpoint.scheme)
    return kind, endpoint.port, endpoint.interface, endpoint.path


class InheritedSockets:
    """The sockets that were left to us. Unused ones remain in ``rest``, to be closed when their queues are empty.

    ``rest[worker]`` are the sockets that the worker of that number has had, and that its successor does not get.

    Where no further socket can be bound, as with systemd's sockets, which are root's, a worker
    more shares a TCP socket with another one, and does without a UDP socket: the others read the datagrams.
    """

    _log = Logger()

    def __init__(self, left: Sequence[InheritedListener]) -> None:
        self._left = list(left)
        self._opened: dict[int, socket.socket] = {}
        self.rest: dict[int, list[socket.socket]] = {}
        self.shrunk: list[tuple[list[socket.socket], int]] = []
        """Groups that have more sockets than workers: all their sockets in order, and how many stay."""
        self.given_up: list[BoundListener] = []
        """The listeners of which nothing is used any longer; their sockets are in ``rest``."""

    def take(self, endpoint: Endpoint, workers: int) -> BoundListener | None:
        """Return the listener for an endpoint out of the sockets with its address; None if there are none.

        Raises `OSError` when a worker more needs a socket more, and the kernel has none.
        """
        for listener in self._left:
            if same_address(listener.endpoint, endpoint):
                self._left.remove(listener)
                return self._revive(listener, endpoint, workers)
        return None

    def settle(self) -> None:
        """Move the unused sockets to `rest`."""
        for listener in self._left:
            rows = self._rows(listener.rows)
            self.given_up.append(BoundListener(listener.endpoint, listener.port, rows, own=listener.own))
            self._leave([*rows, *self._rows(listener.spare)], 0)
        self._left = []

    def abandon(self) -> int:
        """Close the sockets that are still unused, and return their number: no client may wait in such a queue."""
        unwanted = [one for row in self.rest.values() for one in row]
        for one in unwanted:
            one.close()
        self.rest.clear()
        self.shrunk.clear()
        self.given_up.clear()
        return len(unwanted)

    def _revive(self, listener: InheritedListener, endpoint: Endpoint, workers: int) -> BoundListener:
        rows = self._rows(listener.rows)
        self._leave(self._rows(listener.spare), 0)
        tls = read_tls(endpoint.tls) if endpoint.tls is not None else None
        if endpoint.path:
            one = next(row[0] for row in rows if row)
            return BoundListener(endpoint, 0, share(one, endpoint, workers), own=listener.own)
        for _ in range(len(rows), workers):
            rows.append(self._one_more(endpoint, rows))
        ordered = listener.ordered
        found = BoundListener(endpoint, listener.port, rows[:workers], tls, ordered=ordered, own=listener.own)
        if len(rows) > workers:
            self._shrink(BoundListener(endpoint, listener.port, rows, ordered=ordered), workers)
        return found

    def _one_more(self, endpoint: Endpoint, rows: list[list[socket.socket]]) -> list[socket.socket]:
        """Add sockets for one more worker: its own where there are groups, else the same as all others."""
        if not rows[0][0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            return rows[0]
        try:
            return bind_row(endpoint, rows[0])
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
        worker = len(rows)
        if endpoint.stream:
            self._log.warn(
                "worker {worker} shares a socket of {endpoint} with another", worker=worker, endpoint=endpoint
            )
            return rows[worker % len({row[0] for row in rows})]
        self._log.warn("worker {worker} has no socket of {endpoint}, others read it", worker=worker, endpoint=endpoint)
        return []

    def _shrink(self, before: BoundListener, workers: int) -> None:
        """Leave out the sockets of workers that are gone. One that all share stays."""
        if not before.in_groups:
            return
        self._leave(before.sockets, workers)
        self.shrunk += [(group, workers) for group in before.groups if len(group) > workers]

    def _leave(self, rows: list[list[socket.socket]], stay: int) -> None:
        for worker, row in enumerate(rows):
            if worker >= stay:
                self.rest.setdefault(worker, []).extend(row)

    def _rows(self, rows: list[list[int]]) -> list[list[socket.socket]]:
        return [[self._open(descriptor) for descriptor in row] for row in rows]

    def _open(self, descriptor: int) -> socket.socket:
        # One descriptor may be in several rows: all workers accept from the same Unix socket.
        if descriptor not in self._opened:
            one = self._opened[descriptor] = socket.socket(fileno=descriptor)
            one.setblocking(False)
            if one.type == socket.SOCK_STREAM and one.family != socket.AF_UNIX:
                # An earlier run may have been killed while it was stopping, and systemd has kept the socket.
                with suppress(OSError):
                    let_in(one)
        return self._opened[descriptor]
