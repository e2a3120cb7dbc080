"""Backups: the whole store as one file, with a mark by which the next start knows what it is.

    CREATE TABLE backup (taken REAL NOT NULL)      one row: seconds since 1970

A store that is put back knows ledgers that have ended since, and whose files are gone: without the mark they would be
taken for lost. The first commit takes it out, in the transaction that settles them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from statsd_tcp.state.private_files import FILE_MODE, sync
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.words import in_words

__all__ = ["copied", "taken_at", "unmark", "write_backup"]


def write_backup(source: sqlite3.Connection, file: Path, taken: float) -> None:
    """Write what ``source`` reads to a new file, as `copied` does, with the mark of a backup. Raise `StoreError`."""
    with copied(source, file) as copy:
        _mark(copy, taken)


@contextmanager
def copied(source: sqlite3.Connection, file: Path) -> Iterator[Path]:
    """Make a new file of what ``source`` reads; the block gets the copy, to change it first.

    ``file`` has mode 600, and its name once it is whole and on the disk. ``source`` must be in no transaction; all is
    of one moment, and others may write meanwhile. Raise `StoreError`; then there is no file, or whatever was there
    before.
    """
    if os.path.lexists(file):
        raise _exists(file)
    try:
        with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder, translated(file):
            copy = Path(folder, "copy")
            source.execute("VACUUM INTO ?", (str(copy.absolute()),))
            copy.chmod(FILE_MODE)
            yield copy
            sync(copy)
            _name(copy, file)
            sync(file.parent)
    except OSError as error:
        raise StoreError(f"{file} cannot be made: {in_words(OSError(error.errno, error.strerror))}") from error


def taken_at(connection: sqlite3.Connection) -> float | None:
    """Return when the backup was taken that this store was until now; None if it was none."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'backup'").fetchone() is None:
        return None
    return float(connection.execute("SELECT taken FROM backup").fetchone()[0])


def unmark(connection: sqlite3.Connection) -> None:
    """Make a store of a backup, within a transaction."""
    connection.execute("DROP TABLE backup")


def _mark(copy: Path, taken: float) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("DROP TABLE IF EXISTS backup")
        connection.execute("CREATE TABLE backup (taken REAL NOT NULL)")
        connection.execute("INSERT INTO backup VALUES (?)", (taken,))
        connection.execute("COMMIT")


def _name(copy: Path, file: Path) -> None:
    """Link a file to its name, unless that name exists: a rename would replace it."""
    try:
        os.link(copy, file)
    except FileExistsError:
        # It came meanwhile.
        raise _exists(file) from None


def _exists(file: Path) -> StoreError:
    return StoreError(f"{file} exists already; it is left as it is")
