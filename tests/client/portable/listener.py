"""A server for the tests, as small as one can be: it keeps every line, and answers as the level wants it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds until a wait gives up, as in all tests."""


def status_of(pid: int) -> int:
    """Wait until a child has ended, and return how."""
    return os.waitpid(pid, 0)[1]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so; raises `AssertionError` when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(0.005)


def reserved() -> socket.socket:
    """Return a socket whose port is taken, so that no other process is given it, and at which nothing listens yet."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


class Listener:
    """A listener at a free port of 127.0.0.1, or on a `reserved` one.

    ``lines`` are those that came, without control lines.

    ``answers`` False: it reads, and never answers. A batch is stored when it was not stored before, by client and
    number, as a server with ``confirm=stored`` does it.
    """

    def __init__(self, level: str = "sent", on: socket.socket | None = None, answers: bool = True) -> None:
        self.level = level
        self.answers = answers
        self.lines: list[str] = []
        self.control: list[str] = []
        self.connections: list[socket.socket] = []
        self.ended = 0
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()
        self._socket = on or reserved()
        self._socket.listen()
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End the listener and its connections; in the kernel too, before this returns."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.break_off()

    def break_off(self, number: int = 0) -> None:
        """End all connections, as soon as there are this many. The kernel knows them before this process does."""
        until(lambda: len(self.connections) >= number, f"{number} connections were accepted")
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait_ended(self, number: int) -> None:
        """Wait until this many connections have ended."""
        until(lambda: self.ended >= number, f"{number} connections have ended")

    def total(self, name: str) -> int:
        """Return the sum of a counter."""
        with self._lock:
            lines = [line for line in self.lines if line.startswith(f"{name}:")]
        return sum(int(line.split(":")[1].split("|")[0]) for line in lines)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as file:
                self._read(connection, file)
        except OSError:
            pass
        self.ended += 1

    def _read(self, connection: socket.socket, file: object) -> None:
        client = ""
        waiting: list[str] = []
        for raw in file:  # type: ignore[attr-defined]
            line = raw.decode().rstrip("\n")
            if line.startswith("!"):
                self.control.append(line)
                words = line.split()
                if words[0] == "!hello":
                    client = words[2]
                    self._answer(connection, "!node 4f1f7a0c")
                else:
                    self._store(client, int(words[1]), waiting)
                    waiting = []
                    self._answer(connection, f"!stored {words[1]} {words[2]} 0")
            elif self.level == "stored":
                waiting.append(line)
            else:
                with self._lock:
                    self.lines.append(line)
        if self.level == "read":
            self._answer(connection, "ok")

    def _store(self, client: str, seq: int, lines: list[str]) -> None:
        with self._lock:
            if seq > self._last.get(client, 0):
                self._last[client] = seq
                self.lines += lines

    def _answer(self, connection: socket.socket, line: str) -> None:
        if self.answers:
            connection.sendall(f"{line}\n".encode())
