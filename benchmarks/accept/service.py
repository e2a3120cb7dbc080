"""This project's service as a server that is measured, started as its users start it."""

import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.accept.servers import STOP_TIMEOUT, Totals
from benchmarks.accept.workloads import Role
from benchmarks.programs import CHECKOUT, Cpus, ToolError, pinned
from statsd_tcp.native import VARIABLE

NO_WHO = ("--who", "no")
START_TIMEOUT = 20.0
WORKER_TIMEOUT = 2.0
"""Seconds more for each worker: those of a machine with few processors start one after the other."""
ANSWER_TIMEOUT = 10.0
AGREE_TIMEOUT = 8.0
"""Seconds in which the published totals must come to what the clients did; a commit is due every second."""
POLL = 0.05


T = TypeVar("T")


class _Worker(msgspec.Struct):
    pid: int
    slot: int


class _Status(msgspec.Struct):
    workers: list[_Worker]


def worker_pids(status: bytes) -> list[int]:
    """The worker processes that the status lists."""
    return [worker.pid for worker in msgspec.json.decode(status, type=_Status).workers]


def free_ports(number: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def sum_of(metrics: str, name: str, port: int) -> int:
    """A metric's sum over the series of the listener on `port`."""
    listener = rf'listener="tcp:127\.0\.0\.1:{port}"'
    found = re.findall(rf"^{name}\{{[^}}]*{listener}[^}}]*\}} (\S+)", metrics, re.MULTILINE)
    return int(sum(float(value) for value in found))


def settled(read: Callable[[], T], good: Callable[[T], bool]) -> T:
    """What is read, once it stands still and is good, or when time is up."""
    deadline = time.monotonic() + AGREE_TIMEOUT
    earlier, found = None, read()
    while time.monotonic() < deadline and (found != earlier or not good(found)):
        time.sleep(0.3)
        earlier, found = found, read()
    return found


class Service:
    """The supervisor and its workers, with ports and a state directory of their own, and more ``options`` if any."""

    settle_seconds = 1.3
    """What the connections cost must be over: the next commit carries the last of it."""

    def __init__(
        self,
        role: Role,
        cpu: Cpus = None,
        *,
        native: bool = True,
        workers: int = 1,
        options: tuple[str, ...] = (),
    ) -> None:
        counting, listening, self._http = free_ports(3)
        self.port = counting if role == "count" else listening
        self._role = role
        self._number, self._options = workers, options
        self._state = tempfile.TemporaryDirectory(prefix="statscounter-bench-")
        self._log = Path(self._state.name, "log").open("w+")  # noqa: SIM115 (stop() closes it)
        self._process = subprocess.Popen(
            [*pinned(cpu), *self._command(counting, listening)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self._state.name,
            env=dict(os.environ, PYTHONPATH=str(CHECKOUT)) | ({} if native else {VARIABLE: "1"}),
        )
        self.others = [self._process.pid]
        try:
            self._wait_until_ready()
            self.workers = self._find_workers()
        except ToolError:
            self.stop()
            raise

    def _command(self, counting: int, listening: int) -> list[str]:
        return [
            str(Path(sys.executable).parent / "twistd"),
            "-n",
            "--pidfile=",
            "statscounter",
            *("--workers", str(self._number)),
            *("--count", f"tcp:{counting}:interface=127.0.0.1"),
            *("--listen", f"tcp:{listening}:interface=127.0.0.1"),
            *("--http", f"tcp:{self._http}:interface=127.0.0.1"),
            "--admin=",
            *("--state-dir", str(Path(self._state.name, "state"))),
            *self._options,
        ]

    @property
    def site(self) -> str:
        """The beginning of its pages' addresses."""
        return f"http://127.0.0.1:{self._http}"

    @property
    def supervisor(self) -> int:
        """The supervisor's process."""
        return self.others[0]

    def get(self, path: str) -> bytes:
        """Ask its web server, also while the supervisor is being replaced; ToolError when it does not answer."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while (body := self._get(path)) is None:
            if time.monotonic() > deadline:
                raise ToolError(f"no answer to {path}")
            time.sleep(POLL)
        return body

    def _get(self, path: str) -> bytes | None:
        """The answer, None when there is none or it is not a good one."""
        try:
            with urllib.request.urlopen(f"{self.site}{path}", timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT + WORKER_TIMEOUT * self._number
        while self._get("/readyz") is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ToolError(f"the service did not come up: {self._last_words()}")
            time.sleep(POLL)

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _find_workers(self) -> list[int]:
        pids = worker_pids(self.get("/api/v1/status"))
        if len(pids) != self._number:
            raise ToolError(f"{self._number} workers were asked for, the status lists {len(pids)}")
        return pids

    def _published(self) -> Totals:
        metrics = self.get("/metrics").decode()
        connections = sum_of(metrics, "statscounter_connections_total", self.port)
        if self._role == "count":
            return Totals(connections)
        return Totals(connections, lines=sum_of(metrics, "statscounter_lines_total", self.port))

    def totals(self, expected: Totals) -> Totals:
        """What ``/metrics`` says, once it stands still at what is expected, or when time is up."""
        return settled(self._published, lambda totals: totals.agree_with(expected))

    def stop(self) -> None:
        """End it as its users do; kill it when it does not obey."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._state.cleanup()
