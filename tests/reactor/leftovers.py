"""What a test has left in the reactor, and what was only logged while it ran."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

__all__ = ["Leftovers"]

_TURNS = 200
"""A connection that was closed is gone after a few turns of the reactor; a busy machine may need some more."""


@implementer(ILogObserver)
class Leftovers:
    """Watches the reactor from now on; `stop` must be called.

    ``failures`` are the tracebacks that were logged since. A test that wants one takes it out.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._before = self._watched()
        self.failures: list[str] = []
        globalLogPublisher.addObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """Note a failure that was logged: one in a callback of the reactor ends nothing but itself."""
        # The reactor itself logs in the older way, whose key has the shorter name.
        failure = event.get("log_failure", event.get("failure"))
        if failure is not None:
            self.failures.append(failure.getTraceback())

    async def found(self) -> list[str]:
        """Return what is left after closed connections had time to go: ports, connections, timers, logged failures."""
        for _ in range(_TURNS):
            if self._watched() == self._before:
                break
            await deferLater(self._reactor, 0.005)
        watched = [f"still open: {one}" for one in self._watched() - self._before]
        timers = [f"still to come: {one}" for one in self._timers()]
        return watched + timers + self.failures

    def stop(self) -> None:
        """Watch no more, and take away what is left: the next test is not to blame for it."""
        globalLogPublisher.removeObserver(self)
        for call in self._timers():
            call.cancel()
        self._reactor.removeAll()

    def _timers(self) -> list[Any]:
        """Return the timers, but for the one by which the plugin waits for us: on a busy machine it may be late."""
        calls = self._reactor.getDelayedCalls()
        return [call for call in calls if getattr(call.func, "__module__", "") != pytest_twisted.__name__]

    def _watched(self) -> set[Any]:
        return {*self._reactor.getReaders(), *self._reactor.getWriters()}
