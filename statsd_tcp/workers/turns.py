"""How long a worker's sockets were not looked at: the turns of its reactor, timed where each of them begins.

    epoll_wait              what is due              epoll_wait
    ......timeout|--late--><-------- work --------->|
                 <------------ the gap ------------>

A turn ends when the reactor asks the kernel again. It was due when the kernel had an answer, or when the wait was to
end: a process that is stopped or does not get a processor answers later than that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from statsd_tcp.clock import NANOSECONDS

__all__ = ["Turns"]


class Poller(Protocol):
    """What is timed of a `select.epoll`."""

    def poll(self, timeout: float, maxevents: int, /) -> Iterable[tuple[int, int]]:
        """Wait for events."""


class Turns:
    """Stands before a reactor's poller, and times what happens between its answers and the next question.

    ``longest`` is the longest gap, in nanoseconds.
    """

    def __init__(self, poller: Poller, ticks: Callable[[], int] = time.monotonic_ns) -> None:
        """``ticks`` gives the nanoseconds of CLOCK_MONOTONIC."""
        self._poll = poller.poll
        self._poller = poller
        self._ticks = ticks
        self.begin()

    @classmethod
    def of(cls, reactor: Any) -> Turns:
        """Time the turns of a reactor that polls by epoll, as all of a worker's do."""
        # Twisted has no public place between waiting and working.
        turns = reactor._poller = cls(reactor._poller)  # noqa: SLF001
        return turns

    def begin(self) -> None:
        """Forget what was before: only now is there anything to look at."""
        self._since = self._ticks()
        self.longest = 0

    def poll(self, timeout: float, maxevents: int) -> Iterable[tuple[int, int]]:
        """Wait for events, at the longest ``timeout`` seconds; less than 0: without an end."""
        asked = self._ticks()
        gap = asked - self._since
        if gap > self.longest:  # noqa: PLR1730  (max() takes twice as long, in each turn)
            self.longest = gap
        events = self._poll(timeout, maxevents)
        answered = self._ticks()
        self._since = answered if timeout < 0 else min(answered, asked + int(timeout * NANOSECONDS))
        return events

    def __getattr__(self, name: str) -> Any:
        """Return what the reactor registers descriptors with."""
        return getattr(self._poller, name)
