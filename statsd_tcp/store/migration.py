"""The store of release 0.1.0, taken over: every series had a row of its own there, in the table ``series``.

    totals.sqlite         version 2 --read--> totals.sqlite.new, version 5 --rename--> totals.sqlite
    totals.sqlite.0.1     what it was before

Whatever ends this in the middle, the old file is at its place, or the new one is there whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from twisted.logger import Logger

from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import SUMS, WIDTHS, Fresh, SeriesPlan
from statsd_tcp.state.private_files import open_file, sync
from statsd_tcp.store.clients import CLIENTS_TABLE
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.files import LOCK_TIMEOUT
from statsd_tcp.store.pages import NAMES, NUMBERS, PAGE, PageKey, write_names, write_numbers
from statsd_tcp.store.rows import Row, encode_row, sealed
from statsd_tcp.store.schema import COUNTERS_COLUMN, SCHEMA_VERSION, SERIES_TABLES, check_owner, check_whole
from statsd_tcp.store.series_file import page_id

__all__ = ["KEPT", "migrate"]

KEPT: Final = ".0.1"
"""What the name of the old file has after the store's own."""

_NEW: Final = ".new"

_ROW: Final = 1
"""The number of the first row, which all pages have."""

_log = Logger()


class _OldRow(NamedTuple):
    """A row of the old table. ``updated`` is wall time in seconds."""

    series_id: int
    kind: str
    identity: str
    value: float
    weight: float
    updated: float


def migrate(path: Path) -> None:
    """Make a store of this version of one of release 0.1.0; raises `StoreError`, `OSError`, `sqlite3.Error`."""
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)) as old:
        check_owner(old, path)
        check_whole(old, path)
        # A log with something in it would be taken for that of the new file. Nothing is added to it from now on.
        busy, *_ = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreError(f"{path} is of release 0.1.0, and another process has it open: it cannot be taken over")
        new = _copy(old, path, _NEW)
        _convert(new)
        kept = _copy(old, path, f"{KEPT}{_NEW}")
        kept = kept.rename(path.with_name(f"{path.name}{KEPT}"))
    new.rename(path)
    sync(path.parent)
    _log.info("{path} was of release 0.1.0 and is taken over; as it was it is kept as {kept}", path=path, kept=kept)


def _copy(old: sqlite3.Connection, path: Path, suffix: str) -> Path:
    copy = path.with_name(f"{path.name}{suffix}")
    copy.unlink(missing_ok=True)
    os.close(open_file(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    old.execute("VACUUM INTO ?", (str(copy),))
    sync(copy)
    return copy


def _convert(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for statement in (*SERIES_TABLES, COUNTERS_COLUMN, CLIENTS_TABLE):
            connection.execute(statement)
        found = connection.execute("SELECT id, kind, identity, value, weight, updated FROM series ORDER BY kind, id")
        newest, last_id = connection.execute("SELECT max(updated), max(id) FROM series").fetchone()
        row = Row(newest or 0.0, 0.0, (last_id or 0) + 1, [])
        if last_id:
            connection.execute("INSERT INTO rows VALUES (?, ?)", (_ROW, encode_row(row, _ROW)))
        for kind, rows in groupby(map(_OldRow._make, found), key=attrgetter("kind")):
            connection.executemany("INSERT INTO pages VALUES (?, ?, ?)", _pages(kind, list(rows)))
        connection.execute("DROP TABLE series")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    sync(path)


def _pages(kind: str, rows: list[_OldRow]) -> Iterator[tuple[int, int, bytes]]:
    """Yield all pages of the series of one kind; raises `LookupError` for a kind that there is not."""
    if kind not in WIDTHS:
        raise LookupError(f"series of the kind {kind!r}")
    columns = _columns_of(kind, rows)
    for number in range(-(-len(rows) // PAGE)):
        numbers, names = (page_id(PageKey(kind, what, number)) for what in (NUMBERS, NAMES))
        yield numbers, _ROW, sealed(write_numbers(columns, number, SeriesPlan(), 0.0), numbers, _ROW)
        yield names, _ROW, sealed(write_names(columns, number, SeriesPlan()), names, _ROW)


def _columns_of(kind: str, rows: list[_OldRow]) -> SeriesColumns:
    columns = SeriesColumns(kind)
    ids, _, identities, *numbers, updated = zip(*rows, strict=True)
    positions = np.arange(len(rows))
    fields = [np.array(column, np.float64) for column in numbers[: WIDTHS[kind]]]
    nothing = np.zeros(len(rows))
    after = [each for field in fields for each in ((field, nothing) if kind in SUMS else (field,))]
    columns.apply(SeriesPlan(Fresh(list(identities), positions, np.array(ids)), positions, fields, after), 0.0)
    columns.updated[positions] = updated
    # Whether they came more than once is not known.
    columns.lasting[positions] = True
    return columns
