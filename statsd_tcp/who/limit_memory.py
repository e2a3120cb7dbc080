"""The memory in which all workers of a node count what they admit of each source, to limit it.

A file in memory, made by the supervisor and mapped by every worker: a page that does not change but for one cell, and a
column for each worker, which writes no other.

::

    | cells: 64 u64 | networks that are exempt: 17 bytes each | column 0 | column 1 | ...
                                                                sets x 8 records of 64 bytes

A record is free while its listener is 0. All numbers are in the machine's order. A worker reads the records of the same
source in all columns. One that is being written may be seen half written: there is no lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from statsd_tcp.who.layout import KEYS, WAYS

__all__ = [
    "ACTION",
    "ACTIVE",
    "CLOSE",
    "COLUMN_SETS",
    "FIRST_LIMIT_KEY",
    "HEAD_SIZE",
    "INTERVAL",
    "LIMIT_BITS_4",
    "LIMIT_BITS_6",
    "LIMIT_RECORD",
    "LIMIT_SETS",
    "MOST_EXEMPT",
    "MOST_OPEN",
    "OBSERVE",
    "RESET",
    "ROOM",
    "LimitMemory",
    "LimitPlan",
]

HEAD_SIZE: Final = 4096

_VERSION_CELL, COLUMN_SETS, COLUMNS, ACTIVE, ACTION, INTERVAL, ROOM, MOST_OPEN, LIMIT_BITS_4, LIMIT_BITS_6 = range(10)
"""Cells: the version of this layout; sets of a column; columns; how many of them are in use, from the first on, which
the supervisor writes; what happens to a connection over a limit; nanoseconds between two connections at the rate that a
source may have, 0: any; how many such nanoseconds may be used at once; open connections of a source, 0: any; bits that
are kept of an IPv4 and of an IPv6 address. Then come the keys of the hash and the number of exempt networks."""

FIRST_LIMIT_KEY: Final = LIMIT_BITS_6 + 1
_EXEMPT: Final = FIRST_LIMIT_KEY + KEYS
_NETWORKS: Final = 512

OBSERVE, CLOSE, RESET = range(3)
"""What happens to a connection over a limit: it is counted, or also closed, or reset."""

LIMIT_SETS: Final = 4096
"""Sets of a column: 2 MiB, of which only the pages that are used take memory."""

LIMIT_RECORD: Final = struct.Struct("=16sIIQQQQ8x")
"""One record: the masked address; the listener's index + 1; connections that are open; connections that were admitted;
how many were admitted in all columns by the time of the next two; how many nanoseconds of the room were used then; and
that time, in nanoseconds of CLOCK_MONOTONIC."""

_NETWORK: Final = struct.Struct("=16sB")
MOST_EXEMPT: Final = (HEAD_SIZE - _NETWORKS) // _NETWORK.size
"""Networks that may be exempt."""

_VERSION: Final = 1
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class LimitPlan(NamedTuple):
    """What is limited. ``interval`` and ``room`` are in nanoseconds, see the cells; ``exempt`` as `Trust.packed`.

    ``sets`` of a column are fewer in tests.
    """

    keys: Sequence[int]
    columns: int
    interval: int = 0
    room: int = 0
    most_open: int = 0
    action: int = OBSERVE
    bits_4: int = 32
    bits_6: int = 64
    exempt: bytes = b""
    sets: int = LIMIT_SETS


class LimitMemory:
    """The memory, mapped. ``cells`` are unsigned 64-bit numbers, ``view`` all bytes.

    ``descriptor`` is that of the file in memory.
    """

    def __init__(self, descriptor: int) -> None:
        """Map the file of ``descriptor``, which is this object's then. Raises `OSError`; `ValueError` if it is none."""
        self.descriptor = descriptor
        size = os.fstat(descriptor).st_size
        if size < HEAD_SIZE:
            raise ValueError(f"a memory of limits has {size} bytes")
        self._map = mmap.mmap(descriptor, size)
        self.view = memoryview(self._map)
        self.cells = self.view[:_NETWORKS].cast("Q")
        if self.cells[_VERSION_CELL] != _VERSION or HEAD_SIZE + self.columns * self.column_size != size:
            raise ValueError("a memory of limits has another layout")

    @classmethod
    def make(cls, plan: LimitPlan) -> LimitMemory:
        """Make one with nothing in it. Raises `OSError`."""
        descriptor = os.memfd_create("limits", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, HEAD_SIZE + plan.columns * plan.sets * WAYS * LIMIT_RECORD.size)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            os.pwrite(descriptor, _head(plan), 0)
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def columns(self) -> int:
        """Return how many columns there are."""
        return self.cells[COLUMNS]

    @property
    def column_size(self) -> int:
        """Return the bytes of a column."""
        return self.cells[COLUMN_SETS] * WAYS * LIMIT_RECORD.size

    @property
    def exempt(self) -> list[tuple[bytes, int]]:
        """Return the networks that are exempt: an address of 16 bytes, and how many of its bits count."""
        number = self.cells[_EXEMPT]
        return list(_NETWORK.iter_unpack(self.view[_NETWORKS : _NETWORKS + number * _NETWORK.size]))

    def clear(self, column: int) -> None:
        """Forget what the worker of a column has counted. It must be gone."""
        start = HEAD_SIZE + column * self.column_size
        try:
            # The kernel takes the pages back, and gives zeros for them.
            self._map.madvise(mmap.MADV_REMOVE, start, self.column_size)
        except OSError:
            # It is one that cannot, or a column is no whole number of pages.
            self.view[start : start + self.column_size] = bytes(self.column_size)

    def close(self) -> None:
        """Unmap it, and close the descriptor. There must be no other view of it."""
        self.cells.release()
        self.view.release()
        self._map.close()
        os.close(self.descriptor)


def _head(plan: LimitPlan) -> bytes:
    cells = [_VERSION, plan.sets, plan.columns, 0, plan.action, plan.interval, plan.room, plan.most_open]
    cells += [plan.bits_4, plan.bits_6, *plan.keys, len(plan.exempt) // _NETWORK.size]
    return struct.pack(f"={len(cells)}Q", *cells).ljust(_NETWORKS, b"\0") + plan.exempt
