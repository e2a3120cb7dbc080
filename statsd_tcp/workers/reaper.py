"""The end of a worker process, heard from the kernel by its pidfd.

Twisted's process transports don't survive an exec of the supervisor; a pidfd can be opened for any child, whichever
image of us started it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Ending", "Reaper"]


class Ending(NamedTuple):
    """How a process ended: by a signal, or with an exit status. Both None: it was not our child, and nobody knows."""

    status: int | None = None
    signal: int | None = None


@implementer(IReadDescriptor)
class Reaper:
    """Waits for one child, and calls ``ended`` once. Nobody else may wait for that child."""

    def __init__(self, reactor: Any, pid: int, ended: Callable[[Ending], None]) -> None:
        """Watch a process; raises `ProcessLookupError` if there is none with that number."""
        self._reactor = reactor
        self.pid = pid
        self._ended = ended
        self._descriptor = os.pidfd_open(pid)
        reactor.addReader(self)

    def fileno(self) -> int:
        """Give the pidfd."""
        return self._descriptor

    def logPrefix(self) -> str:
        """Name the reader in the log."""
        return "Reaper"

    def doRead(self) -> None:
        """Take the process's last words."""
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        self._descriptor = -1
        self._ended(_wait(self.pid))

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: the reactor lets go of readers when it stops."""


def _wait(pid: int) -> Ending:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return Ending()
    if os.WIFSIGNALED(status):
        return Ending(signal=os.WTERMSIG(status))
    return Ending(status=os.WEXITSTATUS(status))
