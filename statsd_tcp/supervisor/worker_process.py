"""One worker process, from its start until it is reaped and its channel is read to the end."""

from __future__ import annotations

import secrets
import socket
from typing import Any, Literal, NamedTuple, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.children import Child, Ending
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.who.memory import SourceMemory
from statsd_tcp.words import signal_name
from statsd_tcp.workers.channel import (
    Channel,
    Collect,
    Committed,
    Drain,
    Gathered,
    Message,
    Ready,
    Retire,
    one_channel,
)

__all__ = ["Outcome", "ProcessEvents", "WorkerProcess", "outcome_of"]

Outcome = Literal["boot", "stalled", "signal", "failure", "exit"]
"""How a worker ended, as the metrics have it: before it ever accepted, killed because it gave no sign of life, by
another signal, by a fault, or in good order."""


SESSION_BITS = 32
"""The size of what a worker is asked for: no image of the supervisor may ask for what another one has asked for."""


class End(NamedTuple):
    """How a worker ended: for the metrics, and in words."""

    outcome: Outcome
    how: str


class ProcessEvents(Protocol):
    """What a worker process tells its slot."""

    def accepts(self, process: WorkerProcess) -> None:
        """It accepts."""

    def gathered(self, process: WorkerProcess, message: Gathered) -> None:
        """It sent what it gathered."""

    def over(self, process: WorkerProcess) -> None:
        """It is reaped, and all that it sent was told: its ledger's numbers are final."""


class WorkerProcess:
    """A worker as its supervisor knows it.

    ``ready_at`` are the reactor's seconds, None until it accepts. ``stalled``: it is killed because it is. ``session``
    is the one that it is asked for, see `Collect`. ``sources``: the memory in which it counts them, if it does;
    ``column``: that of its own in the memory of their limits, if it has one.
    """

    _log = Logger()

    def __init__(self, reactor: Any, ledger: Ledger, child: Child, events: ProcessEvents) -> None:
        self._reactor = reactor
        self._events = events
        self.ledger = ledger
        self.child = child
        self.ready_at: float | None = None
        self._made_at = reactor.seconds()
        self.channel = Channel(self._received, self._channel_ended)
        self.channel_ended = False
        self.stalled = False
        self.sources: SourceMemory | None = None
        self.column: int | None = None
        self._told = -1
        self.begin_anew()
        child.ended.addCallback(self._exited).addErrback(self._unexpected)

    def open(self, descriptor: int) -> None:
        """Speak to it over the socket at ``descriptor``, which the caller closes. Raises `OSError`."""
        self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, one_channel(self.channel))

    def life(self) -> float:
        """Return for how many seconds it has accepted."""
        return 0.0 if self.ready_at is None else self._reactor.seconds() - self.ready_at

    def starting(self) -> float:
        """Return for how many seconds it has been started without accepting."""
        return 0.0 if self.ready_at is not None else float(self._reactor.seconds() - self._made_at)

    def send(self, message: Message) -> bool:
        """Send it a message, if it can be spoken to; return whether it can."""
        if self.channel_ended:
            return False
        self.channel.send(message)
        return True

    def collect(self) -> bool:
        """Ask it for what it gathered, if it accepts; return whether it was asked."""
        return self.ready_at is not None and self.send(Collect(self.session))

    def drain(self, seconds: float) -> None:
        """Ask it to hand over what waits, and to end within that time."""
        self.send(Drain(self.session, seconds))

    def retire(self) -> None:
        """Ask it to serve its clients to their end, and to end then."""
        self.send(Retire(self.session))

    def begin_anew(self) -> None:
        """Let it begin another session of names with the next answer that it is asked for."""
        # By chance: what the image before this one has asked for may still be answered.
        self.session = 1 + secrets.randbelow((1 << SESSION_BITS) - 1)

    def committed(self, snapshot: Snapshot) -> None:
        """Send it the offset up to which its journal is in the store, if that has advanced; first of all in any case.

        So it knows which store it is.
        """
        ledger_id = self.ledger.ledger_id
        state = snapshot.ledgers.get(ledger_id)
        offset = 0 if state is None else state.committed
        if offset > self._told and self.send(Committed(offset, ledger_id not in snapshot.left_out, snapshot.store)):
            self._told = offset

    def handed_on(self, number: int, *, leaving: bool) -> InheritedWorker:
        """Return what the next image of the supervisor must know of it, as the worker of that number."""
        return InheritedWorker(
            number=number,
            pid=self.child.pid,
            ledger_id=self.ledger.ledger_id,
            channel=self.channel.descriptor(),
            unread=self.channel.unread(),
            printed=self.child.pipes,
            leaving=leaving,
        )

    def _received(self, message: Message) -> None:
        if isinstance(message, Gathered):
            self._events.gathered(self, message)
            if message.last:
                self.channel.close()
        elif isinstance(message, Ready):
            self.ready_at = self._reactor.seconds()
            self._events.accepts(self)

    def _exited(self, ending: Ending) -> None:
        self._check_over()

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("what follows the end of worker process {pid} failed", failure=failure, pid=self.child.pid)

    def _channel_ended(self) -> None:
        self.channel_ended = True
        self._check_over()

    def _check_over(self) -> None:
        # What it sent before it died may still wait in the channel; and one that closed its channel may still run.
        if self.child.ending is not None and self.channel_ended:
            self.ledger.retired = True
            self._events.over(self)


def outcome_of(process: WorkerProcess) -> End:
    """Return how a worker ended, in words."""
    ending = process.child.ending or Ending()
    if process.ready_at is None:
        return End("boot", f"could not start ({_words(ending)})")
    if process.stalled:
        return End("stalled", f"had stalled and was killed ({_words(ending)})")
    if ending.signal is not None:
        return End("signal", f"was killed ({_words(ending)})")
    if ending.status:
        return End("failure", f"failed ({_words(ending)})")
    return End("exit", "ended")


def _words(ending: Ending) -> str:
    if ending.signal is not None:
        return signal_name(ending.signal)
    return f"exit status {ending.status}"
