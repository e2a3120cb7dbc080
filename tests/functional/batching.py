"""A client of a listener with ``confirm=stored``, small and with books of its own: what tests know of the protocol."""

from __future__ import annotations

import secrets
import select
import socket
import time
import zlib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["BatchClient", "Stored", "batch"]

WINDOW = 8
RECONNECT = 0.05
"""Seconds between two attempts to connect."""


class Stored(NamedTuple):
    """The answer to a batch: its number, and how many of its lines are good and bad."""

    sequence: int
    good: int
    bad: int


def batch(sequence: int, lines: bytes) -> bytes:
    """Write a batch."""
    return lines + b"!batch %d %d %08x\n" % (sequence, lines.count(b"\n"), zlib.crc32(lines))


class BatchClient:
    """One client. ``connect`` makes a connection, and raises `OSError`. `work` does what can be done.

    After a break all that is not answered is sent again, in order. ``stored`` are the answers, ``refusals`` the lines
    that said otherwise, ``node`` is who greeted last.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._id = secrets.token_hex(16)
        self._sequence = 0
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._under_way = 0
        self._connection: socket.socket | None = None
        self._heard = b""
        self._next_try = 0.0
        self.node = ""
        self.stored: list[Stored] = []
        self.refusals: list[str] = []
        self.breaks = 0

    @property
    def unanswered(self) -> int:
        """How many batches are not answered."""
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        """How many of them are sent."""
        return self._under_way

    def add(self, lines: bytes) -> None:
        """Make a batch of lines, each ended by a newline, to be sent when there is time."""
        self._sequence += 1
        self._waiting.append((self._sequence, lines))

    def work(self, seconds: float = 0.0) -> None:
        """Send and hear for some time, or once."""
        until = time.monotonic() + seconds
        while True:
            self._step(max(0.0, min(0.05, until - time.monotonic())))
            if time.monotonic() >= until:
                return

    def settle(self, seconds: float) -> bool:
        """Work until all is answered, or for that time; return whether all is."""
        until = time.monotonic() + seconds
        while self._waiting and time.monotonic() < until:
            self._step(0.05)
        return not self._waiting

    def break_off(self) -> None:
        """Lose the connection, with the answers that are on their way."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._under_way = 0
            self.breaks += 1

    def _step(self, pause: float) -> None:
        if self._connection is None:
            self._begin(pause)
            return
        try:
            self._send()
            if select.select([self._connection], [], [], pause)[0]:
                self._hear()
        except OSError:
            self.break_off()

    def _begin(self, pause: float) -> None:
        if time.monotonic() < self._next_try:
            time.sleep(pause)
            return
        self._next_try = time.monotonic() + RECONNECT
        try:
            self._connection = self._connect()
            self._connection.sendall(b"!hello 1 %s\n" % self._id.encode())
        except OSError:
            self.break_off()
        self._under_way, self._heard, self.node = 0, b"", ""

    def _send(self) -> None:
        assert self._connection is not None
        while self.node and self._under_way < min(WINDOW, len(self._waiting)):
            self._connection.sendall(batch(*self._waiting[self._under_way]))
            self._under_way += 1

    def _hear(self) -> None:
        assert self._connection is not None
        data = self._connection.recv(1 << 16)
        if not data:
            self.break_off()
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def _take(self, line: str) -> None:
        word, *rest = line.split()
        if word == "!node":
            (self.node,) = rest
        elif word == "!stored":
            answer = Stored(*map(int, rest))
            sequence, _ = self._waiting.popleft()
            assert sequence == answer.sequence, "answers come in the order of the batches"
            self._under_way -= 1
            self.stored.append(answer)
        else:
            self.refusals.append(line)
