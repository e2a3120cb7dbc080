"""When the service last heard from a client, and how much of it was bad, since the start."""

from __future__ import annotations

from typing import Any

from statsd_tcp.store.snapshot import BAD_LINES, DATAGRAMS, EMPTY_LINES, LINES, Snapshot

__all__ = ["Activity"]

_HEARD = (LINES, EMPTY_LINES, DATAGRAMS)


class Activity:
    """Looks at the snapshot of every commit, so that it is exact to about a second."""

    def __init__(self, clock: Any) -> None:
        """Start now, by the ``seconds`` of ``clock``."""
        self._clock = clock
        self._last = clock.seconds()
        self._heard = self._bad = self._bad_before = 0
        self._begun = False

    def committed(self, snapshot: Snapshot) -> None:
        """Take note of a commit. What was in the store before the first one does not count."""
        totals = snapshot.settled.items()
        heard = sum(value for key, value in totals if key.metric in _HEARD)
        self._bad = sum(value for key, value in totals if key.metric == BAD_LINES)
        if not self._begun:
            self._begun = True
            self._bad_before = self._bad
        elif heard != self._heard:
            self._last = self._clock.seconds()
        self._heard = heard

    @property
    def silence(self) -> int:
        """Return the seconds since something came, at the longest since the start."""
        return int(self._clock.seconds() - self._last)

    @property
    def bad_lines(self) -> int:
        """Return how many bad lines have come since the start."""
        return self._bad - self._bad_before
