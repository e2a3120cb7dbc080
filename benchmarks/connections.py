"""Whether a connection's cost stays the same: with more workers, open connections, series, and in the long run.

Clients send one line, half-close and wait for the server's end, 64 at once. The cost is the CPU of all workers divided
by the connections.
"""

import argparse
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.table import Table

from benchmarks.accept import proc, report
from benchmarks.accept.measure import wait_until_done
from benchmarks.accept.service import Service
from benchmarks.programs import ToolError
from benchmarks.running import Cost, cost, print_facts

CLIENTS = ["--mode", "line-half", "--concurrency", "64"]
WARM_UP = 2000
LONG_PARTS = 10
LONGEST = 300.0
"""Seconds for one lot of connections at most."""
BLOCK = 1000


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = options.add_argument
    every = list(PARTS)
    add("--parts", nargs="+", choices=every, default=every, metavar="PART", help=", ".join(every))
    add("--seconds", type=float, default=4.0, metavar="S", help="of each measurement (default 4)")
    add("--workers", type=int, nargs="+", default=[1, 2, 4], metavar="N", help="(default 1 2 4)")
    add("--open", type=int, nargs="+", default=[0, 1_000, 5_000, 15_000], metavar="N", help="open connections")
    add("--series", type=int, nargs="+", default=[0, 1_000, 10_000, 100_000], metavar="N", help="in the store")
    add("--connections", type=int, default=5_000_000, metavar="N", help="in the long run (default 5000000)")
    add("--quick", action="store_true", help="little of everything, to see that it works")


def shorten(arguments: argparse.Namespace) -> None:
    """Make do with little."""
    arguments.seconds = 1.0
    arguments.workers, arguments.open, arguments.series = [1, 2], [0, 1_000], [0, 10_000]
    arguments.connections = 50_000


def table(title: str, *headings: str) -> Table:
    """An empty table of figures."""
    made = Table(title=title, title_justify="left")
    for heading in headings:
        made.add_column(heading, justify="right")
    return made


def figures(one: Cost) -> list[str]:
    """What every table has."""
    took = one.report.latency_us
    return [f"{one.report.rate:,.0f}", f"{one.worker:.1f}", f"{one.supervisor:.2f}", f"{took.p99 / 1000:.2f}"]


FIGURES = ("connections/s", "CPU µs per connection", "supervisor µs", "p99 ms")


@contextmanager
def running(workers: int = 1, options: tuple[str, ...] = ()) -> Iterator[Service]:
    """The service, for as long as the block lasts, warmed up."""
    server = Service("lines", workers=workers, options=options)
    try:
        warm(server)
        yield server
    finally:
        server.stop()


def warm(server: Service) -> None:
    """Let some clients come before anything is measured."""
    cost(server, CLIENTS, seconds=LONGEST, count=WARM_UP)


def by_workers(arguments: argparse.Namespace) -> Table:
    """More workers."""
    made = table("workers", "workers", *FIGURES)
    for number in arguments.workers:
        with running(number) as server:
            made.add_row(str(number), *figures(cost(server, CLIENTS, seconds=arguments.seconds)))
    return made


def by_open(arguments: argparse.Namespace) -> Table:
    """More connections that stay open and send nothing."""
    made = table("open connections", "open", *FIGURES, "worker MiB")
    with running() as server, ExitStack() as held:
        number = 0
        for wanted in arguments.open:
            for _ in range(wanted - number):
                held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            number = wanted
            wait_until_done(server)
            one = cost(server, CLIENTS, seconds=arguments.seconds)
            made.add_row(f"{number:,}", *figures(one), f"{proc.memory(server.workers).pss:.1f}")
    return made


def by_series(arguments: argparse.Namespace) -> Table:
    """More series in the store; each interval has some 1,000 of them."""
    made = table("series", "series", *FIGURES, "supervisor MiB")
    with running(options=("--max-series", "1000000")) as server:
        number = 0
        for wanted in arguments.series:
            send_series(server.port, range(number, wanted))
            number = wanted
            wait_until_done(server)
            one = cost(server, CLIENTS, seconds=arguments.seconds)
            made.add_row(f"{number:,}", *figures(one), f"{proc.memory(server.others).pss:.1f}")
    return made


def send_series(port: int, numbers: range) -> None:
    """Send a counter of each of these names."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        for start in range(0, len(numbers), BLOCK):
            client.sendall(b"".join(b"scaling.s%d.hits:1|c\n" % number for number in numbers[start : start + BLOCK]))


def long_run(arguments: argparse.Namespace) -> Table:
    """Many connections, one after the other: the cost and the memory of each tenth."""
    made = table("in the long run", "connections", *FIGURES, "worker MiB", "supervisor MiB")
    count = arguments.connections // LONG_PARTS
    with running() as server:
        for part in range(1, LONG_PARTS + 1):
            one = cost(server, CLIENTS, seconds=LONGEST, count=count)
            memory = [f"{proc.memory(pids).pss:.1f}" for pids in (server.workers, server.others)]
            made.add_row(f"{part * count:,}", *figures(one), *memory)
            print(f"{part * count:,} connections", file=sys.stderr)
    return made


PARTS: dict[str, Callable[[argparse.Namespace], Table]] = {
    "workers": by_workers,
    "open": by_open,
    "series": by_series,
    "long": long_run,
}


def run(arguments: argparse.Namespace) -> int:
    """Measure everything; the status is 0 when it came about."""
    if arguments.quick:
        shorten(arguments)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console = report.tables()
    print_facts(console, arguments)
    try:
        for part in arguments.parts:
            console.print(PARTS[part](arguments))
    except (ToolError, OSError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    return 0
