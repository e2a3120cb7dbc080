"""Clients of the service, as simple as those that it is made for. All of them wait for the server's end."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple

from tests.functional.waiting import PATIENCE, until

__all__ = [
    "ENDLESS",
    "Burst",
    "Outcome",
    "bare",
    "connect",
    "datagram",
    "half_close",
    "in_pieces",
    "queue_up",
    "read_end",
    "reset",
    "reset_at_close",
    "unix_client",
]

ENDLESS = 1 << 62
"""Clients of a burst that is stopped, however long the other side takes."""

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_READ = 4096


def connect(port: int, host: str = "127.0.0.1", source: str = "") -> socket.socket:
    """Open a connection, from an address of this machine that may be chosen."""
    return socket.create_connection((host, port), PATIENCE, (source, 0) if source else None)


def bare(port: int, host: str = "127.0.0.1") -> None:
    """Connect, and wait for the server to close; raises `OSError` if it does not do so cleanly."""
    with connect(port, host) as connection:
        read_end(connection)


def half_close(port: int, data: bytes, host: str = "127.0.0.1") -> None:
    """Send everything and say that it was all, and wait for the server to close; raises `OSError` as `bare` does."""
    with connect(port, host) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        read_end(connection)


def unix_client(path: str, data: bytes) -> None:
    """Send everything over a Unix stream socket, and wait for the server to close."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def in_pieces(port: int, pieces: list[bytes], arrived: Callable[[], object]) -> None:
    """Send piece after piece, and wait for the end as `half_close` does.

    ``arrived`` is called behind each piece but the last; it should take as long as the server needs to read that.
    """
    with connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces[:-1]:
            connection.sendall(piece)
            arrived()
        connection.sendall(pieces[-1])
        connection.shutdown(socket.SHUT_WR)
        read_end(connection)


def reset(port: int, data: bytes = b"") -> None:
    """Send everything, and reset the connection."""
    with connect(port) as connection:
        connection.sendall(data)
        reset_at_close(connection)


def datagram(port: int, data: bytes, host: str = "127.0.0.1") -> None:
    """Send one datagram."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, (host, port))


def queue_up(port: int, number: int, data: bytes = b"") -> list[socket.socket]:
    """Open connections, send on each and half-close it if there is something to send, and return them.

    They need not be accepted for that: they fit into the kernel's queue. `read_end` closes them.
    """
    waiting: list[socket.socket] = []
    for _ in range(number):
        connection = connect(port)
        waiting.append(connection)
        if data:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
    return waiting


def read_end(connection: socket.socket) -> None:
    """Wait for the server to close, and close the connection; raises `OSError` if it is not a clean end."""
    with connection:
        while connection.recv(_READ):
            pass


def reset_at_close(connection: socket.socket) -> None:
    """Have the connection reset when it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)


class Outcome(NamedTuple):
    """How the clients of a burst fared: served to the end, refused, or cut off."""

    completed: int
    refused: int
    broken: int


class Burst:
    """``total`` clients, some at a time, each of which calls ``client`` in a thread."""

    def __init__(self, client: Callable[[], None], total: int, at_once: int = 8) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._left = total
        self._counts = {"completed": 0, "refused": 0, "broken": 0}
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(at_once)]

    @property
    def done(self) -> int:
        """Return how many clients have ended, in whatever way."""
        return sum(self._counts.values())

    @property
    def refused(self) -> int:
        """Return how many clients were refused until now."""
        return self._counts["refused"]

    def start(self) -> Burst:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def reach(self, number: int) -> None:
        """Wait until this many have ended."""
        until(lambda: self.done >= number, f"{number} clients have ended")

    def stop(self) -> Burst:
        """Begin with no further client."""
        with self._lock:
            self._left = 0
        return self

    def join(self) -> Outcome:
        """Wait for the last client."""
        for thread in self._threads:
            thread.join()
        return Outcome(**self._counts)

    def run(self) -> Outcome:
        """Begin, and wait for the last client."""
        return self.start().join()

    def _work(self) -> None:
        while self._take():
            outcome = self._outcome()
            with self._lock:
                self._counts[outcome] += 1

    def _take(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def _outcome(self) -> str:
        try:
            self._client()
        except (ConnectionRefusedError, FileNotFoundError):
            return "refused"
        except OSError:
            return "broken"
        return "completed"
