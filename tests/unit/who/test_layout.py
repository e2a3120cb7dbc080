"""The numbers of the memory in which sources are counted, which two processes and two languages agree upon."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv4Address

from twisted.trial import unittest

from statsd_tcp.who.layout import (
    CELLS_SIZE,
    FIRST_KEY,
    KEYS,
    MAPPED,
    RECORD,
    SETS,
    SOURCES,
    TABLE_SETS,
    WAYS,
    Record,
    memory_size,
    set_of,
    table_offset,
    table_size,
    unix_address,
)


class LayoutTests(unittest.TestCase):
    """Sizes and places."""

    def test_record(self) -> None:
        """A record is a line of the processor's cache: an address, and its numbers in the order of the fields."""
        record = Record(bytes(range(16)), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
        packed = RECORD.pack(*record)
        self.assertEqual(len(packed), 64)
        self.assertEqual(Record(*RECORD.unpack(packed)), record)

    def test_tables(self) -> None:
        """A table is 4 MiB. That of odd periods comes first, and the two take turns."""
        self.assertEqual(table_size(), 4 << 20)
        self.assertEqual(memory_size(), CELLS_SIZE + (8 << 20))
        self.assertEqual([table_offset(period) for period in (1, 2, 3)], [4096, 4096 + (4 << 20), 4096])
        self.assertEqual(table_offset(2, 16), 4096 + 16 * WAYS * 64)

    def test_cells(self) -> None:
        """The cells fit before the tables, and none lies upon another."""
        self.assertEqual((FIRST_KEY, SOURCES, TABLE_SETS), (6, 13, 14))
        self.assertLess(8 * TABLE_SETS, CELLS_SIZE)

    def test_unix(self) -> None:
        """A user of this machine has an address that no network has."""
        self.assertEqual(unix_address(1000), b"unix\0\0\0\0\0\0\0\0\0\0\x03\xe8")


class HashTests(unittest.TestCase):
    """Which set a source is in."""

    def test_example(self) -> None:
        """The set depends on each word of the address and on the listener, as the sum of products says."""
        keys = [(index + 1) << 32 for index in range(KEYS)]
        self.assertEqual(set_of(b"\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4", 5, keys), 1 + 2 + 2 * 3 + 3 * 4 + 4 * 5 + 5 * 6)

    def test_overflow(self) -> None:
        """The sum is one of 64 bits."""
        keys = [(1 << 64) - 1] * KEYS
        total = (keys[0] * (1 + 4 * 0xFFFFFFFF + 7)) % (1 << 64)
        self.assertEqual(set_of(b"\xff" * 16, 7, keys, 5), (total >> 32) % 5)

    def test_spread(self) -> None:
        """Addresses that follow upon each other are spread over the sets."""
        random_keys = random.Random(1)
        keys = [random_keys.getrandbits(64) for _ in range(KEYS)]
        first = int(IPv4Address("10.0.0.0"))
        addresses = (MAPPED + IPv4Address(first + number).packed for number in range(SETS))
        held = Counter(set_of(address, 1, keys) for address in addresses)
        self.assertLess(max(held.values()), 2 * WAYS)
