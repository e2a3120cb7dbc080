"""The datagram lanes: drain a socket in batches."""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from statsd_tcp.ingest.frame_origins import PART
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.pace import Pace, PacedSocket
from statsd_tcp.ingest.sources import ListenerSources, WorkerSources
from statsd_tcp.ingest.watched import Watched
from statsd_tcp.kernel.segments import UDP_GRO
from statsd_tcp.wire.framing import BEGINNING
from statsd_tcp.wire.reasons import TRUNCATED

__all__ = ["DatagramLane", "ReadDatagrams", "SegmentLane", "UnixDatagramLane", "read_datagrams", "read_segments"]

BUDGET = 1024
"""Datagrams read in one poll."""

MOST = 256
"""Datagrams that one call of `ReadDatagrams` reads, at most."""

BATCH_SIZE = 49152
"""Bytes of lines that are given on together, so that many small datagrams share one frame of the journal."""

LARGEST = 65536
"""Bytes read of one datagram, or of several that come at once."""

PIECES = 16
"""Reads of that size for which the buffer of a `SegmentLane` has room."""

# With the second flag recv(2) gives the size of the whole datagram, also of one that is larger than the buffer.
_AT_ONCE = socket.MSG_DONTWAIT | socket.MSG_TRUNC
_NEWLINE = 10
_WHOLE = (b"", b"\n")
_SIZE = struct.Struct("=i")
_ROOM_FOR_SIZE = socket.CMSG_SPACE(_SIZE.size)

ReadDatagrams = Callable[..., tuple[int, int, int, int, int, bytes]]
"""What `read_datagrams` does."""


def read_datagrams(
    port: socket.socket,
    most: int,
    buffer: memoryview,
    batch: int,
    largest: int,
    sources: WorkerSources | None = None,
    index: int = 0,
) -> tuple[int, int, int, int, int, bytes]:
    """Read datagrams into a buffer, one after the other, each with the newline that it may lack.

    Up to ``most`` datagrams or ``batch`` bytes, each of at most ``largest``. Returns their number, where they end,
    how many bytes were received, whether the last one is cut off and lies after that end, and an error's number or 0;
    and, if they are told to ``sources``, as those of the listener ``index``, where each part is from.
    """
    receive, end, received, count, parts = port.recv_into, 0, 0, 0, b""
    try:
        while count < most and end < batch:
            start = end
            if sources is None:
                size = receive(buffer[end:], largest, _AT_ONCE)
            else:
                size, peer = port.recvfrom_into(buffer[end:], largest, _AT_ONCE)
            count += 1
            if size > largest:
                return count, end, received, 1, 0, parts
            received += size
            end += size
            if size and buffer[end - 1] != _NEWLINE:
                buffer[end] = _NEWLINE
                end += 1
            if sources is not None:
                origin = sources.origin_at(peer[0])
                sources.add(origin, index, 1, bytes(buffer[start:end]).count(b"\n"), size)
                parts += PART.pack(end, origin)
    except OSError as error:
        return count, end, received, 0, error.errno or 0, parts
    return count, end, received, 0, 0, parts


def read_segments(
    port: socket.socket,
    most: int,
    buffer: memoryview,
    batch: int,
    largest: int,
    sources: WorkerSources | None = None,
    index: int = 0,
) -> tuple[int, int, int, int, int, bytes]:
    """Do what `read_datagrams` does, of a UDP socket of which one read may give several datagrams at once.

    Nothing is cut off. For each read twice ``largest`` must be free in the buffer, which so says how much is read at
    most. More datagrams than ``most`` may come with the last read. A part is what one read gave.
    """
    end, received, count, parts = 0, 0, 0, b""
    try:
        while count < most and end < batch and len(buffer) - end >= 2 * largest:
            data, told, _, peer = port.recvmsg(largest, _ROOM_FOR_SIZE, socket.MSG_DONTWAIT)
            size = next((_SIZE.unpack(value)[0] for _, kind, value in told if kind == UDP_GRO), len(data)) or 1
            pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
            lines = b"".join(piece if piece[-1:] in _WHOLE else piece + b"\n" for piece in pieces)
            buffer[end : end + len(lines)] = lines
            count += len(pieces)
            received += len(data)
            end += len(lines)
            if sources is not None:
                origin = sources.origin_at(peer[0])
                sources.add(origin, index, len(pieces), lines.count(b"\n"), len(data))
                parts += PART.pack(end, origin)
    except OSError as error:
        return count, end, received, 0, error.errno or 0, parts
    return count, end, received, 0, 0, parts


class DatagramLane(Watched[socket.socket]):
    """One UDP socket."""

    def __init__(
        self,
        reactor: Any,
        port: socket.socket,
        intake: Intake,
        index: int,
        moderator: Moderator,
        lost: Callable[[Failure], None],
        read: ReadDatagrams = read_datagrams,
        sources: ListenerSources | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Pass the lines to ``intake`` as those of the listener ``index``.

        ``sources``: where it is told who sends, if it is; a Unix socket does not say it. ``pace`` is told for how long
        the socket can wait after a poll, if its moderator goes by that.
        """
        super().__init__(reactor, port, moderator, lost)
        self._pace = pace
        self._paced = PacedSocket(port)
        self._read = read
        self._intake = intake
        self._index = index
        self._told = () if sources is None else (sources.writer, sources.index)
        # All datagrams of a batch are read into one buffer, one after the other, each with the newline that it may
        # lack: no object and no copy for each. Measured: 0.9 instead of 1.0 to 1.5 microseconds a datagram.
        self._buffer = self._make_buffer()
        self._view = memoryview(self._buffer)
        self._is_empty = False

    def pause(self, why: str) -> None:
        """Read nothing, until `resume`: the kernel's buffer fills, and then drops, which it counts."""
        self._moderator.remove(self)

    def resume(self, why: str) -> None:
        """Read again, unless it was stopped meanwhile."""
        if not self._stopped:
            self._moderator.add(self)

    def poll(self) -> int:
        """Read up to the budget, and return the number of datagrams."""
        patience = 0.0 if self._pace is None else self._paced.patience(self._intake.tick)
        taken = 0
        self._is_empty = False
        while taken < BUDGET and not self._is_empty and not self._intake.is_full:
            taken += self._batch(min(MOST, BUDGET - taken))
        if self._pace is not None:
            self._pace.note(patience if taken < BUDGET else 0.0)
        return taken

    def _make_buffer(self) -> bytearray | mmap.mmap:
        return bytearray(BATCH_SIZE + LARGEST + 1)

    def _room(self) -> memoryview:
        """Return the buffer. A full journal still has room for it."""
        return self._view

    def _batch(self, most: int) -> int:
        count, end, received, cut, error, parts = self._read(
            self._port, most, self._room(), BATCH_SIZE, LARGEST, *self._told
        )
        if cut:
            whole = self._cut(end)
            received += whole
            end += whole
        if count:
            self._intake.take(self._index, bytes(self._view[:end]), received, count, parts=parts)
        # An error queued on the socket (an ICMP answer, say) is reported once and concerns no datagram.
        self._is_empty = error == errno.EAGAIN or not (count or error)
        return count or int(not self._is_empty)

    def _cut(self, start: int) -> int:
        """Count the line in which a datagram of a Unix socket was cut off; return the bytes of whole lines before."""
        whole = max(0, self._buffer.rfind(b"\n", start, start + LARGEST) + 1 - start)
        line = self._view[start + whole : start + LARGEST]
        self._intake.reject(self._index, TRUNCATED, 1, bytes(line[:BEGINNING]))
        return whole


class SegmentLane(DatagramLane):
    """One UDP socket of which one read may give several datagrams, so that a batch may be large."""

    def _make_buffer(self) -> mmap.mmap:
        # Its pages are there when something is read into them; a bytearray is filled with zeros at once.
        return mmap.mmap(-1, BATCH_SIZE + PIECES * 2 * LARGEST)

    def _room(self) -> memoryview:
        """Return the buffer, or as much of it as the journal has room for: a piece, if it is not full."""
        room = self._intake.journal.room()
        return self._view if room >= len(self._view) else self._view[:room]


class UnixDatagramLane(DatagramLane):
    """One Unix datagram socket, read as soon as something is there, under load too.

    Such a socket has room for few datagrams, ten unless ``net.unix.max_dgram_qlen`` says otherwise; a client that finds
    it full waits, or gives up. Polling once a millisecond would limit it to ten thousand a second.
    """

    def doRead(self) -> None:
        """Take what waits."""
        self._moderator.read_at_once(self)

    def start(self) -> None:
        """Start reading."""
        self.watch()

    def pause(self, why: str) -> None:
        """Read nothing, until `resume`: the senders wait, or are told that there is no room."""
        self.unwatch()

    def resume(self, why: str) -> None:
        """Read again, unless it was stopped meanwhile."""
        if not self._stopped:
            self.watch()

    def stop(self) -> None:
        """Stop reading for good; only a call of `poll` still reads."""
        self._stopped = True
        self.unwatch()
