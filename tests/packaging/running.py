"""The service as a process: started as a user starts it, asked over HTTP, and always ended."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

from prometheus_client.parser import text_string_to_metric_families

from tests.patience import PATIENCE
from tests.ports import free_port

__all__ = ["Ports", "Running", "free_ports", "running", "service_options"]


class Ports(NamedTuple):
    """Where the service listens on 127.0.0.1."""

    lines: int
    bare: int
    http: int


def free_ports() -> Ports:
    """Choose free ports."""
    return Ports(free_port(), free_port(), free_port())


def service_options(ports: Ports, state: Path) -> list[str]:
    """Return the options of a small service: one worker, on loopback only."""
    return [
        f"--listen=tcp:{ports.lines}:interface=127.0.0.1",
        f"--count=tcp:{ports.bare}:interface=127.0.0.1",
        f"--http=tcp:{ports.http}:interface=127.0.0.1",
        "--admin=",
        "--workers=1",
        f"--state-dir={state}",
    ]


class Running:
    """A started service. Everything that it prints goes to the file ``log``."""

    def __init__(self, process: subprocess.Popen[bytes], ports: Ports, log: Path) -> None:
        self.process = process
        self.ports = ports
        self.log = log

    def get(self, path: str) -> str:
        """Fetch a page; raises `URLError` while there is no answer, and for every status but 200."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.http}{path}", timeout=PATIENCE) as response:
            text: str = response.read().decode()
        return text

    def wait_ready(self) -> None:
        """Wait until the service says that it is ready; fails with what it printed otherwise."""
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            if self._ended_within(0.05) or time.monotonic() > deadline:
                message = f"not ready, status {self.process.poll()}:\n{self.log.read_text()}"
                raise AssertionError(message)

    def connections(self) -> int:
        """Return the number of connections to the counting port that the service says it accepted."""
        listener = f"tcp:127.0.0.1:{self.ports.bare}"
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(self.get("/metrics"))
            for sample in family.samples
            if sample.name == "statscounter_connections_total" and sample.labels["listener"] == listener
        )

    def families(self) -> dict[str, set[str]]:
        """Return the names of the service's own metrics, each with the names of its labels."""
        return {
            family.name + "_total" * (family.type == "counter"): {
                label for sample in family.samples for label in sample.labels.keys() - {"le"}
            }
            for family in text_string_to_metric_families(self.get("/metrics"))
            if family.name.startswith("statscounter_")
        }

    def connect(self) -> bytes:
        """Open one bare connection to the counting port, and give what came until the service closed it."""
        with socket.create_connection(("127.0.0.1", self.ports.bare), timeout=PATIENCE) as connection:
            return connection.recv(100)

    def stop(self) -> int:
        """Ask for a clean end, and give the exit status (negative: the signal that ended it)."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def _ready(self) -> bool:
        try:
            self.get("/readyz")
        except (URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _ended_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def running(command: Sequence[str], ports: Ports, environ: Mapping[str, str], folder: Path) -> Iterator[Running]:
    """Run a command that starts the service in ``folder``; once it is ready, give it; at the end, kill it."""
    log = folder / "service.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            service = Running(process, ports, log)
            service.wait_ready()
            yield service
        finally:
            process.kill()
