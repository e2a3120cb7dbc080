"""What a handshake costs each server, full and resumed, and what a line costs over a connection that stays.

Clients are one process of Python on a processor of their own, one connection at a time, or 16: what is compared is the
CPU of the server for each connection, not how many there are in a second.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.accept import proc, report
from benchmarks.accept.servers import Server
from benchmarks.programs import CHECKOUT, ToolError, pinned
from benchmarks.running import print_facts
from benchmarks.tls.certificate import KEYS, KeyKind, write_certificate
from benchmarks.tls.clients import PATIENCE, Done, Wanted
from benchmarks.tls.servers import PEERS, start

WARM_UP = 0.3
REST = 2.0
LINES, CONNECTIONS = 20_000, 100
AT_ONCE = 16
YARDSTICK = "nginx"

HANDSHAKES = (
    ("full", False, 1),
    ("resumed", True, 1),
    (f"full, {AT_ONCE} at once", False, AT_ONCE),
    (f"resumed, {AT_ONCE} at once", True, AT_ONCE),
)
"""What the clients do, whether they resume sessions, and how many of them there are."""


class Case(NamedTuple):
    """What the clients do with a key."""

    key: KeyKind
    does: str


class Cost(NamedTuple):
    """Microseconds of the worker's CPU per connection, or per line; and which part of the connections was resumed."""

    each: float
    resumed: float


Results = dict[Case, dict[str, list[Cost]]]


def clients(wanted: Wanted, cpu: int | None) -> Done:
    """Run the clients in a process of their own; ToolError when they fail."""
    command = [sys.executable, "-m", "benchmarks.tls.clients", msgspec.json.encode(wanted).decode()]
    patience = wanted.seconds + 6 * PATIENCE
    done = subprocess.run(
        [*pinned(cpu), *command], capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=patience
    )
    if done.returncode:
        raise ToolError(f"the clients failed: {done.stderr.strip().splitlines()[-1:]}")
    return msgspec.json.decode(done.stdout, type=Done)


def at_rest(server: Server) -> float:
    """Microseconds of CPU that the server's worker takes in a second without clients."""
    before = proc.usage(server.workers)
    time.sleep(REST)
    return proc.usage(server.workers).since(before).on_cpu_ns / 1e3 / REST


def cost(server: Server, wanted: Wanted, cpu: int | None, rest: float) -> Cost:
    """What the clients cost the server's worker, above what it takes at rest."""
    clients(Wanted(wanted.port, WARM_UP, wanted.resumes, wanted.at_once), cpu)
    time.sleep(server.settle_seconds)
    before, began = proc.usage(server.workers), time.monotonic()
    done = clients(wanted, cpu)
    time.sleep(server.settle_seconds)
    used = proc.usage(server.workers).since(before).on_cpu_ns / 1e3 - rest * (time.monotonic() - began)
    return Cost(used / (wanted.lines or done.connections), done.resumed / done.connections)


def measured(peer: str, certificate: Path, key: KeyKind, seconds: float) -> dict[Case, Cost]:
    """All cases of one server with one key."""
    cpus = sorted(os.sched_getaffinity(0))
    server_cpu, client_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
    server = start(peer, certificate, server_cpu)
    try:
        rest = at_rest(server)
        found = {
            Case(key, does): cost(server, Wanted(server.port, seconds, resumes, at_once), client_cpu, rest)
            for does, resumes, at_once in HANDSHAKES
        }
        if peer == "ours":
            lines = cost(server, Wanted(server.port, seconds, lines=LINES, connections=CONNECTIONS), client_cpu, rest)
            handshakes = found[Case(key, "full")].each * CONNECTIONS / LINES
            found[Case(key, "line, kept")] = Cost(lines.each - handshakes, 0.0)
        return found
    finally:
        server.stop()


def table(results: Results) -> Table:
    """One row for each key and kind of connection, with the part of the connections that each server resumed."""
    made = Table(title="CPU us of the worker per connection, or per line", title_justify="left")
    for heading in ("key", "what", *PEERS, f"of {YARDSTICK}", "resumed"):
        made.add_column(heading, justify="left" if heading in {"key", "what"} else "right")
    for case, by_peer in results.items():
        cells = [_spread([one.each for one in by_peer.get(peer, [])]) for peer in PEERS]
        ours, theirs = by_peer.get("ours", []), by_peer.get(YARDSTICK, [])
        ratios = [mine.each / other.each for mine, other in zip(ours, theirs, strict=False)]
        resumed = [f"{median(one.resumed for one in found):.0%}" for found in by_peer.values()]
        made.add_row(case.key, case.does, *cells, f"{median(ratios):.2f}" if ratios else "", " ".join(resumed))
    return made


def _spread(values: list[float]) -> str:
    return f"{median(values):.1f} ({min(values):.1f}-{max(values):.1f})" if values else ""


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = options.add_argument
    add("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER", help=", ".join(PEERS))
    add("--keys", nargs="+", choices=KEYS, default=list(KEYS), metavar="KEY", help=", ".join(KEYS))
    add("--rounds", type=int, default=3, metavar="N", help="measure each server N times (default 3)")
    add("--seconds", type=float, default=2.0, metavar="S", help="of each measurement (default 2)")


def run(arguments: argparse.Namespace) -> int:
    """All rounds; the exit status is 0 when every measurement came about."""
    console, progress, failures = report.tables(), Console(stderr=True), 0
    print_facts(console, arguments, "server on the first, clients on the second")
    results: Results = {}
    with TemporaryDirectory(prefix="statscounter-bench-") as folder:
        certificates = {key: write_certificate(key, Path(folder)) for key in arguments.keys}
        for _ in range(arguments.rounds):
            for key, certificate in certificates.items():
                for peer in arguments.peers:
                    progress.print(f"[dim]{key}: {peer}[/dim]", highlight=False)
                    try:
                        found = measured(peer, certificate, key, arguments.seconds)
                    except (ToolError, OSError) as error:
                        progress.print(f"{peer}: {error}", style="red", markup=False)
                        failures += 1
                        continue
                    for case, one in found.items():
                        results.setdefault(case, {}).setdefault(peer, []).append(one)
    console.print(table(results))
    return 1 if failures else 0
