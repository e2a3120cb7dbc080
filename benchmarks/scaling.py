"""What a series costs the supervisor: the store called directly, with more and more series, and the bars for it.

With ``--workers``: what more workers take instead, and what they cost the supervisor (`benchmarks.processors`).

Each case runs in a process of its own, and the rounds take all checkouts in turn. Figures are medians of the rounds;
CPU is user and system time of the process together. Gauges, sets and timers are measured with the smallest number
of series only, and 100,000 at most: more summaries have no windows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
from rich.table import Table

from benchmarks.accept import report
from benchmarks.processors import comparison as processors
from benchmarks.programs import CHECKOUT
from benchmarks.store.measure import Specification

FEW = 1000
MOST_OTHERS = 100_000
LONGEST = 900.0
"""Seconds for one case at most."""

CASES = ("counters", "restart", "scrapes", "graphite", "mapping", "gauges", "sets", "timers")
OTHERS = frozenset({"gauges", "sets", "timers"})


class Row(NamedTuple):
    """A figure: its unit and how it is written, and what it should not be above, if anything."""

    title: str
    unit: str
    form: str
    bar: float | None = None


ROWS = {
    "changed": Row("commit, CPU per changed counter, all active", "µs", ".3f", 0.2),
    "few": Row("commit, CPU, 1,000 counters active", "ms", ".2f"),
    "few beyond": Row("the same beyond that with 1,000 series", "ms", ".2f", 2.0),
    "few while looking": Row(
        "commit, CPU, 1,000 counters active, while owners of names are looked for, longest", "ms", ".2f"
    ),
    "new": Row("CPU per new counter, all in one commit", "µs", ".2f", 2.0),
    "new of many": Row("CPU per new counter, 1,000 beside the others", "µs", ".2f", 2.0),
    "new, mapped": Row("CPU per new counter with a mapping file, without the mapper's own", "µs", ".2f", 2.0),
    "mapper": Row("the mapper's own", "µs", ".2f"),
    "changed, mapped": Row("commit, CPU per changed counter, with a mapping file", "µs", ".3f", 0.2),
    "longest": Row("longest commit, all active, with what is done once a minute, CPU", "ms", ".0f", 500.0),
    "longest by the clock": Row("the same by the clock", "ms", ".0f", 500.0),
    "graphite": Row("commit, CPU per changed counter, with a Graphite output", "µs", ".3f"),
    "graphite end": Row("commit at the end of a flush in which all came for the first time, CPU", "ms", ".0f", 1000.0),
    "graphite end by the clock": Row("the same by the clock", "ms", ".0f", 1000.0),
    "graphite later end": Row("commit at the end of a later flush, all active, CPU", "ms", ".0f", 1000.0),
    "graphite read": Row("reading the flush for its delivery, CPU", "ms", ".0f"),
    "graphite few": Row("commit with a Graphite output, CPU, 1,000 counters active", "ms", ".2f"),
    "graphite end of few": Row("commit at the end of a flush, 1,000 counters active, CPU", "ms", ".0f"),
    "gauge": Row("commit, CPU per gauge that was set", "µs", ".2f"),
    "new gauge": Row("CPU per new gauge", "µs", ".2f"),
    "set": Row("commit, CPU per set with one member", "µs", ".2f"),
    "member": Row("per further member", "µs", ".2f"),
    "timer": Row("commit, CPU per timer with one value, summaries and a Graphite output", "µs", ".2f", 3.0),
    "value": Row("per further value", "µs", ".2f", 0.2),
    "written": Row("bytes to the disk per changed counter, all active", "B", ".0f", 50.0),
    "written of few": Row("bytes to the disk per changed counter, 1,000 active", "B", ".0f", 50.0),
    "file": Row("size of the file, columns and identities being 1", "", ".2f", 3.0),
    "log": Row("size of its log beside it", "", ".2f"),
    "ready": Row("restart, CPU until ready", "s", ".2f", 2.0),
    "first commit": Row("first commit after it, CPU", "ms", ".0f"),
    "memory": Row("resident memory per counter, which came one after the other", "B", ".0f", 350.0),
    "memory with a scrape": Row("the same with what a scrape keeps", "B", ".0f", 550.0),
    "memory after all": Row("the same after a commit of all of them", "B", ".0f"),
    "memory after a restart": Row("resident memory per counter after a restart", "B", ".0f", 350.0),
    "first scrape": Row("first scrape, CPU", "s", ".3f"),
    "scrape": Row("scrape, CPU", "s", ".3f"),
    "scrape after new ones": Row("scrape after 1,000 new ones, CPU beyond that", "ms", ".0f", 50.0),
}


class Place(NamedTuple):
    """Where a figure belongs: its name in `ROWS`, and the number of series."""

    name: str
    series: int


Results = dict[str, dict[Place, list[float]]]
"""By the label of the checkout: the figures of the rounds."""


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = options.add_argument
    add("--series", type=_numbers, default=[20_000, 100_000], metavar="N,N", help="(default 20000,100000)")
    add(
        "--checkout",
        action="append",
        default=[],
        metavar="LABEL=DIR",
        help="measure the package in that folder; several are compared with the first one (default this one)",
    )
    add("--cases", nargs="+", choices=CASES, default=CASES, metavar="CASE", help=", ".join(CASES))
    add("--workers", type=int, nargs="+", metavar="N", help="measure more workers instead, each on its own processor")
    add("--supervisor", action="store_true", help="with --workers: what they cost the supervisor, on any processors")
    add("--seconds", type=float, default=10.0, metavar="S", help="of a measurement with --workers (default 10)")
    add("--rounds", type=int, default=3, metavar="N", help="measure each case N times (default 3)")
    add("--folder", type=Path, metavar="DIR", help="where the files are written (default the one for temporary files)")
    add("--json", type=Path, metavar="FILE", help="write every single figure there")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def run(arguments: argparse.Namespace) -> int:
    """Measure everything; the status is 0 when it came about."""
    if arguments.workers:
        return processors.run(arguments)
    console = report.tables()
    facts = report.circumstances(arguments.command, network="none", cpus="one for each case, which others may use too")
    report.print_circumstances(console, facts)
    checkouts = dict(word.split("=", 1) for word in arguments.checkout) or {"here": str(CHECKOUT)}
    results: Results = {label: {} for label in checkouts}
    try:
        for _ in range(arguments.rounds):
            for series in sorted({FEW, *arguments.series}):
                for label, checkout in checkouts.items():
                    cases = _cases(arguments, series)
                    _add(results[label], series, _measured(label, checkout, cases, series, arguments.folder))
    except (subprocess.SubprocessError, OSError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    for series in arguments.series:
        console.print(table(results, series))
    if arguments.json:
        every = {label: [[*place, *found] for place, found in each.items()] for label, each in results.items()}
        arguments.json.write_bytes(msgspec.json.encode(every))
    return 0


def _cases(arguments: argparse.Namespace, series: int) -> Sequence[str]:
    """Return what is measured with this many series; 1,000 are there to compare with."""
    if series not in arguments.series:
        return ["counters"] if "counters" in arguments.cases else []
    return [case for case in arguments.cases if case not in OTHERS or series == min(arguments.series)]


def _measured(label: str, checkout: str, cases: Sequence[str], series: int, folder: Path | None) -> dict[Place, float]:
    """Run the cases with this many series, or fewer, in a new folder; raises `subprocess.SubprocessError`."""
    found: dict[Place, float] = {}
    environment = os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    with TemporaryDirectory(prefix="statscounter-", dir=folder) as place:
        for case in cases:
            number = min(series, MOST_OTHERS) if case in OTHERS else series
            began = time.monotonic()
            spec = Specification(checkout, case, number, place)
            words = [sys.executable, "-m", "benchmarks.store.measure", msgspec.json.encode(spec).decode()]
            ran = subprocess.run(
                words, stdout=subprocess.PIPE, cwd=CHECKOUT, env=environment, check=True, timeout=LONGEST
            )
            figures = msgspec.json.decode(ran.stdout, type=dict[str, float])
            found |= {Place(name, series): figure for name, figure in figures.items()}
            print(f"{label}: {case}, {number:,} series, {time.monotonic() - began:.1f} s", file=sys.stderr)
    return found


def _add(results: dict[Place, list[float]], series: int, found: Mapping[Place, float]) -> None:
    for place, figure in found.items():
        results.setdefault(place, []).append(figure)
    least = results.get(Place("few", FEW))
    if least and Place("few", series) in found:
        results.setdefault(Place("few beyond", series), []).append(found[Place("few", series)] - least[-1])


def table(results: Results, series: int) -> Table:
    """Return all figures with this many series."""
    made = Table(title=f"{series:,} series", title_justify="left")
    made.add_column("")
    first, *others = results
    for heading in (first, *(text for label in others for text in (label, f"{label} / {first}")), "bar", ""):
        made.add_column(heading, justify="right")
    for name, row in ROWS.items():
        place = Place(name, series)
        if place in results[first]:
            middles = [median(each[place]) for each in results.values()]
            cells = [_written(middles[0], row)]
            for middle in middles[1:]:
                cells += [_written(middle, row), f"{middle / middles[0]:.2f}" if middles[0] else ""]
            made.add_row(row.title, *cells, *_judged(middles[-1], row))
    return made


def _written(figure: float, row: Row) -> str:
    return f"{figure:,{row.form}} {row.unit}".rstrip()


def _judged(figure: float, row: Row) -> tuple[str, str]:
    """Return the bar, and whether the figure of the last checkout holds it."""
    if row.bar is None:
        return "", ""
    return f"{row.bar:g}", "held" if figure <= row.bar else f"{figure / row.bar:.1f} times the bar"
