"""A scrape of many StatsD series, and `prometheus_client` writing as many lines; and what windows of summaries cost.

Times are CPU time, the best of five
runs. Memory is what the process grew by.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.values import values_of
from statsd_tcp.ledger.layout import LedgerCounts
from statsd_tcp.mapping.document import read_mapping
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.web.exposition import Exposition

RUNS = 5
VALUES = 30
"""Different values of a timer in each commit."""
COMMITS = 25
"""Over the ten minutes of a window, so that all its parts are there."""

HISTOGRAMS = "defaults: {observer_type: histogram}\n"
LABELLED = """mappings:
- match: api.*.*.hits
  name: api_hits_total
  labels: {place: $1, number: $2}
"""


class Clock:
    """Seconds that the benchmark lets pass."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Lines(Collector):
    """As many lines as were given, in one family: the least that `prometheus_client` has to do for them."""

    def __init__(self, number: int) -> None:
        self._metric = Metric("hits", "", "unknown")
        for each in range(number):
            self._metric.add_sample("hits", {"place": str(each % 100), "number": str(each)}, each / 7)

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield self._metric


def resident() -> float:
    """Return the memory in use in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) / 256


def best(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest run."""
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def commit(store: Store, news: Interval) -> float:
    """Commit news and give the seconds that it took."""
    began = time.process_time()
    counts = [LedgerCounts("bench", 0, "boot", {})]
    store.commit(CommitBatch(counts=counts, pieces=[Piece("bench", 0, 0, encode(news))]))
    return time.process_time() - began


def after_a_commit(store: Store, exposition: Exposition, news: Interval) -> float:
    """Commit news, and give the seconds of the first scrape after it, when all quantiles are others."""
    commit(store, news)
    began = time.process_time()
    exposition.render(store.snapshot, openmetrics=False)
    return time.process_time() - began


def timers(number: int, rng: random.Random) -> Interval:
    """Make an interval of timers with a long tail."""
    return Interval(
        times={
            f"api.{each % 100}.{each}.time": values_of([round(rng.lognormvariate(3, 1), 2) for _ in range(VALUES)])
            for each in range(number)
        }
    )


def counters(number: int, rng: random.Random) -> Interval:
    """Make an interval of counters."""
    return Interval(counters={f"api.{each % 100}.{each}.hits": rng.random() for each in range(number)})


def measure(name: str, mapping: str, make: Callable[[int, random.Random], Interval], number: int, folder: Path) -> None:
    """Fill a store, and compare scrapes of it."""
    rng, clock = random.Random(1), Clock()
    before = resident()
    mapper = Mapper(read_mapping(mapping, name)) if mapping else None
    store = Store(folder / f"{name}.sqlite", mapper=mapper, monotonic=clock)
    durations = []
    for _ in range(COMMITS):
        clock.now += 600 / COMMITS
        durations.append(commit(store, make(number, rng)))
    grown = resident() - before
    exposition = Exposition()
    exposition.conflicts(store.snapshot)
    fresh = min(after_a_commit(store, exposition, make(number, rng)) for _ in range(RUNS))
    first = best(lambda: Exposition().render(store.snapshot, openmetrics=False))
    lines = [line for line in exposition.render(store.snapshot, openmetrics=False).splitlines() if line[:1] != b"#"]
    text = best(lambda: exposition.render(store.snapshot, openmetrics=False))
    openmetrics = best(lambda: exposition.render(store.snapshot, openmetrics=True))
    registry = CollectorRegistry()
    registry.register(Lines(len(lines)))
    peer = best(lambda: generate_latest(registry))
    print(
        f"{name:<12} {number} series, {len(lines)} lines: text {text:.3f} s, after a commit {fresh:.3f} s, "
        f"OpenMetrics {openmetrics:.3f} s, after new series {first:.3f} s; prometheus_client {peer:.3f} s; "
        f"ratio {text / peer:.2f}, after a commit {fresh / peer:.2f}; commit {min(durations):.3f} s; {grown:.0f} MiB"
    )
    store.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--series", type=int, default=10_000, metavar="N", help="how many (default 10000)")


def run(arguments: argparse.Namespace) -> int:
    """Measure all kinds."""
    with TemporaryDirectory(prefix="statscounter-") as folder:
        for name, mapping, make in (
            ("counters", "", counters),
            ("mapped", LABELLED, counters),
            ("summaries", "", timers),
            ("histograms", HISTOGRAMS, timers),
        ):
            measure(name, mapping, make, arguments.series, Path(folder))
    return 0
