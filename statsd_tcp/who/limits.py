"""Whether one more connection of a source is within the limits, as a worker finds out: of all workers together.

The rate is a bucket with a room of some nanoseconds, of which each connection takes the interval that belongs to the
rate, and which empties as the time passes (a leaky bucket; the generic cell rate algorithm of ITU-T I.371 is the same).
Each worker publishes, in its own column, what it has admitted, and the state of the bucket at its last look. The next
look begins with the latest state of all, and adds what was admitted since:

    used = max(0, used at the last look + admitted since then x interval - time since then)

So no worker waits for another one. Two that look at the same moment may both admit, and what is seen half written may
be wrong by what one source may do at once: the limit holds to plus or minus one burst.

A connection that is over the limit takes nothing. Open connections are the sum of all columns.

The same is in C, see ``ingest/limits.h``.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from statsd_tcp.who.layout import ADDRESS_SIZE, KEYS, WAYS, set_of
from statsd_tcp.who.limit_memory import (
    ACTIVE,
    COLUMN_SETS,
    FIRST_LIMIT_KEY,
    HEAD_SIZE,
    INTERVAL,
    LIMIT_BITS_4,
    LIMIT_BITS_6,
    LIMIT_RECORD,
    MOST_OPEN,
    ROOM,
    LimitMemory,
)
from statsd_tcp.who.table import masked

__all__ = ["NOT_HELD", "SourceLimits"]

NOT_HELD: Final = 0
"""Stands for the place of a connection that is not counted as open."""

_KEY: Final = struct.Struct("=16sI")
_OPEN: Final = struct.Struct("=I")
_OPEN_OFFSET: Final = _KEY.size
_STATE: Final = struct.Struct("=4Q")
"""What a record has after its number of open connections: see `limit_memory.LIMIT_RECORD`."""
_STATE_OFFSET: Final = _OPEN_OFFSET + _OPEN.size
_NOTHING: Final = bytes(LIMIT_RECORD.size - _KEY.size)
_SET_SIZE: Final = WAYS * LIMIT_RECORD.size
_ALL_BITS: Final = 8 * ADDRESS_SIZE
_LARGEST: Final = (1 << 64) - 1
_MOST_KNOWN: Final = 1 << 14


class _Known(NamedTuple):
    """How a record of a source begins, where its set is in each column, and whether it has no limits."""

    key: bytes
    offset: int
    is_exempt: bool


class SourceLimits:
    """The limits as one worker keeps them. An address has 16 bytes, masked or not; a listener is its index."""

    def __init__(self, memory: LimitMemory, column: int, ticks: Callable[[], int] = time.monotonic_ns) -> None:
        """Write the column with that number, whose only writer this is. ``ticks`` gives nanoseconds."""
        cells = memory.cells
        self._view, self._cells, self._ticks = memory.view, cells, ticks
        self._sets = cells[COLUMN_SETS]
        self._keys = tuple(cells[FIRST_LIMIT_KEY : FIRST_LIMIT_KEY + KEYS])
        self._bits = cells[LIMIT_BITS_4], cells[LIMIT_BITS_6]
        self._interval, self._room, self._most_open = cells[INTERVAL], cells[ROOM], cells[MOST_OPEN]
        exempt = memory.exempt
        self._exempt = [(int.from_bytes(address, "big"), _ALL_BITS - bits) for address, bits in exempt]
        self._column_size = memory.column_size
        self._column = column
        # By the addresses as they came, of which several may be one.
        self._known: dict[tuple[bytes, int], _Known] = {}

    def admits(self, address: bytes, listener: int) -> bool:
        """Take one connection from a source's rate; return whether there was room for it."""
        if not self._interval:
            return True
        known = self._known.get((address, listener)) or self._know(address, listener)
        if known.is_exempt:
            return True
        view, own, place, admitted = self._view, self._column, NOT_HELD, 0
        now, total, seen, used, at = self._ticks(), 0, 0, 0, 0
        for column in range(self._cells[ACTIVE]):
            record = self._in_column(column, known)
            if record == NOT_HELD:
                continue
            state = _STATE.unpack_from(view, record + _STATE_OFFSET)
            total += state[0]
            if state[3] > at:
                _, seen, used, at = state
            if column == own:
                place, admitted = record, state[0]
        if place == NOT_HELD:
            place = self._take_record(known)
            if place == NOT_HELD:
                return True
        if at:
            used = max(0, used + max(0, total - seen) * self._interval - (now - at))
        within = used + self._interval <= self._room
        if within:
            used += self._interval
        state = admitted + within, total + within, min(used, _LARGEST), now
        _STATE.pack_into(view, place + _STATE_OFFSET, *state)
        return within

    def hold(self, address: bytes, listener: int) -> tuple[bool, int]:
        """Count a connection as open; return whether it is within the limit, and its place for `release`.

        One that is not within the limit is counted, too.
        """
        if not self._most_open:
            return True, NOT_HELD
        known = self._known.get((address, listener)) or self._know(address, listener)
        if known.is_exempt:
            return True, NOT_HELD
        place = self._in_column(self._column, known) or self._take_record(known)
        if place == NOT_HELD:
            return True, NOT_HELD
        places = [self._in_column(column, known) for column in range(self._cells[ACTIVE])]
        number = sum(self._open(each) for each in places if each != NOT_HELD)
        _OPEN.pack_into(self._view, place + _OPEN_OFFSET, self._open(place) + 1)
        return number < self._most_open, place

    def release(self, place: int) -> None:
        """Count a connection as open no longer."""
        if place != NOT_HELD:
            _OPEN.pack_into(self._view, place + _OPEN_OFFSET, self._open(place) - 1)

    def _is_exempt(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        return any(number >> free == network >> free for network, free in self._exempt)

    def _know(self, address: bytes, listener: int) -> _Known:
        """Find out where a source belongs, and remember it."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        kept = masked(address, *self._bits)
        offset = HEAD_SIZE + set_of(kept, listener + 1, self._keys, self._sets) * _SET_SIZE
        known = self._known[address, listener] = _Known(_KEY.pack(kept, listener + 1), offset, self._is_exempt(kept))
        return known

    def _in_column(self, column: int, known: _Known) -> int:
        """Return where a column has the record of a source; `NOT_HELD` if it has none."""
        start = known.offset + column * self._column_size
        at = bytes(self._view[start : start + _SET_SIZE]).find(known.key)
        # What looks like one in the middle of another is none.
        return start + at if at >= 0 and at % LIMIT_RECORD.size == 0 else NOT_HELD

    def _take_record(self, known: _Known) -> int:
        """Return where this worker begins a record of a source: that of the one not heard of for longest goes.

        `NOT_HELD` if all of them have connections that are open.
        """
        start = known.offset + self._column * self._column_size
        places = range(start, start + _SET_SIZE, LIMIT_RECORD.size)
        free = [(self._heard_of(each), each) for each in places if not self._open(each)]
        if not free:
            return NOT_HELD
        place = min(free)[1]
        self._view[place : place + LIMIT_RECORD.size] = known.key + _NOTHING
        return place

    def _open(self, place: int) -> int:
        (number,) = _OPEN.unpack_from(self._view, place + _OPEN_OFFSET)
        return int(number)

    def _heard_of(self, place: int) -> int:
        return int(_STATE.unpack_from(self._view, place + _STATE_OFFSET)[3])
