"""How the service comes to its end: in order, at once, or with status 1."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.service.ending import SAME_SIGNAL, OrderedService, SecondSignal, give_up

Taker = Callable[[int, FrameType | None], None]


class SecondSignalTests(SynchronousTestCase):
    """TERM and INT."""

    def setUp(self) -> None:
        """Stand in for the operating system."""
        self.events: list[str] = []
        self.handlers: dict[int, Any] = {
            signal.SIGTERM: lambda number, frame: self.events.append("stop"),
            signal.SIGINT: lambda number, frame: self.events.append("stop"),
        }
        self.patch(signal, "signal", self.set_handler)
        self.patch(signal, "getsignal", self.handlers.__getitem__)
        self.patch(os, "kill", lambda pid, number: self.events.append(f"{pid == os.getpid()} {number}"))
        self.reactor = MemoryReactorClock()
        self.signals = SecondSignal(self.reactor, lambda: self.events.append("kill"))

    def set_handler(self, number: int, handler: Any) -> Any:
        """Install a handler, and give the one before it."""
        before, self.handlers[number] = self.handlers[number], handler
        return before

    def raise_signal(self, number: int) -> None:
        """Let a signal arrive."""
        self.handlers[number](number, None)

    def test_the_first(self) -> None:
        """The first signal does what the reactor does with it."""
        self.signals.install()
        self.raise_signal(signal.SIGTERM)
        self.assertEqual(["stop"], self.events)

    def test_the_second(self) -> None:
        """The second kills the workers and then ourselves, as the signal would have."""
        self.signals.install()
        self.raise_signal(signal.SIGTERM)
        self.reactor.advance(SAME_SIGNAL * 2)
        self.raise_signal(signal.SIGINT)
        self.assertEqual(["stop", "kill", f"True {int(signal.SIGINT)}"], self.events)
        self.assertIs(signal.SIG_DFL, self.handlers[signal.SIGINT])

    def test_the_same_twice(self) -> None:
        """A signal that arrives twice at once, to the group and to us, is one."""
        self.signals.install()
        self.raise_signal(signal.SIGINT)
        self.reactor.advance(SAME_SIGNAL / 2)
        self.raise_signal(signal.SIGINT)
        self.assertEqual(["stop"], self.events)

    def test_ignored(self) -> None:
        """Who was started with a signal ignored goes on ignoring it."""
        self.handlers[signal.SIGINT] = signal.SIG_IGN
        self.signals.install()
        self.assertIs(signal.SIG_IGN, self.handlers[signal.SIGINT])


class Part(Service):
    """A part that takes its time to stop."""

    def __init__(self, number: int, events: list[str]) -> None:
        self._number = number
        self._events = events
        self.stopped: Deferred[None] = Deferred()

    def startService(self) -> None:
        """Note it."""
        super().startService()
        self._events.append(f"{self._number} started")

    def stopService(self) -> Deferred[None]:
        """Note it, and wait."""
        self._events.append(f"{self._number} stopping")
        return self.stopped


class OrderedServiceTests(SynchronousTestCase):
    """The parts of the service."""

    def test_order(self) -> None:
        """Parts start together and stop one after the other."""
        events: list[str] = []
        service = OrderedService()
        parts = [Part(number, events) for number in (1, 2)]
        for part in parts:
            part.setServiceParent(service)
        service.startService()
        self.assertEqual(["1 started", "2 started"], events)
        events.clear()
        stopped = service.stopService()
        self.assertEqual(["1 stopping"], events)
        parts[0].stopped.callback(None)
        self.assertEqual(["1 stopping", "2 stopping"], events)
        self.assertNoResult(stopped)
        parts[1].stopped.callback(None)
        self.successResultOf(stopped)


class GiveUpTests(SynchronousTestCase):
    """The service cannot work."""

    def setUp(self) -> None:
        """Keep the end of this process out of it."""
        self.at_exit: list[tuple[object, ...]] = []
        self.patch(atexit, "register", lambda *arguments: self.at_exit.append(arguments))
        self.errors = io.StringIO()
        self.patch(sys, "__stderr__", self.errors)
        self.reactor = MemoryReactorClock()

    def test_while_it_runs(self) -> None:
        """One line on standard error, the reactor stops, and the process will end with status 1."""
        self.reactor.running = True
        give_up(self.reactor, "the disk is full")
        self.assertEqual("statscounter: the disk is full\n", self.errors.getvalue())
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual([(os._exit, 1)], self.at_exit)

    def test_before_it_runs(self) -> None:
        """A reactor that does not run yet stops as soon as it does."""
        self.reactor.running = False
        give_up(self.reactor, "no")
        self.assertFalse(self.reactor.hasStopped)
        self.reactor.run()
        self.assertTrue(self.reactor.hasStopped)
