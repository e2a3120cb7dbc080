"""The other side of a connection: a plain socket in the test's hand, which never holds up the reactor."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.task import deferLater

from tests.reactor.waiting import until

__all__ = ["LOOPBACK", "Listener", "Peer"]

LOOPBACK = "127.0.0.1"

_PIECE = 1 << 16


class Peer:
    """One end of a TCP connection. The ``take`` methods give each byte that has come once."""

    def __init__(self, reactor: Any, connection: socket.socket) -> None:
        self._reactor = reactor
        self.socket = connection
        self.socket.setblocking(False)
        # Otherwise the kernel gathers small parts until the first one is acknowledged.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._ended = self._broken = False

    async def send(self, *parts: bytes) -> None:
        """Send each part after the one before was read by the reactor."""
        for part in parts:
            self.socket.sendall(part)
            # The first one may come before the reactor has looked at its connections.
            await deferLater(self._reactor, 0)
            await deferLater(self._reactor, 0)

    async def take(self, end: bytes) -> bytes:
        """Wait until ``end`` has come, and give all up to there; raises `EOFError`."""
        await self._wait(lambda: end in self._received, f"{end!r} comes")
        return self._taken(self._received.index(end) + len(end))

    async def take_bytes(self, number: int) -> bytes:
        """Wait until this many bytes have come, and return them; raises `EOFError`."""
        await self._wait(lambda: len(self._received) >= number, f"{number} bytes come")
        return self._taken(number)

    async def take_all(self) -> bytes:
        """Wait for the end in good order, and give all before it; raises `ConnectionResetError`."""
        if await self.broken():
            raise ConnectionResetError
        return self._taken(len(self._received))

    async def broken(self) -> bool:
        """Wait for the end, and tell whether it was a reset."""
        await until(self._reactor, lambda: self._receive() and self._ended, "the connection ends")
        return self._broken

    def end(self) -> None:
        """End this side alone, in good order."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close, and have the kernel tell the other side that the connection broke."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    async def _wait(self, condition: Callable[[], bool], what: str) -> None:
        await until(self._reactor, lambda: self._receive() and (condition() or self._ended), what)
        if not condition():
            raise EOFError(f"the connection has ended before {what}")

    def _taken(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _receive(self) -> bool:
        """Receive what is there; always true."""
        while not self._ended:
            try:
                data = self.socket.recv(_PIECE)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data, self._broken = b"", True
            self._received += data
            self._ended = not data
        return True


class Listener:
    """A listening socket that is not the reactor's. As long as ``open`` was not called connections are refused."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.socket = socket.socket()
        # Connections inherit it. By default the kernel would take megabytes before the test has read a byte.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
        self.socket.bind((LOOPBACK, 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def open(self) -> None:
        """Have the kernel take connections."""
        self.socket.listen()

    async def accept(self) -> Peer:
        """Wait for a connection."""
        return Peer(self._reactor, await until(self._reactor, self._accept, "a client connects"))

    def _accept(self) -> socket.socket | None:
        try:
            return self.socket.accept()[0]
        except BlockingIOError:
            return None
