"""The servers of the comparison: how each is started, what it counted, how it is stopped."""

import re
import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol

import msgspec

from benchmarks.accept.workloads import Role, Workload
from benchmarks.programs import CHECKOUT, ToolError, compiled, pinned

LOOP_SOURCE = Path(__file__).resolve().parent / "peers" / "loop.c"
OURS = "ours"
OURS_IN_PYTHON = "ours-python"
"""The same without the part in C."""
WITHOUT_WHO = "-no-who"
"""What the names of both end in when sources are not counted."""
OURS_KINDS = (OURS, OURS_IN_PYTHON, OURS + WITHOUT_WHO, OURS_IN_PYTHON + WITHOUT_WHO)
LOOP = "loop"
"""The yardstick: whichever mode of the C loop the workload names."""
LOOPS = ("loop-close", "loop-once", "loop-read", "loop-epoll")
MODULES = {"twisted": "plain_twisted", "asyncio": "asyncio_server", "uvloop": "uvloop_server"}
LOOPS_FOR: dict[Role, tuple[str, ...]] = {"count": LOOPS[:2], "lines": LOOPS[2:]}
"""Those that do the whole job: others leave lines unread, or wait for ever for the end of a bare
client, which leaves the end to the server."""
OWN_PEERS = (LOOP, *OURS_KINDS, *MODULES, *LOOPS)

STOP_TIMEOUT = 10.0
"""Seconds that a server gets to end by itself."""


class Totals(msgspec.Struct, frozen=True):
    """What a server says that it received; ``None`` where it cannot tell."""

    connections: int | None = None
    lines: int | None = None
    bytes: int | None = None

    def agree_with(self, expected: "Totals") -> bool:
        """Whether everything that both can tell is equal."""
        pairs = ((getattr(self, name), getattr(expected, name)) for name in self.__struct_fields__)
        return all(mine == theirs for mine, theirs in pairs if None not in {mine, theirs})


class Server(Protocol):
    """A running server. ``workers`` did what is measured; ``others`` are processes that it needs besides."""

    port: int
    workers: list[int]
    others: list[int]
    settle_seconds: float

    def totals(self, expected: Totals) -> Totals:
        """What it counted; it may take a moment to come to what is expected."""

    def stop(self) -> None:
        """End it, whatever its state."""


class Peer:
    """One process that says ``ready PORT`` first and its totals last."""

    settle_seconds = 0.1

    def __init__(self, command: list[str], cpu: int | None) -> None:
        self._command = command
        self._process = subprocess.Popen([*pinned(cpu), *command], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
        self.others: list[int] = []
        self.workers = [self._process.pid]
        self.port = self._ready_port()

    def _output(self) -> IO[str]:
        if self._process.stdout is None:
            raise ToolError("a peer without its standard output")
        return self._process.stdout

    def _ready_port(self) -> int:
        said = re.fullmatch(r"ready (\d+)\n", self._output().readline())
        if said is None:
            self.stop()
            raise ToolError(f"did not come up: {' '.join(self._command)}")
        return int(said.group(1))

    def totals(self, expected: Totals) -> Totals:
        """Ask it to end: the totals are its last words."""
        self._process.terminate()
        try:
            output, _ = self._process.communicate(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"did not end on SIGTERM: {' '.join(self._command)}") from error
        return msgspec.json.decode(output.splitlines()[-1], type=Totals)

    def stop(self) -> None:
        """Kill it, if it still runs."""
        self._process.kill()
        self._process.wait()
        self._output().close()


def suits(name: str, workload: Workload) -> bool:
    """Whether a server can do what the workload asks for."""
    return name not in LOOPS or name in LOOPS_FOR[workload.role]


def loop_mode(name: str, workload: Workload) -> str | None:
    """The mode of the C loop that `name` stands for, None for another peer."""
    if name == LOOP:
        return workload.loop
    return name.removeprefix("loop-") if name in LOOPS else None


def start_peer(name: str, workload: Workload, cpu: int | None) -> Peer:
    """Start one of the others; ToolError when it does not come up."""
    mode = loop_mode(name, workload)
    if mode is not None:
        return Peer([str(compiled(LOOP_SOURCE)), "0", mode], cpu)
    module = f"benchmarks.accept.peers.{MODULES[name]}"
    return Peer([sys.executable, "-m", module, "0", workload.role], cpu)
