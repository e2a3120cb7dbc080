"""The format of a ledger file: one file per life of a worker, memory-mapped by its writer and its readers.

    +--------+-----------+-------------------+----------------------------------+
    | header | directory | cells             | ring                             |
    | 128 B  | JSON      | 64-bit unsigned   | frames of complete lines         |
    +--------+-----------+-------------------+----------------------------------+

The header says where the parts are. The directory names each cell. A cell has one writer, its worker, and is stored in
one aligned 64-bit access, so that a reader never sees half a number. Numbers are little-endian. The ring's frames are
described in `statsd_tcp.ledger.journal`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from statsd_tcp.formats import LEDGER, LEDGERS
from statsd_tcp.words import in_words

__all__ = [
    "CellName",
    "Directory",
    "Header",
    "LedgerCounts",
    "LedgerError",
    "pack_header",
    "read_directory",
    "read_header",
]

MAGIC = b"STSCLEDG"
HEADER_SIZE = 128
CELL_SIZE = 8
CACHE_LINE = 64

_HEADER = struct.Struct("<8sIIQ16s16sQQQQQQ")
_CHECKSUM = struct.Struct("<I")
_CHECKSUM_AT = HEADER_SIZE - _CHECKSUM.size


class LedgerError(Exception):
    """A file that is not a ledger of this version, or is damaged; the text names the file and the fault."""


class Directory(msgspec.Struct, frozen=True):
    """The variable part of a ledger file: its cells' names in their order, and its listeners' labels and grammars.

    A grammar is written as `wire.grammar.named` reads it: a dialect, and where it differs from that.
    A frame of the journal names its listener by its index among ``listeners``.
    """

    cells: list[CellName] = msgspec.field(name="slots")
    listeners: list[tuple[str, str]]


class CellName(NamedTuple):
    """What one cell counts: the metric, the listener's label, and the reason or errno ("" where there is none)."""

    metric: str
    listener: str = ""
    detail: str = ""


class LedgerCounts(msgspec.Struct, frozen=True):
    """One ledger as it was read now: its id, its worker's slot, its boot, and what its cells count.

    Cells that hold no durable count (the heartbeat, the journal's offsets, ``paused``) may be among the
    values; the store leaves them out.
    """

    ledger_id: str
    worker: int
    boot_id: str
    values: Mapping[CellName, int]


class Header(NamedTuple):
    """The fixed part of a ledger file.

    ``ledger_id`` and ``boot_id`` are 16 bytes each; ``created`` is wall time in nanoseconds; the rest are offsets and
    sizes in bytes, except ``cell_count``.
    """

    worker: int
    created: int
    ledger_id: bytes
    boot_id: bytes
    directory_at: int
    directory_size: int
    cells_at: int
    cell_count: int
    ring_at: int
    ring_size: int

    @property
    def file_size(self) -> int:
        """Return the size in bytes of the whole file."""
        return self.ring_at + self.ring_size


def plan_header(
    worker: int,
    created: int,
    ledger_id: bytes,
    boot_id: bytes,
    directory: bytes,
    cell_count: int,
    ring_size: int,
) -> Header:
    """Lay the parts out one after the other, each from a cache line of its own."""
    cells_at = _aligned(HEADER_SIZE + len(directory), CACHE_LINE)
    ring_at = _aligned(cells_at + cell_count * CELL_SIZE, CACHE_LINE)
    return Header(
        worker,
        created,
        ledger_id,
        boot_id,
        HEADER_SIZE,
        len(directory),
        cells_at,
        cell_count,
        ring_at,
        ring_size,
    )


def pack_header(header: Header) -> bytes:
    """Return the header's bytes, closed by a checksum."""
    body = _HEADER.pack(MAGIC, LEDGER, header.worker, *header[1:]).ljust(_CHECKSUM_AT, b"\0")
    return body + _CHECKSUM.pack(zlib.crc32(body))


def read_header(data: bytes | memoryview, size: int, path: str) -> Header:
    """Read and check the header of the ``size`` bytes long file at ``path``; raises `LedgerError`."""
    body = bytes(data[:HEADER_SIZE])
    if len(body) < HEADER_SIZE or body[: len(MAGIC)] != MAGIC:
        raise LedgerError(f"{path} is not a ledger")
    if _CHECKSUM.unpack_from(body, _CHECKSUM_AT)[0] != zlib.crc32(body[:_CHECKSUM_AT]):
        raise LedgerError(f"{path}: the header is damaged (its checksum is wrong)")
    _, version, *fields = _HEADER.unpack_from(body)
    if version not in LEDGERS:
        raise LedgerError(f"{path}: format version {version}; this program reads {LEDGER}")
    header = Header(*fields)
    if size < header.file_size:
        raise LedgerError(f"{path} is torn: {size} of {header.file_size} bytes")
    return header


def pack_directory(directory: Directory) -> bytes:
    """Return the directory's bytes."""
    return msgspec.json.encode(directory)


def read_directory(data: bytes, path: str) -> Directory:
    """Read the directory back; raises `LedgerError`."""
    try:
        return msgspec.json.decode(data, type=Directory)
    except msgspec.MsgspecError as error:
        raise LedgerError(f"{path}: the directory is damaged: {in_words(error)}") from None


def _aligned(offset: int, to: int) -> int:
    return -(-offset // to) * to
