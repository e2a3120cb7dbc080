"""The StatsD part of a scrape, written once for all who ask for the same snapshot in the same form at a time.

A compressed body is one gzip member of two parts. The deflated series end at a byte's boundary and refer to nothing
before them, so that what is deflated apart from them, the service's own metrics, may follow:

    header | series, deflated, flushed | own metrics, deflated, ended | CRC-32 of both | length of both
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition import Exposition

__all__ = ["Rendering", "Renderings"]

_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_TRAILER = struct.Struct("<II")

_LEVEL = 1
"""The body is a third larger than with level 9, in a tenth of the time."""


class Rendering:
    """The series of a snapshot in one form, ready to be sent. Never changed; ``size`` is in bytes."""

    def __init__(self, snapshot: Snapshot, pieces: Iterable[bytes], *, compressed: bool) -> None:
        self.snapshot = snapshot
        self.compressed = compressed
        self._length = self._checksum = 0
        self._pieces = list(self._compress(pieces) if compressed else pieces)
        self.size = sum(map(len, self._pieces))

    def last(self, text: bytes) -> bytes:
        """Return what has to be sent after the series so that the body ends with ``text``."""
        if not self.compressed:
            return text
        deflate = _deflate()
        trailer = _TRAILER.pack(zlib.crc32(text, self._checksum), (self._length + len(text)) & 0xFFFFFFFF)
        return b"".join((deflate.compress(text), deflate.flush(), trailer))

    def body(self, last: bytes) -> Iterator[bytes]:
        """Yield the pieces of a body; as long as that is not at its end, the rendering is shared."""
        yield from self._pieces
        yield last

    def _compress(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        deflate = _deflate()
        yield _HEADER
        for piece in pieces:
            self._length += len(piece)
            self._checksum = zlib.crc32(piece, self._checksum)
            yield deflate.compress(piece)
        yield deflate.flush(zlib.Z_FULL_FLUSH)


class Renderings:
    """Makes renderings, one after the other, and shares each while it is still being sent.

    Any thread may use it; ``exposition`` writes the series.
    """

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._lock = Lock()
        self._sent: WeakValueDictionary[tuple[bool, bool], Rendering] = WeakValueDictionary()

    def get(self, snapshot: Snapshot, *, openmetrics: bool, compressed: bool) -> Rendering:
        """Return the series of a snapshot in the form that is asked for."""
        form = openmetrics, compressed
        with self._lock:
            rendering = self._sent.get(form)
            if rendering is None or rendering.snapshot is not snapshot:
                pieces = self._exposition.pieces(snapshot, openmetrics=openmetrics)
                rendering = self._sent[form] = Rendering(snapshot, pieces, compressed=compressed)
            return rendering


def _deflate() -> Any:
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
