"""Reads a store's file without changing it: through a connection that can't write, and in one transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from statsd_tcp.state.private_files import open_file
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.schema import APPLICATION_ID, SCHEMA_VERSION
from statsd_tcp.wire.series import split_identity

__all__ = ["LedgerLine", "SeriesLine", "StoreReader", "TotalLine", "open_reader"]


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


class StoreReader:
    """One consistent look at a store."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def version(self) -> int:
        """Give the version of the schema."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def totals(self) -> Iterator[TotalLine]:
        """Give the service's own totals."""
        for metric, labels, value in self._connection.execute("SELECT metric, labels, value FROM totals ORDER BY 1, 2"):
            yield TotalLine(metric, msgspec.json.decode(labels, type=dict[str, str]), value)

    def series(self) -> Iterator[SeriesLine]:
        """Give the StatsD series, in the order in which they first came."""
        rows = self._connection.execute("SELECT kind, identity, value, weight, updated FROM series ORDER BY id")
        for kind, identity, value, weight, updated in rows:
            name, tags = split_identity(identity)
            yield SeriesLine(kind, name, dict(tags), value, weight, updated)

    def ledgers(self) -> Iterator[LedgerLine]:
        """Give the ledgers."""
        rows = self._connection.execute("SELECT id, worker, state, committed FROM ledgers ORDER BY worker, id")
        for row in rows:
            yield LedgerLine(*row)

    def damage(self) -> list[str]:
        """Have SQLite check every page and index; give what it finds."""
        found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found


@contextmanager
def open_reader(path: Path) -> Iterator[StoreReader]:
    """Open a store to read; raises `StoreError` if it isn't there, isn't ours, or is of another version."""
    try:
        os.close(open_file(path, os.O_RDONLY, foreign=True))
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist; --state-dir names the folder of the service") from None
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from None
    with translated(path):
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        try:
            _check(connection, path)
            connection.execute("BEGIN")
            yield StoreReader(connection, path)
        finally:
            connection.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(f"{path} is not a store of statscounter")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path} has schema version {version}; this program knows {SCHEMA_VERSION}")
