"""What it costs to lay a scrape out: at first, when nothing is new, and after some series among many came or went.

Times are CPU time, the best of three. Memory is what the process grew by.
"""

from __future__ import annotations

import argparse
import random
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from benchmarks.micro.scrape import resident
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.store.snapshot import Snapshot, StoreStats
from statsd_tcp.web.exposition import Exposition

RUNS = 3
FIELDS = {"c": "counters", "g": "gauges", "ms": "times", "h": "distributions"}
STATS = StoreStats(commits=1, last_commit=0.0, duration_sum=0.0, duration_buckets=(), expired=0, conflicts={})

SHAPES: dict[str, tuple[str, Callable[[int], str]]] = {
    "counters": ("c", lambda number: f"api.{number % 100}.{number}.hits"),
    "labelled": ("c", lambda number: f"api.hits\nnumber\n{number}\nplace\np{number % 100}"),
    "timers": ("ms", lambda number: f"api.{number % 100}.{number}.time"),
}
"""A family for each series, one for all of them, and a summary for each."""


class Series:
    """A table of one kind, whose series come and go."""

    def __init__(self, kind: str, spell: Callable[[int], str]) -> None:
        self._kind = kind
        self._spell = spell
        self._ids = array("q")
        self._identities: list[str] = []
        self._epoch = self._last = 0

    def come(self, number: int) -> Snapshot:
        """Add some series, and return a snapshot."""
        self._identities = self._identities + [self._spell(self._last + each) for each in range(number)]
        self._ids = self._ids + array("q", range(self._last + 1, self._last + number + 1))
        self._last += number
        return self._snapshot()

    def go(self, places: Iterable[int]) -> Snapshot:
        """Take away those of some positions, and return a snapshot."""
        self._identities, self._ids = self._identities.copy(), self._ids[:]
        for place in places:
            self._identities[place], self._ids[place] = "", 0
        self._epoch += 1
        return self._snapshot()

    def places(self) -> list[int]:
        """Return the positions of all series."""
        return [place for place, series_id in enumerate(self._ids) if series_id]

    def _snapshot(self) -> Snapshot:
        numbers = array("d", [each / 7 for each in self._ids])
        columns = (self._ids, self._identities, numbers, numbers)
        tables: dict[str, Any] = {field: SeriesTable(kind, 0, array("q"), [], (), ()) for kind, field in FIELDS.items()}
        tables[FIELDS[self._kind]] = SeriesTable(self._kind, self._epoch, *columns, empty=self._ids.count(0))
        return Snapshot(settled={}, ledgers={}, stats=STATS, **tables)


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time that something takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def best(exposition: Exposition, make: Callable[[], Snapshot]) -> float:
    """Return the seconds in which a snapshot is laid out that has just changed."""
    times = []
    for _ in range(RUNS):
        snapshot = make()
        times.append(seconds(lambda snapshot=snapshot: exposition.conflicts(snapshot)))  # type: ignore[misc]
    return min(times)


def measure(name: str, number: int, changed: int) -> None:
    """Lay out series of one shape, and see what changes cost."""
    rng, series, exposition = random.Random(1), Series(*SHAPES[name]), Exposition()
    snapshot = series.come(number)
    before = resident()
    first = seconds(lambda: exposition.conflicts(snapshot))
    kept = (resident() - before) * 2**20 / number
    same = best(exposition, lambda: msgspec.structs.replace(snapshot))
    scrape = min(seconds(lambda: exposition.render(snapshot, openmetrics=False)) for _ in range(RUNS))
    come = best(exposition, lambda: series.come(changed))
    gone = best(exposition, lambda: series.go(rng.sample(series.places(), changed)))
    oldest = best(exposition, lambda: series.go(series.places()[:changed]))
    grown = (resident() - before) * 2**20 / number
    print(
        f"{name:<9} {number}: first layout {first:.2f} s, {kept:.0f} bytes for each series; scrape {scrape:.3f} s; "
        f"layout with nothing new {same * 1e3:.3f} ms, after {changed} new {come * 1e3:.1f} ms, after {changed} gone "
        f"{gone * 1e3:.1f} ms, the oldest {oldest * 1e3:.1f} ms; in the end {grown:.0f} bytes"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--series", type=int, default=100_000, metavar="N", help="how many (default 100000)")
    parser.add_argument("--changed", type=int, default=1_000, metavar="N", help="that come or go (default 1000)")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="only this one (default all)")


def run(arguments: argparse.Namespace) -> int:
    """Measure all shapes."""
    for name in [arguments.shape] if arguments.shape else SHAPES:
        measure(name, arguments.series, arguments.changed)
    return 0
