"""Where each frame of the journal came from, until it is known which lines were bad.

Lines are read once for all their repetitions, up to a second after they came. If some of them are bad, the journal
still has every frame that they may be in: what is not in the store yet. So nothing is done for it on the way, but to
keep the frames' origins in their order.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from statsd_tcp.ledger.journal import Journal
from statsd_tcp.who.layout import ADDRESS_SIZE
from statsd_tcp.who.table import AddSource

__all__ = ["LARGEST_PARTS", "MOST_FRAMES", "PART", "FrameOrigins"]

MOST_FRAMES = 16384
"""Frames that are searched for bad lines at once, at most: some 20 milliseconds. Bad lines in others are not told."""

LARGEST_PARTS = 1 << 20
"""Bytes of what is kept about the datagrams of frames; there may be more of them than frames."""

PART = struct.Struct(f"=I{ADDRESS_SIZE}s")
"""A part of a frame, as datagrams make it: where it ends, and its origin."""


class FrameOrigins:
    """The origins of the frames since `blame` was called last, in order."""

    def __init__(self, journal: Journal) -> None:
        """Begin at the journal's present end."""
        self._journal = journal
        self._start = journal.head
        self._kept: list[bytes | tuple[bytes]] = []
        self._parts = 0
        self.add = self._kept.append
        """Add those of frames that are from one origin each, one after the other in one string of bytes."""

    def add_parts(self, parts: bytes) -> None:
        """Add those of one frame that is from several: a `PART` for each."""
        self._parts += len(parts)
        self._kept.append((parts if self._parts <= LARGEST_PARTS else b"",))

    def blame(self, bad: Mapping[int, Collection[bytes]], add: AddSource) -> None:
        """Find the origins of bad lines, by listener and without their ends; tell them to ``add``, and start again."""
        if bad:
            for (origin, listener), count in self._found(bad).items():
                add(origin, listener, 0, 0, 0, count)
        self._start = self._journal.head
        self._parts = 0
        self._kept.clear()

    def _found(self, bad: Mapping[int, Collection[bytes]]) -> Counter[tuple[bytes, int]]:
        found: Counter[tuple[bytes, int]] = Counter()
        for (listener, lines), origins in zip(
            self._journal.since(self._start, MOST_FRAMES), self._each(), strict=False
        ):
            wanted = bad.get(listener)
            if wanted:
                for origin, part in _parts(origins, lines):
                    count = sum(line in wanted for line in part.split(b"\n"))
                    if count and any(origin):
                        found[origin, listener] += count
        return found

    def _each(self) -> Iterator[bytes | tuple[bytes]]:
        """Yield the origins of one frame after the other."""
        for kept in self._kept:
            if isinstance(kept, tuple):
                yield kept
            else:
                for at in range(0, len(kept), ADDRESS_SIZE):
                    yield kept[at : at + ADDRESS_SIZE]


def _parts(origins: bytes | tuple[bytes], lines: bytes) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(origins, bytes):
        yield origins, lines
        return
    start = 0
    for end, origin in PART.iter_unpack(origins[0]):
        yield origin, lines[start:end]
        start = end
