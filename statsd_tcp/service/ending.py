"""How the service comes to its end: in order, at the second signal at once, by a deadline, or with status 1."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from statsd_tcp.deadline import begin_deadline

__all__ = ["SAME_SIGNAL", "OrderedService", "SecondSignal", "give_up", "limit_stop"]

_log = Logger()

SAME_SIGNAL = 0.25
"""A signal that follows another within this many seconds is the same one: a signal to the process group and one to this
process can both arrive."""


class SecondSignal:
    """Lets the first TERM or INT stop the service in good order, and the second end it at once.

    ``kill`` is called before the process ends.
    """

    def __init__(self, reactor: Any, kill: Callable[[], None]) -> None:
        self._reactor = reactor
        self._kill = kill
        self._before: dict[int, Any] = {}
        self._first: float | None = None

    def install(self) -> None:
        """Put ourselves before the reactor's own handlers, which must be there."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # A process that a shell starts in the background has INT ignored, on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = self._reactor.seconds()
        if self._first is None:
            self._first = now
            if callable(self._before[number]):
                self._before[number](number, frame)
        elif now - self._first > SAME_SIGNAL:
            self._kill()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


class OrderedService(MultiService):
    """Parts that stop one after the other, so that the pages answer until the counting is done."""

    async def _stop_parts(self) -> None:
        for part in self.services:
            await maybeDeferred(part.stopService)

    def stopService(self) -> Deferred[None]:
        """Stop the parts in the order in which they were added."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_parts())


def limit_stop(seconds: float, commit_hangs: Callable[[], bool]) -> None:
    """End the process when the stop is not over after that time; the ledgers have what the store lacks."""

    def say() -> None:
        _log.error(
            "the stop is not over after {seconds:g} s, because {what}: the process ends now, and what the store "
            "lacks is in the ledgers, for the next start",
            seconds=seconds,
            what="a commit has not returned" if commit_hangs() else "something hangs",
        )

    begin_deadline(seconds, say)


def give_up(reactor: Any, why: str) -> None:
    """Stop the service, and have the process end with status 1."""
    _log.critical("statscounter stops: {why}", why=why)
    # twistd has put a log in the place of sys.stderr.
    print(f"statscounter: {why}", file=sys.__stderr__)
    # Neither a service nor the reactor can choose twistd's exit status. What runs last can; the pid file is gone then.
    atexit.register(os._exit, 1)
    if reactor.running:
        reactor.stop()
    else:
        reactor.callWhenRunning(reactor.stop)
