"""How the service comes to its end: in order, at once on a second signal, or with status 1 when it can't work."""

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
from twisted.python.threadpool import ThreadPool

__all__ = ["OrderedService", "SecondSignal", "give_up"]

_log = Logger()


SAME_SIGNAL = 0.25
"""A signal that follows another within so many seconds is the same one: a process group's and one of its members'
own arrive both."""


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
            # Whoever started us in the background of a shell has INT ignored, and means it.
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
    """The whole service. Its parts stop one after the other, so that the pages answer until the counting is done."""

    def __init__(
        self, reactor: Any, pool: ThreadPool, install_signals: Callable[[], None], started: Callable[[], None]
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._pool = pool
        self._install_signals = install_signals
        self._started = started

    def startService(self) -> None:
        """Start everything, in the process that stays."""
        self._started()
        self._pool.start()
        self._reactor.callWhenRunning(self._install_signals)
        super().startService()

    async def _stop_parts(self) -> None:
        for part in self.services:
            await maybeDeferred(part.stopService)
        self._pool.stop()

    def stopService(self) -> Deferred[None]:
        """Stop the parts in the order in which they were added."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop_parts())


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
