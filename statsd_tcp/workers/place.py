"""One place for a worker, which is kept filled: spawned, listened to, and replaced when it dies."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Literal, Protocol

from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.workers.backoff import HEALTHY_LIFE, Backoff
from statsd_tcp.workers.control import (
    Boot,
    Channel,
    Collect,
    Committed,
    Drain,
    Gathered,
    Message,
    Ready,
    one_channel,
)
from statsd_tcp.workers.shelf import Ledger, Shelf
from statsd_tcp.workers.spawn import WorkerExit, spawn

__all__ = ["Incarnation", "Outcome", "Place", "PlaceEvents", "State"]

State = Literal["starting", "ready", "draining", "waiting", "stopped"]
Outcome = Literal["boot", "signal", "failure", "exit"]


class PlaceEvents(Protocol):
    """What a place tells the supervisor."""

    def ready(self, place: Place) -> None:
        """A worker accepts."""

    def gathered(self, ledger: Ledger, message: Gathered) -> None:
        """A worker sent what it gathered."""

    def gone(self, place: Place, ledger: Ledger, outcome: Outcome, how: str) -> None:
        """A worker is dead, and its ledger's numbers are final."""

    def unable(self, place: Place, why: str) -> None:
        """A worker could not be started."""


class Incarnation:
    """One worker process, from its start until it is reaped and its channel is read to the end."""

    def __init__(self, ledger: Ledger, started: float) -> None:
        self.ledger = ledger
        self.started = started
        self.ready_at: float | None = None
        self.channel: Channel | None = None
        self.process: Any = None
        self.pid = 0
        self.reason: Failure | None = None
        self.channel_ended = False

    @property
    def over(self) -> bool:
        """Tell whether nothing more will come from it."""
        return self.reason is not None and self.channel_ended

    def life(self, now: float) -> float:
        """Give for how many seconds it has accepted."""
        return 0.0 if self.ready_at is None else now - self.ready_at

    def kill(self) -> None:
        """End the process at once."""
        try:
            self.process.signalProcess(signal.SIGKILL)
        except ProcessExitedAlready:
            pass


class Place:
    """The place number ``number``, with the sockets of its own.

    ``boot`` makes the first message to a worker out of the path of its ledger.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        number: int,
        sockets: list[socket.socket],
        listeners: list[tuple[str, str]],
        boot: Callable[[str], Boot],
        shelf: Shelf,
        events: PlaceEvents,
    ) -> None:
        self._reactor = reactor
        self.number = number
        self._sockets = sockets
        self._listeners = listeners
        self._boot = boot
        self._shelf = shelf
        self._events = events
        self._respawn: IDelayedCall | None = None
        self.backoff = Backoff()
        self.state: State = "stopped"
        self.current: Incarnation | None = None

    @property
    def pid(self) -> int:
        """Give the worker's process number, 0 if there is none."""
        return self.current.pid if self.current else 0

    @property
    def short_lives(self) -> int:
        """Give how many workers in a row had a short life; 0 as soon as the present one has had a long one."""
        if self.current is not None and self.current.life(self._reactor.seconds()) >= HEALTHY_LIFE:
            return 0
        return self.backoff.short_lives

    def start(self) -> None:
        """Start a worker. If that can't be done it is tried again later."""
        self._respawn = None
        self.state = "starting"
        try:
            ledger, descriptor = self._shelf.make(self.number, self._listeners)
        except OSError as error:
            self._events.unable(self, f"its ledger can't be made: {error}")
            self._start_later(self.backoff.after(0.0))
            return
        try:
            self._spawn(ledger, descriptor)
        except OSError as error:
            self._events.unable(self, f"its process can't be made: {error}")
            self._abandon(ledger)
        finally:
            os.close(descriptor)

    def collect(self) -> bool:
        """Ask the worker for what it gathered; tell whether there is one to ask."""
        return self._send(Collect()) if self.state == "ready" else False

    def committed(self, ledger_id: str, offset: int) -> None:
        """Tell the worker, if it is the one with this ledger, what is in the store."""
        if self.current is not None and self.current.ledger.ledger_id == ledger_id:
            self._send(Committed(offset))

    def stop(self) -> None:
        """Have the worker read what waits, hand it over, and end; start no other."""
        if self._respawn is not None:
            self._respawn.cancel()
            self._respawn = None
        if self.current is None:
            self.state = "stopped"
            return
        self.state = "draining"
        if self.current.ready_at is None:
            self.current.kill()
        else:
            self._send(Drain())

    def kill(self) -> None:
        """End the worker at once."""
        if self.current is not None:
            self.current.kill()

    def _send(self, message: Message) -> bool:
        if self.current is None or self.current.channel is None:
            return False
        self.current.channel.send(message)
        return True

    def _spawn(self, ledger: Ledger, descriptor: int) -> None:
        incarnation = self.current = Incarnation(ledger, self._reactor.seconds())
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            incarnation.process = spawn(
                self._reactor,
                WorkerExit(self._printed, lambda reason: self._exited(incarnation, reason)),
                self.number,
                theirs.fileno(),
                descriptor,
                [one.fileno() for one in self._sockets],
            )
            incarnation.pid = incarnation.process.pid
            channel = incarnation.channel = Channel(
                lambda message: self._received(incarnation, message),
                lambda: self._channel_ended(incarnation),
            )
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, one_channel(channel))
            channel.send(self._boot(str(ledger.path)))
        finally:
            ours.close()
            theirs.close()

    def _abandon(self, ledger: Ledger) -> None:
        """Let go of a worker that could not be made, or not be spoken to."""
        incarnation = self.current
        if incarnation is not None and incarnation.process is not None:
            incarnation.channel_ended = True
            incarnation.kill()
            return
        self.current = None
        ledger.retired = True
        self._start_later(self.backoff.after(0.0))

    def _received(self, incarnation: Incarnation, message: Message) -> None:
        if isinstance(message, Gathered):
            self._events.gathered(incarnation.ledger, message)
            if message.last and incarnation.channel is not None:
                incarnation.channel.close()
        elif isinstance(message, Ready):
            incarnation.ready_at = self._reactor.seconds()
            if self.state == "starting":
                self.state = "ready"
                self._events.ready(self)

    def _printed(self, line: str) -> None:
        self._log.error("worker {number}: {line}", number=self.number, line=line)

    def _exited(self, incarnation: Incarnation, reason: Failure) -> None:
        incarnation.reason = reason
        self._check_over(incarnation)

    def _channel_ended(self, incarnation: Incarnation) -> None:
        incarnation.channel_ended = True
        self._check_over(incarnation)

    def _check_over(self, incarnation: Incarnation) -> None:
        if not incarnation.over or incarnation.reason is None:
            return
        self.current = None
        incarnation.ledger.retired = True
        stopping = self.state == "draining"
        self.state = "stopped"
        outcome, how = _outcome(incarnation, incarnation.reason)
        if not stopping:
            self._start_later(self.backoff.after(incarnation.life(self._reactor.seconds())))
        self._events.gone(self, incarnation.ledger, outcome, how)

    def _start_later(self, delay: float) -> None:
        if delay:
            self.state = "waiting"
            self._respawn = self._reactor.callLater(delay, self.start)
        else:
            self.start()


def _outcome(incarnation: Incarnation, reason: Failure) -> tuple[Outcome, str]:
    """Say how a process ended: as the metrics' fixed vocabulary has it, and in words."""
    if incarnation.ready_at is None:
        return "boot", f"could not start ({_words(reason)})"
    if reason.check(ProcessDone):
        return "exit", "ended"
    if getattr(reason.value, "signal", None):
        return "signal", f"was killed ({_words(reason)})"
    return "failure", f"failed ({_words(reason)})"


def _words(reason: Failure) -> str:
    number = getattr(reason.value, "signal", None)
    if number:
        return signal.Signals(number).name
    return f"exit status {getattr(reason.value, 'exitCode', 0)}"
