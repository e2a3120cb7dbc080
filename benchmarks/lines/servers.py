"""The servers: how each is started, how it says how many lines it took, how it is stopped."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from benchmarks.accept.servers import LOOP_SOURCE, STOP_TIMEOUT, Peer, Server, Totals
from benchmarks.accept.service import AGREE_TIMEOUT, NO_WHO, Service, free_ports, settled
from benchmarks.programs import ToolError, compiled, pinned

START_TIMEOUT = 15.0
NEVER = 3600
"""Seconds between two flushes: none happens during a measurement."""
RECEIVE_BUFFER = 8 << 20
"""Bytes that are asked for; the kernel doubles them."""
POLL = 0.05


class LineServer(Server, Protocol):
    """A running server that also takes datagrams."""

    udp_port: int
    path: str

    def lines(self, expected: int) -> int:
        """How many lines it took; waits a moment for what is expected."""


class Ours(Service):
    """This service, with one worker and a listener for each transport."""

    def __init__(self, cpu: int | None, buffer: int = RECEIVE_BUFFER, options: tuple[str, ...] = ()) -> None:
        self.udp_port = 0
        self._buffer = buffer
        self.path = ""
        super().__init__("lines", cpu, options=options)

    def _command(self, counting: int, listening: int) -> list[str]:
        self.udp_port = listening
        self.path = str(Path(self._state.name, "datagrams"))
        command = super()._command(counting, listening)
        command += ["--listen", f"udp:{listening}:interface=127.0.0.1:rcvbuf={self._buffer}"]
        return [*command, "--listen", f"unixgram:{self.path}"]

    def lines(self, expected: int) -> int:
        """What ``/metrics`` says, once it stands still at what is expected, or when time is up."""
        return settled(self._lines, lambda found: found >= expected)

    def _lines(self) -> int:
        metrics = self.get("/metrics").decode()
        return int(
            sum(float(value) for value in re.findall(r"^statscounter_lines_total\S* (\S+)$", metrics, re.MULTILINE))
        )


OURS: dict[str, Callable[[int | None, int], Ours]] = {"ours": Ours, "ours-no-who": partial(Ours, options=NO_WHO)}
"""This service, also while sources are not counted."""


class OneProcess:
    """Another server: one process that listens on TCP and UDP."""

    settle_seconds = 0.2

    def __init__(self) -> None:
        self.port, self.udp_port = free_ports(2)
        self.path = ""
        self.others: list[int] = []
        self.workers: list[int] = []
        self._folder = tempfile.TemporaryDirectory(prefix="statscounter-bench-")
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, command: list[str], cpu: int | None, port: int) -> None:
        with Path(self._folder.name, "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*pinned(cpu), *command], stdout=log, stderr=subprocess.STDOUT, cwd=self._folder.name
            )
        self.workers = [self._process.pid]
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = Path(self._folder.name, "log").read_text(errors="replace").strip()[-300:]
                self.stop()
                raise ToolError(f"did not come up: {' '.join(command)}: {words}")
            time.sleep(POLL)

    def stop(self) -> None:
        """Kill it, if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


class Etsy(OneProcess):
    """etsy/statsd: the npm package `statsd`, with both of its servers and no backend."""

    def __init__(self, package: Path, cpu: int | None) -> None:
        super().__init__()
        node = shutil.which("node")
        if node is None or not (package / "stats.js").is_file():
            raise ToolError(f"etsy needs node, and the npm package statsd in {package} (--etsy)")
        (self._console,) = free_ports(1)
        config = Path(self._folder.name, "config.js")
        servers = [
            {"server": "./servers/tcp", "address": "127.0.0.1", "port": self.port},
            {"server": "./servers/udp", "address": "127.0.0.1", "port": self.udp_port},
        ]
        settings = {"servers": servers, "backends": [], "flushInterval": NEVER * 1000}
        settings |= {"mgmt_port": self._console, "mgmt_address": "127.0.0.1"}
        config.write_text(json.dumps(settings))
        self._start([node, str(package / "stats.js"), str(config)], cpu, self._console)

    def totals(self, expected: Totals) -> Totals:
        """It counts lines."""
        return Totals(lines=self.lines(expected.lines or 0))

    def lines(self, expected: int) -> int:
        """What its console says that it took, good and bad."""
        deadline = time.monotonic() + AGREE_TIMEOUT
        found = self._lines()
        while found < expected and time.monotonic() < deadline:
            time.sleep(POLL)
            found = self._lines()
        return found

    def _lines(self) -> int:
        with socket.create_connection(("127.0.0.1", self._console), timeout=AGREE_TIMEOUT) as console:
            console.sendall(b"counters\n")
            answer = b""
            while not answer.endswith(b"END\n\n"):
                answer += console.recv(1 << 20)
        found = re.search(rb"'statsd\.metrics_received': (\d+)", answer)
        return int(found[1]) if found else 0


class Loop(Peer):
    """The C loop that receives datagrams and counts bytes; ``line_size`` is that of every line."""

    path = ""

    def __init__(self, line_size: int, cpu: int | None) -> None:
        self._line_size = line_size
        super().__init__([str(compiled(LOOP_SOURCE)), "0", "udp"], cpu)
        self.udp_port = self.port

    def lines(self, expected: int) -> int:
        """Ask it to end: the bytes that it received are its last words."""
        return (self.totals(Totals()).bytes or 0) // self._line_size


class Statsite(OneProcess):
    """statsite, whose counts come when it ends."""

    def __init__(self, binary: Path, cpu: int | None, buffer: int = RECEIVE_BUFFER) -> None:
        super().__init__()
        if not os.access(binary, os.X_OK):
            raise ToolError(f"{binary} (--statsite) cannot be run")
        self._output = Path(self._folder.name, "output")
        config = Path(self._folder.name, "config.ini")
        # The cat must outlive the end: what statsite knows it writes to it last.
        options = {
            "port": self.port,
            "udp_port": self.udp_port,
            "bind_address": "127.0.0.1",
            "udp_rcvbuf": buffer,
            "log_level": "ERROR",
            "flush_interval": NEVER,
            "stream_cmd": f"cat > {self._output}",
            "daemonize": 0,
        }
        config.write_text("[statsite]\n" + "".join(f"{key}={value}\n" for key, value in options.items()))
        self._start([str(binary), "-f", str(config)], cpu, self.port)

    def totals(self, expected: Totals) -> Totals:
        """It counts lines."""
        return Totals(lines=self.lines(expected.lines or 0))

    def lines(self, expected: int) -> int:
        """Ask it to end: its counters' and timers' counts are its last words."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise ToolError("statsite did not end on SIGTERM") from error
        words = self._output.read_text() if self._output.exists() else ""
        counters = re.findall(r"^counts\.[^|]*\|([\d.]+)\|", words, re.MULTILINE)
        timers = re.findall(r"^timers\.[^|]*\.count\|([\d.]+)\|", words, re.MULTILINE)
        return int(sum(float(value) for value in [*counters, *timers]))


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
