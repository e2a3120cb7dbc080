"""What the tests of the store share: clocks, readings of ledgers, and a store in a folder of its own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ledger.layout import CellName, LedgerCounts
from statsd_tcp.store.database import Store
from statsd_tcp.store.snapshot import SeriesTable, Snapshot, TotalKey

DAY = 86400.0


class Clocks:
    """A wall clock and a monotonic one that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.ticks = 50.0

    def wall(self) -> float:
        """Give the wall time."""
        return self.now

    def monotonic(self) -> float:
        """Give the monotonic time."""
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
    """Give a total of the one listener."""
    return snapshot.totals().get(TotalKey(metric, "tcp:1", worker, detail), 0)


def values(table: SeriesTable) -> dict[str, float]:
    """Give the series of one kind with their values."""
    return dict(table.items())


class StoreTestCase(SynchronousTestCase):
    """A test with a store in a folder of its own."""

    def setUp(self) -> None:
        """Make the folder and the clocks."""
        self.clocks = Clocks()
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "store.db"

    def open(self, ttl: float = 7 * DAY) -> Store:
        """Open the store, for the time of the test."""
        store = Store(self.path, series_ttl=ttl, wall=self.clocks.wall, monotonic=self.clocks.monotonic)
        self.addCleanup(store.close)
        return store
