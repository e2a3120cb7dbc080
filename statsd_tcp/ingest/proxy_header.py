r"""The header that a balancer sends before a client's first byte, in both versions of the PROXY protocol.

Version 1 is a line. Version 2 is binary, and its parts have fixed lengths:

::

    PROXY TCP4 192.0.2.7 198.51.100.1 40000 8125\r\n
    PROXY UNKNOWN ... \r\n

    | \r\n\r\n\0\r\nQUIT\n | 2, command | family, protocol | length | addresses and ports | type, length, value | ...
      12 bytes                1            1                  2        0, 12, 36 or 216      1     2       length

In version 2 the command LOCAL means that the balancer speaks for itself: it checks whether the service lives.
"""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, NamedTuple

__all__ = ["LONGEST_V2", "SIGNATURE", "V1", "V2", "BadHeaderError", "ProxyHeader", "read_header"]

V1: Final = 1
V2: Final = 2
"""The versions, as a set of bits."""

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""What version 2 begins with."""

LONGEST_V2: Final = 4096
"""Bytes of a header in version 2, where the specification lets a sender go to 65,551. Addresses take 232 at most, and
balancers add some hundred: a checksum, names of networks and of certificates."""

_LONGEST_V1: Final = 107
_WORD: Final = b"PROXY "
_FAMILIES_V1: Final = {b"TCP4": AF_INET, b"TCP6": AF_INET6}
_FIELDS_V1: Final = 6
_LONGEST_PORT: Final = len("65535")
_HIGHEST_PORT: Final = 65535

_HEAD_V2: Final = struct.Struct(">12sBBH")
_TLV: Final = struct.Struct(">BH")
_CRC32C: Final = 3
_CHECKSUM: Final = struct.Struct(">I")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _IPV4, _IPV6, _UNIX = range(4)
_ADDRESSES: Final = {_UNSPECIFIED: 0, _IPV4: 12, _IPV6: 36, _UNIX: 216}
_HIGHEST_PROTOCOL: Final = 2


class BadHeaderError(ValueError):
    """What a client sent first is no header, or not a good one."""


class ProxyHeader(NamedTuple):
    """A header of ``length`` bytes.

    ``address`` is the internet address of the client, None if the balancer does not say. ``local``: there is no client.
    """

    length: int
    address: str | None = None
    local: bool = False


def read_header(data: bytes, versions: int) -> ProxyHeader | None:
    """Return the header that ``data`` begins with, in one of these versions; None while it is not whole.

    Raises `BadHeaderError` as soon as it cannot become a good one.
    """
    if versions & V2 and data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _read_v2(data) if len(data) >= _HEAD_V2.size else None
    if versions & V1 and data[: len(_WORD)] == _WORD[: len(data)]:
        return _read_v1(data)
    raise BadHeaderError


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, _LONGEST_V1)
    if end < 0:
        if len(data) >= _LONGEST_V1:
            raise BadHeaderError
        return None
    line = data[:end]
    if not line.endswith(b"\r"):
        raise BadHeaderError
    fields = line[:-1].split(b" ")
    if fields[1] == b"UNKNOWN":
        return ProxyHeader(end + 1)
    family = _FAMILIES_V1.get(fields[1])
    if family is None or len(fields) != _FIELDS_V1:
        raise BadHeaderError
    try:
        client, _ = (inet_ntop(family, inet_pton(family, text.decode("ascii"))) for text in fields[2:4])
    except (OSError, ValueError):
        raise BadHeaderError from None
    if not all(_is_port(text) for text in fields[4:]):
        raise BadHeaderError
    return ProxyHeader(end + 1, client)


def _is_port(text: bytes) -> bool:
    return text.isdigit() and len(text) <= _LONGEST_PORT and int(text) <= _HIGHEST_PORT


def _read_v2(data: bytes) -> ProxyHeader | None:
    _, command, kind, length = _HEAD_V2.unpack_from(data)
    whole = _HEAD_V2.size + length
    if command not in {_LOCAL, _PROXY} or whole > LONGEST_V2:
        raise BadHeaderError
    local = command == _LOCAL
    family, protocol = kind >> 4, kind & 15
    rest = _HEAD_V2.size + _ADDRESSES.get(family, LONGEST_V2)
    # What else a header says that is a balancer's own is not looked at.
    if not local and (protocol > _HIGHEST_PROTOCOL or rest > whole):
        raise BadHeaderError
    if len(data) < whole:
        return None
    if local or family == _UNSPECIFIED:
        return ProxyHeader(whole, None, local)
    _check_tlvs(data[:whole], rest)
    return ProxyHeader(whole, _address(data, family))


def _address(data: bytes, family: int) -> str | None:
    start = _HEAD_V2.size
    if family == _IPV4:
        return inet_ntop(AF_INET, data[start : start + 4])
    return inet_ntop(AF_INET6, data[start : start + 16]) if family == _IPV6 else None


def _check_tlvs(header: bytes, at: int) -> None:
    """Go over what comes after the addresses; raise `BadHeaderError` if it does not end with the header."""
    while at < len(header):
        if len(header) - at < _TLV.size:
            raise BadHeaderError
        kind, length = _TLV.unpack_from(header, at)
        at += _TLV.size
        if length > len(header) - at:
            raise BadHeaderError
        if kind == _CRC32C and (length != _CHECKSUM.size or not _crc32c_fits(header, at)):
            raise BadHeaderError
        at += length


def _crc32c_fits(header: bytes, place: int) -> bool:
    """Return whether the checksum at that place is the header's, made with zeros there."""
    zeros = bytes(_CHECKSUM.size)
    (given,) = _CHECKSUM.unpack_from(header, place)
    return bool(given == crc32c(header[:place] + zeros + header[place + len(zeros) :]))


def crc32c(data: bytes) -> int:
    """Return the checksum of Castagnoli's polynomial, which zlib does not have."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_entry(byte) for byte in range(256))
