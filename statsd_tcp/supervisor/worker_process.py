"""One worker process, from its start until it is reaped and its channel is read to the end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from statsd_tcp.children import Child, Children, Ending, Lines, environment
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.workers.channel import CHANNEL_DESCRIPTOR, FIRST_SOCKET, LEDGER_DESCRIPTOR, Channel, Message

__all__ = ["Outcome", "WorkerProcess", "command", "outcome_of", "start_worker"]

Outcome = Literal["boot", "stalled", "signal", "failure", "exit"]
"""How a worker ended, as the metrics have it: before it ever accepted, killed because it gave no sign of life, by
another signal, by a fault, or in good order."""


class End(NamedTuple):
    """How a worker ended: for the metrics, and in words."""

    outcome: Outcome
    how: str


class WorkerProcess:
    """A worker as its supervisor knows it.

    ``ready_at`` are the reactor's seconds; ``told`` is up to where it knows its journal to be in the store.
    """

    def __init__(self, ledger: Ledger, child: Child) -> None:
        self.ledger = ledger
        self.child = child
        self.ready_at: float | None = None
        self.channel: Channel | None = None
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

    @property
    def is_over(self) -> bool:
        """Return whether it is reaped, and all that it sent has been received."""
        return self.child.ending is not None and self.channel_ended


def command(worker: int) -> list[str]:
    """Give the command line; the number in it is for whoever looks at the list of processes."""
    # -P: nothing is imported from the folder in which the service happens to be started.
    return [sys.executable, "-P", "-m", "statsd_tcp.workers.process", str(worker)]


def start_worker(
    children: Children,
    number: int,
    channel: int,
    ledger: int,
    sockets: Sequence[int],
    printed: Callable[[str], object],
) -> Child:
    """Start a worker that has these descriptors where it expects them; ``printed`` gets each line of its output.

    Raises `OSError`.
    """
    descriptors = {
        CHANNEL_DESCRIPTOR: channel,
        LEDGER_DESCRIPTOR: ledger,
        **dict(enumerate(sockets, FIRST_SOCKET)),
    }
    pipes = {1: Lines(printed), 2: Lines(printed)}
    return children.start(command(number), environment(os.environ), pipes, descriptors)


def outcome_of(process: WorkerProcess) -> End:
    """Say how a worker ended."""
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
        return signal.Signals(ending.signal).name
    return f"exit status {ending.status}"
