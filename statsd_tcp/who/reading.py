"""The supervisor's reader of a worker's memory: one period, a part of its table at a time, and its end.

Only pages that have been written are read: a look at the others would make the kernel provide them.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from errno import ENXIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statsd_tcp.who.layout import BEGAN, FOLDED, OPEN, RECORD, TABLE_SETS, WAYS, table_offset, table_size
from statsd_tcp.who.memory import SourceMemory
from statsd_tcp.who.summary import COLUMNS, ERR, Summary, nothing

__all__ = ["Periods", "clear", "periods", "read", "read_open"]

_RECORD = np.dtype(
    [("high", "u8"), ("low", "u8"), ("listener", "u4")]
    + [(name, "u8" if name == "bytes" else "u4") for name in COLUMNS]
    + [("spare", "u8")]
)
assert _RECORD.itemsize == RECORD.size  # noqa: S101  (two descriptions of the same bytes)

_SET_SIZE = WAYS * RECORD.size


class Periods(NamedTuple):
    """Where a worker is: the period that is open, when it began, in nanoseconds, and the last one that was folded."""

    open: int
    began: int
    folded: int


def periods(memory: SourceMemory) -> Periods:
    """Look which periods a memory has."""
    cells = memory.cells
    while True:
        number, began = cells[OPEN], cells[BEGAN]
        if cells[OPEN] == number:
            return Periods(number, began, cells[FOLDED])


def read(memory: SourceMemory, period: int, sets: range) -> Summary:
    """Read some sets of a period that is over."""
    table = table_offset(period, memory.cells[TABLE_SETS])
    extents = list(_written(memory.descriptor, table + sets.start * _SET_SIZE, table + sets.stop * _SET_SIZE))
    return _summary(memory, table, extents)


def read_open(memory: SourceMemory, period: int, most: int) -> Iterator[Summary]:
    """Yield what a period has that is open, in parts of at most ``most`` sets. No part has sets of the one before it.

    A record whose source changes meanwhile is left out.
    """
    sets = memory.cells[TABLE_SETS]
    table = table_offset(period, sets)
    part, size = list[range](), 0
    for extent in _written(memory.descriptor, table, table + table_size(sets)):
        while size + len(extent) > most * _SET_SIZE:
            cut = extent.start + most * _SET_SIZE - size
            yield _summary(memory, table, [*part, range(extent.start, cut)], is_open=True)
            part, size, extent = [], 0, range(cut, extent.stop)  # noqa: PLW2901
        part.append(extent)
        size += len(extent)
    if size:
        yield _summary(memory, table, part, is_open=True)


def clear(memory: SourceMemory, period: int) -> None:
    """Fill the table of a period that is folded with zeros, and let the worker use it again."""
    sets = memory.cells[TABLE_SETS]
    start, size = table_offset(period, sets), table_size(sets)
    if size % mmap.PAGESIZE == 0:
        # The kernel takes the pages back. Where it cannot, zeros do.
        with suppress(OSError), mmap.mmap(memory.descriptor, size, offset=start) as table:
            table.madvise(mmap.MADV_REMOVE)
    for extent in _written(memory.descriptor, start, start + size):
        os.pwrite(memory.descriptor, bytes(len(extent)), extent.start)
    memory.cells[FOLDED] = period


def _written(descriptor: int, start: int, stop: int) -> Iterator[range]:
    """Yield the parts of a file, in bytes, that have been written."""
    while start < stop:
        try:
            begin = max(start, os.lseek(descriptor, start, os.SEEK_DATA))
        except OSError as error:
            if error.errno == ENXIO:
                return
            raise
        if begin >= stop:
            return
        start = min(stop, os.lseek(descriptor, begin, os.SEEK_HOLE))
        yield range(begin, start)


def _summary(memory: SourceMemory, table: int, extents: list[range], *, is_open: bool = False) -> Summary:
    """Read parts of a file: sets of the table that begins at ``table``."""
    if not extents:
        return nothing()
    starts = np.concatenate([np.arange(one.start - table, one.stop - table, _SET_SIZE) for one in extents])
    places = starts // _SET_SIZE
    records = _records(memory.descriptor, extents)
    kept = records["listener"] != 0
    if is_open:
        again = _records(memory.descriptor, extents)
        kept &= (again["high"] == records["high"]) & (again["low"] == records["low"])
        kept &= again["listener"] == records["listener"]
        records = again
    rows = np.flatnonzero(kept.any(axis=1))
    some, kept = records[rows], kept[rows]
    values = np.stack([some[name] for name in COLUMNS], axis=2).astype(np.int64)
    # A source that is not in a set was replaced by one whose error is not less than what it had.
    least = values[:, :, ERR].max(axis=1, initial=0)
    return Summary(
        places[rows],
        some["high"] * kept,
        some["low"] * kept,
        some["listener"] * kept,
        values * kept[:, :, None],
        least,
    )


def _records(descriptor: int, extents: list[range]) -> NDArray[Any]:
    data = b"".join(os.pread(descriptor, len(extent), extent.start) for extent in extents)
    return np.frombuffer(data, _RECORD).reshape(-1, WAYS)
