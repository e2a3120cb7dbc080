"""Whether a store's file can be used, found out before anything depends on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from statsd_tcp.store.book import Book
from statsd_tcp.store.errors import translated
from statsd_tcp.store.files import LOCK_TIMEOUT
from statsd_tcp.store.identity import check_identity
from statsd_tcp.store.place import close_to_others
from statsd_tcp.store.schema import OLD_VERSION, check_owner, check_whole, prepare, version_of

__all__ = ["check_file", "check_node"]


def check_file(path: Path, node: str = "", *, may_rename: bool = True) -> None:
    """Raise `StoreError` for a file that is not ours, damaged, or of another version than can be taken over.

    Or for one that the node of that name may not have. The series are not looked at: where these are damaged the rest
    is served.
    """
    with translated(path):
        close_to_others(path)
        with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)) as connection:
            if version_of(connection) == OLD_VERSION:
                check_owner(connection, path)
                check_whole(connection, path)
            else:
                prepare(connection, path)
                check_identity(connection, path, node, may_rename=may_rename)
            Book.load(connection)


def check_node(path: Path, node: str, *, may_rename: bool) -> None:
    """Raise `StoreError` for a file that a running service has open, and that a node of that name may not have.

    Whatever else is wrong with it, the service goes on with what it has open.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=LOCK_TIMEOUT)) as connection:
            check_identity(connection, path, node, may_rename=may_rename)
    except sqlite3.Error:
        return
