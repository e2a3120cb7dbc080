"""Everything that is compared, in one command: connections first, then lines; tables, JSON and a chart."""

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from benchmarks.accept import comparison as connections
from benchmarks.accept.others import fetch_etsy, missing
from benchmarks.accept.servers import LOOP, OURS, OURS_IN_PYTHON
from benchmarks.accept.summary import Row, row
from benchmarks.accept.workloads import DEFAULT, WORKLOADS
from benchmarks.lines import comparison as lines
from benchmarks.lines.workloads import DEFAULT as LINE_WORKLOADS
from benchmarks.lines.workloads import WORKLOADS as ALL_LINE_WORKLOADS
from benchmarks.plot import Bar, Panel, draw

_R = TypeVar("_R")

PLOTTED_LINES = ("counters", "timers", "udp")
PLOTTED = ("line", "line-busy", "fire")
LEAST_LOST = 0.0005
NAMES = {LOOP: "C loop", OURS: "statscounter", OURS_IN_PYTHON: "without C", "twisted": "plain Twisted"}


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="run.py",
        description="Compare this service with other servers: what a connection costs, then what a line costs.",
    )
    add = options.add_argument
    add("--peers", nargs="+", choices=connections.PEERS, default=list(connections.DEFAULT_PEERS), metavar="PEER")
    add("--workloads", nargs="+", choices=WORKLOADS, default=list(DEFAULT), metavar="WORKLOAD")
    add(
        "--lines",
        nargs="*",
        choices=ALL_LINE_WORKLOADS,
        default=list(LINE_WORKLOADS),
        metavar="WORKLOAD",
        help="of lines",
    )
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3.0, help="of each measurement (default 3)")
    add("--quick", action="store_true", help="one round of a second, to see that everything works")
    add("--etsy", default="", metavar="FOLDER", help="the npm package statsd; without it npm fetches it")
    for name in ("statsite", "netdata", "nginx"):
        add(f"--{name}", default=name, metavar="FILE", help=f"the program {name}")
    add("--json", type=Path, metavar="FILE", help="write every single measurement there")
    add("--plot", type=Path, metavar="FILE", help="write a chart (SVG) there")
    return options


def compare_connections(arguments: argparse.Namespace, results: Path) -> int:
    """Run the comparison of connections."""
    words = ["--peers", *arguments.peers, "--workloads", *arguments.workloads, "--json", str(results)]
    words += ["--rounds", str(arguments.rounds), "--seconds", str(arguments.seconds)]
    for name in ("etsy", "statsite", "netdata", "nginx"):
        words += [f"--{name}={getattr(arguments, name)}"]
    return connections.main(words)


def compare_lines(arguments: argparse.Namespace, results: Path) -> int:
    """Run the comparison of lines, for those peers that it knows and that are here."""
    places = connections.places(arguments)
    peers = [peer for peer in arguments.peers if peer in lines.PEERS and missing(peer, places) is None]
    if not peers or not arguments.lines:
        return 0
    words = ["--peers", *peers, "--workloads", *arguments.lines, "--json", str(results)]
    words += ["--rounds", str(arguments.rounds), "--seconds", str(arguments.seconds)]
    if "etsy" in peers:
        words += ["--etsy", arguments.etsy or str(fetch_etsy())]
    return lines.main([*words, "--statsite", arguments.statsite])


def bar(one: Row) -> Bar | None:
    """One server's bar: microseconds of CPU for a connection. None when no round was without errors."""
    if one.cost is None:
        return None
    rate = f"{'≥ ' if one.generator_bound else ''}{one.rate:,.0f}/s"
    note = f"{one.cost.middle:.1f} µs, {rate}" + (f", {one.overflows} overflows" if one.overflows else "")
    name = NAMES.get(one.peer, one.peer)
    return Bar(name, one.cost.middle, one.cost.least, one.cost.most, note, ours=one.peer == OURS)


def panels(results: connections.Results) -> list[Panel]:
    """The panels of the chart."""
    made = []
    for name in [name for name in PLOTTED if name in results.load]:
        loads, workload = results.load[name], WORKLOADS[name]
        rows = [row(peer, loads[peer], (), workload) for peer in loads]
        bars = [drawn for one in rows if (drawn := bar(one)) is not None]
        if bars:
            bars.sort(key=lambda one: one.middle)
            made.append(Panel(f"{workload.title}: CPU of the server per connection, µs", tuple(bars)))
    return made


def line_panels(results: lines.Results) -> list[Panel]:
    """The panels about lines."""
    made = []
    for name in [name for name in PLOTTED_LINES if name in results.lines]:
        bars = []
        for peer, rounds in results.lines[name].items():
            rates = [one.taken / one.server_s / 1e6 for one in rounds]
            lost = 1 - sum(one.taken for one in rounds) / sum(one.sent for one in rounds)
            note = f"{median(rates):.2f} million" + (f", {lost:.1%} lost" if lost > LEAST_LOST else "")
            bars.append(Bar(NAMES.get(peer, peer), median(rates), min(rates), max(rates), note, ours=peer == OURS))
        if bars:
            bars.sort(key=lambda one: -one.middle)
            made.append(Panel(f"{ALL_LINE_WORKLOADS[name].title}: lines per second of CPU", tuple(bars)))
    return made


def chart(of_connections: connections.Results | None, of_lines: lines.Results | None) -> str:
    """The chart of all that was measured."""
    facts = next((one.circumstances for one in (of_connections, of_lines) if one is not None), {})
    drawn = panels(of_connections) if of_connections else []
    drawn += line_panels(of_lines) if of_lines else []
    return draw(drawn, "; ".join(facts[name] for name in ("machine", "kernel", "versions", "date") if name in facts))


def main(words: list[str]) -> int:
    """Run everything; the exit status is 0 when every measurement came about."""
    arguments = parser().parse_args(words)
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 1.0
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "connections.json"), Path(folder, "lines.json")
        failed = max(compare_connections(arguments, first), compare_lines(arguments, second))
        of_connections = _read(first, connections.Results)
        of_lines = _read(second, lines.Results)
    if arguments.json:
        whole = msgspec.json.encode({"connections": of_connections, "lines": of_lines})
        arguments.json.write_bytes(msgspec.json.format(whole))
    if arguments.plot:
        arguments.plot.write_text(chart(of_connections, of_lines))
    return failed


def _read(file: Path, kind: type[_R]) -> _R | None:
    return msgspec.json.decode(file.read_bytes(), type=kind) if file.exists() else None
