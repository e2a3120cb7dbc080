"""What it buys to keep connections and to add up: the same numbers, sent in several ways, in turns.

A number is one call of a client, one line of the others. Costs are microseconds of CPU for each number that was sent.
What only keeps a pace is a cost of the benchmark, and is shown apart; the program of `kept` cannot tell.
"""

import argparse
from pathlib import Path
from statistics import median

import msgspec
from rich.table import Table

from benchmarks.accept import report
from benchmarks.accept.others import Places
from benchmarks.pooling.measure import Measured, Specification
from benchmarks.pooling.ways import WAYS
from benchmarks.rounds import Rounds

BASE = next(iter(WAYS))


class Results(msgspec.Struct):
    """What ``--json`` writes: every single measurement, by way of sending."""

    circumstances: report.Circumstances
    ways: dict[str, list[Measured]]


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.epilog = "ways: " + "; ".join(f"{name}: {way.title}" for name, way in WAYS.items())
    add = options.add_argument
    add("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help="those below (default all)")
    add("--rate", type=float, default=100_000, metavar="N", help="numbers a second (default 100000)")
    add("--timers", action="store_true", help="timers, whose values all travel, instead of counters")
    add("--pool", type=int, default=1, metavar="N", help="connections of this project's client (default 1)")
    add("--rounds", type=int, default=5, metavar="N", help="measure each way N times (default 5)")
    add("--seconds", type=float, default=3.0, metavar="S", help="of each measurement (default 3)")
    add("--json", type=Path, metavar="FILE", help="write every single measurement there")


def cpu(one: Measured) -> float:
    """Microseconds of both sides for a number, without what kept the pace."""
    seconds = one.sent.cpu_s - one.sent.pacing_s + one.worker_s + one.supervisor_s
    return seconds * 1e6 / one.sent.lines


def ratio(found: list[Measured], base: list[Measured]) -> str:
    """The median and the extremes of the cost's ratio to the first way in the same round."""
    each = [cpu(one) / cpu(other) for one, other in zip(found, base, strict=True)]
    return f"{median(each):.3f} ({min(each):.3f}-{max(each):.3f})" if each else "-"


def table(results: dict[str, list[Measured]]) -> Table:
    """One row for each way."""
    made = Table(title="CPU us for each number, medians", title_justify="left")
    made.add_column("way")
    headings = (
        "numbers/s",
        "client",
        "its pacing",
        "worker",
        "supervisor",
        "all but pacing",
        f"of {BASE}",
        "lost",
        "waited",
    )
    for heading in headings:
        made.add_column(heading, justify="right")
    for name, found in results.items():
        sent = [one.sent for one in found]
        missing = sum(one.lines for one in sent) - sum(one.counted for one in found)
        made.add_row(
            name,
            f"{median(one.lines / one.elapsed_s for one in sent):,.0f}",
            f"{median((one.cpu_s - one.pacing_s) * 1e6 / one.lines for one in sent):.3f}",
            f"{median(one.pacing_s * 1e6 / one.lines for one in sent):.3f}",
            f"{median(one.worker_s * 1e6 / one.sent.lines for one in found):.3f}",
            f"{median(one.supervisor_s * 1e6 / one.sent.lines for one in found):.3f}",
            f"{median(cpu(one) for one in found):.3f}",
            ratio(found, results[BASE]) if len(results.get(BASE, ())) == len(found) else "-",
            f"{missing:,} of {sum(one.lines for one in sent):,}",
            f"{max(one.waited_s / one.worker_s for one in found):.0%}",
        )
    return made


def run(arguments: argparse.Namespace) -> int:
    """All rounds; the exit status is 0 when every measurement came about."""
    rounds = Rounds((), Places(), arguments.rounds, arguments.seconds, arguments.namespace)
    console = report.tables()
    facts = rounds.circumstances(arguments.command)
    report.print_circumstances(console, facts)
    more = {"rate": arguments.rate, "timers": arguments.timers, "pool": arguments.pool}

    def once(way: str) -> Measured | None:
        spec = rounds.specification(Specification, "ours", way, more)
        return rounds.measure("benchmarks.pooling.measure", spec, Measured)

    results = rounds.take(arguments.ways, rounds.number, once)
    console.print(table(results))
    for name, found in results.items():
        console.print(f"  {name}: {WAYS[name].title}; last round {found[-1].sent.units}", highlight=False)
        report.print_remarks(console, name, [problem for one in found for problem in one.sent.problems])
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(Results(facts, results)), indent=1))
    return 1 if rounds.failures else 0
