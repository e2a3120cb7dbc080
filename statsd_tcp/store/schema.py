"""The schema of the store's file, and the checks that a file is ours before anything is written to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from statsd_tcp.store.errors import StoreError

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "prepare"]

APPLICATION_ID = 0x73747363
"""Marks the file as ours in SQLite's header ("stsc")."""

SCHEMA_VERSION = 2
"""Raised with every change of the tables. A file of another version is refused and left alone."""

# Series ids grow with the order of first arrival, by which names on the page are owned at first.
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
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        identity TEXT NOT NULL,
        value REAL NOT NULL,
        weight REAL NOT NULL,
        updated REAL NOT NULL,
        lasting INTEGER NOT NULL DEFAULT 1
    )""",
    # Of the series that aren't plain: see the module traits. Bounds and counts are doubles, little-endian.
    """CREATE TABLE traits (
        id INTEGER PRIMARY KEY,
        ttl REAL NOT NULL,
        help TEXT NOT NULL,
        bounds BLOB,
        counts BLOB
    )""",
    # The open output flush, as the intervals that were added to it; the first part may be empty.
    """CREATE TABLE slot_parts (
        id INTEGER PRIMARY KEY,
        start INTEGER NOT NULL,
        seconds INTEGER NOT NULL,
        payload BLOB NOT NULL
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
)

# 0.1.0 has no such table, and does not say whether a series came in more than one commit: most did.
_LASTING = "ALTER TABLE series ADD COLUMN lasting INTEGER NOT NULL DEFAULT 1"
# The owners of names on the page that several families want: see the module owners.
_OWNERS = """CREATE TABLE IF NOT EXISTS owners (
    name TEXT PRIMARY KEY,
    family TEXT NOT NULL,
    kind TEXT NOT NULL,
    since REAL NOT NULL
) WITHOUT ROWID"""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the file is ours and whole, or make it ours if it is new.

    Raises `StoreError` for a file of another program or version, a damaged one, or a file system without
    shared memory, and `sqlite3.Error` for what SQLite itself finds. Nothing is written to a file that isn't
    ours.
    """
    is_new = _check_owner(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path}: this file system can't hold SQLite's write-ahead log (journal mode {mode})")
    # FULL: a commit is on the disk when it returns. The journals are released on the strength of that.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -32768")
    # The log is used again from its beginning, and never shortened: if it is shorter somebody else has done that.
    connection.execute("PRAGMA journal_size_limit = -1")
    if is_new:
        _create(connection)
    elif (finding := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise StoreError(f"{path} is damaged: {' '.join(finding.split())}")
    _complete(connection)


def _check_owner(connection: sqlite3.Connection, path: Path) -> bool:
    owner = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    objects = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not owner and not version and not objects:
        return True
    if owner != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; it is left as it is")
    if version != SCHEMA_VERSION:
        raise StoreError(f"{path} has schema version {version}; this program knows {SCHEMA_VERSION}")
    return False


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


def _complete(connection: sqlite3.Connection) -> None:
    """Add what a file of 0.1.0 does not have, and what is not asked of it by that release."""
    connection.execute(_OWNERS)
    if not any(row[1] == "lasting" for row in connection.execute("PRAGMA table_info (series)")):
        connection.execute(_LASTING)
