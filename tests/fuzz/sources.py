"""Sources by chance, more than there is room for, added in C and in Python.

Both write the same memory, to the last byte, and the true number of each source is where its record says.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from typing import Any, Final, NamedTuple

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest import native_lanes
from statsd_tcp.who.layout import (
    BEGAN,
    FOLDED,
    KEYS,
    MAPPED,
    OPEN,
    PERIOD,
    RECORD,
    Record,
    table_offset,
    table_size,
    unix_address,
)
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from statsd_tcp.who.table import SourceTable, masked, open_next
from tests.fuzz.target import Target, same

__all__ = ["TARGET", "Given"]

_burst: Any = getattr(native_lanes, "_burst", None)


class Given(NamedTuple):
    """How sources are counted, and what is added to which; None: the next period begins."""

    plan: SourcePlan
    added: list[tuple[bytes, int, tuple[int, ...]] | None]


def _make(source: random.Random) -> Given:
    keys = tuple(source.getrandbits(64) for _ in range(KEYS))
    plan = SourcePlan(
        keys, source.choice((0, 8, 24, 31, 32)), source.choice((0, 48, 63, 64, 128)), source.randint(1, 5)
    )
    different = source.choice((3, 40, 300))
    addresses = [_address(source) for _ in range(different)]
    return Given(plan, [_addition(source, addresses) for _ in range(source.randrange(600))])


def _address(source: random.Random) -> bytes:
    kind = source.randrange(4)
    if kind == 0:
        return MAPPED + source.randbytes(4)
    if kind == 1:
        return MAPPED + bytes((10, 0, source.randrange(2), source.randrange(256)))
    return unix_address(source.randrange(1 << 32)) if kind == 2 else source.randbytes(16)


def _addition(source: random.Random, addresses: list[bytes]) -> tuple[bytes, int, tuple[int, ...]] | None:
    if source.randrange(200) == 0:
        return None
    numbers = (source.randrange(3), *(source.choice((0, 1, 70_000)) for _ in range(source.randrange(6))))
    return source.choice(addresses), source.randrange(2), numbers


def _check(given: Given) -> None:
    with closing(SourceMemory.make(given.plan)) as ours, closing(SourceMemory.make(given.plan)) as theirs:
        _compare(given, ours, theirs)


def _compare(given: Given, ours: SourceMemory, theirs: SourceMemory) -> None:
    table = SourceTable(ours)
    exact: Counter[tuple[bytes, int]] = Counter()
    for one in given.added:
        if one is None:
            for memory in (ours, theirs):
                memory.cells[BEGAN], memory.cells[FOLDED] = 0, memory.cells[OPEN] - 1
                start = table_offset(memory.cells[OPEN] + 1, given.plan.sets)
                memory.view[start : start + table_size(given.plan.sets)] = bytes(table_size(given.plan.sets))
                open_next(memory, PERIOD * NANOSECONDS)
            exact.clear()
            continue
        address, listener, numbers = one
        table.add(address, listener, *numbers)
        exact[masked(address, given.plan.bits_4, given.plan.bits_6), listener + 1] += numbers[0]
        if _burst is not None:
            _burst.add_source(theirs.view, address, listener, *numbers)
    ours.cells[BEGAN] = theirs.cells[BEGAN] = 0
    if _burst is not None:
        same("memory", bytes(ours.view), bytes(theirs.view))
    start = table_offset(ours.cells[OPEN], given.plan.sets)
    for record in map(Record._make, RECORD.iter_unpack(bytes(ours.view[start : start + table_size(given.plan.sets)]))):
        true = exact[record.address, record.listener]
        if record.listener and not record.connections - record.err <= true <= record.connections:
            raise AssertionError(f"{record}: it was {true}")


TARGET: Final = Target("sources", _make, _check)
