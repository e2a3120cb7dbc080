"""Listening sockets: kept by the supervisor, one per worker, address family and listener.

The sockets of one internet address form an SO_REUSEPORT group: the kernel gives each connection to one of them by a
hash of its addresses. Unix sockets know no such groups. All workers accept from the one socket of a stream listener;
that of a datagram listener is read by one worker, because what a client says of a gauge must keep its order.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Literal

from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.sockets.bpf import let_in, turn_away
from statsd_tcp.sockets.tls import TlsMaterial
from statsd_tcp.sockets.unix import remove_path

__all__ = ["BoundListener", "listen_backlog", "stop_listening"]


class BoundListener:
    """One endpoint with its bound sockets: ``sockets[worker]`` are that worker's, one for each address family.

    A Unix stream socket is there once for each worker, a datagram one for the one that reads it. The last workers may
    have no UDP socket, see `InheritedSockets`. ``tls`` is what a TLS listener's workers need besides. ``ordered`` tells
    whether the sockets are in the order in which they began to listen, which is that of their indexes in their groups.
    ``own``: this service made them, and not systemd, which keeps its own.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        port: int,
        sockets: list[list[socket.socket]],
        tls: TlsMaterial | None = None,
        *,
        ordered: bool = True,
        own: bool = True,
    ) -> None:
        self.ordered = ordered
        self.own = own
        self.endpoint = endpoint
        self.tls = tls
        self.port = port
        self.sockets = sockets
        self.label = endpoint.label(port)
        self.addresses = [endpoint.path] if endpoint.path else [_written(one) for one in sockets[0]]
        """Where it listens, as people write it."""

    @property
    def stream(self) -> bool:
        """Return whether it takes connections."""
        return self.endpoint.stream

    @property
    def queues(self) -> list[tuple[int | Literal["shared"], list[socket.socket]]]:
        """Return the accept queues: by worker, or the one of all workers."""
        return [("shared", self.sockets[0])] if self.endpoint.path else list(enumerate(self.sockets))

    @property
    def in_groups(self) -> bool:
        """Return whether its sockets form SO_REUSEPORT groups, one for each address family."""
        return not self.endpoint.path and len({one for row in self.sockets for one in row}) == sum(
            map(len, self.sockets)
        )

    @property
    def can_grow(self) -> bool:
        """Return whether this process may bind one more socket into each of the groups.

        The kernel lets only the user who made a group join it (net/ipv4/inet_connection_sock.c), and only root bind a
        port below 1024. The attempt without SO_REUSEPORT never joins, so that no client is given to it.
        """
        return all(_is_ours(one) and _may_bind(one) for one in self.sockets[0])

    @property
    def groups(self) -> list[list[socket.socket]]:
        """Return the members of each group by their indexes, which are their workers' numbers; none if unknown."""
        if not (self.in_groups and self.ordered):
            return []
        return [list(group) for group in zip(*filter(None, self.sockets), strict=True)]

    def descriptors(self) -> list[list[int]]:
        """Return the descriptors of each worker's sockets; a socket that several share is the first one's."""
        first: dict[int, int] = {}
        for worker, row in enumerate(self.sockets):
            for one in row:
                first.setdefault(one.fileno(), worker)
        return [[one for one, owner in first.items() if owner == worker] for worker in range(len(self.sockets))]

    def listen(self, backlog: int) -> None:
        """Let the kernel accept connections into the queues; raises `OSError`."""
        if self.stream:
            for row in self.sockets:
                for one in row:
                    try:
                        one.listen(backlog)
                    except OSError as error:
                        # As when another process has bound the port at the same moment.
                        raise OSError(error.errno, error.strerror, self.label) from None

    def turn_away(self) -> None:
        """Let no further connection begin; those in the queues can still be accepted. Raises `OSError`.

        A Unix socket is shut down, which cannot be taken back. So one that another process may have is left as it is.
        The kernel looks at the queue first, and refuses who connects (net/unix/af_unix.c).
        """
        for one in self._streams():
            if not self.endpoint.path:
                turn_away(one)
            elif self.own:
                one.shutdown(socket.SHUT_RD)

    def let_in(self) -> None:
        """Let connections begin again where other processes may have copies of the sockets. Raises `OSError`."""
        if not self.endpoint.path:
            for one in self._streams():
                let_in(one)

    def _streams(self) -> list[socket.socket]:
        return [one for row in self.sockets for one in row] if self.stream else []

    def close(self) -> None:
        """Close all sockets. Afterwards the file of a Unix socket goes, unless another process has it by now."""
        for row in self.sockets:
            for one in row:
                one.close()
        if self.endpoint.path and not self.endpoint.abstract:
            remove_path(self.endpoint.path)


def stop_listening(one: socket.socket) -> None:
    """Take a TCP socket out of its group, unless a client waits in its queue, which would be reset."""
    try:
        if not read_queue(one).length:
            one.shutdown(socket.SHUT_RD)
    except OSError:
        # It did not listen.
        pass


def _is_ours(one: socket.socket) -> bool:
    return os.fstat(one.fileno()).st_uid == os.geteuid()


def _may_bind(member: socket.socket) -> bool:
    with socket.socket(member.family, member.type) as one:
        if member.family == socket.AF_INET6:
            only = member.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        try:
            one.bind(member.getsockname())
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return True


def listen_backlog(proc: Path = Path("/proc")) -> int:
    """Return the longest accept queue that the kernel allows, in connections; its own cap would be silent."""
    return int((proc / "sys/net/core/somaxconn").read_text())


def _written(one: socket.socket) -> str:
    host, port = one.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
