"""What the tests of the store share: clocks, readings of ledgers, and a store in a folder of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.ledger.layout import CellName, LedgerCounts
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.mapping.rules import MappingRules
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.snapshot import Snapshot, TotalKey

DAY = 86400.0

RULES = FlushRules(seconds=10, outputs=("one", "two"))


class Clocks:
    """A wall clock and a monotonic one that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.ticks = 50.0

    def wall(self) -> float:
        """Return the wall time."""
        return self.now

    def monotonic(self) -> float:
        """Return the monotonic time."""
        return self.ticks

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.now += seconds
        self.ticks += seconds


def counts(ledger_id: str, worker: int = 0, boot_id: str = "boot", **cells: int) -> LedgerCounts:
    """Make a reading of a ledger; ``closed_eof=3`` is the cell ``closed`` with the detail ``eof``."""
    values = {}
    for name, value in cells.items():
        metric, _, detail = name.partition("_")
        values[CellName(metric, "tcp:1", detail)] = value
    return LedgerCounts(ledger_id, worker, boot_id, values)


def total(snapshot: Snapshot, metric: str, worker: str = "0", detail: str = "") -> int:
    """Return a total of the one listener."""
    return snapshot.totals().get(TotalKey(metric, "tcp:1", worker, detail), 0)


def values(table: SeriesTable) -> dict[str, float]:
    """Return the series of one kind with their values."""
    return dict(table.items())


class StoreTestCase(SynchronousTestCase):
    """A test with a store in a folder of its own."""

    def setUp(self) -> None:
        """Make the folder and the clocks."""
        self.clocks = Clocks()
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "store.db"

    def open(self, ttl: float = 7 * DAY, node: str = "") -> Store:
        """Open the store, for the time of the test."""
        store = Store(self.path, series_ttl=ttl, node=node, wall=self.clocks.wall, monotonic=self.clocks.monotonic)
        self.addCleanup(store.close)
        return store


def hits(number: float, lines: int = 1) -> Interval:
    """Make an interval with one counter."""
    return Interval(listeners={"tcp:1": ListenerCounts(lines=lines)}, counters={"hits": number})


class FlushTestCase(StoreTestCase):
    """A store with flushes of ten seconds, and a wall clock at the beginning of one."""

    def setUp(self) -> None:
        """Put the clock to the beginning of a flush."""
        super().setUp()
        self.start = int(self.clocks.now)
        self.offset = 0

    def open_with(self, rules: FlushRules = RULES) -> Store:
        """Open the store, for the time of the test."""
        clocks = self.clocks
        store = Store(
            self.path,
            series_ttl=rules.idle.ttl,
            limit=rules.limit,
            flushes=rules,
            wall=clocks.wall,
            monotonic=clocks.monotonic,
        )
        self.addCleanup(store.close)
        return store

    def commit(
        self, store: Store, *intervals: Interval, recovered: bool = False, delivered: Sequence[tuple[str, int]] = ()
    ) -> Snapshot:
        """Commit intervals of one ledger."""
        pieces = []
        for interval in intervals:
            pieces.append(Piece("L1", self.offset, self.offset + 8, encode(interval), recovered=recovered))
            self.offset += 8
        return store.commit(CommitBatch(counts=[counts("L1")], pieces=pieces, delivered=delivered))

    def at(self, seconds: float) -> None:
        """Set the clocks to this many seconds after the test's beginning."""
        self.clocks.advance(self.start + seconds - self.clocks.now)

    def results(self, store: Store, output: str = "one") -> list[FlushResult]:
        """Read all that waits for an output."""
        found: list[FlushResult] = []
        flush_id = 0
        while (queued := store.after(output, flush_id)) is not None:
            flush_id = queued.flush_id
            found.append(queued.result)
        return found

    def counted(self, store: Store) -> dict[int, float]:
        """Return the counter in all that waits, by the seconds since the beginning at which the flushes begin."""
        return {result.start - self.start: result.counters.get("hits", 0.0) for result in self.results(store)}


class RawTestCase(FlushTestCase):
    """A store with flushes, and with rules or without."""

    def open_mapped(self, rules: MappingRules | None, flushes: FlushRules = RULES, ttl: float = 7 * DAY) -> Store:
        """Open the store with these rules."""
        clocks = self.clocks
        store = Store(
            self.path,
            series_ttl=ttl,
            limit=flushes.limit,
            flushes=flushes,
            mapper=None if rules is None else Mapper(rules),
            wall=clocks.wall,
            monotonic=clocks.monotonic,
        )
        self.addCleanup(store.close)
        return store

    def flushed(self, store: Store) -> Counter[str]:
        """Add up the counters of all flushes that wait."""
        found: Counter[str] = Counter()
        for result in self.results(store):
            for name, amount in result.counters.items():
                found[name] += amount  # type: ignore[assignment]
        return found
