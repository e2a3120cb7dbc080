"""etsy's server without the server: its console, on a clock that goes on only while it is asked or waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.task import Clock

__all__ = ["SimulatedEtsy"]

_ANSWER = 0.001
"""Seconds that an answer takes."""


class SimulatedEtsy:
    """Takes what comes at a time: ``(seconds, type, name, value)``, in the order of the times."""

    def __init__(self, clock: Clock, length: float, arrivals: Sequence[tuple[float, str, str, float]]) -> None:
        self._clock, self._length = clock, length
        # The second in which it was started is a rounded one.
        self._start = float(round(clock.seconds()))
        self._next = self._start + length
        self._arrivals = list(arrivals)
        self._counters: dict[str, float] = {"statsd.metrics_received": 0, "statsd.bad_lines_seen": 0}
        self._timers: dict[str, list[float]] = {}
        self.gauges: dict[str, float] = {"statsd.timestamp_lag": 0}
        self.asked: list[float] = []

    def config(self) -> dict[str, str]:
        """Return the configuration."""
        return {"flushInterval": f"{self._length * 1000:g}", "port": "8125"}

    def ask(self, command: str) -> str:
        """Answer, a moment later."""
        self._clock.advance(_ANSWER)
        now = self._clock.seconds()
        self.asked.append(now)
        self._go_on(now)
        if command == "stats":
            return f"uptime: {int(now + 0.5) - round(self._start)}\nmessages.bad_lines_seen: 0\n"
        dumps: dict[str, Any] = {"counters": self._counters, "timers": self._timers, "gauges": self.gauges}
        return _inspected(dumps[command])

    def _go_on(self, now: float) -> None:
        while True:
            arrives = self._arrivals[0][0] if self._arrivals else now + 1
            if min(arrives, self._next) > now:
                return
            if arrives < self._next:
                _, kind, name, value = self._arrivals.pop(0)
                self._take(kind, name, value)
            else:
                self._counters = dict.fromkeys(self._counters, 0.0)
                self._timers = {timer: [] for timer in self._timers}
                self._next += self._length

    def _take(self, kind: str, name: str, value: float) -> None:
        self._counters["statsd.metrics_received"] += 1
        if kind == "c":
            self._counters[name] = self._counters.get(name, 0.0) + value
        elif kind == "ms":
            self._timers.setdefault(name, []).append(value)
        else:
            self.gauges[name] = value


def _inspected(values: Mapping[str, Any]) -> str:
    entries = []
    for name, value in values.items():
        shown = repr(value)
        if isinstance(value, list) and len(value) > 100:
            shown = f"[ {', '.join(map(repr, value[:100]))}, ... {len(value) - 100} more items ]"
        entries.append(f"  '{name}': {shown}")
    return "{\n" + ",\n".join(entries) + "\n}\n"
