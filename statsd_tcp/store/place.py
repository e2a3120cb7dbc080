"""The store's files at their places: opened, and put back when they were taken away or cut off.

A deleted file lives on as long as it is open, so that nothing fails, and everything would be gone after a restart. What
was cut off is often still in the connection's memory. So what is open is copied, and the copy is renamed into place. If
it cannot be copied whole nothing more is committed, and what comes stays in the journals.

    totals.sqlite        gone, another file, or shorter; or its -wal or -shm is
    totals.sqlite.copy   all that the connection has, on the disk --rename--> totals.sqlite
    totals.sqlite.found-1, -2, ...   files that were found in the place of ours, with their -wal
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.logger import Logger

from statsd_tcp.state.private_files import open_file, sync
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.files import DAMAGED, FAULTS, LOCK_TIMEOUT, PARTS, Change, Files
from statsd_tcp.store.schema import OLD_VERSION, prepare, version_of

__all__ = ["MOST_FOUND", "Place", "close_to_others"]

MOST_FOUND = 16
"""Files that are kept because they were found in the place of ours. Beyond that the operator has to look at them."""

_COPYING_CACHE = "PRAGMA cache_size = -1048576"
"""1 GiB: nothing may be dropped from memory that is no longer in a file. It takes as much as the store has."""

_PRIMARY_CODE = 0xFF

_LOCK_PAGE = 1 << 30
"""Where SQLite leaves a page empty, to lock bytes of it."""

_MAY_PASS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM)
_READING_FAILED = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_SHORT_READ)


class Place:
    """Where the store's files belong. Not for several threads. ``faults`` counts what happened to them."""

    _log = Logger()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults = dict.fromkeys((*FAULTS, DAMAGED), 0)
        self._wal, self._shm = (path.with_name(path.name + part) for part in PARTS[1:])
        self._change = Change([], [])
        self._lost = ""

    def open(self) -> sqlite3.Connection:
        """Open the file, which is made if there is none; raises `StoreError`."""
        with translated(self.path):
            close_to_others(self.path)
            if _is_old(self.path):
                # Only a folder with such a file needs what this imports.
                from statsd_tcp.store.migration import migrate

                migrate(self.path)
            # No implicit transactions: begin and commit are said.
            connection = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT, isolation_level=None)
            try:
                prepare(connection, self.path)
                self._files = Files(self.path)
            except BaseException:
                connection.close()
                raise
            return connection

    def keep(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Return the connection to write with: a new one, if the files were not as they must be and are put back.

        Raises `StoreError` if they cannot be put back; then ``connection`` still has what there is.
        """
        change = self._files.look()
        if not change.missing and self._is_rightly_shorter(connection, change.shrunk):
            return connection
        self._count(change)
        if self._shm in change.shrunk:
            self._renew_index()
        if self._lost:
            raise StoreError(self._lost)
        kept = self._put_back(connection, change)
        restored = self.open()
        self._change = Change([], [])
        connection.close()
        self._log.error(
            "{change}: {path} is put back with all that it had{kept}", change=change, path=self.path, kept=kept
        )
        return restored

    def note(self) -> None:
        """Note what has become of the files by writing to them."""
        self._files.note()

    def _is_rightly_shorter(self, connection: sqlite3.Connection, shrunk: list[Path]) -> bool:
        """Return whether files are shorter because SQLite needs no more of them, and if so take that for right.

        Another connection, which has nothing in its memory, finds everything then. It must not look at a file that is
        empty: it would delete the log.
        """
        if not shrunk:
            return True
        try:
            if self._shm in shrunk or (self.path in shrunk and self.path.stat().st_size < _size(connection)):
                return False
            with closing(sqlite3.connect(self.path, timeout=LOCK_TIMEOUT)) as other:
                whole: bool = other.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except (sqlite3.Error, OSError):
            return False
        if whole:
            self._files.accept()
        return whole

    def _count(self, change: Change) -> None:
        """Count what is new, and not what is only tried again."""
        for fault, now, before in zip(FAULTS, change, self._change, strict=True):
            self.faults[fault] += len(set(now) - set(before))
        self._change = change

    def _put_back(self, connection: sqlite3.Connection, change: Change) -> str:
        """Copy what is open and have it take its place; return what is to be said of what was found there."""
        others = self._files.others()
        found = self._fresh_name() if others else self.path
        copy = self.path.with_name(f"{self.path.name}.copy")
        try:
            with translated(self.path):
                self._save(connection, copy, change.shrunk)
                for path in self._files.paths:
                    if path in others:
                        # It may still be wanted.
                        path.rename(found.with_name(path.name.replace(self.path.name, found.name, 1)))
                    elif path != self.path:
                        # It belongs to the file that is gone, and SQLite would apply it to the copy.
                        path.unlink(missing_ok=True)
                copy.rename(self.path)
                sync(self.path.parent)
        except StoreError as error:
            text = f"{change}, and what is open cannot be put back: {error}"
            if _is_final(error.__cause__):
                self._lost = f"{text}; stop the service and restore a backup"
            raise StoreError(self._lost or text) from error
        return f"; what was there is kept as {found}" if others else ""

    def _fresh_name(self) -> Path:
        for number in range(1, MOST_FOUND + 1):
            name = self.path.with_name(f"{self.path.name}.found-{number}")
            if not any(os.path.lexists(f"{name}{part}") for part in PARTS):
                return name
        raise StoreError(
            f"{self.path} was replaced, and what is there now cannot be kept: there are {self.path.name}.found-1 to "
            f"-{MOST_FOUND} already; move them away"
        )

    def _save(self, connection: sqlite3.Connection, copy: Path, shrunk: list[Path]) -> None:
        """Write all that the connection has to a new file; raise `sqlite3.Error` if that is not everything."""
        if self._shm in shrunk and self._wal in shrunk:
            raise _damaged("the log and its index are both cut off")
        for part in PARTS:
            copy.with_name(copy.name + part).unlink(missing_ok=True)
        os.close(open_file(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        if shrunk:
            connection.execute(_COPYING_CACHE)
        # Unlike SQLite's backup it reads rows and not pages, and so finds out what is missing between them.
        connection.execute("VACUUM INTO ?", (str(copy),))
        if self.path in shrunk and _has_gaps(copy, _pragma(connection, "page_size")):
            raise _damaged("pages are missing")
        sync(copy)

    def _renew_index(self) -> None:
        """Restore the size of the log's index, empty: SQLite has it mapped, and rebuilds it from the log.

        Before anything touches it, be it to close the connection: a page that is not there would end the process.
        """
        with translated(self.path):
            for length in (0, self._files.size(self._shm)):
                os.truncate(self._shm, length)


def _is_old(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=LOCK_TIMEOUT)) as connection:
        return version_of(connection) == OLD_VERSION


def _is_final(error: BaseException | None) -> bool:
    """Return whether no other try will read what this one could not: all of it is read each time."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_BUSY)
    if code & _PRIMARY_CODE == sqlite3.SQLITE_IOERR:
        return code in _READING_FAILED
    return code & _PRIMARY_CODE not in _MAY_PASS


def _damaged(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _size(connection: sqlite3.Connection) -> int:
    """Return how long the file is that has all pages."""
    return _pragma(connection, "page_count") * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    number: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return number


def _has_gaps(copy: Path, size: int) -> bool:
    """Return whether a page of a file that has no unused ones is empty: what is read after the end of a file is that.

    SQLite notices it of all pages but the last one of a long value. ``size`` is that of a page.
    """
    with copy.open("rb") as file:
        while page := file.read(size):
            if not page.strip(b"\0") and file.tell() != _LOCK_PAGE + size:
                return True
    return False


def close_to_others(path: Path) -> None:
    """Make the file if it is new, and see that it and its companions are files of ours alone: SQLite follows links.

    To be done before SQLite opens them: closing a file gives up all locks of this process on it.
    """
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
        try:
            os.close(open_file(file, os.O_RDWR | (os.O_CREAT if file == path else 0)))
        except FileNotFoundError:
            if file == path:
                raise
