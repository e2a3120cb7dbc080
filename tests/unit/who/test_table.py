"""The worker's side of the memory of sources, in Python and in C: exact until a set is full, and then within bounds."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Self

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial import unittest

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest import native_lanes
from statsd_tcp.ingest.sources import packed_address
from statsd_tcp.who.layout import (
    BEGAN,
    FOLDED,
    MAPPED,
    OPEN,
    PERIOD,
    RECORD,
    SOURCES,
    WAYS,
    Record,
    set_of,
    table_offset,
    table_size,
    unix_address,
)
from statsd_tcp.who.memory import SourceBoard, SourceMemory, SourcePlan
from statsd_tcp.who.table import AddSource, SourceTable, masked, open_next

SETS = 4
KEYS = tuple(random.Random(1).getrandbits(64) for _ in range(7))
ONE, OTHER = packed_address("10.0.0.1"), packed_address("2001:db8::1")


def records(memory: SourceMemory) -> list[Record]:
    """Return the records of the open period that are taken."""
    start = table_offset(memory.cells[OPEN], SETS)
    found = (Record(*one) for one in RECORD.iter_unpack(memory.view[start : start + table_size(SETS)]))
    return [one for one in found if one.listener]


class Writers:
    """The same memory twice: one is written in Python, and one in C if that was built."""

    def __init__(self, sets: int = SETS, bits: tuple[int, int] = (32, 64)) -> None:
        plan = SourcePlan(KEYS, *bits, sets)
        self.memories = [SourceMemory.make(plan)]
        self.adds: list[AddSource] = [SourceTable(self.memories[0]).add]
        if native_lanes.BUILT:
            from statsd_tcp.ingest import _burst

            self.memories.append(SourceMemory.make(plan))
            self.adds.append(partial(_burst.add_source, self.memories[1].view))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.adds.clear()
        for memory in self.memories:
            memory.close()

    def add(self, address: bytes, listener: int, *numbers: int) -> None:
        """Add to all."""
        for add in self.adds:
            add(address, listener, *(numbers or (1,)))

    def tables(self) -> Iterator[bytes]:
        """Yield all that was written, but not when the period began."""
        for memory in self.memories:
            memory.cells[BEGAN] = 0
            yield bytes(memory.view)


class AddTests(unittest.TestCase):
    """What is added to one record."""

    def setUp(self) -> None:
        """Make the writers."""
        self.writers = Writers()
        self.addCleanup(self.writers.__exit__)

    def check(self, *expected: Record) -> None:
        """Compare what all writers have written."""
        for memory in self.writers.memories:
            self.assertEqual(set(expected), set(records(memory)))
            self.assertEqual(memory.cells[SOURCES], len(expected))

    def test_numbers(self) -> None:
        """Each number is a sum of its own, and a source is an address with a listener."""
        self.writers.add(ONE, 0, 1, 2, 3, 4, 5, 6)
        self.writers.add(ONE, 0, 1, 20, 30, 40, 50, 60)
        self.writers.add(ONE, 3)
        self.writers.add(unix_address(1000), 0, 7)
        self.check(
            Record(ONE, 1, 2, 0, 22, 33, 44, 55, 66, 0, 0),
            Record(ONE, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0),
            Record(unix_address(1000), 1, 7, 0, 0, 0, 0, 0, 0, 0, 0),
        )

    def test_without_a_connection(self) -> None:
        """What a connection brings that was counted in an earlier period makes a record, too."""
        self.writers.add(OTHER, 1, 0, 5, 50)
        self.check(Record(packed_address("2001:db8::"), 2, 0, 0, 5, 50, 0, 0, 0, 0, 0))

    def test_largest(self) -> None:
        """A number stays at the largest one that it can have."""
        self.writers.add(ONE, 0, (1 << 32) - 1, (1 << 32) - 1)
        self.writers.add(ONE, 0, 1, 1)
        self.check(Record(ONE, 1, (1 << 32) - 1, 0, (1 << 32) - 1, 0, 0, 0, 0, 0, 0))


class MaskTests(unittest.TestCase):
    """Which addresses are one source."""

    def test_masks(self) -> None:
        """The first bits stay; users of this machine are told apart by all of them."""
        six = packed_address("2001:db8:1:2:3:4:5:6")
        for bits, address, expected in (
            ((24, 64), "10.1.2.3", "10.1.2.0"),
            ((32, 64), "10.1.2.3", "10.1.2.3"),
            ((0, 64), "10.1.2.3", "0.0.0.0"),
            ((13, 64), "10.15.2.3", "10.8.0.0"),
            ((24, 128), "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
            ((24, 50), "2001:db8:1:ffff:3:4:5:6", "2001:db8:1:c000::"),
            ((24, 0), "2001:db8:1:2:3:4:5:6", "::"),
        ):
            self.assertEqual(packed_address(expected), masked(packed_address(address), *bits), (bits, address))
            with Writers(bits=bits) as writers:
                writers.add(packed_address(address), 0)
                self.assertEqual([packed_address(expected)] * len(writers.memories), _addresses(writers))
        self.assertEqual(masked(unix_address(1000), 0, 0), unix_address(1000))
        self.assertEqual(masked(six, 0, 64), packed_address("2001:db8:1:2::"))

    def test_mapped(self) -> None:
        """An IPv4 address that came over IPv6 is the same source."""
        self.assertEqual(packed_address("::ffff:10.0.0.1"), ONE)
        self.assertEqual(packed_address("fe80::1%lo"), packed_address("fe80::1"))


def _addresses(writers: Writers) -> list[bytes]:
    return [one.address for memory in writers.memories for one in records(memory)]


class FullTests(unittest.TestCase):
    """More sources than there is room for."""

    def test_replaced(self) -> None:
        """In a full set the record with the least count goes, and leaves its count as the new one's error."""
        with Writers(sets=1) as writers:
            for number in range(WAYS):
                writers.add(packed_address(f"10.0.0.{number}"), 0, number + 2, 9, 9, 9, 9, 9)
            writers.add(packed_address("10.0.1.0"), 0, 1, 4)
            for memory in writers.memories:
                (new,) = [one for one in _one_set(memory) if one.err]
                self.assertEqual(new, Record(packed_address("10.0.1.0"), 1, 3, 2, 4, 0, 0, 0, 0, 0, 0))
                self.assertEqual(memory.cells[SOURCES], WAYS)

    @given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 2), st.integers(0, 3)), max_size=400))
    def test_bracket(self, stream: list[tuple[int, int, int]]) -> None:
        """Whatever comes, the true number lies between the count less the error and the count; C and Python agree.

        A source without a record has brought no more than the least count of its set.
        """
        with Writers() as writers:
            exact: Counter[tuple[bytes, int]] = Counter()
            lines: Counter[tuple[bytes, int]] = Counter()
            for number, listener, times in stream:
                address = MAPPED + number.to_bytes(4, "big")
                writers.add(address, listener, times, 2 * times)
                exact[address, listener + 1] += times
                lines[address, listener + 1] += 2 * times
            self.assertEqual(len(set(writers.tables())), 1)
            held: dict[int, list[int]] = {}
            for one in records(writers.memories[0]):
                held.setdefault(set_of(one.address, one.listener, KEYS, SETS), []).append(one.connections)
                true = exact.pop((one.address, one.listener))
                self.assertTrue(one.connections - one.err <= true <= one.connections, one)
                self.assertTrue(one.lines <= lines[one.address, one.listener] <= one.lines + 2 * one.err)
            for (address, listener), true in exact.items():
                counts = held[set_of(address, listener, KEYS, SETS)]
                self.assertEqual(len(counts), WAYS)
                self.assertLessEqual(true, min(counts))


def _one_set(memory: SourceMemory) -> list[Record]:
    start = table_offset(1, 1)
    return [Record(*one) for one in RECORD.iter_unpack(memory.view[start : start + table_size(1)])]


class PeriodTests(unittest.TestCase):
    """When the next period is opened."""

    def setUp(self) -> None:
        """Make a memory whose first period began at 0."""
        self.memory = SourceMemory.make(SourcePlan(KEYS, sets=SETS))
        self.addCleanup(self.memory.close)
        self.memory.cells[BEGAN] = 0
        self.tables = [SourceTable(self.memory)]
        self.addCleanup(self.tables.clear)

    def open_at(self, seconds: float) -> int:
        """Return which period is open after one was tried to be opened then."""
        open_next(self.memory, int(seconds * NANOSECONDS))
        return self.memory.cells[OPEN]

    def test_after_a_minute(self) -> None:
        """The second period begins a minute after the first, in a table of its own."""
        self.tables[0].add(ONE, 0, 1)
        self.assertEqual(self.open_at(PERIOD - 0.1), 1)
        self.assertEqual(self.open_at(PERIOD), 2)
        self.assertEqual((self.memory.cells[BEGAN], self.memory.cells[SOURCES]), (PERIOD * NANOSECONDS, 0))
        self.assertEqual(records(self.memory), [])
        self.tables[0].add(OTHER, 0, 1)
        self.assertEqual(len(records(self.memory)), 1)

    def test_not_folded(self) -> None:
        """While the last period is not folded and its table cleared, the open one goes on."""
        self.open_at(PERIOD)
        self.assertEqual(self.open_at(10 * PERIOD), 2)
        self.memory.cells[FOLDED] = 1
        self.assertEqual(self.open_at(10 * PERIOD), 3)


class MemoryTests(unittest.TestCase):
    """The memory itself."""

    def test_two_maps(self) -> None:
        """What one process writes the other reads."""
        ours = SourceMemory.make(SourcePlan(KEYS, 24, 48, SETS))
        theirs = SourceMemory(os.dup(ours.descriptor))
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        SourceTable(theirs).add(ONE, 0, 1)
        self.assertEqual([one.address for one in records(ours)], [packed_address("10.0.0.0")])

    def test_not_one(self) -> None:
        """A file of another size or layout is refused, and the size of a good one cannot be changed."""
        memory = SourceMemory.make(SourcePlan(KEYS, sets=SETS))
        self.addCleanup(memory.close)
        self.assertRaises(PermissionError, os.ftruncate, memory.descriptor, 4096)
        memory.cells[0] = 99
        self.assertRaises(ValueError, SourceMemory, memory.descriptor)
        empty = os.memfd_create("empty")
        self.addCleanup(os.close, empty)
        self.assertRaises(ValueError, SourceMemory, empty)

    def test_board(self) -> None:
        """A worker's memory is there until it is gone and what is in it was read."""
        board = SourceBoard(SourcePlan.by_chance(24, 48))
        one, other = board.make(), board.make()
        board.end(one)
        self.assertEqual((board.living, board.ended), ([other], [one]))
        board.forget(one)
        self.assertEqual(board.ended, [])
        board.end(other)
        board.forget(other)

    def test_refused_in_c(self) -> None:
        """The part in C takes no other memory, and no address of another length."""
        if not native_lanes.BUILT:
            self.skipTest("the parts in C were not built")
        from statsd_tcp.ingest import _burst

        memory = SourceMemory.make(SourcePlan(KEYS, sets=SETS))
        self.addCleanup(memory.close)
        for buffer in (bytearray(memory.view[:4096]), bytearray(memory.view[:-64]), bytearray(5000)):
            self.assertRaises(ValueError, _burst.add_source, buffer, ONE, 0, 1)
        self.assertRaises(ValueError, _burst.add_source, memory.view, ONE[1:], 0, 1)
        self.assertRaises(ValueError, _burst.add_source, None, ONE, 0, 1)
        self.assertRaises(BufferError, _burst.add_source, bytes(5000), ONE, 0, 1)
