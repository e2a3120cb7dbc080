"""This service compared with all other servers: connections first, then lines; tables, JSON and a chart."""

import argparse
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.accept import comparison as connections
from benchmarks.accept import report
from benchmarks.accept.measure import Load
from benchmarks.accept.servers import LOOP, OURS, OURS_IN_PYTHON
from benchmarks.accept.summary import Row, row
from benchmarks.accept.workloads import DEFAULT, WORKLOADS
from benchmarks.lines import comparison as lines
from benchmarks.lines.measure import Measured
from benchmarks.lines.workloads import DEFAULT as LINE_WORKLOADS
from benchmarks.lines.workloads import WORKLOADS as ALL_LINE_WORKLOADS
from benchmarks.plot import Bar, Panel, draw
from benchmarks.programs import ToolError
from benchmarks.rounds import add_round_arguments, rounds_of

PLOTTED_LINES = ("counters", "timers", "udp")
PLOTTED = ("line", "line-busy", "fire")
LEAST_LOST = 0.0005
NAMES = {LOOP: "C loop", OURS: "statscounter", OURS_IN_PYTHON: "without C", "twisted": "plain Twisted"}


class Results(msgspec.Struct):
    """What ``--json`` writes: every single measurement, by workload and server."""

    circumstances: report.Circumstances
    connections: dict[str, dict[str, list[Load]]]
    lines: dict[str, dict[str, list[Measured]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    for name, choices, default, of in (
        ("--peers", connections.PEERS, connections.DEFAULT_PEERS, ""),
        ("--workloads", WORKLOADS, DEFAULT, "of connections: "),
        ("--lines", ALL_LINE_WORKLOADS, LINE_WORKLOADS, "of lines: "),
    ):
        add(name, nargs="*", choices=choices, default=list(default), metavar="NAME", help=of + ", ".join(choices))
    add("--quick", action="store_true", help="one round of a second, to see that everything works")
    add("--plot", type=Path, metavar="FILE", help="write a chart (SVG) there")
    add_round_arguments(parser, 5)


def bar(one: Row) -> Bar | None:
    """One server's bar: microseconds of CPU for a connection. None when no round was without errors."""
    if one.cost is None:
        return None
    rate = f"{'≥ ' if one.generator_bound else ''}{one.rate:,.0f}/s"
    note = f"{one.cost.middle:.1f} µs, {rate}" + (f", {one.overflows} overflows" if one.overflows else "")
    name = NAMES.get(one.peer, one.peer)
    return Bar(name, one.cost.middle, one.cost.least, one.cost.most, note, ours=one.peer == OURS)


def panels(results: dict[str, dict[str, list[Load]]]) -> list[Panel]:
    """The panels of the chart."""
    made = []
    for name in [name for name in PLOTTED if name in results]:
        loads, workload = results[name], WORKLOADS[name]
        rows = [row(peer, loads[peer], (), workload) for peer in loads]
        bars = [drawn for one in rows if (drawn := bar(one)) is not None]
        if bars:
            bars.sort(key=lambda one: one.middle)
            made.append(Panel(f"{workload.title}: CPU of the server per connection, µs", tuple(bars)))
    return made


def line_panels(results: dict[str, dict[str, list[Measured]]]) -> list[Panel]:
    """The panels about lines."""
    made = []
    for name in [name for name in PLOTTED_LINES if name in results]:
        bars = []
        for peer, rounds in results[name].items():
            rates = [one.taken / one.server_s / 1e6 for one in rounds]
            lost = 1 - sum(one.taken for one in rounds) / sum(one.sent for one in rounds)
            note = f"{median(rates):.2f} million" + (f", {lost:.1%} lost" if lost > LEAST_LOST else "")
            bars.append(Bar(NAMES.get(peer, peer), median(rates), min(rates), max(rates), note, ours=peer == OURS))
        if bars:
            bars.sort(key=lambda one: -one.middle)
            made.append(Panel(f"{ALL_LINE_WORKLOADS[name].title}: lines per second of CPU", tuple(bars)))
    return made


def chart(results: Results) -> str:
    """The chart of all that was measured."""
    facts = "; ".join(results.circumstances[name] for name in ("machine", "kernel", "versions", "date"))
    return draw(panels(results.connections) + line_panels(results.lines), facts)


def run(arguments: argparse.Namespace) -> int:
    """Run everything; the exit status is 0 when every measurement came about."""
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 1.0
    rounds, console = rounds_of(arguments), report.tables()
    try:
        connections.build()
    except ToolError as error:
        rounds.console.print(str(error), style="red")
        return 1
    results = Results(rounds.circumstances(arguments.command), {}, {})
    report.print_circumstances(console, results.circumstances)
    results.connections = connections.compare_load(rounds, arguments.workloads, console)
    results.lines = lines.compare(rounds, arguments.lines, console)
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    if arguments.plot:
        arguments.plot.write_text(chart(results))
    return 1 if rounds.failures else 0
