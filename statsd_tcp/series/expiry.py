"""When series that are idle go: after the store's time to live, or after their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.increments import distinct
from statsd_tcp.series.plan import SeriesPlan

__all__ = ["Expiry", "period"]

_PERIOD = 60.0

_STEPS = 10
"""What takes some time is looked at so often in that time, if that is more often than usual."""


class Expiry:
    """The looks at what is idle; ``ttl`` is in seconds."""

    def __init__(self, columns: Sequence[SeriesColumns], ttl: float, monotonic: Callable[[], float]) -> None:
        self._columns = columns
        self._ttl = ttl
        self._monotonic = monotonic
        self._next = monotonic()

    @property
    def is_due(self) -> bool:
        """Whether it is time for a look."""
        return self._monotonic() >= self._next

    def plan(self, plans: Iterable[SeriesPlan], now: float) -> None:
        """Add what is idle at a moment of the series' clock to the plans of all kinds."""
        for columns, changes in zip(self._columns, plans, strict=True):
            idle = columns.idle_since(now - self._ttl, changes.positions)
            changes.expired = distinct(np.concatenate([idle, columns.lapsed(now, changes.positions)]))

    def looked(self) -> None:
        """Schedule the next look at its usual time."""
        shortest = min(columns.shortest_ttl(self._ttl) for columns in self._columns)
        self._next = self._monotonic() + period(_PERIOD, shortest)

    def hasten(self, plans: Iterable[SeriesPlan]) -> None:
        """Schedule it earlier, if there is a shorter time to live by now."""
        for changes in plans:
            for traits in changes.traits.values():
                if traits.ttl:
                    self._next = min(self._next, self._monotonic() + period(_PERIOD, traits.ttl))


def period(usual: float, shortest: float) -> float:
    """Return how often to look for what takes that long: in steps of a tenth of it, if that is less than usual."""
    return min(usual, max(1.0, shortest / _STEPS))
