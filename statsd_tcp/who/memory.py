"""The memory in which one worker counts its sources: made by the supervisor, mapped by both, gone with them."""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from statsd_tcp.who.layout import (
    BEGAN,
    BITS_4,
    BITS_6,
    CELLS_SIZE,
    FIRST_KEY,
    KEYS,
    OPEN,
    SETS,
    TABLE_SETS,
    VERSION,
    VERSION_CELL,
    memory_size,
)

__all__ = ["SourceBoard", "SourceMemory", "SourcePlan"]

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class SourcePlan(NamedTuple):
    """What all workers of a service count sources by: the keys of the hash, and the bits of an address that are kept.

    ``sets`` of a table are fewer in tests.
    """

    keys: tuple[int, ...]
    bits_4: int = 32
    bits_6: int = 64
    sets: int = SETS

    @classmethod
    def by_chance(cls, bits_4: int = 32, bits_6: int = 64) -> SourcePlan:
        """Choose the keys of this run."""
        return cls(tuple(secrets.randbits(64) for _ in range(KEYS)), bits_4, bits_6)


class SourceMemory:
    """One worker's memory, mapped. ``cells`` are unsigned 64-bit numbers, ``view`` all bytes, see `layout`.

    ``descriptor`` is that of the file in memory.
    """

    def __init__(self, descriptor: int) -> None:
        """Map the file of ``descriptor``, which is this object's then. Raises `OSError`; `ValueError` if it is none."""
        self.descriptor = descriptor
        size = os.fstat(descriptor).st_size
        if size < CELLS_SIZE:
            raise ValueError(f"a memory of sources has {size} bytes")
        self._map = mmap.mmap(descriptor, size)
        self.view = memoryview(self._map)
        self.cells = self.view[:CELLS_SIZE].cast("Q")
        if self.cells[VERSION_CELL] != VERSION or memory_size(self.cells[TABLE_SETS]) != size:
            raise ValueError("a memory of sources has another layout")

    @classmethod
    def make(cls, plan: SourcePlan, ticks: Callable[[], int] = time.monotonic_ns) -> SourceMemory:
        """Make one with the first period open, and nothing in it. Raises `OSError`."""
        descriptor = os.memfd_create("sources", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, memory_size(plan.sets))
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            with mmap.mmap(descriptor, CELLS_SIZE) as page, memoryview(page) as view, view.cast("Q") as cells:
                cells[VERSION_CELL], cells[TABLE_SETS] = VERSION, plan.sets
                cells[OPEN], cells[BEGAN] = 1, ticks()
                cells[BITS_4], cells[BITS_6] = plan.bits_4, plan.bits_6
                for place, key in enumerate(plan.keys, FIRST_KEY):
                    cells[place] = key
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Close the descriptor, and unmap it; if there is another view of it, the map goes with that."""
        self.cells.release()
        self.view.release()
        os.close(self.descriptor)
        with suppress(BufferError):
            self._map.close()


class SourceBoard:
    """The supervisor's side: the memories of all its workers.

    ``living`` are those of workers that run, ``ended`` those of workers that are gone: what is in them is final. Who
    has read one of the latter takes it out with `forget`.
    """

    def __init__(self, plan: SourcePlan) -> None:
        """Start with none."""
        self.plan = plan
        self.living: list[SourceMemory] = []
        self.ended: list[SourceMemory] = []

    def make(self) -> SourceMemory:
        """Make the memory of one more worker. Raises `OSError`."""
        memory = SourceMemory.make(self.plan)
        self.living.append(memory)
        return memory

    def end(self, memory: SourceMemory) -> None:
        """Note that its worker is gone."""
        self.living.remove(memory)
        self.ended.append(memory)

    def forget(self, memory: SourceMemory) -> None:
        """Let go of the memory of a worker that is gone."""
        self.ended.remove(memory)
        memory.close()
