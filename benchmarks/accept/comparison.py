"""What a short connection costs: the rate, and the server's CPU per connection as a ratio to a C loop."""

import argparse
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from rich.console import Console

from benchmarks.accept import report
from benchmarks.accept.measure import Footprint, Load, Rest, Specification
from benchmarks.accept.others import OTHERS
from benchmarks.accept.servers import LOOP, LOOP_SOURCE, MODULES, OURS, OURS_IN_PYTHON, OWN_PEERS, suits
from benchmarks.accept.summary import DISTURBED, disturbance, row
from benchmarks.accept.workloads import DEFAULT, WORKLOADS, Workload
from benchmarks.programs import GENERATOR, ToolError, compiled
from benchmarks.rounds import Rounds, add_round_arguments, rounds_of

PEERS = (*OWN_PEERS, *OTHERS)
DEFAULT_PEERS = (LOOP, OURS, OURS_IN_PYTHON, *MODULES, *OTHERS)
MODULE = "benchmarks.accept.measure"
RATE = 10_000.0
MEMORY_SECONDS = 300.0
ATTEMPTS = 3
"""A measurement that other programs disturbed is made again; the least disturbed of this many counts."""

Result = TypeVar("Result", Load, Rest, Footprint)


class Results(msgspec.Struct):
    """What ``--json`` writes: every single measurement."""

    circumstances: report.Circumstances
    load: dict[str, dict[str, list[Load]]] = {}
    rest: dict[str, list[Rest]] = {}
    memory: dict[str, list[Footprint]] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "workloads: " + "; ".join(f"{name}: {one.title}" for name, one in WORKLOADS.items())
    add = parser.add_argument
    add("--peers", nargs="+", choices=PEERS, default=list(DEFAULT_PEERS), metavar="PEER", help=", ".join(PEERS))
    usual = f"those below (default {' '.join(DEFAULT)})"
    add("--workloads", nargs="+", choices=WORKLOADS, default=list(DEFAULT), metavar="WORKLOAD", help=usual)
    paced = "connections/s of the paced workloads, of kept-thousand lines/s (default 10000)"
    add("--rate", type=float, default=RATE, metavar="N", help=paced)
    add("--at-rest", action="store_true", help="measure 10 connections/s instead: delay and wake-ups")
    add(
        "--memory", type=int, nargs="?", const=100_000, metavar="N", help="measure memory instead, around N connections"
    )
    add_round_arguments(parser, 5)


def undisturbed(rounds: Rounds, spec: Specification) -> Load | None:
    """A measurement with the machine to itself, or the best that could be had."""
    best: Load | None = None
    for _ in range(ATTEMPTS):
        measured = rounds.measure(MODULE, spec, Load)
        if measured is None or disturbance(measured) <= DISTURBED:
            return measured
        if best is None or disturbance(measured) < disturbance(best):
            best = measured
    return best


def able(peers: Sequence[str], workload: Workload) -> list[str]:
    """Those of the servers that can do what the workload asks for."""
    return [peer for peer in peers if (OTHERS[peer] == workload.role if peer in OTHERS else suits(peer, workload))]


def compare_load(
    rounds: Rounds, workloads: Sequence[str], console: Console, rate: float = RATE
) -> dict[str, dict[str, list[Load]]]:
    """The tables of the workloads."""
    everything = {}
    for name in workloads:
        workload = WORKLOADS[name]

        def once(peer: str, name: str = name) -> Load | None:
            return undisturbed(rounds, rounds.specification(Specification, peer, name, {"kind": "load", "pace": rate}))

        loads = everything[name] = rounds.take(able(rounds.peers, workload), rounds.number, once)
        rows = [row(peer, loads[peer], loads.get(LOOP, ()), workload) for peer in loads]
        console.print(report.load_table(workload, rows))
        for one in rows:
            report.print_remarks(console, one.peer, list(one.remarks))
    return everything


def once_each(rounds: Rounds, result: type[Result], workload: str, **more: object) -> dict[str, list[Result]]:
    """One measurement of each server, of another kind than under load."""

    def once(peer: str) -> Result | None:
        return rounds.measure(MODULE, rounds.specification(Specification, peer, workload, more), result)

    return rounds.take(able(rounds.peers, WORKLOADS[workload]), 1, once)


def compare_rest(rounds: Rounds, console: Console) -> dict[str, list[Rest]]:
    """The table at rest."""
    results = once_each(rounds, Rest, "bare", kind="rest", pace=RATE)
    console.print(report.rest_table(results))
    print_problems(console, results)
    return results


def compare_memory(rounds: Rounds, connections: int, console: Console) -> dict[str, list[Footprint]]:
    """The table of memory."""
    more = {"pace": RATE, "connections": connections, "seconds": MEMORY_SECONDS}
    results = once_each(rounds, Footprint, "line-busy", kind="memory", **more)
    console.print(report.memory_table(results, connections))
    print_problems(console, results)
    return results


def print_problems(console: Console, results: dict[str, list[Rest]] | dict[str, list[Footprint]]) -> None:
    """What went wrong, server by server."""
    for peer, measured in results.items():
        report.print_remarks(console, peer, [problem for one in measured for problem in one.problems])


def build() -> None:
    """Compile what the measurements need; raises ToolError."""
    for source in (GENERATOR, LOOP_SOURCE):
        compiled(source)


def run(arguments: argparse.Namespace) -> int:
    """Run the comparison; the exit status is 0 when every measurement came about."""
    rounds, console = rounds_of(arguments), report.tables()
    try:
        build()
    except ToolError as error:
        rounds.console.print(str(error), style="red")
        return 1
    results = Results(rounds.circumstances(arguments.command))
    report.print_circumstances(console, results.circumstances)
    if arguments.at_rest:
        results.rest = compare_rest(rounds, console)
    if arguments.memory:
        results.memory = compare_memory(rounds, arguments.memory, console)
    if not arguments.at_rest and not arguments.memory:
        results.load = compare_load(rounds, arguments.workloads, console, arguments.rate)
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    return 1 if rounds.failures else 0
