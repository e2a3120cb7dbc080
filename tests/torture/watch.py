"""Finds out when the backend lost something: short of what the service has counted it is for good from then on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Watch", "short_since"]

PERIOD = 2.0
"""Seconds from one look to the next."""

Look = tuple[float, float]
"""When it was, in seconds of the monotonic clock, and how much was missing in the backend."""


class Watch:
    """Looks every now and then at how much is ``missing``; None while that cannot be told."""

    def __init__(self, missing: Callable[[], float | None]) -> None:
        self._missing = missing
        self._looks: list[Look] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def end(self) -> list[Look]:
        """Stop, and give all that was seen."""
        self._ended.set()
        self._thread.join()
        return self._looks

    def _go_on(self) -> None:
        while not self._ended.wait(PERIOD):
            missing = self._missing()
            if missing is not None:
                self._looks.append((time.monotonic(), missing))


def short_since(looks: list[Look]) -> float | None:
    """Return when as much was missing for the first time as has been since; None if nothing is missing at the end.

    Something is missing most of the time, for as long as it is on its way.
    """
    least = None
    since = None
    for moment, missing in reversed(looks):
        least = missing if least is None else min(least, missing)
        if not least:
            break
        since = moment
    return since
