"""One worker process, from its start until it is reaped and its channel is read to the end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from twisted.internet.error import ProcessExitedAlready

from statsd_tcp.children import Ending, Printed, WorkerExit, environment
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.workers.channel import CHANNEL_DESCRIPTOR, FIRST_SOCKET, LEDGER_DESCRIPTOR, Channel, Message

__all__ = ["Incarnation", "Outcome", "command", "outcome_of", "spawn"]

Outcome = Literal["boot", "stalled", "signal", "failure", "exit"]
"""How a worker ended, as the metrics have it: before it ever accepted, killed because it gave no sign of life, by
another signal, by a fault, or in good order."""


class End(NamedTuple):
    """How a worker ended: for the metrics, and in words."""

    outcome: Outcome
    how: str


class Incarnation:
    """A worker as its supervisor knows it.

    ``started`` and ``ready_at`` are the reactor's seconds; ``told`` is up to where it knows its
    journal to be in the store.
    """

    def __init__(self, ledger: Ledger, started: float, pid: int = 0) -> None:
        self.ledger = ledger
        self.started = started
        self.ready_at: float | None = None
        self.channel: Channel | None = None
        self.process: Any = None
        self.pipes: list[Printed] = []
        self.pid = pid
        self.ending: Ending | None = None
        self.channel_ended = False
        self.stalled = False
        self.told = 0

    def life(self, now: float) -> float:
        """Give for how many seconds it has accepted."""
        return 0.0 if self.ready_at is None else now - self.ready_at

    def send(self, message: Message) -> bool:
        """Send it a message, if it can be spoken to; tell whether it can."""
        if self.channel is None or self.channel_ended:
            return False
        self.channel.send(message)
        return True

    def printed(self) -> list[int]:
        """Give the descriptors from which its output is read."""
        pipes = self.pipes if self.process is None else self.process.pipes.values()
        return [pipe.fileno() for pipe in pipes if pipe.fileno() >= 0]

    def kill(self) -> None:
        """End the process at once."""
        if self.ending is not None:
            return
        try:
            if self.process is not None:
                self.process.signalProcess(signal.SIGKILL)
            else:
                # Not reaped yet: the number is still this process's.
                os.kill(self.pid, signal.SIGKILL)
        except (ProcessExitedAlready, ProcessLookupError):
            pass


def command(worker: int) -> list[str]:
    """Give the command line; the number in it is for whoever looks at the list of processes."""
    # -P: nothing is imported from the folder in which the service happens to be started.
    return [sys.executable, "-P", "-m", "statsd_tcp.workers.process", str(worker)]


def spawn(reactor: Any, protocol: WorkerExit, worker: int, channel: int, ledger: int, sockets: Sequence[int]) -> Any:
    """Start a worker that inherits these descriptors at the places where it expects them; give its transport."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    inherited: dict[int, int | str] = {
        0: null,
        1: "r",
        2: "r",
        CHANNEL_DESCRIPTOR: channel,
        LEDGER_DESCRIPTOR: ledger,
        **dict(enumerate(sockets, FIRST_SOCKET)),
    }
    try:
        return reactor.spawnProcess(
            protocol, sys.executable, command(worker), env=environment(os.environ), childFDs=inherited
        )
    finally:
        os.close(null)


def outcome_of(incarnation: Incarnation) -> End:
    """Say how a worker ended."""
    ending = incarnation.ending or Ending()
    if incarnation.ready_at is None:
        return End("boot", f"could not start ({_words(ending)})")
    if incarnation.stalled:
        return End("stalled", f"had stalled and was killed ({_words(ending)})")
    if ending.signal is not None:
        return End("signal", f"was killed ({_words(ending)})")
    if ending.status:
        return End("failure", f"failed ({_words(ending)})")
    return End("exit", "ended")


def _words(ending: Ending) -> str:
    if ending.signal is not None:
        return signal.Signals(ending.signal).name
    return f"exit status {ending.status}"
