"""Everything that is compared, in one command: connections first, then lines; tables, JSON and a chart."""

import argparse
import tempfile
from pathlib import Path

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

PLOTTED = ("line", "line-busy", "fire")
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
    add("--json", type=Path, metavar="FILE", help="write every single measurement of connections there")
    add("--plot", type=Path, metavar="FILE", help="write a chart (SVG) there")
    return options


def compare_connections(arguments: argparse.Namespace, results: Path) -> int:
    """Run the comparison of connections."""
    words = ["--peers", *arguments.peers, "--workloads", *arguments.workloads, "--json", str(results)]
    words += ["--rounds", str(arguments.rounds), "--seconds", str(arguments.seconds)]
    for name in ("etsy", "statsite", "netdata", "nginx"):
        words += [f"--{name}={getattr(arguments, name)}"]
    return connections.main(words)


def compare_lines(arguments: argparse.Namespace) -> int:
    """Run the comparison of lines, for those peers that it knows and that are here."""
    places = connections.places(arguments)
    peers = [peer for peer in arguments.peers if peer in lines.PEERS and missing(peer, places) is None]
    if not peers or not arguments.lines:
        return 0
    words = ["--peers", *peers, "--workloads", *arguments.lines]
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


def main(words: list[str]) -> int:
    """Run everything; the exit status is 0 when every measurement came about."""
    arguments = parser().parse_args(words)
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 1.0
    with tempfile.TemporaryDirectory() as folder:
        file = arguments.json or Path(folder, "results.json")
        failed = compare_connections(arguments, file)
        if arguments.plot and file.exists():
            results = msgspec.json.decode(file.read_bytes(), type=connections.Results)
            facts = results.circumstances
            caption = f"{facts['machine']}; {facts['kernel']}; {facts['versions']}; {facts['date']}"
            arguments.plot.write_text(draw(panels(results), caption))
    return max(failed, compare_lines(arguments))
