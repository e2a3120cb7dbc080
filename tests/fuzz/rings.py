"""Frames that the accept lane in C writes into a ring, against the same frames written by a `Journal`.

The ring lies between two guards, its head may be anywhere in it, and there may be room for little. All bytes of memory
and all cells have to be what Python leaves.
"""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack, closing
from typing import Any, Final, NamedTuple

from statsd_tcp.ingest import native_lanes
from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED, ledger_cells, listener_cells
from statsd_tcp.ledger.journal import FRAME_HEAD, Journal, read_frames
from statsd_tcp.who.layout import CELLS_SIZE, KEYS, RECORD, Record, unix_address
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from statsd_tcp.wire.samples import GAUGE_MARK
from tests.fuzz.material import chunk_of
from tests.fuzz.target import Target, same

__all__ = ["TARGET", "Given"]

_burst: Any = getattr(native_lanes, "_burst", None)

_GUARD: Final = 256
_LARGEST: Final = 1 << 16
_SMALLEST_RING: Final = _LARGEST + FRAME_HEAD
_INDEXES: Final = listener_cells(0)
_COUNTS: Final = (_INDEXES.accepted, _INDEXES.eof, _INDEXES.reset, _INDEXES.error, JOURNAL_HEAD)
_CELLS: Final = len(ledger_cells(["tcp:1"]))


class Given(NamedTuple):
    """A ring of ``size``, written from ``head`` on, and what clients send; those of ``open`` do not end."""

    size: int
    head: int
    room: int
    reads: int
    at_once: int
    budget: int
    clients: list[bytes]
    open: list[bool]


class _Memory:
    """A ring between guards, and cells."""

    def __init__(self, given: Given) -> None:
        self.bytes = bytearray(random.Random(given.head).randbytes(given.size + 2 * _GUARD))
        self.ring = memoryview(self.bytes)[_GUARD : _GUARD + given.size]
        self.cells = memoryview(bytearray(8 * _CELLS)).cast("Q")
        self.cells[JOURNAL_HEAD] = given.head
        self.cells[JOURNAL_RELEASED] = max(0, given.head - given.size + given.room)


def _make(source: random.Random) -> Given:
    size = _SMALLEST_RING + 8 * source.choice((0, 1, source.randrange(1000), source.randrange(10_000)))
    # Also where a frame's head, or its last byte, meets the end of the ring.
    at = source.choice((0, size - 8 * source.randrange(1, 12), 8 * source.randrange(size // 8)))
    head = at + size * source.choice((0, 1, 7, source.randrange(1 << 40)))
    at_once = source.choice((_LARGEST, _LARGEST, source.randrange(1, 5000), source.randrange(1, 64)))
    # What one read may bring always fits; the brim says so.
    least = FRAME_HEAD + (at_once + 7 & -8)
    room = source.choice((size, least, least + 8 * source.randrange(100)))
    clients = [_stream(source) for _ in range(source.randrange(1, 6))]
    open_ones = [not source.randrange(5) for _ in clients]
    return Given(
        size, head, min(room, size), source.randrange(1, 6), at_once, source.randrange(1, 7), clients, open_ones
    )


def _stream(source: random.Random) -> bytes:
    size = source.choice((0, 10, 10, 100, 3000, _LARGEST - 100))
    data = chunk_of(source, size) if size else b""
    return data[: _LARGEST if source.randrange(4) else source.randrange(len(data) + 1)]


def _check(given: Given) -> None:
    if _burst is None:
        return
    found, wanted = _Memory(given), _Memory(given)
    released = found.cells[JOURNAL_RELEASED]
    brim = released + given.size - FRAME_HEAD - (given.at_once + 7 & -8)
    brim = max(0, min(brim, given.head + given.size))
    with ExitStack() as stack:
        memory = stack.enter_context(closing(SourceMemory.make(SourcePlan(tuple(range(1, 1 + KEYS)), sets=1))))
        listener = stack.enter_context(_listening(given, stack))
        counted = (found.cells, _COUNTS, found.ring, 3, brim, 77, memory.view)
        taken, error, chunks, gauges, received, tick, unfinished, origins = _burst.lines(
            listener.fileno(), given.budget, given.reads, given.at_once, *counted
        )
        left = [(data, stack.enter_context(socket.socket(fileno=number))) for number, data, _, _ in unfinished]
        frames = list(read_frames(found.ring, given.head, found.cells[JOURNAL_HEAD]))
        _check_sources(memory, taken, [frame.lines for frame in frames], origins)
        model = _Model(given, wanted, brim, [frame.tick for frame in frames])
        model.run()
        same("taken", model.taken, taken)
        same("unfinished", model.unfinished, [data for data, _ in left])
    same("frames", model.frames, [(frame.listener, frame.received, frame.lines) for frame in frames])
    same("chunks", [lines for lines in model.lines if GAUGE_MARK not in lines], chunks)
    same("gauges", [lines for lines in model.lines if GAUGE_MARK in lines], [lines for _, lines, _ in gauges])
    before = [
        sum(GAUGE_MARK not in each for each in model.lines[:at])
        for at, lines in enumerate(model.lines)
        if GAUGE_MARK in lines
    ]
    same("chunks before gauges", before, [number for *_, number in gauges])
    same(
        "ticks of gauges", [frame.tick for frame in frames if GAUGE_MARK in frame.lines], [tick for tick, *_ in gauges]
    )
    ticks = [77, *[frame.tick for frame in frames]]
    same("order of ticks", sorted(ticks), ticks)
    same("tick", ticks[-1], tick)
    same("received", sum(map(len, model.lines)), received)
    same("cells", wanted.cells.tolist(), found.cells.tolist())
    if found.bytes != wanted.bytes:
        differing = [at - _GUARD for at in range(len(found.bytes)) if found.bytes[at] != wanted.bytes[at]]
        raise AssertionError(f"the ring differs at {differing[:20]}")
    if not error and taken < min(given.budget, len(given.clients)) and not model.ended:
        same("head beyond the brim", True, found.cells[JOURNAL_HEAD] > brim)


def _check_sources(memory: SourceMemory, taken: int, frames: list[bytes], origins: bytes) -> None:
    """All clients are one source, and each frame is from it."""
    here = unix_address(os.getuid())
    same("origins", here * len(frames), origins)
    records = (Record(*one) for one in RECORD.iter_unpack(bytes(memory.view[CELLS_SIZE:])))
    lines, nbytes = sum(frame.count(b"\n") for frame in frames), sum(map(len, frames))
    wanted = [Record(here, 4, taken, 0, lines, nbytes, 0, 0, 0, 0, 0)] if taken else []
    same("sources", wanted, [one for one in records if one.listener])


def _listening(given: Given, stack: ExitStack) -> socket.socket:
    """Return a port at which the clients wait. A Unix one: what was sent is there at once, as is an end."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(b"")
    listener.listen(16)
    listener.setblocking(False)
    for data, stays in zip(given.clients, given.open, strict=True):
        client = socket.socket(socket.AF_UNIX)
        client.connect(listener.getsockname())
        client.setblocking(False)
        same("sent", len(data), client.send(data) if data else 0)
        if stays:
            stack.enter_context(client)
        else:
            client.close()
    return listener


class _Model:
    """What the lane in C has to do, in few words: the frames are written by a `Journal`."""

    def __init__(self, given: Given, memory: _Memory, brim: int, ticks: list[int]) -> None:
        self._given = given
        self._cells = memory.cells
        self._journal = Journal(memory.ring, memory.cells)
        self._brim = brim
        self._ticks = iter(ticks)
        self.taken = 0
        self.ended = False
        self.lines: list[bytes] = []
        self.frames: list[tuple[int, int, bytes]] = []
        self.unfinished: list[bytes | None] = []

    def run(self) -> None:
        """Serve the clients in their order."""
        for data, stays in zip(self._given.clients, self._given.open, strict=True):
            if self.taken == self._given.budget or self.ended or self._journal.head > self._brim:
                break
            self.taken += 1
            self._cells[_INDEXES.accepted] += 1
            self._serve(data, stays)

    def _serve(self, data: bytes, stays: bool) -> None:
        for read in range(self._given.reads):
            piece, data = data[: self._given.at_once], data[self._given.at_once :]
            if self._journal.head > self._brim or (not piece and stays):
                self._leave(b"" if read else None)
                return
            if not piece:
                self._cells[_INDEXES.eof] += 1
                return
            # What begins with a carriage return may be a header.
            if not piece.endswith(b"\n") or piece.startswith(b"\r"):
                self._leave(piece)
                return
            self._journal.append(3, piece, next(self._ticks, 0), len(piece))
            self.lines.append(piece)
            self.frames.append((3, len(piece), piece))
        self._leave(b"")

    def _leave(self, data: bytes | None) -> None:
        self.unfinished.append(data)
        self.ended = bool(data)


TARGET: Final = Target("rings", _make, _check)
