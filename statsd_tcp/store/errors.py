"""The store's one exception, and SQLite's errors in words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from statsd_tcp.state.private_files import NotOursError
from statsd_tcp.words import in_words

__all__ = ["StoreError", "translated"]

_PRIMARY_CODE = 0xFF

_CAUSES = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked by another process",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; it is left as it is",
    sqlite3.SQLITE_READONLY: "cannot be written",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
}


class StoreError(Exception):
    """The store cannot be opened, or a commit failed; the text is one line naming the file and the cause."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise `StoreError` for what SQLite reports about the file at ``path``."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(_explain(error, path)) from error
    except OSError as error:
        raise StoreError(f"{error.filename or path} cannot be opened: {_why_not_ours(error)}") from error
    except (msgspec.MsgspecError, LookupError) as error:
        raise StoreError(f"{path} is damaged: a row cannot be read ({in_words(error)})") from error


def _explain(error: sqlite3.Error, path: Path) -> str:
    # Errors of the Python module itself carry no code of SQLite's.
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"{path} cannot be opened: {_why_not_opened(path)}"
    if code in _CAUSES:
        return f"{path} {_CAUSES[code]} ({error})"
    return f"{path}: {error}"


def _why_not_ours(error: OSError) -> str:
    if isinstance(error, NotOursError):
        return f"it {error.strerror}"
    if isinstance(error, FileNotFoundError):
        return "there is no folder for it"
    return in_words(OSError(error.errno, error.strerror))


def _why_not_opened(path: Path) -> str:
    if path.is_dir():
        return "it is a directory"
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    if not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        return "no permission"
    return "SQLite gives no reason"
