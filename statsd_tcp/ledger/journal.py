"""The journal: complete lines, kept in the ledger's ring from before they are looked at until they are committed.

    frame:  | length u32 | crc32 u32 | tick u64 | listener u32 | received u32 | datagrams u32 | kind u32 |
            | lines ... | padding to 8 bytes |

``length`` counts the lines' bytes, and those before them: a frame of kind 1 is a batch, and begins with its client's
id, 16 bytes, and its number u64. The checksum is of the kind too, so that a reader that knows kind 0 only finds such a
frame damaged.

``received`` are the bytes that came from the network with the lines, ``datagrams`` how many datagrams they were in (0
on a stream). Offsets only grow; a frame lies at ``offset % size`` in the ring and wraps around at its end byte by byte.
The head is stored after the frame's bytes: what lies before it is whole. ``tick`` is CLOCK_MONOTONIC in nanoseconds,
which orders gauges across workers. The checksum is of the head's other fields, the lines, and the frame's offset, so
that a frame of the lap before, left where its successor should lie, is not taken for it. It decides after a power loss,
when pages may have reached the disk in any order.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.reader import RingReader
from statsd_tcp.wire.batches import BatchKey

__all__ = ["BATCH_OVERHEAD", "Frame", "Journal", "read_frames"]

_FRAME = struct.Struct("<IIQIIII")
_CHECKED = struct.Struct("<QQIII")
_KEY = struct.Struct("<16sQ")
_LINES, _BATCH = range(2)
_BATCH_MARK = _BATCH.to_bytes(4, "little")
FRAME_HEAD = _FRAME.size
_ALIGNMENT = 8

BATCH_OVERHEAD = FRAME_HEAD + _KEY.size + _ALIGNMENT
"""Bytes of the journal that a batch takes beyond its lines, at most."""


class Journal:
    """The writing side of a ledger's ring. One worker has it."""

    __slots__ = ("_size", "cells", "head", "released", "ring")

    def __init__(self, ring: memoryview, cells: memoryview) -> None:
        """Go on where the ledger's cells say."""
        self.ring = ring
        self._size = len(ring)
        self.cells = cells
        self.head: int = cells[JOURNAL_HEAD]
        self.released: int = cells[JOURNAL_RELEASED]

    def room(self) -> int:
        """Return how many bytes of lines certainly fit as one frame."""
        return self._size - (self.head - self.released) - FRAME_HEAD - _ALIGNMENT

    def append(self, listener: int, lines: bytes, tick: int, received: int, datagrams: int = 0) -> None:
        """Publish one frame. The caller has seen to the room."""
        length = len(lines)
        head = self.head
        # Of both together at once: the same number as one after the other, and a call less.
        crc = zlib.crc32(_CHECKED.pack(head, tick, listener, received, datagrams) + lines)
        at = head % self._size
        end = at + FRAME_HEAD + length
        if end <= self._size:
            _FRAME.pack_into(self.ring, at, length, crc, tick, listener, received, datagrams, _LINES)
            self.ring[at + FRAME_HEAD : end] = lines
        else:
            self._wrap(at, _FRAME.pack(length, crc, tick, listener, received, datagrams, _LINES) + lines)
        self.head = head = head + (FRAME_HEAD + length + 7 & -_ALIGNMENT)
        self.cells[JOURNAL_HEAD] = head

    def append_batch(self, listener: int, batch: BatchKey, lines: bytes, tick: int, received: int) -> None:
        """Publish one frame with a batch. The caller has seen to the room."""
        data = _KEY.pack(*batch) + lines
        crc = zlib.crc32(_CHECKED.pack(self.head, tick, listener, received, 0) + _BATCH_MARK + data)
        frame = _FRAME.pack(len(data), crc, tick, listener, received, 0, _BATCH) + data
        at = self.head % self._size
        if at + len(frame) <= self._size:
            self.ring[at : at + len(frame)] = frame
        else:
            self._wrap(at, frame)
        self.head = head = self.head + (len(frame) + 7 & -_ALIGNMENT)
        self.cells[JOURNAL_HEAD] = head

    def catch_up(self) -> None:
        """Go on after the frames that were published without this object, through its ``ring`` and ``cells``."""
        self.head = self.cells[JOURNAL_HEAD]

    def since(self, start: int, most: int) -> Iterator[tuple[int, bytes]]:
        """Yield the listener and the lines of up to ``most`` frames from an offset on that was not released.

        Of batches there are no lines: they were looked at when they came.
        """
        while start < self.head and most > 0:
            length, _, _, listener, *_, kind = _FRAME.unpack(_cut(self.ring, start, FRAME_HEAD))
            yield listener, b"" if kind == _BATCH else _cut(self.ring, start + FRAME_HEAD, length)
            start += FRAME_HEAD + length + 7 & -_ALIGNMENT
            most -= 1

    def release(self, committed: int) -> None:
        """Free the space before that offset: what was there is in the store."""
        if committed > self.released:
            self.released = self.cells[JOURNAL_RELEASED] = committed

    def _wrap(self, at: int, frame: bytes) -> None:
        first = self._size - at
        self.ring[at:] = frame[:first]
        self.ring[: len(frame) - first] = frame[first:]


class Frame(NamedTuple):
    """One frame read back: where the next one begins, and what it holds; ``batch``: which one its lines are, if any."""

    next: int
    tick: int
    listener: int
    received: int
    datagrams: int
    lines: bytes
    batch: BatchKey | None = None


def read_frames(ring: memoryview | RingReader, start: int, head: int) -> Iterator[Frame]:
    """Yield the frames between two offsets, in order, up to the first that is damaged.

    A damaged one is one that cannot have been written whole: that happens only to a ring that lost pages in a power
    loss, and what lies after it cannot be trusted.
    """
    size = len(ring)
    while 0 <= start < head <= start + size:
        length, crc, tick, listener, received, datagrams, kind = _FRAME.unpack(_cut(ring, start, FRAME_HEAD))
        following = start + (FRAME_HEAD + length + 7 & -_ALIGNMENT)
        if following > head:
            return
        lines = _cut(ring, start + FRAME_HEAD, length)
        mark = _BATCH_MARK if kind == _BATCH else b""
        if crc != zlib.crc32(lines, zlib.crc32(_CHECKED.pack(start, tick, listener, received, datagrams) + mark)):
            return
        batch = BatchKey(*_KEY.unpack_from(lines)) if kind == _BATCH else None
        yield Frame(following, tick, listener, received, datagrams, lines[_KEY.size :] if batch else lines, batch)
        start = following


def _cut(ring: memoryview | RingReader, offset: int, length: int) -> bytes:
    size = len(ring)
    at = offset % size
    first = bytes(ring[at : at + length])
    return first if len(first) == length else first + bytes(ring[: length - len(first)])
