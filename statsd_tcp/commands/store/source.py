"""A store's file, opened so that nothing changes in its folder, wherever it lies and whether or not it is in use.

    a service has it open    SQLite's own way: it finds the index of the log there, and locks by it
    it has a log (-wal)      a copy in a temporary folder: SQLite would move the log into the file, and delete it
    else                     the file as it is, without locks ("immutable")

Other processes do not know that the last two are being read. So these are checked again afterwards.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from statsd_tcp.state.private_files import open_file
from statsd_tcp.store.errors import StoreError
from statsd_tcp.words import in_words

__all__ = ["open_source"]

_LOGS = ("-wal", "-journal")

_INDEX_LOCK = 128
"""The byte of the index (-shm) that every connection has locked while it has the file open. SQLite calls it DMS."""

_FLOCK = struct.Struct("hhqqi")
"""The C library's ``struct flock``: type, whence, start, length, process."""

_TIMEOUT = 1.0


@contextmanager
def open_source(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store's file to read; raises `StoreError`, `sqlite3.Error`."""
    try:
        os.close(open_file(path, os.O_RDONLY, foreign=True))
        way = _in_place if _is_in_use(path) else _copied if any(map(_size, _logs(path))) else _alone
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist; --state-dir names the folder of the service") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    with way(path) as connection:
        yield connection


@contextmanager
def _in_place(path: Path, more: str = "") -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(str(path))}?mode=ro{more}"
    connection = sqlite3.connect(uri, uri=True, timeout=_TIMEOUT, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection]:
    with _unchanged(path), _in_place(path, "&immutable=1") as connection:
        yield connection


@contextmanager
def _copied(path: Path) -> Iterator[sqlite3.Connection]:
    with TemporaryDirectory(prefix="statscounter-") as folder:
        copy = Path(folder, path.name)
        try:
            with _unchanged(path):
                for file in (path, *filter(_size, _logs(path))):
                    shutil.copyfile(file, copy.with_name(file.name), follow_symlinks=False)
        except OSError as error:
            raise StoreError(f"{path} cannot be copied, to be read with its log: {in_words(error)}") from error
        with _in_place(copy) as connection:
            yield connection


@contextmanager
def _unchanged(path: Path) -> Iterator[None]:
    """Raise `StoreError` instead of whatever came of reading files that changed meanwhile."""
    before = _state(path)
    try:
        yield
    finally:
        if _state(path) != before:
            raise StoreError(f"{path} was changed while it was read; try again")


def _state(path: Path) -> list[tuple[int, int, int] | None]:
    return [_stamp(file) for file in (path, *_logs(path))]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _logs(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _LOGS]


def _size(file: Path) -> int:
    stamp = _stamp(file)
    return 0 if stamp is None else stamp[1]


def _is_in_use(path: Path) -> bool:
    """Return whether another process has the file open with SQLite; raises `OSError`. Asks, and takes no lock."""
    try:
        descriptor = open_file(path.with_name(f"{path.name}-shm"), os.O_RDONLY, foreign=True)
    except FileNotFoundError:
        return False
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _INDEX_LOCK, 1, 0)
        found: int = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0]
    finally:
        os.close(descriptor)
    return found != fcntl.F_UNLCK
