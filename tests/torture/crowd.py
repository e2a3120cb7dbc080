"""The clients: threads that visit the service one time after the other, at a steady rate."""

from __future__ import annotations

import random
import socket
import threading
import time

from tests.torture.books import BARE, Books, Kind, Visit

__all__ = ["Crowd"]

PATIENCE = 60.0
"""Seconds that a client waits for anything. A stopped worker keeps its clients waiting until it is replaced."""

LATENESS = 0.05
KEPT_FOR = 3.0
"""Seconds at most until a late client sends its line, and for which a kept connection stays."""

BETWEEN_LINES = 0.1


class Crowd:
    """Some threads with short visits, ``rate`` a second together, and some with kept connections."""

    def __init__(self, lines: int, bare: int, books: Books, rate: float, seed: int, threads: int = 8) -> None:
        self._lines = lines
        self._bare = bare
        self._books = books
        self._pause = threads / rate
        self._stop = threading.Event()
        chances = [random.Random(f"{seed} {number}") for number in range(threads + threads // 2)]
        self._threads = [
            threading.Thread(target=self._short, args=[chance], daemon=True) for chance in chances[:threads]
        ]
        self._threads += [
            threading.Thread(target=self._kept, args=[chance], daemon=True) for chance in chances[threads:]
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let everybody come to the end of their visit."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _short(self, chance: random.Random) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            kind: Kind = chance.choice((BARE, "at_once", "at_once", "late"))
            lateness = chance.uniform(0, LATENESS) if kind == "late" else 0.0
            self._visit(kind, [lateness] if kind != BARE else [])
            # Who was held up doesn't make up for it.
            due = max(due, time.monotonic() - self._pause) + self._pause * chance.uniform(0.5, 1.5)
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _kept(self, chance: random.Random) -> None:
        while not self._stop.is_set():
            number = chance.randint(1, int(KEPT_FOR / BETWEEN_LINES))
            if self._visit("kept", [chance.uniform(0, 2 * BETWEEN_LINES) for _ in range(number)]):
                # Nobody there: don't count how often one can be refused.
                self._stop.wait(0.2)

    def _visit(self, kind: Kind, waits: list[float]) -> str:
        """Connect, send a line after each wait, end, and wait for the other end; give what went wrong."""
        began, connected, error, sent = time.monotonic(), False, "", list[float]()
        connection = socket.socket()
        connection.settimeout(PATIENCE)
        try:
            connection.connect(("127.0.0.1", self._bare if kind == BARE else self._lines))
            connected = True
            for wait in waits:
                if wait:
                    self._stop.wait(wait)
                sent.append(time.monotonic())
                connection.sendall(b"%s:1|c\n" % kind.encode())
            if waits:
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        except OSError as problem:
            error = type(problem).__name__
        finally:
            connection.close()
        self._books.add(Visit(kind, began, time.monotonic(), connected, error, sent))
        return error
