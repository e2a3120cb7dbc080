"""When the next connection, or the next send, is to begin; and taking note where that time was not kept."""

from __future__ import annotations

import math

from statsd_tcp.commands.load.results import Result
from statsd_tcp.commands.load.workload import Mode, Share

__all__ = ["Pace"]

# After a failure of our own (no port, no descriptor): do not burn a million attempts in a second.
BREATHER = 0.01


class Pace:
    """The schedule of a share: at a given rate each beginning has its own time, otherwise it is now.

    ``start`` is the run's begin on the caller's clock, in seconds. ``index`` is the number, within the share,
    of what begins next.
    """

    def __init__(self, share: Share, start: float, result: Result) -> None:
        work = share.work
        self._share, self._start, self._result = share, start, result
        self._paced = work.rate is not None
        self._most = math.inf if work.mode is Mode.KEPT else share.connections
        self._last = math.inf if work.duration is None else start + work.duration
        self._pause = start
        self._held_back = False
        self.index = 0

    def due(self, now: float) -> float:
        """Return the time at which the next one is due; infinite if there will be none."""
        if self.index >= self._most:
            return math.inf
        due = self._start + self._share.offset(self.index) if self._paced else max(now, self._pause)
        return due if due < self._last else math.inf

    def over(self, now: float) -> bool:
        """Return whether the time is up and all that was due in it has begun."""
        return self.due(now) == math.inf and (now >= self._last or not self._most)

    def begin(self, due: float, now: float) -> None:
        """The next one begins, which was due then."""
        self._result.lag(now - due, held_back=self._held_back)
        self.index += 1

    def on_time(self) -> None:
        """Nothing is due from now on: what is late from here on was not held back."""
        self._held_back = False

    def hold_back(self) -> None:
        """Something is due, but too many are open."""
        self._held_back = True

    def breathe(self, now: float) -> None:
        """Something failed here. Without a given rate, wait a little."""
        self._pause = now + BREATHER

    def stop(self) -> None:
        """Stop starting connections."""
        self._most = 0
