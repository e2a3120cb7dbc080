"""Whether the store stays as it is: many active series, new names all the time, and names that expire.

The store is called directly and its clock is the benchmark's, so that a simulated second takes as long as its commit.
Each commit has all active counters and some new names, which are never sent again. The status is 1 when memory, file or
the CPU of a commit are above those of the middle third in the last third, or when a total is wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.accept import report
from benchmarks.store.subject import INCREMENT, Cost, Subject, counters, names, resident

STORE = "totals.sqlite"
MINUTE = 60
MIB = 1 << 20

ALLOWED = {"resident MiB": 0.05, "file MiB": 0.05, "log MiB": 0.05, "commit ms": 0.2}
"""By how much the last third may be above the middle one."""


class Minute(NamedTuple):
    """What there is at the end of a simulated minute, and what its commits took."""

    series: int
    resident: float
    file: float
    log: float
    commit: float
    longest: float


COLUMNS: dict[str, Callable[[Minute], float]] = {
    "series": lambda minute: minute.series,
    "resident MiB": lambda minute: minute.resident,
    "file MiB": lambda minute: minute.file,
    "log MiB": lambda minute: minute.log,
    "commit ms": lambda minute: minute.commit,
    "longest ms": lambda minute: minute.longest,
}


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = options.add_argument
    add("--minutes", type=int, default=10, metavar="N", help="simulated ones (default 10)")
    add("--series", type=int, default=200_000, metavar="N", help="active in each second (default 200000)")
    add("--new", type=int, default=1_000, metavar="N", help="new names in each second (default 1000)")
    add("--ttl", type=float, default=60.0, metavar="S", help="after which idle series expire (default 60)")
    add("--graphite", action="store_true", help="queue flushes for an output, and take them out again")
    add("--folder", type=Path, metavar="DIR", help="where the file is written (default the one for temporary files)")


def run(arguments: argparse.Namespace) -> int:
    """Measure, a line for each simulated minute; the status is 0 when all stays flat."""
    facts = report.circumstances(arguments.command, network="none", cpus="one, which others may use too")
    report.print_circumstances(report.tables(), facts)
    print("".join(f"{heading:>14}" for heading in ("minute", *COLUMNS)))
    began = time.monotonic()
    with TemporaryDirectory(prefix="statscounter-", dir=arguments.folder) as place:
        path = Path(place) / STORE
        subject = Subject(path, series_ttl=arguments.ttl, graphite=arguments.graphite)
        active = names(range(arguments.series))
        minutes = []
        for number in range(1, arguments.minutes + 1):
            minutes.append(_minute(subject, path, active, number, arguments.new))
            print(f"{number:14}" + "".join(f"{figure(minutes[-1]):14,.1f}" for figure in COLUMNS.values()), flush=True)
        wrong = _wrong(subject, active, MINUTE * arguments.minutes)
    print(f"{arguments.minutes} simulated minutes took {time.monotonic() - began:.0f} s; {wrong} totals are wrong")
    return int(bool(wrong) | (not _flat(minutes)))


def _minute(subject: Subject, path: Path, active: Sequence[str], number: int, new: int) -> Minute:
    costs: list[Cost] = []
    for second in range((number - 1) * MINUTE, number * MINUTE):
        first = len(active) + second * new
        costs.append(subject.commit(counters([*active, *names(range(first, first + new))])))
        subject.deliver()
    return Minute(
        len(subject.store.snapshot.counters),
        resident() / MIB,
        path.stat().st_size / MIB,
        path.with_name(f"{STORE}-wal").stat().st_size / MIB,
        median(each.cpu for each in costs) * 1e3,
        max(each.cpu for each in costs) * 1e3,
    )


def _wrong(subject: Subject, active: Sequence[str], commits: int) -> int:
    """Return how many of the active series have another total than what was sent."""
    totals = dict(subject.store.snapshot.counters.items())
    return sum(totals.get(name) != commits * INCREMENT for name in active)


def _flat(minutes: Sequence[Minute]) -> bool:
    """Compare the thirds, and say how they differ."""
    third = len(minutes) // 3
    if not third:
        print("too short to tell whether it stays flat")
        return True
    flat = True
    for heading, allowed in ALLOWED.items():
        middle, last = (
            median(COLUMNS[heading](minute) for minute in part)
            for part in (minutes[-2 * third : -third], minutes[-third:])
        )
        change = last / middle - 1 if middle else 0.0
        flat = flat and change <= allowed
        print(f"{heading}: {change:+.1%} from the middle third to the last, {allowed:.0%} allowed")
    return flat
