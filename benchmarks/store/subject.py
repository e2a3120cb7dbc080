"""A store on the disk whose clock the benchmark drives, and intervals as workers send them.

Only names that older releases have too: the package may be that of another checkout.
"""

from __future__ import annotations

import random
import re
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.values import values_of
from statsd_tcp.ledger.layout import LedgerCounts
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.outputs.graphite_paths import PATH_NAMES
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store

try:
    from statsd_tcp.flush.rules import FlushRules
except ImportError:
    # Where it was before the store was three rooms.
    from statsd_tcp.store.flushes import FlushRules  # type: ignore[import-not-found, no-redef]

OUTPUT = "graphite"
FLUSH = 10
WEEK = 7 * 86400.0
START = 1_700_000_000.25
"""At the beginning of a flush, right after a second began: that is when workers are asked."""
LIMIT = Amount(8_000_000, 1 << 31)
INCREMENT = 1.5

_PAGE = 4096


class Cost(NamedTuple):
    """Seconds of CPU and of the clock, and bytes that the kernel was given for the disk (``write_bytes`` in proc)."""

    cpu: float
    wall: float
    written: int


def cost(work: Callable[[], object]) -> Cost:
    """Do it, and return what it cost."""
    written, wall, cpu = _written(), time.perf_counter(), time.process_time()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall, _written() - written)


def _written() -> int:
    found = re.search(r"^write_bytes: (\d+)", Path("/proc/self/io").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def resident() -> int:
    """Return the bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class Clock:
    """Seconds that the benchmark lets pass."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Subject:
    """A store with flushes, as the service opens one; ``graphite`` has it queue them for an output."""

    def __init__(
        self,
        path: Path,
        *,
        graphite: bool = False,
        mapper: Mapper | None = None,
        series_ttl: float = WEEK,
        now: float = START,
    ) -> None:
        self.clock = Clock(now)
        rules = FlushRules(
            seconds=FLUSH,
            outputs=(OUTPUT,) if graphite else (),
            path_names=PATH_NAMES if graphite else None,
            limit=LIMIT,
        )
        self.store = Store(
            path,
            series_ttl=series_ttl,
            limit=LIMIT,
            flushes=rules,
            mapper=mapper,
            wall=self.clock,
            monotonic=self.clock,
        )
        self._delivered: list[tuple[str, int]] = []

    def commit(self, payload: bytes, seconds: float = 1.0) -> Cost:
        """Let time pass, and commit what a worker has sent."""
        self.clock.now += seconds
        batch = CommitBatch(
            counts=[LedgerCounts("bench", 0, "boot", {})],
            pieces=[Piece("bench", 0, 0, payload)],
            delivered=self._delivered,
        )
        spent = cost(lambda: self.store.commit(batch))
        self._delivered = []
        return spent

    def until_end(self) -> float:
        """Return the seconds until the open flush has ended."""
        return FLUSH - (self.clock.now - START) % FLUSH

    def deliver(self) -> None:
        """Read the flush that waits; the next commit takes it out."""
        waiting = self.store.after(OUTPUT, 0)
        if waiting is not None:
            self._delivered.append((OUTPUT, waiting.flush_id))


def names(numbers: range) -> list[str]:
    """Return names of some 25 characters."""
    return [f"app.host{number % 200}.page{number}.hits" for number in numbers]


def mixed(several: Sequence[str]) -> list[str]:
    """Return the same in an order of no meaning: workers do not know that of the store."""
    return random.Random(1).sample(several, len(several))


def said(kind: str, series: int, interval: Interval) -> bytes:
    """Return an interval with this many series of one kind as a worker sends it."""
    interval.listeners = {"tcp": ListenerCounts(received_bytes=30 * series, lines=series)}
    interval.samples = {kind: series}
    return encode(interval)


class _Worker:
    """The names that the one worker has said. They come in the order of `names`, so that none has to be kept."""

    said = 0


def counters(several: Sequence[str]) -> bytes:
    """Return an interval in which counters went up, by number where the package knows that."""
    try:
        from statsd_tcp.aggregate.numbered import Numbered
    except ImportError:
        return said("c", len(several), Interval(counters=dict.fromkeys(several, INCREMENT)))
    numbers = [int(name[name.rindex("page") + 4 : -len(".hits")]) for name in several]
    first = _Worker.said
    fresh = [name for name, number in zip(several, numbers, strict=True) if number >= first]
    _Worker.said += len(fresh)
    rises = array("d", [INCREMENT]) * len(several)
    numbered = Numbered(1, first, fresh, array("I", numbers).tobytes(), rises.tobytes())
    return said("c", len(several), Interval(numbered=numbered))


def gauges(several: Sequence[str]) -> bytes:
    """Return an interval in which gauges were set."""
    changes = {name: [(1, False, float(number))] for number, name in enumerate(several)}
    return said("g", len(several), Interval(gauges=changes))


def sets(several: Sequence[str], members: int) -> bytes:
    """Return an interval with this many members of each set."""
    rng = random.Random(1)
    came = {name: {f"user{rng.randrange(1 << 30)}" for _ in range(members)} for name in several}
    return said("s", len(several), Interval(sets=came))


def timers(several: Sequence[str], values: int, rng: random.Random) -> bytes:
    """Return an interval with this many values of each timer, most of them short."""
    pick = rng.random
    came = {name: values_of([round(pick() ** 3 * 1000, 2) for _ in range(values)]) for name in several}
    return said("ms", len(several), Interval(times=came))
