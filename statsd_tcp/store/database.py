"""The store: one SQLite file, one transaction about every second, and what the file says kept in memory.

A `Store` belongs to the thread that opened it. It gives `Snapshot` objects away, which any thread may read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from statsd_tcp.aggregate.interval import Interval, merge
from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.book import Book, LedgerRow, TotalRow
from statsd_tcp.store.durations import Durations
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.plan import Plan, write
from statsd_tcp.store.schema import prepare
from statsd_tcp.store.series import (
    SeriesColumns,
    SeriesPlan,
    SeriesRow,
    plan_counters,
    plan_gauges,
    plan_observations,
)
from statsd_tcp.store.snapshot import Refusal, Snapshot, StoreStats
from statsd_tcp.store.units import UnitClaims, Units

__all__ = ["CONFLICT_REASONS", "SERIES_KINDS", "SERIES_TTL", "Store", "StoreError"]

SERIES_TTL = 7 * 86400.0
"""Seconds after which a series that nobody sends any more is dropped."""

SERIES_KINDS = ("c", "g", "ms", "h")
"""The kinds of series, by their types on the wire; ``h`` stands for ``d`` too, which means the same."""

CONFLICT_REASONS = ("unit", "negative")
"""Why the store leaves something out: see `StoreStats`."""

_EXPIRY_PERIOD = 60.0
_LOCK_TIMEOUT = 1.0


class Store:
    """The durable totals in the file at ``path``, which is made if there is none.

    ``series_ttl`` is in seconds; ``wall`` and ``monotonic`` are the clocks, in seconds. Raises `StoreError`
    if the file can't be opened, is damaged, or isn't ours.
    """

    def __init__(
        self,
        path: Path,
        *,
        series_ttl: float = SERIES_TTL,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._ttl = series_ttl
        self._wall = wall
        self._monotonic = monotonic
        self._book = Book({}, {})
        self._columns = [SeriesColumns(kind) for kind in SERIES_KINDS]
        self._units = Units()
        self._next_id = 1
        self._durations = Durations()
        self._last_commit = 0.0
        self._expired = 0
        self._conflicts = dict.fromkeys(CONFLICT_REASONS, 0)
        self._connection = _open(path)
        try:
            with translated(path):
                self._load()
        except BaseException:
            self._connection.close()
            raise
        self._start_clock()
        self.snapshot = self._picture(())

    def close(self) -> None:
        """Close the file. What was committed is in it."""
        self._connection.close()

    def commit(self, batch: CommitBatch) -> Snapshot:
        """Add the batch in one transaction, and give the picture after it.

        All or nothing: after a `StoreError` neither the file nor the memory has any of it, and the same batch
        can be given again. An interval that doesn't begin at its ledger's offset is left out and named in
        ``refused``.
        """
        began = self._monotonic()
        plan = self._plan(batch)
        with translated(self._path):
            write(self._connection, plan, self._columns, self._next_id)
        self._apply(plan)
        self._last_commit = self._wall()
        self._durations.note(self._monotonic() - began)
        self.snapshot = self._picture(tuple(plan.refused))
        return self.snapshot

    def _load(self) -> None:
        for ledger in self._connection.execute("SELECT id, worker, boot_id, committed, state, counts FROM ledgers"):
            self._book.load_ledger(LedgerRow(*ledger))
        for total in self._connection.execute("SELECT metric, labels, value FROM totals"):
            self._book.load_total(TotalRow(*total))
        by_kind = {columns.kind: columns for columns in self._columns}
        rows = self._connection.execute("SELECT id, kind, identity, value, weight, updated FROM series ORDER BY id")
        for row in map(SeriesRow._make, rows):
            # The tick of a gauge's last setting means nothing after the next boot.
            by_kind[row.kind].load(row._replace(weight=0.0) if row.kind == "g" else row)
            self._next_id = row.series_id + 1
        for columns in self._columns[2:]:
            self._units.hold(columns.kind, columns.positions)

    def _start_clock(self) -> None:
        # Idle time is what this and earlier processes saw pass. A clock that is set, or wrong for a while
        # after the machine's start, must not expire everything at once.
        newest = max(columns.newest() for columns in self._columns)
        self._epoch = max(self._wall(), newest) - self._monotonic()
        self._next_expiry = self._monotonic()

    def _now(self) -> float:
        return self._epoch + self._monotonic()

    def _plan(self, batch: CommitBatch) -> Plan:
        book = self._book.copy()
        for reading in batch.counts:
            book.take_counts(reading)
        refused: list[Refusal] = []
        accepted: list[Interval] = []
        for piece in batch.intervals:
            refusal = book.take_interval(piece)
            if refusal is None:
                accepted.append(piece.interval)
            else:
                refused.append(refusal)
        for ledger_id in batch.folded:
            book.fold(ledger_id)
        for ledger_id in batch.unlinked:
            book.forget(ledger_id)
        due = self._monotonic() >= self._next_expiry
        news = accepted[0] if len(accepted) == 1 else merge(accepted)
        plan = Plan(book, self._plan_series(news), refused, self._now(), due)
        if due:
            self._plan_expiry(plan)
        return plan

    def _plan_series(self, news: Interval) -> list[SeriesPlan]:
        counters, gauges, times, distributions = self._columns
        claims = UnitClaims(self._units)
        return [
            plan_counters(counters, news.counters),
            plan_gauges(gauges, news.gauges),
            plan_observations(times, news.times, claims.claim),
            plan_observations(distributions, news.distributions, claims.claim),
        ]

    def _plan_expiry(self, plan: Plan) -> None:
        cut = plan.now - self._ttl
        for columns, changes in zip(self._columns, plan.series, strict=True):
            changes.expired = columns.idle_since(cut, changes.updates)

    def _apply(self, plan: Plan) -> None:
        self._book = plan.book
        for columns, changes in zip(self._columns, plan.series, strict=True):
            if columns.kind in {"ms", "h"}:
                self._units.hold(columns.kind, changes.fresh)
                self._units.release([columns.identity(position) for position in changes.expired])
            columns.apply(changes, self._next_id, plan.now)
            self._next_id += len(changes.fresh)
            self._expired += len(changes.expired)
            self._conflicts["negative"] += changes.negative
            self._conflicts["unit"] += changes.unit
        if plan.checked_expiry:
            self._next_expiry = self._monotonic() + _EXPIRY_PERIOD

    def _picture(self, refused: tuple[Refusal, ...]) -> Snapshot:
        counters, gauges, times, distributions = (columns.table() for columns in self._columns)
        return Snapshot(
            settled=self._book.settled,
            ledgers=self._book.ledgers,
            counters=counters,
            gauges=gauges,
            times=times,
            distributions=distributions,
            stats=self._stats(),
            refused=refused,
        )

    def _stats(self) -> StoreStats:
        return StoreStats(
            commits=self._durations.count,
            last_commit=self._last_commit,
            duration_sum=self._durations.total,
            duration_buckets=self._durations.buckets(),
            expired=self._expired,
            conflicts=dict(self._conflicts),
        )


def _open(path: Path) -> sqlite3.Connection:
    with translated(path):
        # No implicit transactions: begin and commit are said.
        connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None)
        try:
            prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection
