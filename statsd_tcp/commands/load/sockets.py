"""The generator's sockets: connections from many addresses, and waiting finer than a millisecond."""

from __future__ import annotations

import errno
import select
import socket
import struct

# The base of socket.socket, without the layer in Python that costs a microsecond for every connection.
from _socket import socket as RawSocket  # noqa: N812

from statsd_tcp.commands.load.workload import Workload

__all__ = ["EDGES", "ENDINGS", "Dialer", "Poller", "RawSocket", "abort", "cause", "is_established"]

# linux/in.h; Python has no name for it before 3.12. The port is then chosen when connecting, and may serve
# several connections that differ in another address.
IP_BIND_ADDRESS_NO_PORT = 24

ENDINGS = select.EPOLLIN | select.EPOLLRDHUP
"""What to wait for when only the server's end is missing."""

EDGES = ENDINGS | select.EPOLLOUT | select.EPOLLET
"""What to wait for when there is more to do: one registration serves all states of a connection."""

_ABORT = struct.pack("ii", 1, 0)
# Below it, the wait is cut to the microsecond. epoll itself only knows milliseconds, and rounds up.
_FINE = 0.025
_EVENTS = 512


class Dialer:
    """Begins connections, each from the next source address."""

    def __init__(self, work: Workload) -> None:
        self._family = int(work.address.family)
        self._type = int(socket.SOCK_STREAM) | socket.SOCK_NONBLOCK
        self._sources = [(source, 0) for source in work.sources]
        self._host, self._port = work.address.host, work.address.port

    def dial(self, number: int, port: int | None = None) -> RawSocket:
        """Start connection ``number`` without waiting, to the target's port if no other is given.

        Raises OSError if it has failed already.
        """
        sock = RawSocket(self._family, self._type)
        try:
            if self._sources:
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind(self._sources[number % len(self._sources)])
            code = sock.connect_ex((self._host, port or self._port))
        except OSError:
            sock.close()
            raise
        if code in {0, errno.EINPROGRESS}:
            return sock
        sock.close()
        raise OSError(code, "connect")

    def is_through(self, sock: RawSocket, port: int | None = None) -> bool:
        """Return whether the handshake of a socket just dialled is done. Raises OSError if it failed."""
        # Asking a second time is the cheapest way to know: no registration, no wait.
        code = sock.connect_ex((self._host, port or self._port))
        if code in {0, errno.EISCONN}:
            return True
        if code in {errno.EALREADY, errno.EINPROGRESS}:
            return False
        raise OSError(code, "connect")


class Poller:
    """An epoll that can wait for less than a millisecond."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.watch = self._epoll.register
        self.modify = self._epoll.modify

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Return the events that are there within ``seconds`` (0 or less: now)."""
        if seconds <= 0:
            return self._epoll.poll(0, _EVENTS)
        if seconds < _FINE:
            select.select((self._epoll,), (), (), seconds)
            return self._epoll.poll(0, _EVENTS)
        return self._epoll.poll(seconds, _EVENTS)

    def close(self) -> None:
        """Close the descriptor."""
        self._epoll.close()


def abort(sock: RawSocket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    sock.close()


def is_established(sock: RawSocket) -> bool:
    """Return whether the handshake has been completed (and no reset has come since)."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def cause(sock: RawSocket, code: int) -> int:
    """Return the errno that ``code`` stands for: after a reset, a call may only say that there is no connection."""
    if code != errno.ENOTCONN:
        return code
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
