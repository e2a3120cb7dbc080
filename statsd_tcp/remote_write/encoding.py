"""The requests of remote write 1.0: protobuf's wire format, written by hand, in a block of snappy.

    WriteRequest    0A len TimeSeries   0A len TimeSeries   ...
    TimeSeries      0A len Label   0A len Label   ...   12 len Sample
    Label           0A len name    12 len value
    Sample          09 (8 bytes: the value, a double)   10 (varint: milliseconds since 1970)

Source: Prometheus' prompb/remote.proto and prompb/types.proto. Labels are in the order of their names. None is empty
and none is there twice. A series has one sample in a request.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import cramjam

__all__ = [
    "EMPTY",
    "MOST_BYTES",
    "MOST_SERIES",
    "STALE",
    "Body",
    "Moment",
    "bodies",
    "bodies_of_groups",
    "compressed",
    "label_fields",
    "labels_of",
    "read_labels",
    "split",
]

MOST_SERIES: Final = 5000
"""Series of a request: receivers take thousands, and one that is refused is found in few halves."""

MOST_BYTES: Final = 1 << 20
"""Bytes of a request before it is compressed, a thirtieth of what Prometheus takes."""

STALE: Final = struct.pack("<Q", 0x7FF0000000000002)
"""The value that says that a series ends. It is a NaN, and only these bits mean it."""

_LENGTH_DELIMITED_1: Final = 0x0A
_MORE: Final = 0x80
_LOW: Final = 0x7F

_pack = struct.Struct("<d").pack


class Body(NamedTuple):
    """A request as it is sent, and how many series it has."""

    series: int
    content: bytes


def label_fields(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return the fields of a series that have its labels, its name being the one called ``__name__``."""
    fields = bytearray()
    for name, value in sorted(pairs):
        if value:
            # What came in is UTF-8; if anything else ever got this far, it must not hold up the rest.
            label = _field(0x0A, name.encode()) + _field(0x12, value.encode("utf-8", "replace"))
            fields += _field(0x0A, label)
    return bytes(fields)


class Moment:
    """Writes series with a sample of one moment, in milliseconds since 1970.

    What is before the value is the same for all moments of the same ``length``, which is that of a sample.
    """

    def __init__(self, milliseconds: int) -> None:
        self._behind = b"\x10" + _varint(milliseconds)
        self._before = b"\x12" + _varint(9 + len(self._behind)) + b"\x09"
        self._stale = STALE + self._behind
        self.length = len(self._before) + len(self._stale)

    def start(self, labels: bytes) -> bytes:
        """Return the field of a request that has a series with these labels, up to its value."""
        return b"".join((b"\x0a", _varint(len(labels) + self.length), labels, self._before))

    def sample(self, start: bytes, value: float) -> bytes:
        """Return the field of a request, of which the start is given, with this value."""
        return start + _pack(value) + self._behind

    def end(self, start: bytes) -> bytes:
        """Return the field of a request that says that a series ends."""
        return start + self._stale

    def series(self, labels: bytes, value: float) -> bytes:
        """Return the field of a request that has a series with this value."""
        return self.sample(self.start(labels), value)


def bodies(series: Iterable[bytes]) -> Iterator[Body]:
    """Put series into requests, in their order, and compress these."""
    some: list[bytes] = []
    size = 0
    for field in series:
        if some and (len(some) == MOST_SERIES or size + len(field) > MOST_BYTES):
            yield Body(len(some), compressed(some))
            some, size = [], 0
        some.append(field)
        size += len(field)
    if some:
        yield Body(len(some), compressed(some))


def bodies_of_groups(groups: Iterable[Sequence[bytes]]) -> Iterator[Body]:
    """Put groups of series into requests, each group into one, in their order, and compress these."""
    some: list[bytes] = []
    size = 0
    for group in groups:
        length = sum(map(len, group))
        if some and (len(some) + len(group) > MOST_SERIES or size + length > MOST_BYTES):
            yield Body(len(some), compressed(some))
            some, size = [], 0
        some += group
        size += length
    if some:
        yield Body(len(some), compressed(some))


def compressed(series: Sequence[bytes]) -> bytes:
    """Return a request with these series as it is sent: a block of snappy, without its framing."""
    return bytes(cramjam.snappy.compress_raw(b"".join(series)))


EMPTY: Final = b"\x00"
"""A request without series, compressed: a receiver that takes anything takes it."""


def split(content: bytes) -> list[bytes]:
    """Return the series of a request that is one of ours."""
    message = bytes(cramjam.snappy.decompress_raw(content))
    found, position = [], 0
    while position < len(message):
        start = position
        if message[position] != _LENGTH_DELIMITED_1:
            raise ValueError("a request has something else than series")
        length, position = _read_varint(message, position + 1)
        position += length
        found.append(message[start:position])
    return found


def labels_of(field: bytes) -> bytes:
    """Return the labels of a series in a request, by which it is known from others."""
    _, start = _read_varint(field, 1)
    position = start
    while field[position] == _LENGTH_DELIMITED_1:
        length, position = _read_varint(field, position + 1)
        position += length
    return field[start:position]


def read_labels(labels: bytes) -> Iterator[tuple[str, str]]:
    """Return the names and values of labels, as `labels_of` returns these."""
    position = 0
    while position < len(labels):
        _, position = _read_varint(labels, position + 1)
        name, position = _read_text(labels, position)
        value, position = _read_text(labels, position)
        yield name, value


def _read_text(message: bytes, position: int) -> tuple[str, int]:
    length, position = _read_varint(message, position + 1)
    return message[position : position + length].decode(), position + length


def _field(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number <= _LOW:
        return bytes((number,))
    written = bytearray()
    while number > _LOW:
        written.append(number & _LOW | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a number, and where what is behind it begins."""
    number = shift = 0
    while True:
        byte = message[position]
        position += 1
        number |= (byte & _LOW) << shift
        if byte < _MORE:
            return number, position
        shift += 7
