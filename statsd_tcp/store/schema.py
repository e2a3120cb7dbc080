"""The schema of the store's file, and the checks that a file is ours before anything is written to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from statsd_tcp.store.clients import CLIENTS_TABLE
from statsd_tcp.store.errors import StoreError

__all__ = [
    "APPLICATION_ID",
    "COUNTERS_COLUMN",
    "OLD_VERSION",
    "SCHEMA_VERSION",
    "SERIES_TABLES",
    "check_owner",
    "check_whole",
    "prepare",
    "version_of",
]

APPLICATION_ID = 0x73747363
"""Marks the file as ours in SQLite's header ("stsc")."""

SCHEMA_VERSION = 5
"""Raised with every change of the tables. A file of another version is refused and left alone."""

OLD_VERSION = 2
"""That of release 0.1.0, which is taken over (see `migration`)."""

_WITHOUT_COUNTERS = 3
_WITHOUT_CLIENTS = 4

COUNTERS_COLUMN = "ALTER TABLE slot_parts ADD COLUMN counters BLOB NOT NULL DEFAULT x''"
"""What the tables of the open flush did not have before version 4."""

SERIES_TABLES = (
    "CREATE TABLE rows (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
    "CREATE TABLE pages (id INTEGER PRIMARY KEY, row INTEGER NOT NULL, payload BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS owners (
        name TEXT PRIMARY KEY,
        family TEXT NOT NULL,
        kind TEXT NOT NULL,
        since REAL NOT NULL
    ) WITHOUT ROWID""",
)
"""What commits brought to the series, and their columns: see the modules `rows`, `pages` and `series_file`. Who owns
names on the page that several families want: see the module `owners`."""

_TABLES = (
    """CREATE TABLE ledgers (
        id TEXT PRIMARY KEY,
        worker INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        committed INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('live', 'folded')),
        counts TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE totals (
        metric TEXT NOT NULL,
        labels TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (metric, labels)
    ) WITHOUT ROWID""",
    *SERIES_TABLES,
    # Of the series that are not plain: see the module traits. Bounds and counts are doubles, little-endian.
    """CREATE TABLE traits (
        id INTEGER PRIMARY KEY,
        ttl REAL NOT NULL,
        help TEXT NOT NULL,
        bounds BLOB,
        counts BLOB
    )""",
    # The open output flush, as the intervals that were added to it; the first part may be empty. Counters are next to
    # them, by the ids of raw ones: see the module flush_counters.
    """CREATE TABLE slot_parts (
        id INTEGER PRIMARY KEY,
        start INTEGER NOT NULL,
        seconds INTEGER NOT NULL,
        payload BLOB NOT NULL,
        counters BLOB NOT NULL DEFAULT x''
    )""",
    # The series that outputs were told of, by their raw identities, and the values of the gauges among them.
    """CREATE TABLE slot_series (
        kind TEXT NOT NULL CHECK (kind IN ('c', 'g', 'ms', 's')),
        identity TEXT NOT NULL,
        value REAL NOT NULL,
        seen INTEGER NOT NULL,
        PRIMARY KEY (kind, identity)
    ) WITHOUT ROWID""",
    # Flushes that wait for their outputs. An id is never used again: outputs are remembered by it where they are.
    "CREATE TABLE slot_results (id INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL)",
    """CREATE TABLE slot_queue (
        output TEXT NOT NULL,
        slot INTEGER NOT NULL REFERENCES slot_results (id),
        PRIMARY KEY (output, slot)
    ) WITHOUT ROWID""",
    CLIENTS_TABLE,
)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the file is ours and whole, or make it ours if it is new.

    Raises `StoreError` for a file of another program or version, a damaged one, or a file system without
    shared memory, and `sqlite3.Error` for what SQLite itself finds. Nothing is written to a file that is not
    ours.
    """
    version = version_of(connection)
    if version not in {0, _WITHOUT_COUNTERS, _WITHOUT_CLIENTS, SCHEMA_VERSION}:
        raise StoreError(f"{path} has schema version {version}; this program knows {SCHEMA_VERSION}")
    is_new = not (version or _objects(connection))
    if not is_new:
        check_owner(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path}: this file system cannot hold SQLite's write-ahead log (journal mode {mode})")
    # FULL: a commit is on the disk when it returns. The journals are released on the strength of that.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -32768")
    # The log is used again from its beginning, and never shortened: if it is shorter, another process has done that.
    connection.execute("PRAGMA journal_size_limit = -1")
    if is_new:
        _create(connection)
    else:
        # After the others: it brings all of the file into memory, from where it can be put back.
        check_whole(connection, path)
    if version in {_WITHOUT_COUNTERS, _WITHOUT_CLIENTS}:
        connection.execute("BEGIN IMMEDIATE")
        if version == _WITHOUT_COUNTERS:
            connection.execute(COUNTERS_COLUMN)
        connection.execute(CLIENTS_TABLE)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a file's schema, 0 for a new file."""
    return _pragma(connection, "user_version")


def check_owner(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreError` for a file of another program."""
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; it is left as it is")


def check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreError` for a damaged file."""
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        raise StoreError(f"{path} is damaged: {' '.join(finding.split())}")


def _objects(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return number


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    number: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return number


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in _TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
