"""What an output counts: what became of its samples, and how long requests take."""

from __future__ import annotations

from itertools import accumulate
from math import inf
from typing import Final

from statsd_tcp.remote_write.answers import Answer
from statsd_tcp.status.own_metrics import RemoteFacts

__all__ = ["BOUNDS", "SKIPPED", "Tally"]

SKIPPED: Final = ("batch", "poison", "unsearched", "bounds", "clock")
"""Why samples were never sent, or given up: see docs/outputs.md."""

BOUNDS: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, inf)
"""Of the histogram of the seconds of requests."""


class Tally:
    """Counts for one output."""

    def __init__(self) -> None:
        self.repeated = self.refused = 0
        self.skipped = dict.fromkeys(SKIPPED, 0)
        self.delivered = 0.0
        self.sent = self.failed = self.sent_bytes = 0
        self._seconds = 0.0
        self._counts = [0] * len(BOUNDS)

    def note_request(self, body: bytes, answer: Answer, seconds: float) -> None:
        """Count a request."""
        self.sent_bytes += len(body)
        self.failed += not 200 <= answer.status < 300  # noqa: PLR2004
        self._seconds += seconds
        self._counts[next(place for place, bound in enumerate(BOUNDS) if seconds <= bound)] += 1

    def facts(self, name: str) -> RemoteFacts:
        """Describe it."""
        buckets = tuple(zip(BOUNDS, accumulate(self._counts), strict=True))
        skipped = dict(self.skipped)
        return RemoteFacts(
            name, self.repeated, self.refused, skipped, self.delivered, self.sent_bytes, self._seconds, buckets
        )
