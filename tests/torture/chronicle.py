"""What was done to the service, and what of it may have cost something."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.torture.books import Death

__all__ = ["Chronicle"]


class Chronicle:
    """``deaths`` is what may have cost connections, ``done`` how often each deed was done. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._aside: dict[str, threading.Thread] = {}
        self._held: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self.deaths: list[Death] = []
        self.done: Counter[str] = Counter()

    def say(self, deed: str, details: str = "") -> None:
        """Count a deed, and print it with what is special about it this time."""
        with self._lock:
            self.done[deed] += 1
        print(f"{time.monotonic():.2f} {deed} {details}".rstrip(), flush=True)  # noqa: T201

    def note(self, what: str, began: float, *, whole: bool = False) -> None:
        """Note a death that is over now."""
        with self._lock:
            self.deaths.append(Death(what, began, time.monotonic(), whole))
        self.say(what)

    def beside(self, name: str, deed: Callable[..., None], *arguments: object) -> None:
        """Do something that takes a while, and go on with other things; not twice at a time by the same name."""
        before = self._aside.get(name)
        if before is None or not before.is_alive():
            self._aside[name] = thread = threading.Thread(target=self._try, args=(deed, *arguments), daemon=True)
            thread.start()

    def end(self) -> None:
        """Wait for all that goes on in parallel; fails as the first of them that has failed."""
        for thread in self._aside.values():
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _try(self, deed: Callable[..., None], *arguments: object) -> None:
        try:
            deed(*arguments)
        except BaseException as failure:  # noqa: BLE001
            self._failures.append(failure)
