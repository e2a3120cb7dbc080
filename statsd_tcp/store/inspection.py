"""Whether a store's file can be used, found out before anything depends on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from statsd_tcp.store.book import Book
from statsd_tcp.store.errors import translated
from statsd_tcp.store.place import LOCK_TIMEOUT, close_to_others
from statsd_tcp.store.schema import OLD_VERSION, check_owner, check_whole, prepare, version_of

__all__ = ["check_file"]


def check_file(path: Path) -> None:
    """Raise `StoreError` for a file that is not ours, damaged, or of another version than can be taken over.

    The series are not looked at: where these are damaged the rest is served.
    """
    with translated(path):
        close_to_others(path)
        with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)) as connection:
            if version_of(connection) == OLD_VERSION:
                check_owner(connection, path)
                check_whole(connection, path)
            else:
                prepare(connection, path)
            Book.load(connection)
