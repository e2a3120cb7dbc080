"""Child processes: their environment, what they print, and their end.

Twisted's process transports do not survive an exec of the supervisor. A pidfd can be opened for any child, whichever
image of us started it.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

import statsd_tcp

__all__ = ["Ending", "Printed", "Reaper", "WorkerExit", "environment"]

_LARGEST = 1 << 16


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Give the environment, in which the worker finds the same package as its supervisor did."""
    package = Path(statsd_tcp.__file__).parent.parent
    result = dict(inherited)
    if package != Path(sysconfig.get_path("purelib")):
        result["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), inherited.get("PYTHONPATH")]))
    return result


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


class WorkerExit(ProcessProtocol):
    """Hears from the operating system about one worker: what it prints, and its end.

    A worker prints nothing unless something is wrong; ``printed`` gets each line. ``ended`` gets how it ended.
    """

    def __init__(self, printed: Callable[[str], None], ended: Callable[[Ending], None]) -> None:
        self._printed = printed
        self._ended = ended
        self._half_line = b""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Pass on the lines that a worker prints."""
        *lines, self._half_line = (self._half_line + data).split(b"\n")
        for line in lines:
            self._printed(line.decode(errors="replace"))

    def processEnded(self, reason: Failure) -> None:
        """Tell how it ended, when all that it printed was read."""
        if self._half_line:
            self._printed(self._half_line.decode(errors="replace"))
        number = getattr(reason.value, "signal", None)
        self._ended(Ending(None if number else getattr(reason.value, "exitCode", None) or 0, number))


@implementer(IReadDescriptor)
class Printed:
    """The reading end of the pipe that is a worker's standard output and error. ``line`` gets each line."""

    def __init__(self, reactor: Any, descriptor: int, line: Callable[[str], None]) -> None:
        """Read ``descriptor``, which must not block, until its other end is closed; then close it."""
        self._reactor = reactor
        self._descriptor = descriptor
        self._line = line
        self._rest = b""
        reactor.addReader(self)

    def fileno(self) -> int:
        """Give the pipe's descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:
        """Name the reader in the log."""
        return "Printed"

    def doRead(self) -> None:
        """Read what is there."""
        try:
            data = os.read(self._descriptor, _LARGEST)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))
        if not data:
            self.close()

    def close(self) -> None:
        """Read what is left, and close the pipe."""
        if self._descriptor < 0:
            return
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._rest:
            self._line(self._rest.decode(errors="replace"))
            self._rest = b""

    def connectionLost(self, reason: Failure) -> None:
        """Close it: its other end was closed, or the reactor stops."""
        self.close()


def _wait(pid: int) -> Ending:
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return Ending()
    if os.WIFSIGNALED(status):
        return Ending(signal=os.WTERMSIG(status))
    return Ending(status=os.WEXITSTATUS(status))
