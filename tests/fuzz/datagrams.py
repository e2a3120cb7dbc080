"""Datagrams read into one buffer in C, against the same read in Python, and against what was sent.

The buffer lies between two guards and is as small as it may be.
"""

from __future__ import annotations

import errno
import random
import socket
from contextlib import closing
from functools import partial
from typing import Any, Final, NamedTuple

from statsd_tcp.ingest import native_lanes
from statsd_tcp.ingest.datagrams import ReadDatagrams, read_datagrams
from statsd_tcp.ingest.frame_origins import PART
from statsd_tcp.ingest.sources import UNKNOWN, packed_address
from statsd_tcp.who.layout import CELLS_SIZE, KEYS, RECORD
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from statsd_tcp.wire.framing import frame_datagram
from tests.fuzz.material import chunk_of
from tests.fuzz.target import Target, same

__all__ = ["TARGET", "Given"]

_burst: Any = getattr(native_lanes, "_burst", None)

_GUARD: Final = 256
_MOST_OVER_UDP: Final = 65507
_WAITING: Final = 10
"""The room of a Unix socket, in datagrams."""

_ROOM: Final = 100_000
"""Bytes that certainly fit into a socket's buffer."""

Read = tuple[tuple[int, int, int, int, int, bytes], bytes]


class Given(NamedTuple):
    """Datagrams, and the arguments of the calls that read them."""

    family: int
    most: int
    batch: int
    largest: int
    datagrams: list[bytes]


def _make(source: random.Random) -> Given:
    family = source.choice((socket.AF_UNIX, socket.AF_INET))
    largest = source.choice((1, source.randrange(1, 100), source.randrange(1, 3000), 65536))
    batch = source.choice((1, 2, source.randrange(1, 200), source.randrange(1, 50_000)))
    datagrams: list[bytes] = []
    for _ in range(source.randrange(_WAITING + 1)):
        data = _datagram(source, largest)
        if sum(map(len, datagrams)) + len(data) <= _ROOM:
            datagrams.append(data)
    if family == socket.AF_INET:
        datagrams = [data[:_MOST_OVER_UDP] for data in datagrams]
    return Given(int(family), source.randrange(1, 12), batch, largest, datagrams)


def _datagram(source: random.Random, largest: int) -> bytes:
    size = source.choice((0, 1, 20, 20, 200, largest - 1, largest, largest + 1, 2 * largest))
    data = chunk_of(source, min(size, 80_000)) if size else b""
    return data[: size if source.randrange(2) else len(data) - source.randrange(2)][:80_000]


def _check(given: Given) -> None:
    if _burst is None:
        return
    found, wanted = _readings(given, _burst.datagrams), _readings(given, read_datagrams)
    same("readings", wanted, found)
    _check_sources(given, found)
    same("datagrams", len(given.datagrams), sum(result[0] for result, _ in found))
    whole = [data for data in given.datagrams if len(data) <= given.largest]
    same("bytes", sum(map(len, whole)), sum(result[2] for result, _ in found))
    lines = b"".join(memory[_GUARD : _GUARD + result[1]] for result, memory in found)
    same("lines", b"".join(map(frame_datagram, whole)), lines)


def _check_sources(given: Given, found: list[Read]) -> None:
    """With their sources the datagrams are read as without them; each that is whole has a part."""
    with closing(SourceMemory.make(SourcePlan(tuple(range(1, 1 + KEYS)), sets=1))) as memory:
        with_sources = _readings(given, partial(_with, memory))
        records = [one for one in RECORD.iter_unpack(bytes(memory.view[CELLS_SIZE:])) if one[1]]
    same("with sources", [(one[:5], data) for one, data in found], [(one[:5], data) for one, data in with_sources])
    parts = [part for (*_, found_parts), _ in with_sources for part in PART.iter_unpack(found_parts)]
    whole = [data for data in given.datagrams if len(data) <= given.largest]
    origin = packed_address("127.0.0.1") if given.family == socket.AF_INET else UNKNOWN
    same("origins", [origin] * len(whole), [one for _, one in parts])
    same("datagrams of a source", [len(whole)] if whole and any(origin) else [], [one[2] for one in records])


def _with(memory: SourceMemory, *arguments: Any) -> Any:
    return _burst.datagrams(*arguments, memory.view, 0)


def _readings(given: Given, read: ReadDatagrams) -> list[Read]:
    """Return what each call returned, with all of the memory after it, until nothing is left."""
    port, client = _pair(given.family)
    with port, client:
        for data in given.datagrams:
            client.send(data)
        done = []
        while True:
            memory = bytearray(b"\xa5" * (given.batch + given.largest + 1 + 2 * _GUARD))
            buffer = memoryview(memory)[_GUARD:-_GUARD]
            result = read(port, given.most, buffer, given.batch, given.largest)
            done.append((result, bytes(memory)))
            same("guards", b"\xa5" * (2 * _GUARD), bytes(memory[:_GUARD] + memory[-_GUARD:]))
            if result[4] == errno.EAGAIN:
                return done


def _pair(family: int) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        port, client = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    else:
        port, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        port.bind(("127.0.0.1", 0))
        client.connect(port.getsockname())
    client.setblocking(False)
    return port, client


TARGET: Final = Target("datagrams", _make, _check)
