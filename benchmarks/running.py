"""What the scripts about this service alone share: the service with options, a network, a connection's cost."""

import argparse
import time
from dataclasses import dataclass

from rich.console import Console

from benchmarks.accept import proc, report
from benchmarks.accept.measure import wait_until_done
from benchmarks.accept.service import Service, worker_pids
from benchmarks.programs import Report, ToolError, generate

__all__ = ["Cost", "Running", "cost", "print_facts"]

ANSWER_TIMEOUT = 10.0
POLL = 0.1


class Running(Service):
    """This service with that many workers and more options."""

    def __init__(self, workers: int = 1, options: tuple[str, ...] = (), cpu: int | None = None) -> None:
        self._number = workers
        self._options = options
        super().__init__("lines", cpu)

    @property
    def supervisor(self) -> int:
        """The supervisor's process."""
        return self.others[0]

    def get(self, path: str) -> bytes:
        """Ask its web server, also while the supervisor is being replaced; ToolError when it doesn't answer."""
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while (body := self._get(path)) is None:
            if time.monotonic() > deadline:
                raise ToolError(f"no answer to {path}")
            time.sleep(POLL)
        return body

    def _command(self, counting: int, listening: int) -> list[str]:
        return [*super()._command(counting, listening), "--workers", str(self._number), *self._options]

    def _find_workers(self) -> list[int]:
        pids = worker_pids(self.get("/api/v1/status"))
        if len(pids) != self._number:
            raise ToolError(f"{self._number} workers were asked for, the status lists {len(pids)}")
        return pids


@dataclass(frozen=True)
class Cost:
    """What a connection cost: microseconds of CPU of the workers and of the supervisor, and how the clients fared."""

    worker: float
    supervisor: float
    report: Report


def cost(server: Running, arguments: list[str], *, seconds: float, count: int | None = None) -> Cost:
    """Let clients come, and say what each of them cost the server; ToolError when one of them failed."""
    before, others_before = proc.usage(server.workers), proc.usage(server.others)
    done = generate(server.port, arguments, seconds=seconds, count=count)
    wait_until_done(server)
    worker, others = proc.usage(server.workers).since(before), proc.usage(server.others).since(others_before)
    if not done.completed or done.completed != done.started:
        raise ToolError(f"of {done.started} connections {done.completed} were completed")
    return Cost(worker.on_cpu_ns / 1e3 / done.completed, others.on_cpu_ns / 1e3 / done.completed, done)


def print_facts(console: Console, arguments: argparse.Namespace, cpus: str = "shared by server and clients") -> None:
    """Say what was run, on what, when."""
    network = "loopback in a new network namespace" if arguments.namespace else "the machine's own loopback"
    facts = report.circumstances(command=arguments.command, network=network, cpus=cpus)
    report.print_circumstances(console, facts)
