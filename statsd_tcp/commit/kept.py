"""Lines that are left out of a journal are kept in files next to the ledgers, for the operator to inspect."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from statsd_tcp.state.private_files import open_file
from statsd_tcp.words import in_words

__all__ = ["MOST_KEPT", "MOST_KEPT_BYTES", "SUFFIX", "keep"]

SUFFIX = ".skipped"

MOST_KEPT = 100
MOST_KEPT_BYTES = 16 << 20
"""Beyond this many such files, or bytes in them, nothing more is kept until they are removed. A client that can send
lines that crash their reader must not fill the disk."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def keep(folder: Path, name: str, lines: bytes) -> tuple[str, str]:
    """Write a file of that name, the same again if it is there; return its path, or "" and why there is none.

    Raises `OSError` when the disk is full: then that is what has to be mended first.
    """
    path = folder / f"{name}{SUFFIX}"
    others = [one.stat().st_size for one in folder.glob(f"*{SUFFIX}") if one != path]
    if len(others) >= MOST_KEPT or sum(others) + len(lines) > MOST_KEPT_BYTES:
        return "", f"there are {len(others)} such files already"
    try:
        _write(path, lines)
    except OSError as error:
        if error.errno in _FULL:
            raise
        return "", in_words(error)
    return str(path), ""


def _write(path: Path, lines: bytes) -> None:
    """Write it so that it outlives a power loss: soon the store says that these lines are done with."""
    descriptor = open_file(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(descriptor, 0)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(lines)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
