"""Datagrams that a client sends several at once, and how they are read from a socket that keeps them together."""

from __future__ import annotations

import errno
import random
import socket
from contextlib import closing
from functools import partial
from typing import Any, Final, NamedTuple

from statsd_tcp.ingest import native_lanes
from statsd_tcp.ingest.datagrams import LARGEST, ReadDatagrams, read_segments
from statsd_tcp.ingest.frame_origins import PART
from statsd_tcp.ingest.sources import packed_address
from statsd_tcp.kernel.segments import ask_for_segments
from statsd_tcp.who.layout import CELLS_SIZE, KEYS, RECORD
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from statsd_tcp.wire.framing import frame_datagram
from tests.fuzz.material import chunk_of
from tests.fuzz.target import Target, same
from tests.unit.ingest.loopback import UDP_SEGMENT

__all__ = ["TARGET", "Given"]

_burst: Any = getattr(native_lanes, "_burst", None)

_GUARD: Final = 256
_MOST: Final = 60
"""Segments of one send; kernels allow 64 or 128."""

_ROOM: Final = 500_000


class Given(NamedTuple):
    """Sends, each with the size of its segments, and the arguments of the calls that read them."""

    most: int
    batch: int
    pieces: int
    sends: list[tuple[bytes, int]]


def _make(source: random.Random) -> Given:
    sends: list[tuple[bytes, int]] = []
    for _ in range(source.randrange(20)):
        size = source.choice((1, 2, 20, 20, 200, source.randrange(1, 1400)))
        length = source.choice((0, size, size * source.randrange(1, _MOST), source.randrange(size * _MOST)))
        data = chunk_of(source, length)[:length] if length else b""
        if sum(len(sent) for sent, _ in sends) + len(data) <= _ROOM:
            sends.append((data[:65000], size))
    return Given(source.randrange(1, 200), source.choice((1, 100, 50_000)), source.choice((1, 1, 2, 3, 20)), sends)


def _check(given: Given) -> None:
    wanted = [frame_datagram(one) for data, size in given.sends for one in _datagrams(data, size)]
    for read in (read_segments, getattr(_burst, "segments", None)):
        if read is not None:
            count, received, lines = _readings(given, read)
            same("datagrams", len(wanted), count)
            same("bytes", sum(len(data) for data, _ in given.sends), received)
            same("lines", b"".join(wanted), b"".join(lines))
    if _burst is not None:
        _check_sources(given, b"".join(wanted))


def _check_sources(given: Given, lines: bytes) -> None:
    """With their sources the datagrams are read as without them; each send is one part, or more."""
    with closing(SourceMemory.make(SourcePlan(tuple(range(1, 1 + KEYS)), sets=1))) as memory:
        count, _, found = _readings(given, partial(_with, memory))
        records = [one for one in RECORD.iter_unpack(bytes(memory.view[CELLS_SIZE:])) if one[1]]
    same("lines with sources", lines, b"".join(found))
    same("datagrams of a source", [count] if count else [], [one[2] for one in records])


def _with(memory: SourceMemory, *arguments: Any) -> Any:
    result = _burst.segments(*arguments, memory.view, 0)
    parts = list(PART.iter_unpack(result[5]))
    same("origins", {packed_address("127.0.0.1")} if parts else set(), {origin for _, origin in parts})
    same("the end of the parts", [result[1]] if parts else [], [end for end, _ in parts[-1:]])
    return result


def _datagrams(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


def _readings(given: Given, read: ReadDatagrams) -> tuple[int, int, list[bytes]]:
    """Return how many datagrams and bytes were read until nothing is left, and their lines."""
    counted = received = 0
    lines: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port, socket.socket(socket.AF_INET, port.type) as client:
        ask_for_segments(port)
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        port.bind(("127.0.0.1", 0))
        client.connect(port.getsockname())
        for data, size in given.sends:
            client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            client.send(data)
        memory = bytearray(b"\xa5" * (given.pieces * 2 * LARGEST + 2 * _GUARD))
        while True:
            result = read(port, given.most, memoryview(memory)[_GUARD:-_GUARD], given.batch, LARGEST)
            same("guards", b"\xa5" * (2 * _GUARD), bytes(memory[:_GUARD] + memory[-_GUARD:]))
            counted += result[0]
            received += result[2]
            lines.append(bytes(memory[_GUARD : _GUARD + result[1]]))
            if result[4] == errno.EAGAIN:
                return counted, received, lines


TARGET: Final = Target("segments", _make, _check)
