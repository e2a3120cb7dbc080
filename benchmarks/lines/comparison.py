"""What a line costs: lines per second of CPU, on connections that stay, and in datagrams."""

import argparse
from collections.abc import Sequence
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.accept import report
from benchmarks.accept.servers import LOOP
from benchmarks.lines.measure import Measured, Specification
from benchmarks.lines.servers import OURS, RECEIVE_BUFFER
from benchmarks.lines.workloads import DEFAULT, WORKLOADS, Workload
from benchmarks.rounds import Rounds, add_round_arguments, rounds_of

PEERS = (*OURS, LOOP, "etsy", "statsite")

HEADINGS = (
    *("sent/s", "lines/s", "million lines per CPU second", "CPU us per line", "supervisor us", "lost"),
    "waited for CPU",
)


class Results(msgspec.Struct):
    """What ``--json`` writes: every single measurement, by workload and server."""

    circumstances: report.Circumstances
    lines: dict[str, dict[str, list[Measured]]] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "workloads: " + "; ".join(f"{name}: {one.title}" for name, one in WORKLOADS.items())
    add = parser.add_argument
    add("--peers", nargs="+", choices=PEERS, default=["ours"], metavar="PEER", help=", ".join(PEERS))
    usual = f"those below (default {' '.join(DEFAULT)})"
    add("--workloads", nargs="+", choices=WORKLOADS, default=list(DEFAULT), metavar="WORKLOAD", help=usual)
    asked = f"that a server asks for, of which the kernel makes twice as many (default {RECEIVE_BUFFER})"
    add("--buffer", type=int, default=RECEIVE_BUFFER, metavar="BYTES", help=f"bytes of buffer for UDP {asked}")
    add_round_arguments(parser, 3)


def table(workload: Workload, results: dict[str, list[Measured]]) -> Table:
    """One workload, one line per server."""
    made = Table(title=f"{workload.name}: {workload.title}", title_justify="left")
    made.add_column("server")
    for heading in HEADINGS:
        made.add_column(heading, justify="right")
    for peer, rounds in results.items():
        efficiency = [one.taken / one.server_s / 1e6 for one in rounds]
        made.add_row(
            peer,
            f"{median(one.sent / one.elapsed_s for one in rounds):,.0f}",
            f"{median(one.taken / one.elapsed_s for one in rounds):,.0f}",
            f"{median(efficiency):.2f} ({min(efficiency):.2f}-{max(efficiency):.2f})",
            f"{1 / median(efficiency):.3f}",
            f"{median(one.others_s * 1e6 / max(one.taken, 1) for one in rounds):.3f}" if peer in OURS else "",
            f"{1 - sum(one.taken for one in rounds) / sum(one.sent for one in rounds):.2%}",
            f"{max(one.waited_s / one.server_s for one in rounds):.0%}",
        )
    return made


def able(peers: Sequence[str], workload: Workload) -> list[str]:
    """Those of the servers that can do what the workload asks for. The C loop is a yardstick for datagrams only."""
    transports = {LOOP: ("udp",), **dict.fromkeys(OURS, ("tcp", "udp", "unixgram"))}
    return [peer for peer in peers if peer in PEERS and workload.transport in transports.get(peer, ("tcp", "udp"))]


def compare(
    rounds: Rounds, workloads: Sequence[str], console: Console, buffer: int = RECEIVE_BUFFER
) -> dict[str, dict[str, list[Measured]]]:
    """The tables of the workloads."""
    everything = {}
    for name in workloads:

        def once(peer: str, name: str = name) -> Measured | None:
            spec = rounds.specification(Specification, peer, name, {"buffer": buffer})
            return rounds.measure("benchmarks.lines.measure", spec, Measured)

        workload = WORKLOADS[name]
        everything[name] = rounds.take(able(rounds.peers, workload), rounds.number, once)
        console.print(table(workload, everything[name]))
    return everything


def run(arguments: argparse.Namespace) -> int:
    """Run the comparison; the exit status is 0 when every measurement came about."""
    rounds, console = rounds_of(arguments), report.tables()
    results = Results(rounds.circumstances(arguments.command))
    report.print_circumstances(console, results.circumstances)
    results.lines = compare(rounds, arguments.workloads, console, arguments.buffer)
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    return 1 if rounds.failures else 0
