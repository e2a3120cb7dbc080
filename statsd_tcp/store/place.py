"""The store's file at its place: opened there, and put back there when somebody has taken it away.

A deleted file lives on as long as it is open, so that nothing fails, and everything would be gone after a restart. What
is open still has it all: it is copied, and the copy is renamed into place.

    totals.sqlite        gone, or another file
    totals.sqlite.copy   all pages, by SQLite's backup, on the disk --rename--> totals.sqlite
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.logger import Logger

from statsd_tcp.state.private_files import open_file
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.schema import prepare

__all__ = ["Place"]

_LOCK_TIMEOUT = 1.0

_COMPANIONS = ("-wal", "-shm")


class Place:
    """Where the store's file belongs. Not for several threads."""

    _log = Logger()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: os.stat_result | None = None

    def open(self) -> sqlite3.Connection:
        """Open the file, which is made if there is none; raises `StoreError`."""
        with translated(self.path):
            _close_to_others(self.path)
            # No implicit transactions: begin and commit are said.
            connection = sqlite3.connect(self.path, timeout=_LOCK_TIMEOUT, isolation_level=None)
            try:
                prepare(connection, self.path)
                self._opened = self._look()
            except BaseException:
                connection.close()
                raise
            return connection

    def keep(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Return the connection to go on with: a new one, if the file was not at its place and is put back.

        Raises `StoreError` if it can't be put back; then ``connection`` still has everything.
        """
        found = self._look()
        if found is not None and self._opened is not None and os.path.samestat(found, self._opened):
            return connection
        with translated(self.path):
            try:
                self._put_back(connection, found)
            except OSError as error:
                raise StoreError(f"{self.path} is gone and can't be put back: {error.strerror or error}") from error
        restored = self.open()
        connection.close()
        return restored

    def _look(self) -> os.stat_result | None:
        try:
            return self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            # Nobody can say.
            return self._opened

    def _put_back(self, connection: sqlite3.Connection, found: os.stat_result | None) -> None:
        copy = self.path.with_name(f"{self.path.name}.copy")
        copy.unlink(missing_ok=True)
        os.close(open_file(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        with closing(sqlite3.connect(copy)) as target:
            connection.backup(target)
        _sync(copy)
        if found is not None:
            # Whoever put it there may want it.
            self.path.rename(self.path.with_name(f"{self.path.name}.found"))
        for companion in _COMPANIONS:
            # They belong to the file that is gone, and SQLite would apply the one to the copy.
            self.path.with_name(f"{self.path.name}{companion}").unlink(missing_ok=True)
        copy.rename(self.path)
        _sync(self.path.parent)
        kept = f"; what was there is kept as {self.path}.found" if found is not None else ""
        self._log.error("{path} was taken away, and is put back with all that it had{kept}", path=self.path, kept=kept)


def _close_to_others(path: Path) -> None:
    """Make the file if it is new, and see that it and its companions are files of ours alone: SQLite follows links.

    To be done before SQLite opens them: closing a file gives up all locks of this process on it.
    """
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
        try:
            os.close(open_file(file, os.O_RDWR | (os.O_CREAT if file == path else 0)))
        except FileNotFoundError:
            if file == path:
                raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
