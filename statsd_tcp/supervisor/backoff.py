"""How long to wait before a dead worker is replaced."""

from __future__ import annotations

__all__ = ["HEALTHY_LIFE", "Backoff"]

HEALTHY_LIFE = 1.0
"""Seconds after which a worker that dies is replaced at once: its queue is waiting."""

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0


class Backoff:
    """The delays of one worker's slot: none after a healthy life, doubling while lives are short."""

    def __init__(self) -> None:
        self._delay = 0.0
        self.short_lives = 0

    def after(self, life: float) -> float:
        """Return the seconds to wait after a worker that lived for ``life`` seconds since it was ready."""
        if life >= HEALTHY_LIFE:
            self._delay = 0.0
            self.short_lives = 0
            return 0.0
        self.short_lives += 1
        delay, self._delay = self._delay, min(LONGEST_DELAY, self._delay * 2 or FIRST_DELAY)
        return delay
