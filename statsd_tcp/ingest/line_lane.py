"""The accept lane of a port whose connections carry StatsD lines."""

from __future__ import annotations

import errno
import socket
from _socket import socket as raw_socket
from select import EPOLLIN
from typing import Any

from statsd_tcp.ingest.hand_over import HandOverLane
from statsd_tcp.ingest.intake import SHARE
from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.limits import NOT_HELD, ListenerLimits
from statsd_tcp.ingest.parking import end_of_stream
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.wire.grammar import Framing

__all__ = ["NO_BYTE", "READS_AT_THE_END", "READS_PER_POLL", "RECEIVE_SIZE", "LineLane", "UnfinishedConnection"]

_NEWLINE = ord("\n")

NO_BYTE = -1
"""Stands for the last byte of data that are all complete lines, where there is none."""

_RETURN = ord("\r")
"""No line begins with a carriage return; the signature of the PROXY protocol does."""

READS_PER_POLL = 4
"""Reads of one connection in one poll, so that one fast sender cannot own the reactor."""

READS_AT_THE_END = 256
"""Reads of one connection when the service stops: 16 MiB, more than a socket's buffer usually holds. Who keeps sending
must not keep the service from its end."""

POLLS_AT_REST = 1
"""So often, a millisecond apart, an unfinished connection is polled again before the reactor gets it. At rest
wake-ups are dearer than a transport; under load it is parked."""

_DONTWAIT = socket.MSG_DONTWAIT
_STREAM = socket.SOCK_STREAM


class LineLane(HandOverLane):
    """Reads what a short connection sends where it is accepted; what takes longer goes to ``hand_over``."""

    def __init__(self, *args: Any, framing: Framing = "lines", **keywords: Any) -> None:
        """The arguments are those of a lane that hands connections over."""
        super().__init__(*args, framing=framing, **keywords)
        self.end_of_stream = end_of_stream(self._family)
        # The last byte of data that are all complete lines. None is where lengths, not newlines, say what is whole.
        self._last = _NEWLINE if framing == "lines" else NO_BYTE

    def serve(self, descriptor: int, origin: bytes | None) -> None:
        """Read what a client has sent. One that is not done is polled again a little later."""
        connection = raw_socket(self._family, _STREAM, 0, descriptor)
        reason, stream, brought = self.read(connection, None, origin)
        self.close_or_wait(descriptor, connection, reason, stream, brought, origin)

    def close_or_wait(
        self,
        descriptor: int,
        connection: raw_socket,
        reason: int,
        stream: LineStream | None,
        brought: int,
        origin: bytes | None,
    ) -> None:
        """Close a connection after its first poll, or have it polled again if there is no reason to."""
        held = NOT_HELD
        if self._limits is not None:
            reason, held = self._limited(self._limits, connection, reason, stream, origin)
        if reason:
            # Counted first: if we die in between, our death closes it.
            self._cells[reason] += 1
            connection.close()
        else:
            self.occupancy.open += 1
            unfinished = UnfinishedConnection(self, connection, stream, POLLS_AT_REST, brought, origin, held)
            if not self._moderator.busy or not self.park(descriptor, unfinished):
                unfinished.put_off()

    def _limited(
        self,
        limits: ListenerLimits,
        connection: raw_socket,
        reason: int,
        stream: LineStream | None,
        origin: bytes | None,
    ) -> tuple[int, int]:
        """Count a connection as open that is to stay; return the cell of the reason to close it, and what counts it."""
        held = NOT_HELD
        if not reason:
            may_stay = True
            if stream is not None:
                may_stay = stream.stay()
            elif origin is not None:
                may_stay, held = limits.hold(origin)
            reason = 0 if may_stay else self._indexes.limited
            if stream is not None and reason:
                stream.finish(clean=False)
        if reason == self._indexes.limited:
            limits.prepare(connection)
        return reason, held

    def read(
        self,
        connection: raw_socket,
        stream: LineStream | None,
        origin: bytes | None,
        reads: int = READS_PER_POLL,
        *,
        ended: bool = False,
    ) -> tuple[int, LineStream | None, int]:
        """Read what is there; return the cell of the reason to close it, or 0 while the client is not done.

        While there is none, the last part is how many bytes were read: no more than a share of the journal's reserve in
        one poll, once only that is left. A stream is made only for a connection that
        needs one: most bring whole lines. If the client is known to have ``ended``, a read that could have brought more
        was the last one.
        """
        intake, receive = self._intake, connection.recv
        brought = 0
        for _ in range(reads):
            if intake.is_full:
                return 0, stream, brought
            try:
                data = receive(RECEIVE_SIZE, _DONTWAIT)
            except BlockingIOError:
                return 0, stream, brought
            except OSError as error:
                return self._broken(stream, error, origin), stream, brought
            if data:
                size = len(data)
                brought += size
                if stream is None and data[-1] == self._last and data[0] != _RETURN:
                    intake.take(self._index, data, size, origin=origin)
                else:
                    stream = stream or self.begin_stream(data, origin)
                    if not stream.feed(data):
                        return self.broken(stream), stream, brought
                if not ended or size == RECEIVE_SIZE:
                    if brought >= SHARE and intake.is_scarce and reads <= READS_PER_POLL:
                        return 0, stream, brought
                    continue
            if stream is not None:
                stream.finish(clean=True)
            return self._indexes.eof, stream, brought
        return 0, stream, brought

    def park(self, descriptor: int, connection: UnfinishedConnection) -> bool:
        """Let the kernel say when there is something to read; return whether it can."""
        try:
            self._moderator.parking.add(descriptor, connection)
        except OSError:
            # Out of memory, or of the user's share of watches, see epoll(7).
            return False
        return True

    def _broken(self, stream: LineStream | None, error: OSError, origin: bytes | None) -> int:
        if stream is not None:
            stream.finish(clean=False)
            origin = stream.origin
        if error.errno != errno.ECONNRESET:
            return self._indexes.error
        if origin is not None:
            self._intake.note_end(origin, self._index, reset=True)
        return self._indexes.reset


class UnfinishedConnection:
    """A connection of a line lane whose client was not done at the first poll."""

    __slots__ = ("_brought", "_connection", "_held", "_lane", "_origin", "_polls", "_stream", "until")

    def __init__(
        self,
        lane: LineLane,
        connection: raw_socket,
        stream: LineStream | None,
        polls: int,
        brought: int,
        origin: bytes | None,
        held: int = NOT_HELD,
    ) -> None:
        """Poll again ``polls`` times at most. ``brought``: how many bytes were read of it so far."""
        self._lane = lane
        self._connection = connection
        self._stream = stream
        self._polls = polls
        self._brought = brought
        self._origin = origin
        self._held = held
        self.until = 0

    def put_off(self) -> None:
        """Let it be polled again."""
        self._lane.put_off(self)

    def ready(self, events: int) -> bool:
        """Read what the kernel says has arrived, and return whether the connection is closed now."""
        lane = self._lane
        # Looked at here first: a call costs more.
        if self._brought and self._brought >= SHARE and lane.has_little_room:
            return False
        # Data alone is read once: were there more, the next poll would be told. All else is read to the end.
        reads = 1 if events == EPOLLIN else READS_PER_POLL
        ended = events == lane.end_of_stream
        reason, self._stream, brought = lane.read(self._connection, self._stream, self._origin, reads, ended=ended)
        if reason:
            lane.close(self._connection, reason, self._stream, self._held)
            return True
        self._brought += brought
        return False

    def poll(self) -> None:
        """Read what has come; hand the connection over when it has been polled often enough."""
        if self._brought < SHARE or not self._lane.has_little_room:
            reason, self._stream, brought = self._lane.read(self._connection, self._stream, self._origin)
            self._brought += brought
            if reason:
                self._lane.close(self._connection, reason, self._stream, self._held)
                return
        if self._polls > 1:
            self._polls -= 1
        elif self._lane.give_away(self._connection, self._stream, self._brought, self._origin, self._held):
            return
        self.put_off()

    def drain(self) -> None:
        """Read what has come, and end the connection in any case."""
        reason, self._stream, _ = self._lane.read(self._connection, self._stream, self._origin, READS_AT_THE_END)
        if reason:
            self._lane.close(self._connection, reason, self._stream, self._held)
        else:
            self._lane.shut(self._connection, self._stream, self._held)
