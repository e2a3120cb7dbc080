"""What came to etsy's server over several flushes, put together from dumps of what each flush has so far."""

from __future__ import annotations

from collections.abc import Mapping

from statsd_tcp.commands.compare.inspected import Values

__all__ = ["Sums"]


class Sums:
    """Sums from the first look on. A look is a dump of the timers, and right after it one of the counters.

    ``tide`` is the counter that only rises within a flush, and with every line: when it has fallen a flush has ended.
    """

    def __init__(self, tide: str, timers: Mapping[str, Values], counters: Mapping[str, float]) -> None:
        self._tide = tide
        self._timers, self._counters = timers, counters
        self._ended_counters: dict[str, float] = {name: -value for name, value in counters.items()}
        self._ended_timers: dict[str, Values] = {name: _negative(values) for name, values in timers.items()}

    def look(self, timers: Mapping[str, Values], counters: Mapping[str, float]) -> bool:
        """Take another look; give whether a flush has ended since the last one."""
        ended = counters.get(self._tide, 0.0) < self._counters.get(self._tide, 0.0)
        if ended:
            self._ended_counters, self._ended_timers = self.counters(), self.timers()
            # These may be of the flush that has ended, or of the next one: which, the next look shows.
            timers = {}
        self._timers, self._counters = timers, counters
        return ended

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing had come to the open flush at the last look: its end would not be seen."""
        return not self._counters.get(self._tide)

    def counters(self) -> dict[str, float]:
        """Give the sums of the counters."""
        sums = dict(self._ended_counters)
        for name, value in self._counters.items():
            sums[name] = sums.get(name, 0.0) + value
        return sums

    def timers(self) -> dict[str, Values]:
        """Give how many values came for each timer, and their sum; None if a dump did not show all of them."""
        sums = dict(self._ended_timers)
        for name, values in self._timers.items():
            before = sums.get(name, Values(0, 0.0))
            sums[name] = Values(before.number + values.number, _added(before.sum, values.sum))
        return sums


def _negative(values: Values) -> Values:
    return Values(-values.number, None if values.sum is None else -values.sum)


def _added(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
