"""What came to etsy's server over several flushes, put together from dumps of what each flush has so far."""

from __future__ import annotations

from collections.abc import Mapping

from statsd_tcp.commands.compare.inspected import Values

__all__ = ["Sums"]


class Sums:
    """Sums from a moment on, at which the flush that was open had this already."""

    def __init__(self, timers: Mapping[str, Values], counters: Mapping[str, float]) -> None:
        self.counters: dict[str, float] = {name: -value for name, value in counters.items()}
        self.timers: dict[str, Values] = {name: _negative(values) for name, values in timers.items()}

    def add(self, timers: Mapping[str, Values], counters: Mapping[str, float]) -> None:
        """Add what a flush had at its end, or has by now. A timer's sum is None once a dump did not show all of it."""
        for name, value in counters.items():
            self.counters[name] = self.counters.get(name, 0.0) + value
        for name, values in timers.items():
            before = self.timers.get(name, Values(0, 0.0))
            self.timers[name] = Values(before.number + values.number, _added(before.sum, values.sum))


def _negative(values: Values) -> Values:
    return Values(-values.number, None if values.sum is None else -values.sum)


def _added(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
