"""The command: rounds over all servers in turn, with lines on connections that stay, and in datagrams."""

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.accept import proc, report
from benchmarks.accept.comparison import private_network
from benchmarks.accept.measure import bring_up_loopback
from benchmarks.accept.programs import GRACE, PATIENCE, ToolError, generate, pinned
from benchmarks.lines.programs import datagram_sender
from benchmarks.lines.servers import Server, start
from benchmarks.lines.workloads import DEFAULT, WORKLOADS, Workload

PEERS = ("ours", "etsy", "statsite")
CONNECTIONS = 4
REST_TIMEOUT = 20.0
QUIET = 0.2
WARM_UP = 0.3
"""Seconds of the same before the clock starts."""


class Results(msgspec.Struct):
    """What ``--json`` writes: every single measurement, by workload and server."""

    circumstances: report.Circumstances
    lines: dict[str, dict[str, list["Measured"]]]


class Sent(msgspec.Struct, frozen=True):
    """What the clients sent."""

    lines: int
    elapsed_s: float
    cpu_s: float


@dataclass(frozen=True)
class Measured:
    """One measurement: lines sent and taken, seconds, and seconds of CPU of the server and of its other processes."""

    sent: int
    taken: int
    elapsed_s: float
    server_s: float
    others_s: float
    waited_s: float


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="run.py",
        description="Compare StatsD servers: lines per second of CPU, in one process.",
        epilog="workloads: " + "; ".join(f"{name}: {one.title}" for name, one in WORKLOADS.items()),
    )
    add = options.add_argument
    add("--peers", nargs="+", choices=PEERS, default=["ours"], metavar="PEER", help=", ".join(PEERS))
    add("--workloads", nargs="+", choices=WORKLOADS, default=list(DEFAULT), metavar="WORKLOAD")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=3.0, help="of each measurement (default 3)")
    add("--etsy", type=Path, default=Path("node_modules/statsd"), help="folder of the npm package statsd")
    add("--statsite", type=Path, default=Path("statsite"), help="the program statsite")
    add("--json", type=Path, metavar="FILE", help="write every single measurement there")
    add("--inside", action="store_true", help=argparse.SUPPRESS)
    return options


def send(workload: Workload, server: Server, seconds: float, cpu: int | None) -> Sent:
    """Let the clients send."""
    if workload.transport == "tcp":
        arguments = ["--mode", "kept", "--concurrency", str(CONNECTIONS), *workload.arguments]
        done = generate(server.port, arguments, seconds=seconds, cpu=cpu)
        return Sent(done.lines, done.elapsed_s, done.cpu_s)
    place = ["--path", server.path] if workload.transport == "unixgram" else ["--port", str(server.udp_port)]
    amount = ["--lines", str(workload.lines), "--rate", str(workload.rate), "--seconds", str(seconds)]
    command = [*pinned(cpu), str(datagram_sender()), *place, *amount, *workload.arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE + GRACE, check=False)
    if run.returncode:
        raise ToolError(f"{shlex.join(command)}: {run.stderr.strip()}")
    return msgspec.json.decode(run.stdout, type=Sent)


def rest(server: Server) -> None:
    """Return when the server has come to rest; ToolError when that does not happen."""
    deadline = time.monotonic() + REST_TIMEOUT
    used = QUIET
    while used > QUIET / 20:
        if time.monotonic() > deadline:
            raise ToolError("the server does not come to rest after its last client")
        before = proc.usage(server.workers)
        time.sleep(QUIET)
        used = proc.usage(server.workers).since(before).on_cpu_ns / 1e9
    time.sleep(server.settle_seconds)


def measure(workload: Workload, server: Server, seconds: float, client_cpu: int | None) -> Measured:
    """One measurement."""
    warm = send(workload, server, WARM_UP, client_cpu)
    rest(server)
    before, others_before = proc.usage(server.workers), proc.usage(server.others)
    sent = send(workload, server, seconds, client_cpu)
    rest(server)
    worker, others = proc.usage(server.workers).since(before), proc.usage(server.others).since(others_before)
    lossy = workload.transport == "udp"
    # What the warm-up lost of UDP, if anything, isn't known apart; it is a tenth of what is sent at most.
    taken = server.lines(0 if lossy else warm.lines + sent.lines) - warm.lines
    if taken <= 0:
        raise ToolError(f"of {sent.lines} lines the server took {taken}")
    return Measured(
        sent.lines,
        taken,
        sent.elapsed_s,
        worker.on_cpu_ns / 1e9,
        others.on_cpu_ns / 1e9,
        worker.waiting_ns / 1e9,
    )


def table(workload: Workload, results: dict[str, list[Measured]]) -> Table:
    """One workload, one line per server."""
    made = Table(title=f"{workload.name}: {workload.title}", title_justify="left")
    made.add_column("server")
    headings = ("lines/s", "million lines per CPU second", "CPU us per line", "supervisor us", "lost", "waited for CPU")
    for heading in headings:
        made.add_column(heading, justify="right")
    for peer, rounds in results.items():
        efficiency = [one.taken / one.server_s / 1e6 for one in rounds]
        made.add_row(
            peer,
            f"{median(one.taken / one.elapsed_s for one in rounds):,.0f}",
            f"{median(efficiency):.2f} ({min(efficiency):.2f}-{max(efficiency):.2f})",
            f"{1 / median(efficiency):.3f}",
            f"{median(one.others_s * 1e6 / max(one.taken, 1) for one in rounds):.3f}" if peer == "ours" else "",
            f"{1 - sum(one.taken for one in rounds) / sum(one.sent for one in rounds):.2%}",
            f"{max(one.waited_s / one.server_s for one in rounds):.0%}",
        )
    return made


def suits(peer: str, workload: Workload) -> bool:
    """Whether a server can do what the workload asks for."""
    return peer == "ours" or workload.transport != "unixgram"


def compare(arguments: argparse.Namespace, console: Console, taken: Results) -> int:
    """All workloads, all rounds, all servers in turn; give how many measurements failed."""
    cpus = sorted(os.sched_getaffinity(0))
    server_cpu, client_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
    failures = 0
    for name in arguments.workloads:
        workload = WORKLOADS[name]
        results = taken.lines[name] = {}
        for _ in range(arguments.rounds):
            for peer in [peer for peer in arguments.peers if suits(peer, workload)]:
                try:
                    server = start(peer, arguments.etsy.resolve(), arguments.statsite.resolve(), server_cpu)
                    try:
                        results.setdefault(peer, []).append(measure(workload, server, arguments.seconds, client_cpu))
                    finally:
                        server.stop()
                except (ToolError, OSError) as error:
                    console.print(f"[red]{name}: {peer}[/red]: {error}", highlight=False, soft_wrap=True)
                    failures += 1
        console.print(table(workload, {peer: rounds for peer, rounds in results.items() if rounds}))
    return failures


def main(words: Sequence[str]) -> int:
    """Run the comparison; the exit status is 0 when every measurement came about."""
    arguments = parser().parse_args(words)
    network = private_network()
    if network and not arguments.inside:
        script = Path(__file__).with_name("run.py")
        return subprocess.run([*network, sys.executable, str(script), "--inside", *words], check=False).returncode
    if arguments.inside:
        bring_up_loopback()
    console = Console(width=None if sys.stdout.isatty() else 150)
    where = "loopback in a new network namespace" if arguments.inside else "the machine's own loopback"
    command = shlex.join(["python", "benchmarks/lines/run.py", *[word for word in words if word != "--inside"]])
    facts = report.circumstances(command=command, network=where, cpus="server on the first, clients on the second")
    report.print_circumstances(console, facts)
    results = Results(facts, {})
    failures = compare(arguments, console, results)
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    return 1 if failures else 0
