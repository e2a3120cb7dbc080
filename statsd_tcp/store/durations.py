"""How long the commits took: a small cumulative histogram."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

__all__ = ["BOUNDS", "Durations"]

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets in seconds: from a commit of nothing to a disk that hangs."""


class Durations:
    """Counts durations, in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._counts = [0] * (len(BOUNDS) + 1)

    def note(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.total += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def buckets(self) -> tuple[tuple[float, int], ...]:
        """Return each bound, and at last infinity, with the number of durations that are not longer."""
        return tuple(zip((*BOUNDS, float("inf")), accumulate(self._counts), strict=True))
