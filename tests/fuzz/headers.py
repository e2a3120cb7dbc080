"""Headers of the PROXY protocol, good, bad and changed by chance, read in C and in Python.

What C takes for a client's good header has to be one, with the same length, and C has to find all of them but those
that it leaves to Python. A part of a good header is one that is not whole, and what is bad stays bad however much more
comes.
"""

from __future__ import annotations

import random
from typing import Any, Final, NamedTuple

from statsd_tcp.ingest import native_lanes
from statsd_tcp.ingest.proxy_header import V1, V2, BadHeaderError, ProxyHeader, read_header
from statsd_tcp.ingest.sources import packed_address
from tests.fuzz.target import Target, same
from tests.unit.ingest.headers import ADDRESSES_4, ADDRESSES_6, BAD, GOOD, LOCAL, TCP4, TCP6, tlv, v1, v2, with_checksum

__all__ = ["TARGET", "Given"]

_burst: Any = getattr(native_lanes, "_burst", None)

_KNOWN: Final = [good.data for good in GOOD.values()] + [*LOCAL.values(), *BAD.values()]
_WORDS: Final = (
    "TCP4",
    "TCP6",
    "1.2.3.4",
    "255.255.255.255",
    "::",
    "2001:db8::1",
    "0",
    "65535",
    "65536",
    "",
    "x",
    "\t",
)


class Given(NamedTuple):
    """What a connection begins with, the versions that are expected, and where the data are cut."""

    data: bytes
    versions: int
    cut: int


def _make(source: random.Random) -> Given:
    data = source.choice((_known, _line, _binary))(source)
    for _ in range(source.choice((0, 0, 0, 1, 1, 3))):
        at = source.randrange(len(data))
        data = (
            data[:at] + bytes((source.choice((0, 1, 3, 10, 13, 32, 48, 255, source.randrange(256))),)) + data[at + 1 :]
        )
    if source.randrange(4) == 0:
        data = data[: source.randrange(len(data))]
    else:
        data += b"hits:1|c\n" * source.randrange(3)
    return Given(data, source.choice((V1, V2, V1 | V2, V1 | V2)), source.randrange(len(data) + 1))


def _known(source: random.Random) -> bytes:
    return source.choice(_KNOWN)


def _line(source: random.Random) -> bytes:
    words = [source.choice(_WORDS) for _ in range(source.choice((4, 5, 5, 5, 5, 6)))]
    return v1(" ".join(words))


def _binary(source: random.Random) -> bytes:
    values = [source.randbytes(source.choice((0, 1, 4, 40))) for _ in range(source.randrange(4))]
    more = b"".join(tlv(source.choice((1, 3, 4, 0xEA)), value) for value in values)
    if source.randrange(3) == 0:
        return with_checksum(more, tlv(4, b"abc"), source.choice((0, 0, 1)))
    family, addresses = source.choice(((TCP4, ADDRESSES_4), (TCP6, ADDRESSES_6)))
    return v2(addresses + more, family)


def _check(given: Given) -> None:
    whole = _read(given.data, given.versions)
    part = _read(given.data[: given.cut], given.versions)
    if isinstance(whole, ProxyHeader):
        same("a part", whole if given.cut >= whole.length else None, part)
    elif part is not None:
        same("bad from there on", part, whole)
    if _burst is not None:
        length, client = _burst.header(given.data, given.versions)
        same("in C", _ordinary(whole, given.data), length)
        if length and isinstance(whole, ProxyHeader):
            same("client", whole.address and packed_address(whole.address), client)


def _read(data: bytes, versions: int) -> ProxyHeader | str | None:
    try:
        return read_header(data, versions)
    except BadHeaderError:
        return "bad"


def _ordinary(header: ProxyHeader | str | None, data: bytes) -> int:
    """Return the length of a header with which C can go on; 0 for all else."""
    if not isinstance(header, ProxyHeader) or header.local or data.startswith(b"PROXY UNKNOWN"):
        return 0
    return header.length


TARGET: Final = Target("headers", _make, _check)
