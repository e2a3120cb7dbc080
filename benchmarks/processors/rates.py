"""What more workers take: connections per second, each worker and each client on processors of its own."""

import os
import sys
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from rich.table import Table

from benchmarks.accept.service import Service
from benchmarks.accept.summary import BOUND
from benchmarks.accept.workloads import AT_ONCE
from benchmarks.processors.sharing import Shares, share
from benchmarks.running import cost

__all__ = ["Rate", "fitting", "measure", "table"]

WARM_UP = 2000
LONGEST = 60.0


class Rate(NamedTuple):
    """One measurement: connections per second, what each cost, and which part of their processors both sides used."""

    rate: float
    worker_us: float
    supervisor_us: float
    used: float
    clients_used: float
    p50_ms: float
    p99_ms: float


def fitting(numbers: Sequence[int]) -> dict[int, Shares]:
    """Return those numbers of workers that this machine has processors for, and say which it has not."""
    cpus = sorted(os.sched_getaffinity(0))
    shares = {number: share(cpus, number) for number in numbers}
    for number in [number for number, one in shares.items() if one is None]:
        print(
            f"{number} workers are left out: of {len(cpus)} processors none is left for the clients; "
            f"{number + 1} are needed, and {3 * number} are better",
            file=sys.stderr,
        )
    return {number: one for number, one in shares.items() if one is not None}


def measure(workers: int, shares: Shares, seconds: float) -> Rate:
    """Let clients come to that many workers; ToolError when one of them fails."""
    clients = ["--mode", "line-half", "--concurrency", str(AT_ONCE * workers), "--threads", str(len(shares.clients))]
    server = Service("lines", shares.server, workers=workers)
    try:
        cost(server, clients, seconds=LONGEST, count=WARM_UP, cpu=shares.clients)
        one = cost(server, clients, seconds=seconds, cpu=shares.clients)
    finally:
        server.stop()
    took = one.report.elapsed_s
    return Rate(
        one.report.rate,
        one.worker,
        one.supervisor,
        one.worker * one.report.completed / 1e6 / took / workers,
        one.report.cpu_s / took / len(shares.clients),
        one.report.latency_us.p50 / 1e3,
        one.report.latency_us.p99 / 1e3,
    )


def table(found: dict[int, list[Rate]], shares: dict[int, Shares]) -> Table:
    """One row for each number of workers."""
    made = Table(title="more workers: one line, half-close; 64 clients at once for each worker", title_justify="left")
    first, *_ = found
    headings = ("workers", "clients' processors", "connections/s", f"of {first}", "CPU us per connection")
    for heading in (*headings, "supervisor us", "workers' processors used", "clients' used", "p50 ms", "p99 ms"):
        made.add_column(heading, justify="right")
    middles = {workers: Rate(*map(median, zip(*rounds, strict=True))) for workers, rounds in found.items()}
    for workers, middle in middles.items():
        # Clients that were busy all the time are the limit: the workers could have taken more.
        bound = "≥ " if middle.clients_used > BOUND > middle.used else ""
        made.add_row(
            str(workers),
            str(len(shares[workers].clients)),
            f"{bound}{middle.rate:,.0f}",
            f"{middle.rate / middles[first].rate:.2f}",
            f"{middle.worker_us:.1f}",
            f"{middle.supervisor_us:.2f}",
            f"{middle.used:.0%}",
            f"{middle.clients_used:.0%}",
            f"{middle.p50_ms:.2f}",
            f"{middle.p99_ms:.2f}",
        )
    return made
