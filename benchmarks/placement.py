"""When do ``--pin`` and ``--steer cpu`` pay? Four ways of placing the same workers, in rounds that take turns.

One worker for each processor, and on each processor clients of its own: on loopback the sender's processor is the one
that receives. So every way of placing has the same packets to deal with on every processor, as a network card with a
queue for each of them would bring them. The clients take their part of the same processors, which no network card does.
With ``--senders 1`` all clients are on one: a network card with one queue.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.accept import proc, report
from benchmarks.accept.measure import client_problems
from benchmarks.accept.service import Service, sum_of
from benchmarks.accept.workloads import WORKLOADS, Workload
from benchmarks.programs import Report, ToolError, generate
from benchmarks.running import print_facts

PLACEMENTS: dict[str, tuple[str, ...]] = {
    "off": (),
    "pin": ("--pin",),
    "steer": ("--steer", "cpu"),
    "both": ("--pin", "--steer", "cpu"),
}
WARM_UP = 300
WARM_UP_RATE = 1000
NAME = "statscounter_connections_total"


class Bounds(NamedTuple):
    """How long clients come, and how many of each generator at most."""

    seconds: float
    most: int | None = None


class Measurement(NamedTuple):
    """One round of one placement.

    Microseconds: ``cost`` is the workers' CPU per connection, ``waited`` how long they waited for a processor;
    ``p50`` and ``p99`` are the means of the clients'. ``share`` is the busiest worker's part of the connections.
    """

    cost: float
    p50: float
    p99: float
    waited: float
    share: float
    rate: float
    problems: tuple[str, ...]


def accepted(server: Service) -> list[int]:
    """What each worker has accepted so far."""
    lines = server.get("/metrics").decode().splitlines()
    return [
        sum_of("\n".join(line for line in lines if f'worker="{slot}"' in line), NAME, server.port)
        for slot in range(len(server.workers))
    ]


def load(server: Service, workload: Workload, cpus: Sequence[int], *, rate: float, bounds: Bounds) -> list[Report]:
    """Clients on every processor at once."""

    def one(cpu: int) -> Report:
        arguments = workload.arguments(rate / len(cpus))
        return generate(server.port, arguments, seconds=bounds.seconds, count=bounds.most, cpu=cpu)

    with ThreadPoolExecutor(len(cpus)) as pool:
        return list(pool.map(one, cpus))


def counted(server: Service, wanted: int) -> list[int]:
    """What each worker has accepted, once that is all of them; ToolError when it never is."""
    deadline = time.monotonic() + 10
    while sum(found := accepted(server)) < wanted:
        if time.monotonic() > deadline:
            raise ToolError(f"{wanted} connections came, and {sum(found)} were counted")
        time.sleep(0.1)
    return found


def sending(arguments: argparse.Namespace) -> list[int]:
    """The processors with clients."""
    return sorted(os.sched_getaffinity(0))[: arguments.senders]


def measure(workload: Workload, workers: int, placement: str, arguments: argparse.Namespace) -> Measurement:
    """Start a fresh service, warm it up, and let the clients come."""
    server, cpus = Service(workload.role, workers=workers, options=PLACEMENTS[placement]), sending(arguments)
    try:
        warm = load(server, workload, cpus, rate=WARM_UP_RATE, bounds=Bounds(2, WARM_UP))
        done = sum(one.completed for one in warm)
        first = counted(server, done)
        time.sleep(server.settle_seconds)
        before = proc.usage(server.workers)
        reports = load(server, workload, cpus, rate=arguments.rate, bounds=Bounds(arguments.seconds))
        last = counted(server, done + sum(one.completed for one in reports))
        time.sleep(server.settle_seconds)
        used = proc.usage(server.workers).since(before)
    finally:
        server.stop()
    completed = sum(one.completed for one in reports)
    parts = [late - early for late, early in zip(last, first, strict=True)]
    return Measurement(
        cost=used.on_cpu_ns / 1e3 / completed,
        p50=sum(one.latency_us.p50 for one in reports) / len(reports),
        p99=sum(one.latency_us.p99 for one in reports) / len(reports),
        waited=used.waiting_ns / 1e3 / completed,
        share=max(parts) / completed,
        rate=sum(one.rate for one in reports),
        problems=tuple(problem for one in reports for problem in client_problems(one)),
    )


def rounds(number: int) -> Iterator[list[str]]:
    """The placements in turn, each round beginning with another one: what comes first may be worse off."""
    names = list(PLACEMENTS)
    for index in range(number):
        first = index % len(names)
        yield names[first:] + names[:first]


def ratios(results: dict[str, list[Measurement]], name: str, field: str) -> str:
    """The median and extremes of a figure's ratio to the same round without placement."""
    found = [
        getattr(one, field) / getattr(base, field) for one, base in zip(results[name], results["off"], strict=True)
    ]
    return f"{median(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def table(workload: Workload, results: dict[str, list[Measurement]]) -> Table:
    """One row for each placement."""
    made = Table(title=f"{workload.name}: {workload.title}", title_justify="left")
    headings = (
        "connections/s",
        "CPU us",
        "of off",
        "waited us",
        "p50 us",
        "of off",
        "p99 us",
        "of off",
        "busiest worker",
    )
    made.add_column("placement")
    for heading in headings:
        made.add_column(heading, justify="right")
    for name, found in results.items():
        made.add_row(
            name,
            f"{median(one.rate for one in found):,.0f}",
            f"{median(one.cost for one in found):.1f}",
            ratios(results, name, "cost"),
            f"{median(one.waited for one in found):.1f}",
            f"{median(one.p50 for one in found):.0f}",
            ratios(results, name, "p50"),
            f"{median(one.p99 for one in found):.0f}",
            ratios(results, name, "p99"),
            f"{median(one.share for one in found):.0%}",
        )
    return made


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = options.add_argument
    add("--rounds", type=int, default=7, metavar="N", help="measure each placement N times (default 7)")
    add("--seconds", type=float, default=3.0, metavar="S", help="of each measurement (default 3)")
    add(
        "--rate",
        type=float,
        default=3000,
        metavar="N",
        help="connections/s on all processors, if paced (default 3000)",
    )
    add("--workload", choices=[name for name, one in WORKLOADS.items() if one.unit == "connection"], default="line")
    add("--senders", type=int, metavar="N", help="clients on N processors only (default all)")


def run(arguments: argparse.Namespace) -> int:
    """All rounds; the exit status is 0 when every measurement came about."""
    console, progress = report.tables(), Console(stderr=True)
    workers, workload = len(os.sched_getaffinity(0)), WORKLOADS[arguments.workload]
    print_facts(console, arguments, f"{workers} with a worker each, clients on {len(sending(arguments))} of them")
    results: dict[str, list[Measurement]] = {name: [] for name in PLACEMENTS}
    for names in rounds(arguments.rounds):
        for name in names:
            progress.print(f"[dim]{workload.name}: {name}[/dim]", highlight=False)
            try:
                results[name].append(measure(workload, workers, name, arguments))
            except (ToolError, OSError) as error:
                progress.print(f"{name}: {error}", style="red")
                return 1
    console.print(table(workload, results))
    for name, found in results.items():
        report.print_remarks(console, name, [problem for one in found for problem in one.problems])
    return 0
