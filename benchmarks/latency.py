"""How long a connection takes at its client while the service also does everything else it has to do.

Clients come open-loop and at random, send a line, half-close, and wait for the server's end; each is timed from the
moment when it was due. While they come, in turn: nothing else happens; the metrics are scraped every second; every
flush is sent to Graphite; the workers are replaced (HUP) again and again.
"""

import argparse
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from typing import Self

from rich.table import Table

from benchmarks.accept import report
from benchmarks.accept.service import Service
from benchmarks.programs import Report, ToolError, generate
from benchmarks.running import print_facts

SERIES = 10_000
FLUSH_INTERVAL = 2
BETWEEN_HUPS = 3.0
WARM_UP = 2000

Disturb = Callable[[Service], None]


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_argument("--rate", type=int, default=10_000, metavar="N", help="connections/s (default 10000)")
    options.add_argument("--seconds", type=float, default=15.0, metavar="S", help="of each part (default 15)")
    options.add_argument("--workers", type=int, default=1, metavar="N", help="of the service (default 1)")
    options.add_argument("--quick", action="store_true", help="4 seconds for each, to see that everything works")


def scrape(server: Service) -> None:
    """Ask for all metrics, as Prometheus does."""
    server.get("/metrics")


def reload(server: Service) -> None:
    """Have the workers replaced."""
    os.kill(server.supervisor, signal.SIGHUP)


def scrape_and_reload(server: Service) -> None:
    """Do both."""
    scrape(server)
    reload(server)


class Sink:
    """A Graphite server that throws away what it gets, and counts it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lines = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                while data := connection.recv(1 << 18):
                    self.lines += data.count(b"\n")


class Repeatedly:
    """Does something every few seconds during the measurement."""

    def __init__(self, act: Disturb | None, server: Service, period: float) -> None:
        self._act = act
        self._server = server
        self._period = period
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.times = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while self._act is not None and not self._stop.wait(self._period):
            self._act(self._server)
            self.times += 1


def longest_gap(server: Service) -> float:
    """The longest time in milliseconds by which a worker's poll came late, as its metric says."""
    found = re.findall(rb"^statscounter_reactor_gap_seconds_max\S* (\S+)$", server.get("/metrics"), re.MULTILINE)
    return max(map(float, found), default=0.0) * 1000


def measure(arguments: argparse.Namespace, act: Disturb | None, period: float, options: tuple[str, ...]) -> list[str]:
    """One line of the table, without its name."""
    server = Service("lines", workers=arguments.workers, options=options)
    load = ["--mode", "line-half", "--rate", str(arguments.rate), "--names", str(SERIES)]
    try:
        generate(server.port, load, seconds=arguments.seconds, count=WARM_UP)
        with Repeatedly(act, server, period) as disturbing:
            report = generate(server.port, load, seconds=arguments.seconds)
        return [str(disturbing.times) if act else "", *figures(report), f"{longest_gap(server):.1f}"]
    finally:
        server.stop()


def figures(report: Report) -> list[str]:
    """The quantiles in milliseconds, and those that failed."""
    took = report.latency_us
    failed = report.started - report.completed
    return [*(f"{value / 1000:.2f}" for value in (took.p50, took.p99, took.p999, took.max)), str(failed)]


def run(arguments: argparse.Namespace) -> int:
    """Measure everything; the status is 0 when it came about."""
    if arguments.quick:
        arguments.seconds = 4.0
    console = report.tables()
    print_facts(console, arguments)
    sink = Sink()
    flushes = ("--graphite", f"tcp:127.0.0.1:{sink.port}", "--flush-interval", str(FLUSH_INTERVAL))
    parts: list[tuple[str, Disturb | None, float, tuple[str, ...]]] = [
        ("nothing else", None, 1.0, ()),
        ("a scrape each second", scrape, 1.0, ()),
        (f"{SERIES:,} series to Graphite every {FLUSH_INTERVAL} s", None, 1.0, flushes),
        ("all workers replaced (HUP)", reload, BETWEEN_HUPS, ()),
        ("all of it", scrape_and_reload, BETWEEN_HUPS, flushes),
    ]
    table = Table(
        title=f"{arguments.rate:,} connections/s, {arguments.workers} worker(s), {arguments.seconds:g} s each"
    )
    for heading in ("meanwhile", "times", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "failed", "longest gap ms"):
        table.add_column(heading, justify="left" if heading == "meanwhile" else "right")
    try:
        for name, act, period, options in parts:
            table.add_row(name, *measure(arguments, act, period, options))
    except ToolError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print(table)
    console.print(f"Graphite got {sink.lines:,} lines.", highlight=False)
    return 0
