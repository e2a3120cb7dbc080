"""The lane of a port whose connections always get a transport, with nothing read of them before."""

from __future__ import annotations

import socket
from _socket import socket as raw_socket

from statsd_tcp.ingest.balanced import Balanced
from statsd_tcp.ingest.hand_over import HandOverLane
from statsd_tcp.ingest.stream import LineStream

__all__ = ["BalancedGivingLane", "GivingLane"]

_STREAM = socket.SOCK_STREAM


class GivingLane(HandOverLane):
    """Counts connections and gives every one of them away."""

    def serve(self, descriptor: int, origin: bytes | None) -> None:
        """Make a transport of the connection; without a descriptor for it, try again a little later."""
        connection = raw_socket(self._family, _STREAM, 0, descriptor)
        self.occupancy.open += 1
        stream = self.make_stream(origin)
        if not stream.stay():
            self.close(connection, self._indexes.limited)
        elif not self.give_away(connection, stream, 0, origin):
            self.put_off(_UntouchedConnection(self, connection, stream))


class BalancedGivingLane(Balanced, GivingLane):
    """The lane of a listener behind a balancer, whose header comes before all else."""

    def serve(self, descriptor: int, origin: bytes | None) -> None:
        """Make a transport of the connection, if it comes from a balancer."""
        if not self.turned_away(descriptor):
            super().serve(descriptor, origin)


class _UntouchedConnection:
    """A connection for whose transport there was no descriptor."""

    def __init__(self, lane: GivingLane, connection: raw_socket, stream: LineStream) -> None:
        self._lane = lane
        self._connection = connection
        self._stream = stream

    def poll(self) -> None:
        """Try again to give it away."""
        if not self._lane.give_away(self._connection, self._stream, 0, None):
            self._lane.put_off(self)

    def drain(self) -> None:
        """End it."""
        self._lane.shut(self._connection, self._stream)
