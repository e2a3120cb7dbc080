"""Starting a worker process: its command line, its environment, and which descriptors it inherits."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

import statsd_tcp
from statsd_tcp.workers.agreement import CHANNEL_DESCRIPTOR, FIRST_SOCKET, LEDGER_DESCRIPTOR
from statsd_tcp.workers.reaper import Ending

__all__ = ["WorkerExit", "command", "environment", "spawn"]


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


def command(worker: int) -> list[str]:
    """Give the command line; the number in it is for whoever looks at the list of processes."""
    # -P: nothing is imported from the folder in which the service happens to be started.
    return [sys.executable, "-P", "-m", "statsd_tcp.workers.process", str(worker)]


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Give the environment, in which the worker finds the same package as its supervisor did."""
    package = Path(statsd_tcp.__file__).parent.parent
    result = dict(inherited)
    if package != Path(sysconfig.get_path("purelib")):
        result["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), inherited.get("PYTHONPATH")]))
    return result


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
