"""The turns of a worker's reactor: how long its sockets were not looked at, and calls that need no turn of their own.

    epoll_wait              what is due              epoll_wait
    ......timeout|--late--><-------- work --------->|
                 <------------ the gap ------------>

A turn ends when the reactor asks the kernel again. It was due when the kernel had an answer, or when the wait was to
end: a process that is stopped or does not get a processor answers later than that.

A turn of Twisted's costs more than a poll of the sockets, and under load there is one poll a millisecond. So what polls
is called between two questions to the kernel, and the reactor is left out for as long as it has nothing to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from statsd_tcp.clock import NANOSECONDS

__all__ = ["Call", "Turns"]


_NEVER = 1 << 63
"""A time that does not come, in nanoseconds."""


class Poller(Protocol):
    """What is timed of a `select.epoll`."""

    def poll(self, timeout: float, maxevents: int, /) -> Iterable[tuple[int, int]]:
        """Wait for events."""


class Call:
    """A call that is to come. ``due`` is in nanoseconds of the turns' clock."""

    __slots__ = ("_calls", "due", "function")

    def __init__(self, due: int, function: Callable[[], object], calls: list[Call]) -> None:
        self.due = due
        self.function = function
        self._calls = calls
        calls.append(self)

    def cancel(self) -> None:
        """Let it not come."""
        self._calls.remove(self)

    def run(self) -> None:
        """Make the call, unless it was cancelled."""
        if self in self._calls:
            self._calls.remove(self)
            self.function()


class Turns:
    """Stands before a reactor's poller, times what happens between its answers and the next question, and makes calls.

    ``longest`` is the longest gap, in nanoseconds.
    """

    def __init__(self, poller: Poller, ticks: Callable[[], int] = time.monotonic_ns) -> None:
        """``ticks`` gives the nanoseconds of CLOCK_MONOTONIC."""
        self._poll = poller.poll
        # What the reactor registers descriptors with. A __getattr__ would make each attribute ten times as expensive.
        for name in ("close", "fileno", "modify", "register", "unregister"):
            setattr(self, name, getattr(poller, name, None))
        self._ticks = ticks
        self._is_wanted = False
        self._calls: list[Call] = []
        self.begin()

    @classmethod
    def of(cls, reactor: Any) -> Turns:
        """Time the turns of a reactor that polls by epoll, as all of a worker's do."""
        # Twisted has no public place between waiting and working.
        turns = reactor._poller = cls(reactor._poller)  # noqa: SLF001
        for name in ("callLater", "_moveCallLaterSooner", "stop"):
            setattr(reactor, name, turns._noting(getattr(reactor, name)))
        return turns

    def _noting(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return what acts as ``act`` does, and has the reactor take its turn, which was not to know of it."""

        def noted(*args: Any, **keywords: Any) -> Any:
            self._is_wanted = True
            return act(*args, **keywords)

        return noted

    def begin(self) -> None:
        """Forget what was before: only now is there anything to look at."""
        self._since = self._ticks()
        self.longest = 0

    def callLater(self, delay: float, function: Callable[[], object]) -> Call:
        """Call a function after that many seconds, as a reactor would. There are few such calls at a time."""
        return Call(self._ticks() + int(delay * NANOSECONDS), function, self._calls)

    def poll(self, timeout: float, maxevents: int) -> Iterable[tuple[int, int]]:
        """Wait for events, ``timeout`` seconds at most, less than 0: without an end. Make the calls meanwhile."""
        self._is_wanted = False
        asked = self._ask()
        end = _NEVER if timeout < 0 else asked + int(timeout * NANOSECONDS)
        while True:
            until = end
            for call in self._calls:
                if call.due < until:  # noqa: PLR1730  (min() takes twice as long, in each turn)
                    until = call.due
            wait = -1.0 if until == _NEVER else max(0, until - asked) / NANOSECONDS
            events = self._poll(wait, maxevents)
            answered = self._ticks()
            self._since = min(answered, until)
            for call in [one for one in self._calls if one.due <= answered]:
                call.run()
            if events or until == end or answered >= end or self._is_wanted:
                return events
            asked = self._ask()

    def _ask(self) -> int:
        """Note a question to the kernel, and return when it is asked."""
        asked = self._ticks()
        gap = asked - self._since
        if gap > self.longest:  # noqa: PLR1730
            self.longest = gap
        return asked
