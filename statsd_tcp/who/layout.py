"""Where things are in the memory that one worker counts its sources in, and that the supervisor reads.

A *source* is an address after masking, together with the index of the listener that it connects to. The memory is a
page of cells and two tables, of which the worker writes one in one period and the other in the next:

::

    | cells: 512 u64 | table of periods 1, 3, 5 ... | table of periods 2, 4 ... |
                       sets x 8 records of 64 bytes

A record is free while its listener is 0. All numbers are in the machine's order. A record that is being replaced may be
seen half written: there is no lock, and a reader has to bear it.

The worker opens the next period, a minute after the last one began, when it has something to note and the other table
is clean: ``FOLDED`` is ``OPEN`` - 1. The supervisor folds a period that is over into its totals, fills the table with
zeros, and then raises ``FOLDED``. Until it does, the open period goes on.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = [
    "ADDRESS_SIZE",
    "BEGAN",
    "BITS_4",
    "BITS_6",
    "CELLS_SIZE",
    "CONTENTS",
    "FIRST_KEY",
    "FOLDED",
    "KEYS",
    "MAPPED",
    "OPEN",
    "PERIOD",
    "RECORD",
    "SETS",
    "SOURCES",
    "TABLE_SETS",
    "UNIX",
    "VERSION",
    "VERSION_CELL",
    "WAYS",
    "Record",
    "memory_size",
    "set_of",
    "table_offset",
    "table_size",
    "unix_address",
]

CELLS_SIZE: Final = 4096
"""Bytes of the cells, before the tables."""

VERSION_CELL, OPEN, BEGAN, FOLDED, BITS_4, BITS_6, FIRST_KEY = range(7)
"""Cells: the version of this layout; the number of the open period, from 1; the nanoseconds of CLOCK_MONOTONIC at which
it began; the number of the last period that was folded and cleared; how many bits of an IPv4 and of an IPv6 address are
kept; the first of the hash's keys. ``OPEN`` and ``BEGAN`` are the worker's, ``FOLDED`` is the supervisor's, the others
do not change."""

KEYS: Final = 7
"""Keys of the hash: random numbers of 64 bits, the same for all workers of a service. The last is not used."""

SOURCES, TABLE_SETS = FIRST_KEY + KEYS, FIRST_KEY + KEYS + 1
"""Cells: the records taken in the open period, which the worker counts, and the number of sets of a table."""

VERSION: Final = 1

SETS: Final = 8192
WAYS: Final = 8
"""Sets of a table, and records of a set: 4 MiB, of which only the pages that are used take memory."""

PERIOD: Final = 60
"""Seconds of a period, at least."""

RECORD: Final = struct.Struct("=16s4IQ4IQ")
"""One record, see `Record`; the last number is not used."""

ADDRESS_SIZE: Final = 16
MAPPED: Final = bytes(10) + b"\xff\xff"
"""What the address of an IPv4 source begins with."""

UNIX: Final = b"unix".ljust(12, b"\0")
"""What that of a user of this machine begins with. No IPv6 address that a network routes does."""

_WORDS: Final = struct.Struct(">4I")
_ALL: Final = (1 << 64) - 1


class Record(NamedTuple):
    """What is known of one source in one period.

    ``listener`` is its index + 1. ``connections`` is their number, or that of datagrams. If the record had to take
    another one's place, ``err`` is by how much ``connections`` may be too high, and the other numbers may be too low:
    they began with 0. ``evicted`` are the connections that the service closed: silent, too old, or too many.
    ``limited`` are those over a limit of the source, whether they were closed or not.
    """

    address: bytes
    listener: int
    connections: int
    err: int
    lines: int
    nbytes: int
    bad: int
    resets: int
    evicted: int
    limited: int
    spare: int


CONTENTS: Final = 16
"""Offset in bytes of a record's first number, after the address."""


def table_size(sets: int = SETS) -> int:
    """Return the bytes of one table."""
    return sets * WAYS * RECORD.size


def memory_size(sets: int = SETS) -> int:
    """Return the bytes of the whole memory."""
    return CELLS_SIZE + 2 * table_size(sets)


def table_offset(period: int, sets: int = SETS) -> int:
    """Return where the table of a period begins, in bytes."""
    return CELLS_SIZE + (1 - period % 2) * table_size(sets)


def unix_address(uid: int) -> bytes:
    """Return the address that stands for a user of this machine."""
    return UNIX + struct.pack(">I", uid)


def set_of(address: bytes, listener: int, keys: Sequence[int], sets: int = SETS) -> int:
    """Return the set of a source, given its masked address and its listener's index + 1.

    The hash is multilinear over the address' four words, big-endian, and the listener, with 64-bit keys of which the
    upper 32 bits of the sum are taken: two sources meet no more often than by chance, even if a client chooses them
    (Lemire and Kaser, "Strongly universal string hashing is fast", 2014).
    """
    first, second, third, fourth = _WORDS.unpack(address)
    total: int = keys[0] + first * keys[1] + second * keys[2] + third * keys[3] + fourth * keys[4] + listener * keys[5]
    return ((total & _ALL) >> 32) % sets
