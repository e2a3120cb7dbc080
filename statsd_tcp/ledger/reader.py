"""How every process but its writer reads a ledger: with pread(2), and never through a mapping.

If a mapped file is truncated, touching its lost pages kills the process with SIGBUS. A pread of them is short, which
is an error like others: it costs that file, and not the process that reads it.
"""

from __future__ import annotations

import os
import stat
from array import array
from pathlib import Path

from statsd_tcp.ledger.layout import (
    CELL_SIZE,
    HEADER_SIZE,
    Directory,
    Header,
    LedgerError,
    read_directory,
    read_header,
)
from statsd_tcp.state.private_files import open_file

__all__ = ["LedgerReader", "RingReader", "ShrunkError"]

MOST_READINGS = 16
"""So often cells are read until two readings in a row agree. Those of a busy worker change every 50 µs, and a reading
takes 2."""


class ShrunkError(LedgerError):
    """A ledger was cut off while it was open; the text names the file."""


class LedgerReader:
    """An open ledger file. ``ring`` gives the bytes of the journal, by the slices that a memoryview takes."""

    def __init__(self, descriptor: int, path: str) -> None:
        """Read the file of ``descriptor``, which belongs to this object from now on.

        Raises `LedgerError`, `OSError`; then the descriptor is closed.
        """
        self._descriptor = descriptor
        self.path = path
        try:
            self.header: Header = self._read_header()
            self.directory: Directory = self._read_directory()
        except BaseException:
            self.close()
            raise
        self.ring = RingReader(self)

    def _read_header(self) -> Header:
        size = os.fstat(self._descriptor).st_size
        if not size:
            raise LedgerError(f"{self.path} is empty")
        return read_header(os.pread(self._descriptor, HEADER_SIZE, 0), size, self.path)

    def _read_directory(self) -> Directory:
        header = self.header
        directory = read_directory(self.read(header.directory_at, header.directory_size), self.path)
        if len(directory.cells) != header.cell_count:
            raise LedgerError(f"{self.path}: {len(directory.cells)} names for {header.cell_count} cells")
        return directory

    @classmethod
    def open(cls, path: Path, *, foreign: bool = False) -> LedgerReader:
        """Open a file of ours, or with ``foreign`` of any owner; raises `LedgerError`, `OSError`."""
        return cls(open_file(path, os.O_RDONLY, foreign=foreign), str(path))

    @property
    def ledger_id(self) -> str:
        """Return the ledger's own id, in hexadecimal."""
        return self.header.ledger_id.hex()

    @property
    def boot_id(self) -> str:
        """Return the id of the machine's boot in which the ledger was made, in hexadecimal."""
        return self.header.boot_id.hex()

    def fileno(self) -> int:
        """Return the descriptor; -1 once it is closed."""
        return self._descriptor

    def is_shrunk(self) -> bool:
        """Return whether the file is shorter than it was made."""
        return os.fstat(self._descriptor).st_size < self.header.file_size

    def is_at(self, path: Path) -> bool:
        """Return whether this very file still is what is found at ``path``."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            # It cannot be found out.
            return True
        return stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.fstat(self._descriptor))

    def read(self, at: int, size: int) -> bytes:
        """Read bytes of the file; raises `ShrunkError` if they are gone, and `OSError`."""
        data = os.pread(self._descriptor, size, at)
        if len(data) < size:
            raise ShrunkError(f"{self.path} was cut off: it lacks bytes at {at + len(data)}")
        return data

    def cell(self, index: int) -> int:
        """Read one cell; raises as `read` does."""
        return self._numbers(self.header.cells_at + index * CELL_SIZE, CELL_SIZE)[0]

    def cells(self) -> list[int]:
        """Read all cells; raises as `read` does."""
        return self._numbers(self.header.cells_at, self.header.cell_count * CELL_SIZE)

    def _numbers(self, at: int, size: int) -> list[int]:
        """Read cells until two readings agree: then no number among them is half of one and half of the next.

        The writer stores a cell in one access. The kernel copies aligned eights of them in one, on all machines that we
        know (x86-64, arm64), but it promises that nowhere. A number torn by such a copy is not what the next copy
        gives: cells only grow, and the store that tore it is done. Of cells that never hold still the smaller of two
        readings is taken: a torn number that is too large would stay, because totals never fall.
        """
        one = self.read(at, size)
        for _ in range(MOST_READINGS):
            other, one = one, self.read(at, size)
            if one == other:
                return _unpack(one)
        return [min(pair) for pair in zip(_unpack(one), _unpack(other), strict=True)]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RingReader:
    """The bytes of a ledger's journal, read as they are asked for. Raises as `LedgerReader.read` does."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger

    def __len__(self) -> int:
        """Return the ring's size in bytes."""
        return self._ledger.header.ring_size

    def __getitem__(self, part: slice) -> bytes:
        """Return a slice of the ring, as a memoryview of it would."""
        start, stop, _ = part.indices(len(self))
        return self._ledger.read(self._ledger.header.ring_at + start, max(0, stop - start))


def _unpack(data: bytes) -> list[int]:
    # The numbers are little-endian, as every machine is that this runs on; the writer's mapping takes that as given.
    return array("Q", data).tolist()
