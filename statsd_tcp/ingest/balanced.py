"""The lanes of listeners behind a balancer: a header of the PROXY protocol comes first, or a confirmation goes last.

Both are for short connections that a balancer relays: the header says where the client is, and the confirmation tells
the client what the end of the connection does not. A listener with neither key has a lane without this class.
"""

from __future__ import annotations

import socket
from _socket import socket as raw_socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from statsd_tcp.ingest.confirming import confirm
from statsd_tcp.ingest.hand_over import HandOverLane
from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.line_lane import NO_BYTE, READS_PER_POLL, LineLane
from statsd_tcp.ingest.native_lanes import NativeLineLane
from statsd_tcp.ingest.proxied import Awaited, ProxiedStream
from statsd_tcp.ingest.proxy_header import V1, V2
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.ingest.trust import Trust

__all__ = ["Balanced", "BalancedLineLane", "NativeBalancedLineLane"]

_VERSIONS = {"": 0, "v1": V1, "v2": V2, "any": V1 | V2}
_STREAM = socket.SOCK_STREAM
_DONTWAIT = socket.MSG_DONTWAIT


class Balanced(HandOverLane):
    """Takes connections from peers that are trusted, and makes streams that begin with a header."""

    def __init__(self, *args: Any, proxy: str = "", trust: Sequence[str] = (), **keywords: Any) -> None:
        """Expect a header of that version from these networks; without a version expect none.

        The other arguments are those of a lane that hands connections over.
        """
        super().__init__(*args, **keywords)
        self._awaited = Awaited(_VERSIONS[proxy], self._indexes)
        self._trust = Trust(trust)
        if self._awaited.versions:
            # The peer is the balancer. Streams tell who the client is, once they know.
            self._sources = None
            self._is_headed = True

    def make_stream(self, origin: bytes | None) -> LineStream:
        """Make the stream of a connection of which nothing is read yet."""
        stream = super().make_stream(origin)
        return ProxiedStream(stream, self._awaited) if self._awaited.versions else stream

    def begin_stream(self, data: bytes, origin: bytes | None) -> LineStream:
        """Make the stream of a connection whose first bytes these are."""
        return self.make_stream(origin) if self._awaited.versions else super().begin_stream(data, origin)

    def turned_away(self, descriptor: int) -> bool:
        """Close a connection whose peer may not say where clients come from, and return whether it was one."""
        connection = raw_socket(self._family, _STREAM, 0, descriptor)
        stranger = self._trust.stranger(connection) if self._awaited.versions else None
        if stranger is None:
            connection.detach()
            return False
        self._intake.note_bad_header(self._index, f"{stranger} is not in trust=".encode())
        # Closing with unread data would send a reset.
        with suppress(OSError):
            self._intake.take(self._index, b"", len(connection.recv(RECEIVE_SIZE, _DONTWAIT)))
        self._cells[self._indexes.bad_proxy_header] += 1
        connection.close()
        return True


class BalancedLineLane(Balanced, LineLane):
    """The lane in Python."""

    def __init__(self, *args: Any, confirms: bool = False, **keywords: Any) -> None:
        """``confirms``: a client that has ended its side is told that all is in a journal."""
        super().__init__(*args, **keywords)
        self._confirms = confirms
        if self._awaited.versions:
            self._last = NO_BYTE

    def serve(self, descriptor: int, origin: bytes | None) -> None:
        """Read what a client has sent. One that is not done is polled again a little later."""
        if not self.turned_away(descriptor):
            super().serve(descriptor, origin)

    def read(
        self,
        connection: raw_socket,
        stream: LineStream | None,
        origin: bytes | None,
        reads: int = READS_PER_POLL,
        *,
        ended: bool = False,
    ) -> tuple[int, LineStream | None, int]:
        """Read what is there, and confirm it to a client that has ended its side."""
        if stream is None and self._awaited.versions:
            stream = self.make_stream(origin)
        reason, stream, brought = super().read(connection, stream, origin, reads, ended=ended)
        if reason and stream is not None:
            reason = stream.counted_as(reason)
        if self._confirms and reason == self._indexes.eof:
            confirm(connection)
        return reason, stream, brought


class NativeBalancedLineLane(BalancedLineLane, NativeLineLane):
    """The lane whose inner loop is in C. What is not a client's good header is left to Python."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """The arguments are those of the lane in Python."""
        super().__init__(*args, **keywords)
        accept: Any = self._burst
        keys = (self._awaited.versions, self._trust.packed, self._confirms)
        self._burst = lambda *arguments: accept(*arguments, *keys)

    def begin_stream(self, data: bytes, origin: bytes | None) -> LineStream:
        """Make the stream of a connection whose first bytes these are. If they are a header, C has read it before."""
        stream = super().begin_stream(data, origin)
        if isinstance(stream, ProxiedStream):
            stream.is_admitted = True
        return stream

    def _go_on(self, descriptor: int, data: bytes | None, origin: bytes | None) -> None:
        # Of a connection that has brought a header the peer is trusted already.
        if data is not None or not self.turned_away(descriptor):
            super()._go_on(descriptor, data, origin)
