"""A steady load that goes on until it is told to stop, and knows what it has sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Self

__all__ = ["Load", "Sent"]


PAUSE = 0.02
"""Seconds that a client's thread waits for the next: a load that leaves the machine to what is tested."""


class Sent(NamedTuple):
    """How many clients were served to the end, and what became of each of the others, in words."""

    completed: int
    failed: list[str]


class Load:
    """Calls ``client`` again and again in some threads, from the beginning of the ``with`` to its end."""

    def __init__(self, client: Callable[[], None], at_once: int = 3) -> None:
        self._client = client
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(at_once)]
        self._failed: list[str] = []
        self.completed = 0

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Let every client come to its end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def sent(self) -> Sent:
        """Return what became of all clients."""
        return Sent(self.completed, self._failed)

    def _work(self) -> None:
        while not self._stop.wait(PAUSE):
            try:
                self._client()
            except OSError as error:
                with self._lock:
                    self._failed.append(str(error))
            else:
                with self._lock:
                    self.completed += 1
