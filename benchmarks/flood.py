"""What one source that connects far too often does to the clients of another one, without and with limits of sources.

Ordinary clients come at random from 127.0.0.1, send a line, half-close, and wait for the server's end; each is timed
from the moment when it was due. The flood comes from one other address, 127.1.0.1, with many lines in each connection.
It is bounded in number and time. Each round has all situations in turn, each with a service of its own.
"""

import argparse
import re
import statistics
import threading
from dataclasses import dataclass, field

from rich.table import Table

from benchmarks.accept import proc, report
from benchmarks.accept.service import Service, sum_of
from benchmarks.programs import Report, ToolError, generate
from benchmarks.running import print_facts

LEAD = 1.0
"""Seconds from the begin of the flood to the first ordinary client, and from the last one to the flood's end."""


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_argument("--rate", type=int, default=200, metavar="N", help="ordinary connections/s (default 200)")
    options.add_argument("--flood", type=int, default=6000, metavar="N", help="connections/s of the flood (6000)")
    options.add_argument("--lines", type=int, default=200, metavar="N", help="lines in each of them (default 200)")
    options.add_argument("--limit", default="600", metavar="N[:BURST]", help="--source-rate (default 600)")
    options.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each part (default 5)")
    options.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    options.add_argument("--workers", type=int, default=1, metavar="N", help="of the service (default 1)")
    options.add_argument("--quick", action="store_true", help="one round of 2 seconds, to see that everything works")


@dataclass
class Situation:
    """One row: whether there is a flood, the limits if any, and what was found in each round."""

    name: str
    floods: bool = True
    mode: str = ""
    waits: list[Report] = field(default_factory=list)
    floods_seen: list[Report] = field(default_factory=list)
    limited: list[int] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        """The medians of the rounds; of the longest wait the longest."""
        wait = [one.latency_us for one in self.waits]
        middle = [statistics.median(each) / 1e3 for each in ([w.p50 for w in wait], [w.p99 for w in wait])]
        failed = sum(one.started - one.completed for one in self.waits)
        come = statistics.median(one.rate for one in self.floods_seen) if self.floods_seen else 0
        limited = statistics.median(self.limited)
        busy = statistics.median(self.busy)
        figures = [f"{value:,.2f}" for value in middle] + [f"{max(one.max for one in wait) / 1e3:,.0f}"]
        return [self.name, *figures, f"{failed:,}", f"{come:,.0f}", f"{limited:,.0f}", f"{busy:.0%}"]


def situations() -> list[Situation]:
    """All of them, in the order of the table."""
    return [
        Situation("no flood", floods=False),
        Situation("no flood, limits close", floods=False, mode="close"),
        Situation("flood, no limit"),
        Situation("flood, observe", mode="observe"),
        Situation("flood, close", mode="close"),
        Situation("flood, reset", mode="reset"),
    ]


def measure(one: Situation, arguments: argparse.Namespace) -> None:
    """Let ordinary clients come to a new service, during a flood if there is to be one."""
    limits = (f"--source-rate={arguments.limit}", f"--source-limit-mode={one.mode}") if one.mode else ()
    server = Service("lines", 0, workers=arguments.workers, options=limits)
    try:
        flood = Flood(server.port, arguments) if one.floods else None
        before = proc.usage(server.workers)
        if flood is not None:
            flood.start()
        threading.Event().wait(LEAD)
        ordinary = ["--mode", "line-half", "--sources", "0", "--rate", str(arguments.rate)]
        one.waits.append(generate(server.port, ordinary, seconds=arguments.seconds, cpu=1))
        if flood is not None:
            one.floods_seen.append(flood.result())
        seconds = arguments.seconds + (2 if one.floods else 1) * LEAD
        one.busy.append(proc.usage(server.workers).since(before).on_cpu_ns / 1e9 / seconds)
        one.limited.append(limited(server))
    finally:
        server.stop()


def limited(server: Service) -> int:
    """How many connections were over the limit."""
    page = server.get("/metrics").decode()
    # The listener's label is in it, and the action.
    found = re.findall(r"^statscounter_source_limited_total\{[^}]*\} (\S+)", page, re.MULTILINE)
    if not sum_of(page, "statscounter_connections_total", server.port):
        raise ToolError("the service has counted no connection")
    return int(sum(map(float, found)))


class Flood(threading.Thread):
    """One source that does not care what becomes of its connections."""

    def __init__(self, port: int, arguments: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._seconds = arguments.seconds + 2 * LEAD
        rate, lines = str(arguments.flood), str(arguments.lines)
        self._how = ["--mode", "lines", "--lines", lines, "--timers", "--sources", "1", "--rate", rate]
        self._most = int(arguments.flood * self._seconds)
        self._report: Report | None = None
        self._error: ToolError | None = None

    def run(self) -> None:
        """Let it come."""
        try:
            self._report = generate(self._port, self._how, seconds=self._seconds, count=self._most, cpu=1)
        except ToolError as error:
            self._error = error

    def result(self) -> Report:
        """Wait for its end, and say how it fared; raises `ToolError`."""
        self.join()
        if self._report is None:
            raise self._error or ToolError("there was no flood")
        return self._report


def table(found: list[Situation], arguments: argparse.Namespace) -> Table:
    """Write the result."""
    made = Table(title="one source floods, others connect", title_justify="left")
    made.add_column("situation")
    for heading in ("p50 ms", "p99 ms", "longest ms", "failed", "flood, completed/s", "over the limit", "busy"):
        made.add_column(heading, justify="right")
    for one in found:
        made.add_row(*one.row())
    made.caption = (
        f"{arguments.rate} ordinary connections/s; flood {arguments.flood}/s of {arguments.lines} lines; "
        f"--source-rate {arguments.limit}; medians of {arguments.rounds} rounds of {arguments.seconds:g} s"
    )
    return made


def run(arguments: argparse.Namespace) -> int:
    """Measure; the status is 0 when it came about."""
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 2.0
    console = report.tables()
    print_facts(console, arguments, cpus="the service on the first, all clients on the second")
    found = situations()
    try:
        for _ in range(arguments.rounds):
            for one in found:
                measure(one, arguments)
    except (ToolError, OSError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print(table(found, arguments))
    return 0
