"""What became of the lines for all targets, added up over the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from statsd_tcp.outputs.delivery import OutputFacts, since
from statsd_tcp.repeat.queue import Repeated

__all__ = ["RepeatTotals"]


class _Total:
    def __init__(self) -> None:
        self.sent = self.failed = self.dropped = 0
        self.last_success = 0.0
        self.succeeded: float | None = None
        self.queued: dict[int, int] = {}
        self.errors: dict[int, str] = {}


class RepeatTotals:
    """Adds up what the workers say, since the start of the service."""

    def __init__(
        self, labels: Sequence[str], monotonic: Callable[[], float], wall: Callable[[], float] = time.time
    ) -> None:
        """Start with these targets; others are added when they report. Both clocks return seconds."""
        self._totals = {label: _Total() for label in labels}
        self._monotonic = monotonic
        self._wall = wall

    def add(self, worker: int, news: Iterable[Repeated]) -> None:
        """Add what the worker with that number says."""
        for one in news:
            total = self._totals.setdefault(one.label, _Total())
            total.sent += one.sent
            total.failed += one.failed
            total.dropped += one.dropped
            total.queued[worker] = one.queued
            total.errors[worker] = one.error
            if one.sent:
                total.last_success = self._wall()
                total.succeeded = self._monotonic()

    def facts(self) -> list[OutputFacts]:
        """Describe each target as an output. What is queued, sent and dropped are lines."""
        return [
            OutputFacts(
                label,
                sum(total.queued.values()),
                total.sent,
                total.failed,
                total.dropped,
                total.last_success,
                next(filter(None, total.errors.values()), ""),
                since(total.succeeded, self._monotonic()),
            )
            for label, total in self._totals.items()
        ]
