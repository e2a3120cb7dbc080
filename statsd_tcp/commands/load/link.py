"""The channel between a generator process and the process that started it."""

from __future__ import annotations

from multiprocessing.connection import Connection as Pipe
from typing import Protocol

from statsd_tcp.commands.load.results import Progress

__all__ = ["Link", "PipeLink"]


class Link(Protocol):
    """What the loops need of it. Both are called some twenty times a second."""

    def report(self, progress: Progress) -> None:
        """Report the progress."""

    def stopped(self) -> bool:
        """Return whether the run is to stop early."""


class PipeLink:
    """A link through a multiprocessing pipe: anything from the other side, and its end, means stop."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def report(self, progress: Progress) -> None:
        """Send a report; a parent that is gone does not need one."""
        try:
            self._pipe.send(progress)
        except (BrokenPipeError, ConnectionResetError):
            return

    def stopped(self) -> bool:
        """Look whether the parent said something, or is gone."""
        return self._pipe.poll(0)
