"""Memories of sources that a test writes in the place of workers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from statsd_tcp.who.layout import (
    BEGAN,
    BITS_4,
    BITS_6,
    FIRST_KEY,
    MAPPED,
    OPEN,
    RECORD,
    TABLE_SETS,
    WAYS,
    Record,
    set_of,
    table_offset,
)
from statsd_tcp.who.memory import SourceBoard, SourceMemory, SourcePlan
from statsd_tcp.who.table import masked

__all__ = ["KEYS", "address", "close_period", "finish", "note", "small_board"]

KEYS = (3, 1 << 33, 5 << 31, 7 << 30, 11 << 29, 13 << 28, 17)
"""Keys that are the same in each run."""


def small_board(sets: int = 2) -> SourceBoard:
    """Make a board whose tables are soon full: there are eight records in a set."""
    return SourceBoard(SourcePlan(KEYS, sets=sets))


def address(text: str) -> bytes:
    """Return an address as workers have it."""
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    return MAPPED + socket.inet_aton(text)


def note(memory: SourceMemory, source: str | bytes, listener: int = 0, connections: int = 1, **numbers: int) -> None:
    """Count as a worker does that looks its records up each time: it keeps nothing of the memory."""
    given = address(source) if isinstance(source, str) else source
    cells, keys = memory.cells, tuple(memory.cells[FIRST_KEY : FIRST_KEY + len(KEYS)])
    kept = masked(given, cells[BITS_4], cells[BITS_6])
    sets = cells[TABLE_SETS]
    start = table_offset(cells[OPEN], sets) + set_of(kept, listener + 1, keys, sets) * WAYS * RECORD.size
    ways = range(start, start + WAYS * RECORD.size, RECORD.size)
    records = {at: Record(*RECORD.unpack_from(memory.view, at)) for at in ways}
    found = [at for at, one in records.items() if (one.address, one.listener) == (kept, listener + 1)]
    free = [at for at, one in records.items() if not one.listener]
    if found:
        at, record = found[0], records[found[0]]
    else:
        at = free[0] if free else min(ways, key=lambda way: records[way].connections)
        err = records[at].connections
        record = Record(kept, listener + 1, err, err, 0, 0, 0, 0, 0, 0, 0)
    sums = {name: getattr(record, name) + number for name, number in numbers.items()}
    RECORD.pack_into(memory.view, at, *record._replace(connections=record.connections + connections, **sums))


def close_period(memory: SourceMemory, now: int) -> None:
    """Open the next period, as a worker does after a minute."""
    memory.cells[BEGAN] = now
    memory.cells[OPEN] += 1


def finish(work: Iterator[None]) -> Any:
    """Do work to its end, and return what it gives."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
