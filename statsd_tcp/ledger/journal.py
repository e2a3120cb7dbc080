"""The journal: complete lines, kept in the ledger's ring from before they are looked at until they are committed.

    frame:  | length u32 | crc32 u32 | tick u64 | listener u32 | received u32 | datagrams u32 | zero u32 |
            | lines ... | padding to 8 bytes |

``length`` counts the lines' bytes, ``received`` those that came from the network with them, ``datagrams`` how many
datagrams they were in (0 on a stream). Offsets only grow; a frame lies at ``offset % size`` in the ring and wraps
around at its end byte by byte. The head is stored after the frame's bytes: what lies before it is whole. ``tick`` is
CLOCK_MONOTONIC in nanoseconds, which orders gauges across workers. The checksum is of the head's other fields, the
lines, and the frame's offset, so that a frame of the lap before, left where its successor should lie, is not taken
for it. It decides after a power loss, when pages may have reached the disk in any order.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.reader import RingReader

__all__ = ["Frame", "Journal", "read_frames"]

_FRAME = struct.Struct("<IIQIIII")
_CHECKED = struct.Struct("<QQIII")
FRAME_HEAD = _FRAME.size
_ALIGNMENT = 8


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
            _FRAME.pack_into(self.ring, at, length, crc, tick, listener, received, datagrams, 0)
            self.ring[at + FRAME_HEAD : end] = lines
        else:
            self._wrap(at, _FRAME.pack(length, crc, tick, listener, received, datagrams, 0) + lines)
        self.head = head = head + (FRAME_HEAD + length + 7 & -_ALIGNMENT)
        self.cells[JOURNAL_HEAD] = head

    def catch_up(self) -> None:
        """Go on after the frames that were published without this object, through its ``ring`` and ``cells``."""
        self.head = self.cells[JOURNAL_HEAD]

    def since(self, start: int, most: int) -> Iterator[tuple[int, bytes]]:
        """Yield the listener and the lines of up to ``most`` frames from an offset on that was not released."""
        while start < self.head and most > 0:
            length, _, _, listener, *_ = _FRAME.unpack(_cut(self.ring, start, FRAME_HEAD))
            yield listener, _cut(self.ring, start + FRAME_HEAD, length)
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
    """One frame read back: where the next one begins, and what it holds."""

    next: int
    tick: int
    listener: int
    received: int
    datagrams: int
    lines: bytes


def read_frames(ring: memoryview | RingReader, start: int, head: int) -> Iterator[Frame]:
    """Yield the frames between two offsets, in order, up to the first that is damaged.

    A damaged one is one that cannot have been written whole: that happens only to a ring that lost pages in a power
    loss, and what lies after it cannot be trusted.
    """
    size = len(ring)
    while 0 <= start < head <= start + size:
        length, crc, tick, listener, received, datagrams, _ = _FRAME.unpack(_cut(ring, start, FRAME_HEAD))
        following = start + (FRAME_HEAD + length + 7 & -_ALIGNMENT)
        if following > head:
            return
        lines = _cut(ring, start + FRAME_HEAD, length)
        if crc != zlib.crc32(lines, zlib.crc32(_CHECKED.pack(start, tick, listener, received, datagrams))):
            return
        yield Frame(following, tick, listener, received, datagrams, lines)
        start = following


def _cut(ring: memoryview | RingReader, offset: int, length: int) -> bytes:
    size = len(ring)
    at = offset % size
    first = bytes(ring[at : at + length])
    return first if len(first) == length else first + bytes(ring[: length - len(first)])
