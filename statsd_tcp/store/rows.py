"""What a commit appends to the store's file: the series that came and went, and the numbers that came to them.

    crc32 (4 bytes, little-endian)  row (msgpack)

The checksum covers the row's number too; that of a page covers its key and the number of its last row. Columns in a row
are packed arrays, little-endian: positions of 32 bits, ids of 64, numbers as doubles.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

__all__ = ["Part", "Row", "checked", "decode_row", "encode_row", "sealed"]

_CRC_BYTES: Final = 4

_encoder: Final = msgspec.msgpack.Encoder()


class Part(msgspec.Struct, array_like=True):
    """What happened to the series of one kind, in this order.

    ``gone``: the positions that series have left. ``fresh``, ``ids`` and ``identities``: the positions that new ones
    take, where all numbers are zero then. ``positions`` and ``numbers``: a column for each field of the kind.
    ``emptied``: positions of sets that no longer have members.
    """

    kind: str
    gone: bytes = b""
    fresh: bytes = b""
    ids: bytes = b""
    identities: list[str] = []
    positions: bytes = b""
    numbers: list[bytes] = []
    emptied: bytes = b""

    def is_empty(self) -> bool:
        """Return whether nothing happened."""
        return not (self.gone or self.fresh or self.positions or self.emptied)


class Row(msgspec.Struct, array_like=True):
    """One commit, or a piece of one.

    ``now`` is its moment by the clock of the series, ``ahead`` how far ahead of that the wall clock was; ``next_id`` is
    the first id that no series has had.
    """

    now: float
    ahead: float
    next_id: int
    parts: list[Part]


_decoder: Final = msgspec.msgpack.Decoder(Row)


def encode_row(row: Row, number: int) -> bytes:
    """Return the row with that number as bytes."""
    return sealed(_encoder.encode(row), number)


def decode_row(payload: bytes, number: int) -> Row:
    """Return the row in ``payload``; raises `LookupError` for a damaged one, and msgspec's errors."""
    return _decoder.decode(checked(payload, number))


def sealed(content: bytes, *keys: int) -> bytes:
    """Return some bytes after the checksum of them and of the numbers that are kept with them."""
    return _checksum(content, keys) + content


def checked(payload: bytes, *keys: int) -> memoryview:
    """Return what is after a checksum; raises `LookupError` if that is not its own."""
    content = memoryview(payload)[_CRC_BYTES:]
    if payload[:_CRC_BYTES] != _checksum(content, keys):
        raise LookupError("a checksum is wrong")
    return content


def _checksum(content: bytes | memoryview, keys: tuple[int, ...]) -> bytes:
    return zlib.crc32(content, zlib.crc32(repr(keys).encode())).to_bytes(_CRC_BYTES, "little")
