"""What is in a store's file, read in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from itertools import count, repeat
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from statsd_tcp.commands.store.source import open_source
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import RAW, WIDTHS
from statsd_tcp.store.backup import copied, taken_at, write_backup
from statsd_tcp.store.downgrade import LeftOut, write_downgrade
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.identity import Identity, identity_of
from statsd_tcp.store.loading import load_series
from statsd_tcp.store.rows import Row
from statsd_tcp.store.schema import APPLICATION_ID, OLD_VERSION, SCHEMA_VERSION
from statsd_tcp.wire.series import split_identity

__all__ = ["LedgerLine", "SeriesLine", "StoreReader", "TotalLine", "open_reader"]


_T = TypeVar("_T")


class TotalLine(NamedTuple):
    """One durable total of the service's own: its name, its labels, its value without the open ledgers."""

    metric: str
    labels: dict[str, str]
    value: int


class SeriesLine(NamedTuple):
    """One StatsD series: its kind, name and tags, its value, the weight of its observations, and when it last came."""

    kind: str
    name: str
    tags: dict[str, str]
    value: float
    weight: float
    updated: float


class LedgerLine(NamedTuple):
    """One ledger that the store knows: its worker, its state, and how far its journal is committed."""

    ledger_id: str
    worker: int
    state: str
    committed: int


class _Series(NamedTuple):
    """The series, by kind, the last row, and what could not be read."""

    columns: list[SeriesColumns]
    row: Row | None
    damage: list[str]


class StoreReader:
    """One consistent look at a store."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def version(self) -> int:
        """Return the version of the schema."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def backup_taken(self) -> float | None:
        """Return when the backup was taken that this is, in seconds since 1970; None if it is none."""
        return taken_at(self._connection)

    def identity(self) -> Identity | None:
        """Return who the store is; None if no version has opened it that gives it a UUID."""
        return identity_of(self._connection)

    def totals(self) -> Iterator[TotalLine]:
        """Yield the service's own totals."""
        for metric, labels, value in self._connection.execute("SELECT metric, labels, value FROM totals ORDER BY 1, 2"):
            yield TotalLine(metric, msgspec.json.decode(labels, type=dict[str, str]), value)

    def series(self) -> Iterator[SeriesLine]:
        """Yield the StatsD series, in the order in which they first came."""
        tables = [columns.table() for columns in self._loaded.columns]
        ahead = 0.0 if self._loaded.row is None else self._loaded.row.ahead
        rows = sorted(row for number, table in enumerate(tables) for row in zip(table.ids, repeat(number), count()))
        for series_id, number, at in rows:
            if series_id:
                name, tags = split_identity(tables[number].identities[at])
                updated = float(self._loaded.columns[number].updated[at]) + ahead
                numbers = tables[number].values[at], tables[number].weights[at]
                yield SeriesLine(tables[number].kind, name, dict(tags), *numbers, updated)

    def ledgers(self) -> Iterator[LedgerLine]:
        """Yield the ledgers."""
        rows = self._connection.execute("SELECT id, worker, state, committed FROM ledgers ORDER BY worker, id")
        for row in rows:
            yield LedgerLine(*row)

    def damage(self) -> list[str]:
        """Let SQLite check every page and index; return what it finds."""
        found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check")]
        return self._loaded.damage if found == ["ok"] else found

    @cached_property
    def _loaded(self) -> _Series:
        columns = [SeriesColumns(kind) for kind in WIDTHS]
        loaded = load_series(self._connection, columns)
        shown = [each for each in columns if each.kind != RAW]
        return _Series(shown, loaded.row, loaded.damage)

    @property
    def columns(self) -> list[SeriesColumns]:
        """The series that the page shows, by kind."""
        return self._loaded.columns

    def look(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Read something else."""
        return work(self._connection)

    def copied(self, file: Path) -> AbstractContextManager[Path]:
        """Make a new file of all of it, as `backup.copied` does. This look ends with it."""
        self._end()
        return copied(self._connection, file)

    def let_go(self) -> None:
        """Read the series into memory, and end this look: while it lasts the log of a running service only grows."""
        self._loaded  # noqa: B018
        self._connection.execute("COMMIT")

    def back_up(self, file: Path, now: float) -> None:
        """Write all of it to a new file; raises `StoreError`. This look ends with it: the backup has one of its own."""
        self._end()
        write_backup(self._connection, file, now)

    def downgrade(self, file: Path) -> LeftOut:
        """Write a new store of release 0.1.0; raises `StoreError`. This look ends with it, as with a backup."""
        self._end()
        return write_downgrade(self._connection, file)

    def _end(self) -> None:
        damage = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise StoreError(f"{self.path} is damaged ({' '.join(damage.split())}): no copy is made of it")
        self._connection.execute("COMMIT")


@contextmanager
def open_reader(path: Path) -> Iterator[StoreReader]:
    """Open a store to read; raises `StoreError` if it is not there, is not ours, or is of another version."""
    with translated(path), open_source(path) as connection:
        _check(connection, path)
        connection.execute("BEGIN")
        yield StoreReader(connection, path)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(f"{path} is not a store of statscounter")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == OLD_VERSION:
        raise StoreError(f"{path} is a store of release 0.1.0: this version takes it over when the service starts")
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path} has schema version {version}; this program knows {SCHEMA_VERSION}")
