"""The command: rounds over all servers in turn, so that what changes on the machine meets all of them."""

import argparse
import os
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from benchmarks.accept import report
from benchmarks.accept.measure import Footprint, Load, Rest, Specification
from benchmarks.accept.others import OTHERS, Places, fetch_etsy, missing
from benchmarks.accept.programs import ToolError, program
from benchmarks.accept.servers import CHECKOUT, LOOP, MODULES, OURS, OURS_IN_PYTHON, OWN_PEERS, suits
from benchmarks.accept.summary import DISTURBED, disturbance, row
from benchmarks.accept.workloads import DEFAULT, WORKLOADS, Workload

PEERS = (*OWN_PEERS, *OTHERS)
DEFAULT_PEERS = (LOOP, OURS, OURS_IN_PYTHON, *MODULES, *OTHERS)
NAMESPACES = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))
"""Ways to a private network namespace, with and without being root."""
MEMORY_SECONDS = 300.0
ATTEMPTS = 3
"""A measurement that other programs disturbed is made again; the least disturbed of this many counts."""

Result = TypeVar("Result", Load, Rest, Footprint)


class Results(msgspec.Struct):
    """What ``--json`` writes: every single measurement."""

    circumstances: report.Circumstances
    load: dict[str, dict[str, list[Load]]]
    rest: dict[str, list[Rest]]
    memory: dict[str, list[Footprint]]


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="run.py",
        description="Compare ways to accept short TCP connections: rate, and the server's CPU per connection "
        "as a ratio to a C loop that does the same work.",
        epilog="workloads: " + "; ".join(f"{name}: {one.title}" for name, one in WORKLOADS.items()),
    )
    add = options.add_argument
    add(
        "--peers",
        nargs="+",
        choices=PEERS,
        default=list(DEFAULT_PEERS),
        metavar="PEER",
        help=", ".join(PEERS),
    )
    add("--workloads", nargs="+", choices=WORKLOADS, default=list(DEFAULT), metavar="WORKLOAD")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3.0, help="of each measurement (default 3)")
    add("--rate", type=float, default=10_000, help="connections/s of the paced workloads (default 10000)")
    add("--at-rest", action="store_true", help="measure 10 connections/s instead: delay and wake-ups")
    add(
        "--memory",
        type=int,
        nargs="?",
        const=100_000,
        metavar="N",
        help="measure memory instead, around N connections",
    )
    add("--json", type=Path, metavar="FILE", help="write every single measurement there")
    add("--etsy", default="", metavar="FOLDER", help="the npm package statsd; without it npm fetches it")
    add("--statsite", default="statsite", metavar="FILE", help="the program statsite")
    add("--netdata", default="netdata", metavar="FILE", help="the program netdata")
    add("--nginx", default="nginx", metavar="FILE", help="the program nginx")
    add("--shared-network", action="store_true", help="do not use a private network namespace")
    return options


class Comparison:
    """One run of the command."""

    def __init__(self, arguments: argparse.Namespace, console: Console) -> None:
        self._arguments = arguments
        self._console = console
        self._namespace: tuple[str, ...] = () if arguments.shared_network else private_network()
        cpus = sorted(os.sched_getaffinity(0))
        apart = len(cpus) > 1
        self._server_cpu = cpus[0] if apart else None
        self._client_cpu = cpus[1] if apart else None
        self.failures = 0

    def circumstances(self, words: Sequence[str]) -> report.Circumstances:
        """What to print above the tables."""
        network = "loopback in a new network namespace for each measurement"
        pinned = f"server on {self._server_cpu}, clients on {self._client_cpu}"
        return report.circumstances(
            command=shlex.join(["python", "benchmarks/accept/run.py", *words]),
            network=network if self._namespace else "the machine's own loopback, with what earlier runs left there",
            cpus=pinned if self._server_cpu is not None else "one only, shared by server and clients",
        )

    def measure(self, result: type[Result], spec: Specification) -> Result | None:
        """One measurement in a process of its own; None, and a line about it, when it failed."""
        command: list[str] = [*self._namespace, sys.executable, "-m", "benchmarks.accept.measure"]
        self._console.print(f"[dim]{spec.kind} {spec.workload}: {spec.peer}[/dim]", highlight=False)
        run = subprocess.run(
            [*command, msgspec.json.encode(spec).decode()],
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            check=False,
        )
        if run.returncode:
            self.failures += 1
            return None
        return msgspec.json.decode(run.stdout, type=result)

    def undisturbed(self, result: type[Result], spec: Specification) -> Result | None:
        """A measurement with the machine to itself, or the best that could be had."""
        best: Result | None = None
        for _ in range(ATTEMPTS):
            measured = self.measure(result, spec)
            if not isinstance(measured, Load) or disturbance(measured) <= DISTURBED:
                return measured
            if not isinstance(best, Load) or disturbance(measured) < disturbance(best):
                best = measured
        return best

    def specification(self, kind: str, peer: str, workload: str) -> Specification:
        """What one measurement is told."""
        arguments = self._arguments
        words = {
            "kind": kind,
            "peer": peer,
            "workload": workload,
            "seconds": MEMORY_SECONDS if kind == "memory" else arguments.seconds,
            "pace": arguments.rate,
            "connections": arguments.memory or 0,
            "server_cpu": self._server_cpu,
            "client_cpu": self._client_cpu,
            "private_network": bool(self._namespace),
            "places": places(arguments),
        }
        return msgspec.convert(words, Specification, from_attributes=True)

    def rounds(self, result: type[Result], kind: str, workload: str, number: int) -> dict[str, list[Result]]:
        """All servers in turn, `number` times. A server that failed once is left out from then on."""
        results: dict[str, list[Result]] = defaultdict(list)
        peers = [peer for peer in self._arguments.peers if can_do(peer, WORKLOADS[workload])]
        for _ in range(number):
            for peer in tuple(peers):
                measured = self.undisturbed(result, self.specification(kind, peer, workload))
                if measured is None:
                    peers.remove(peer)
                    results.pop(peer, None)
                else:
                    results[peer].append(measured)
        return dict(results)


def can_do(peer: str, workload: Workload) -> bool:
    """Whether a server can do what the workload asks for."""
    return OTHERS[peer] == workload.role if peer in OTHERS else suits(peer, workload)


def places(arguments: argparse.Namespace) -> Places:
    """Where the others' programs are."""
    return Places(arguments.etsy, arguments.statsite, arguments.netdata, arguments.nginx)


def leave_out_the_missing(arguments: argparse.Namespace, console: Console) -> None:
    """Skip the servers that aren't on this machine, and say why. etsy's is fetched."""
    for peer in tuple(arguments.peers):
        why = missing(peer, places(arguments))
        if peer == "etsy" and why is None and not arguments.etsy:
            try:
                arguments.etsy = str(fetch_etsy())
            except (ToolError, subprocess.TimeoutExpired) as error:
                why = str(error)
        if why is not None:
            arguments.peers.remove(peer)
            console.print(f"[yellow]{peer} is left out[/yellow]: {why}", highlight=False, soft_wrap=True)


def private_network() -> tuple[str, ...]:
    """The words before a command that give it a network of its own; none where that is not allowed."""
    for words in NAMESPACES:
        try:
            tried = subprocess.run([*words, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
        except FileNotFoundError:
            return ()
        if tried.returncode == 0:
            return words
    return ()


def compare_load(
    comparison: Comparison, arguments: argparse.Namespace, console: Console
) -> dict[str, dict[str, list[Load]]]:
    """The tables of the workloads."""
    everything = {}
    for name in arguments.workloads:
        loads = comparison.rounds(Load, "load", name, arguments.rounds)
        everything[name] = loads
        rows = [row(peer, loads[peer], loads.get(LOOP, ()), WORKLOADS[name]) for peer in loads]
        console.print(report.load_table(WORKLOADS[name], rows))
        for one in rows:
            report.print_remarks(console, one.peer, list(one.remarks))
    return everything


def compare_rest(comparison: Comparison, console: Console) -> dict[str, list[Rest]]:
    """The table at rest."""
    results = comparison.rounds(Rest, "rest", "bare", 1)
    console.print(report.rest_table(results))
    print_problems(console, results)
    return results


def compare_memory(comparison: Comparison, connections: int, console: Console) -> dict[str, list[Footprint]]:
    """The table of memory."""
    results = comparison.rounds(Footprint, "memory", "line-busy", 1)
    console.print(report.memory_table(results, connections))
    print_problems(console, results)
    return results


def print_problems(console: Console, results: dict[str, list[Rest]] | dict[str, list[Footprint]]) -> None:
    """What went wrong, server by server."""
    for peer, rounds in results.items():
        report.print_remarks(console, peer, [problem for one in rounds for problem in one.problems])


def main(words: Sequence[str]) -> int:
    """Run the comparison; the exit status is 0 when every measurement came about."""
    arguments = parser().parse_args(words)
    console = Console(width=None if sys.stdout.isatty() else 150)
    progress = Console(stderr=True)
    try:
        for name in ("generator", "loop"):
            program(name)
    except ToolError as error:
        progress.print(str(error), style="red")
        return 1
    leave_out_the_missing(arguments, progress)
    comparison = Comparison(arguments, progress)
    results = Results(comparison.circumstances(words), {}, {}, {})
    report.print_circumstances(console, results.circumstances)
    if arguments.at_rest:
        results.rest = compare_rest(comparison, console)
    if arguments.memory:
        results.memory = compare_memory(comparison, arguments.memory, console)
    if not arguments.at_rest and not arguments.memory:
        results.load = compare_load(comparison, arguments, console)
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    return 1 if comparison.failures else 0
