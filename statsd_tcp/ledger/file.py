"""Ledger files: made by the supervisor, and mapped by the one worker that writes them.

All others read them through a `LedgerReader`.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import uuid
from pathlib import Path

from statsd_tcp.ledger.layout import (
    CELL_SIZE,
    Directory,
    Header,
    LedgerError,
    pack_directory,
    pack_header,
    plan_header,
    read_directory,
    read_header,
)
from statsd_tcp.state.private_files import open_file

__all__ = [
    "RING_SIZE",
    "SUFFIX",
    "LedgerMap",
    "create_ledger",
    "ledger_paths",
    "lock_ledger",
    "read_boot_id",
    "remove_unfinished",
]

RING_SIZE = 8 << 20
"""Bytes of a worker's journal: over two seconds of lines at the highest rate that one worker was seen to read (4 MB/s
of short connections); a sender of more than that is slowed down until the next commit."""

SUFFIX = ".ledger"
_UNFINISHED = ".unfinished"


class LedgerMap:
    """A ledger file in memory. ``cells`` is an array of unsigned 64-bit numbers, ``ring`` the bytes of the journal."""

    def __init__(self, descriptor: int, path: str, *, writable: bool) -> None:
        """Map the file of ``descriptor``, which the caller keeps and closes; raises `LedgerError`, `OSError`."""
        size = os.fstat(descriptor).st_size
        if not size:
            raise LedgerError(f"{path} is empty")
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(descriptor, size, access=access)
        self.path = path
        view = memoryview(self._map)
        self.header: Header = read_header(view, size, path)
        header = self.header
        directory = view[header.directory_at : header.directory_at + header.directory_size]
        self.directory = read_directory(bytes(directory), path)
        if len(self.directory.cells) != header.cell_count:
            raise LedgerError(f"{path}: {len(self.directory.cells)} names for {header.cell_count} cells")
        self.cells = view[header.cells_at : header.cells_at + header.cell_count * CELL_SIZE].cast("Q")
        self.ring = view[header.ring_at : header.file_size]

    @property
    def ledger_id(self) -> str:
        """Return the ledger's own id, in hexadecimal."""
        return self.header.ledger_id.hex()

    @property
    def boot_id(self) -> str:
        """Return the id of the machine's boot in which the ledger was made, in hexadecimal."""
        return self.header.boot_id.hex()

    def close(self) -> None:
        """Unmap the file. Its numbers stay in it."""
        self.cells.release()
        self.ring.release()
        # The map has a descriptor of its own, and with it the writer's lock.
        self._map.close()


def read_boot_id(proc: Path = Path("/proc")) -> bytes:
    """Return the 16 bytes that name this boot of the machine."""
    return uuid.UUID((proc / "sys/kernel/random/boot_id").read_text().strip()).bytes


def create_ledger(
    folder: Path,
    worker: int,
    directory: Directory,
    *,
    created: int,
    boot_id: bytes,
    ring_size: int = RING_SIZE,
) -> Path:
    """Make a new ledger file with all its space allocated, and return its path.

    The space must be there before anything is stored in it: a store into a hole of a full disk is a SIGBUS, not an
    exception. The file gets its name when all of that is done: a process that is killed before leaves what
    `remove_unfinished` finds. Raises `OSError` when there is no room; then no file is left.
    """
    ledger_id = uuid.uuid4().bytes
    packed = pack_directory(directory)
    header = plan_header(worker, created, ledger_id, boot_id, packed, len(directory.cells), ring_size)
    path = folder / f"{ledger_id.hex()}{SUFFIX}"
    unfinished = path.with_suffix(_UNFINISHED)
    descriptor = open_file(unfinished, os.O_RDWR | os.O_CREAT)
    try:
        os.posix_fallocate(descriptor, 0, header.file_size)
        os.pwrite(descriptor, pack_header(header) + packed, 0)
        unfinished.rename(path)
    except OSError:
        unfinished.unlink()
        raise
    finally:
        os.close(descriptor)
    return path


def remove_unfinished(folder: Path) -> None:
    """Remove ledgers that were never finished: nothing was written into them. Raises `OSError`."""
    for path in folder.glob(f"*{_UNFINISHED}"):
        path.unlink()


def lock_ledger(path: Path) -> int:
    """Open a ledger for its writer and take the lock that lasts as long as that process; return the descriptor.

    The lock belongs to the open file, so it passes to the child that inherits the descriptor, and ends with the child
    once the parent has closed its own copy. Raises `BlockingIOError` when another process has it.
    """
    descriptor = open_file(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def ledger_paths(folder: Path) -> list[Path]:
    """List the ledger files of a state directory, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))
