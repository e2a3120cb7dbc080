"""One non-blocking socket, and how it is made."""

from __future__ import annotations

import os
import socket
from typing import Any

from statsd_tcp_client.settings import Settings

__all__ = ["Address", "Connection", "addresses", "disown", "tune"]

Address = tuple[int, Any]
"""Family and address, as `socket` takes them."""

_USER_TIMEOUT = 10_000
"""Milliseconds after which the kernel gives up a connection whose bytes are not acknowledged, instead of 15 minutes."""

_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

_READ = 4096


def addresses(settings: Settings) -> list[Address]:
    """Resolve the host, which may take seconds. Raises `OSError`, and `UnicodeError` for what can be no name."""
    if settings.path:
        return [(socket.AF_UNIX, settings.path)]
    family = socket.AF_INET6 if settings.ipv6 or ":" in settings.host else socket.AF_INET
    found = socket.getaddrinfo(settings.host, settings.port, family, socket.SOCK_STREAM)
    return [(each[0], each[4]) for each in found]


def tune(connection: socket.socket) -> None:
    """Have a dead peer noticed in seconds, and small batches sent at once. What a system lacks is left out."""
    if connection.family == getattr(socket, "AF_UNIX", None):
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**_KEEPALIVE, "TCP_USER_TIMEOUT": _USER_TIMEOUT}.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def disown(connection: Any) -> None:
    """Put nothing in the place of a socket whose owner cannot close it, as the child of the process that has it.

    The owner may still close what is there then.
    """
    descriptor = connection.fileno()
    if descriptor >= 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)


class Connection:
    """A connection that is being made, or is there. Its methods raise `OSError`, and never wait."""

    def __init__(self, address: Address) -> None:
        family, place = address
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.is_made = False
        try:
            self.socket.setblocking(False)
            tune(self.socket)
            self.socket.connect(place)
        except BlockingIOError:
            pass
        except BaseException:
            self.socket.close()
            raise

    def made(self) -> None:
        """See how the attempt to connect has ended."""
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "cannot connect")
        self.is_made = True

    def read(self) -> bytes | None:
        """Return what has come; None: nothing has; empty: the server has ended its side."""
        try:
            return self.socket.recv(_READ)
        except BlockingIOError:
            return None

    def write(self, data: bytes | bytearray) -> int:
        """Return how many bytes the kernel has taken."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    def half_close(self) -> None:
        """End this side."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close it. If another process has it too, the server does not notice."""
        self.socket.close()
