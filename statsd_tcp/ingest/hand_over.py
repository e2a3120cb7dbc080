"""The accept lane of a port whose connections the reactor can take over, with an ordinary Factory and Protocol."""

from __future__ import annotations

import errno
import select
from _socket import socket as raw_socket
from collections.abc import Callable
from typing import Any

from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.lane import AcceptLane
from statsd_tcp.ingest.limits import NOT_HELD, ListenerLimits
from statsd_tcp.ingest.moderation import Unfinished
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.ingest.proxied import UnaskedStream
from statsd_tcp.ingest.proxy_header import SIGNATURE
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.wire.grammar import Framing

__all__ = ["HandOver", "HandOverLane"]

HandOver = Callable[[raw_socket, LineStream, int], None]
"""Makes a transport of a connection, given the number of bytes that were read of it; raises `OSError` when it cannot,
and then has closed nothing."""


class HandOverLane(AcceptLane):
    """Keeps no more connections open than there may be, and gives those away that take longer, to ``hand_over``."""

    def __init__(
        self,
        *args: Any,
        intake: Intake,
        index: int,
        occupancy: Occupancy,
        hand_over: HandOver,
        max_line: int,
        framing: Framing = "lines",
    ) -> None:
        """Pass lines to ``intake`` as those of the listener ``index``; the other arguments are the accept lane's."""
        super().__init__(*args)
        self._intake = intake
        self._index = index
        self.occupancy = occupancy
        self.hand_over = hand_over
        self._max_line = max_line
        self._framing: Framing = framing

    def may_accept(self) -> bool:
        """Return whether there is room for one more open connection, or can be made; without it, accepting pauses."""
        if self.occupancy.open < self.occupancy.limit or self._make_room():
            return not self._intake.is_full
        return False

    def make_stream(self, origin: bytes | None) -> LineStream:
        """Make the stream of a connection of which nothing is read yet, or nothing that must be remembered."""
        return LineStream(self._intake, self._index, self._max_line, self._framing, origin)

    def begin_stream(self, data: bytes, origin: bytes | None) -> LineStream:
        """Make the stream of a connection whose first bytes these are."""
        stream = self.make_stream(origin)
        return UnaskedStream(stream, data) if data.startswith(SIGNATURE) else stream

    def broken(self, stream: LineStream) -> int:
        """Return the cell of the reason to close a connection whose stream cannot be read on."""
        return stream.counted_as(self._indexes.error)

    def put_off(self, connection: Unfinished) -> None:
        """Poll a connection again in the next poll."""
        self._moderator.put_off(connection)

    def close(
        self, connection: raw_socket, reason: int, stream: LineStream | None = None, held: int = NOT_HELD
    ) -> None:
        """Close a connection that was open for more than one poll, and count why.

        ``held``: what its limits count it by, if its stream does not know that.
        """
        self._cells[reason] += 1
        if self._limits is not None:
            self._part(self._limits, connection, reason, stream, held)
        connection.close()
        self.occupancy.leave()

    def _part(
        self, limits: ListenerLimits, connection: raw_socket, reason: int, stream: LineStream | None, held: int
    ) -> None:
        limits.release(held)
        if stream is not None:
            stream.leave()
        if reason == self._indexes.limited:
            limits.prepare(connection)

    @property
    def has_little_room(self) -> bool:
        """Return whether only the journal's reserve is left."""
        return self._intake.is_scarce

    def give_away(
        self,
        connection: raw_socket,
        stream: LineStream | None,
        brought: int,
        origin: bytes | None,
        held: int = NOT_HELD,
    ) -> bool:
        """Make a transport of the connection. Without a descriptor for it, count that, and accept nothing for a moment.

        ``brought``: how many bytes were read of it so far. ``held`` is as in `close`, and the stream's then.
        """
        stream = stream or self.make_stream(origin)
        stream.held = stream.held or held
        try:
            self.hand_over(connection, stream, brought)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                self.exhausted(error.errno or 0)
                if held:
                    stream.held = NOT_HELD
                return False
            # The client has reset the connection since the last read, which found nothing.
            stream.finish(clean=False)
            stream.note_end(reset=True)
            self.close(connection, stream.counted_as(self._indexes.reset), stream)
        return True

    def shut(self, connection: raw_socket, stream: LineStream | None, held: int = NOT_HELD) -> None:
        """End a connection whose client is not done, because the service stops."""
        if stream is not None:
            stream.finish(clean=False)
        reason = self._indexes.shutdown
        self.close(connection, reason if stream is None else stream.counted_as(reason), stream, held)

    def _make_room(self) -> bool:
        """Make room for a client that waits; without one, no connection is closed."""
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return False
        if self.occupancy.make_room():
            return True
        self.pause("connections")
        self.occupancy.when_room(self._room_again)
        return False

    def _room_again(self) -> None:
        self.resume("connections")
