"""The worker's side of the memory: each source is found, or gets a record, and what it brought is added.

A table is exact until a set is full. Then a set is a summary as that of Space-Saving (Metwally, Agrawal and El Abbadi,
"Efficient computation of frequent and top-k elements in data streams", 2005) of the part of the stream that falls into
it: the record with the least count goes, and the new one inherits its count as an error. So for each record
``connections - err <= true number <= connections``.

The same is in C, see ``ingest/sources.h``.
"""

from __future__ import annotations

import struct
from typing import Protocol

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.who.layout import (
    ADDRESS_SIZE,
    BEGAN,
    BITS_4,
    BITS_6,
    CONTENTS,
    FIRST_KEY,
    FOLDED,
    KEYS,
    MAPPED,
    OPEN,
    PERIOD,
    RECORD,
    SOURCES,
    TABLE_SETS,
    UNIX,
    WAYS,
    set_of,
    table_offset,
)
from statsd_tcp.who.memory import SourceMemory

__all__ = ["AddSource", "SourceTable", "masked", "open_next"]

_LISTENER = struct.Struct("=I")
_KEY_SIZE = CONTENTS + _LISTENER.size
_SET_SIZE = WAYS * RECORD.size
_NOTHING = (0,) * 7

# Where the numbers are in a record: the bytes in words of 64 bits, the others in those of 32.
_WORD = 4
_LISTENER_AT, _CONNECTIONS, _LINES, _BYTES, _BAD, _RESETS, _EVICTED, _LIMITED = 4, 5, 7, 4, 10, 11, 12, 13

_MOST_PLACES = 1 << 16
"""Addresses whose records are remembered, at most."""

_NOWHERE = -1
_ALL = (1 << 64) - 1
_LARGEST = (1 << 32) - 1
_ALL_BITS = 8 * ADDRESS_SIZE
_BITS_BEFORE_4 = 8 * len(MAPPED)


class AddSource(Protocol):
    """Adds to what is known of a source in the open period, and gives it a record if it has none."""

    def __call__(
        self,
        address: bytes,
        listener: int,
        connections: int = 0,
        lines: int = 0,
        nbytes: int = 0,
        bad: int = 0,
        resets: int = 0,
        evicted: int = 0,
        limited: int = 0,
        /,
    ) -> None:
        """``address`` has 16 bytes; it is masked, if it was not before. ``listener`` is its index."""


class SourceTable:
    """Adds in Python."""

    def __init__(self, memory: SourceMemory) -> None:
        """Write ``memory``, in which nothing is yet, and whose only writer this is."""
        self._view = memory.view
        self._cells = cells = memory.cells
        self._words = memory.view.cast("I")
        self._longs = memory.view.cast("Q")
        self._sets = cells[TABLE_SETS]
        self._keys = tuple(cells[FIRST_KEY : FIRST_KEY + KEYS])
        self._bits = (cells[BITS_4], cells[BITS_6])
        self._period = 0
        # The places of records: by what is in them, and by the addresses as they came, of which several may be one.
        self._held: dict[bytes, list[int]] = {}
        self._places: dict[tuple[bytes, int], list[int]] = {}

    def add(
        self,
        address: bytes,
        listener: int,
        connections: int = 0,
        lines: int = 0,
        nbytes: int = 0,
        bad: int = 0,
        resets: int = 0,
        evicted: int = 0,
        limited: int = 0,
    ) -> None:
        """Do what `AddSource` says."""
        place = self._places.get((address, listener))
        if place is None or place[0] == _NOWHERE or self._period != self._cells[OPEN]:
            place = self._look_up(address, listener)
        words, at = self._words, place[0]
        if connections:
            words[at + _CONNECTIONS] = min(words[at + _CONNECTIONS] + connections, _LARGEST)
        if nbytes:
            long = at // 2 + _BYTES
            self._longs[long] = (self._longs[long] + nbytes) & _ALL
        if lines:
            words[at + _LINES] = min(words[at + _LINES] + lines, _LARGEST)
        if bad or resets or evicted or limited:
            for number, more in ((_BAD, bad), (_RESETS, resets), (_EVICTED, evicted), (_LIMITED, limited)):
                words[at + number] = min(words[at + number] + more, _LARGEST)

    def _look_up(self, address: bytes, listener: int) -> list[int]:
        """Find or make the record of a source, and remember where it is."""
        if self._period != self._cells[OPEN]:
            self._period = self._cells[OPEN]
            self._held.clear()
            self._places.clear()
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        source = masked(address, *self._bits) + _LISTENER.pack(listener + 1)
        place = self._held.get(source)
        if place is None:
            place = self._held[source] = [self._make(source, listener + 1)]
        self._places[address, listener] = place
        return place

    def _make(self, source: bytes, listener: int) -> int:
        """Make the record of a source that has none, and return where it is, in words."""
        words, cells = self._words, self._cells
        place = set_of(source[:ADDRESS_SIZE], listener, self._keys, self._sets)
        start = (table_offset(cells[OPEN], self._sets) + place * _SET_SIZE) // _WORD
        ways = range(start, start + _SET_SIZE // _WORD, RECORD.size // _WORD)
        for at in ways:
            if not words[at + _LISTENER_AT]:
                cells[SOURCES] += 1
                return self._begin(at, source, 0)
        at = min(ways, key=lambda way: words[way + _CONNECTIONS])
        gone = bytes(self._view[at * _WORD : at * _WORD + _KEY_SIZE])
        self._held.pop(gone)[0] = _NOWHERE
        return self._begin(at, source, words[at + _CONNECTIONS])

    def _begin(self, at: int, source: bytes, err: int) -> int:
        key = source[:ADDRESS_SIZE], *_LISTENER.unpack(source[ADDRESS_SIZE:])
        RECORD.pack_into(self._view, at * _WORD, *key, err, err, *_NOTHING)
        return at


def masked(address: bytes, bits_4: int, bits_6: int) -> bytes:
    """Return an address with the bits that are not kept as zeros. A user of this machine has no bits to spare."""
    if address.startswith(UNIX):
        return address
    kept = _BITS_BEFORE_4 + bits_4 if address.startswith(MAPPED) else bits_6
    if kept >= _ALL_BITS:
        return address
    free = _ALL_BITS - kept
    return (int.from_bytes(address, "big") >> free << free).to_bytes(ADDRESS_SIZE, "big")


def open_next(memory: SourceMemory, now: int) -> None:
    """Open the next period if this one has lasted long enough and the other table is clean.

    ``now``: nanoseconds of CLOCK_MONOTONIC.
    """
    cells = memory.cells
    if now - cells[BEGAN] >= PERIOD * NANOSECONDS and cells[FOLDED] == cells[OPEN] - 1:
        cells[SOURCES] = 0
        cells[BEGAN] = now
        cells[OPEN] += 1
