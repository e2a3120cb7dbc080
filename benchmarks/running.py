"""What the commands about this service alone share: what was run, and a connection's cost."""

import argparse
from dataclasses import dataclass

from rich.console import Console

from benchmarks.accept import proc, report
from benchmarks.accept.measure import wait_until_done
from benchmarks.accept.service import Service
from benchmarks.programs import Cpus, Report, ToolError, generate

__all__ = ["Cost", "cost", "print_facts"]


@dataclass(frozen=True)
class Cost:
    """What a connection cost: microseconds of CPU of the workers and of the supervisor, and how the clients fared."""

    worker: float
    supervisor: float
    report: Report


def cost(server: Service, arguments: list[str], *, seconds: float, count: int | None = None, cpu: Cpus = None) -> Cost:
    """Let clients come, and say what each of them cost the server; ToolError when one of them failed."""
    before, others_before = proc.usage(server.workers), proc.usage(server.others)
    done = generate(server.port, arguments, seconds=seconds, count=count, cpu=cpu)
    wait_until_done(server)
    worker, others = proc.usage(server.workers).since(before), proc.usage(server.others).since(others_before)
    if not done.completed or done.completed != done.started:
        raise ToolError(f"of {done.started} connections {done.completed} were completed")
    return Cost(worker.on_cpu_ns / 1e3 / done.completed, others.on_cpu_ns / 1e3 / done.completed, done)


def print_facts(console: Console, arguments: argparse.Namespace, cpus: str = "shared by server and clients") -> None:
    """Print what was run, on what, when."""
    network = "loopback in a new network namespace" if arguments.namespace else "the machine's own loopback"
    facts = report.circumstances(command=arguments.command, network=network, cpus=cpus)
    report.print_circumstances(console, facts)
