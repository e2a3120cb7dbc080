"""The clock of the series, which goes only while there is a process.

A downtime, or a wall clock that is wrong now or was wrong then, so makes no series older. The clock began at some wall
time; how far the wall clock is ahead of it is kept with its moments, so that they can be read as dates.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["SeriesClock"]


class SeriesClock:
    """A clock in seconds; ``wall`` and ``monotonic`` are those that it is made of."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def go_on(self, moment: float) -> None:
        """Go on from the last moment of an earlier process."""
        self._offset = moment - self._monotonic()

    def now(self) -> float:
        """Return the moment."""
        return self._offset + self._monotonic()

    def ahead(self, moment: float) -> float:
        """Return how far the wall clock is ahead of a moment that is now."""
        return self._wall() - moment
