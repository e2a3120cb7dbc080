"""The connections of a TLS port, which always get a transport.

What a client sends first is a handshake, of which the accept lane could make nothing. One that does not come to its end
in time is broken off. A handshake that fails, for whatever reason, is a connection closed for ``error``.
"""

from __future__ import annotations

import time
from _socket import socket as raw_socket
from collections.abc import Callable
from typing import Any, cast

from OpenSSL.SSL import Error
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.line_lane import READS_AT_THE_END
from statsd_tcp.ingest.protocol import LineFactory, LineProtocol
from statsd_tcp.ingest.storing import Storing
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.ingest.tls_transport import HeadedTlsTransport, TlsTransport

__all__ = ["HANDSHAKE_TIMEOUT", "StoringTlsProtocol", "TlsFactory", "TlsProtocol"]

STAYS = 100_000_000
"""Nanoseconds after which a connection that brings something is one that stays. The lane for those is polled under
load. A handshake costs so much that polling would not save anything, and its client waits for each step."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds in which a handshake must be through: two round trips, and a client that may be busy."""

BETWEEN_CHECKS = 1.0
"""Seconds between two checks for handshakes that take too long, while there are any."""


class TlsProtocol(LineProtocol):
    """One client that uses TLS."""

    factory: TlsFactory
    secure = False
    is_plain = False
    is_kept = False
    """Whether it waits with the connections that stay."""

    def connectionMade(self) -> None:
        """Join the factory's connections, and those whose handshake is not through."""
        super().connectionMade()
        self.factory.begun(self)

    def handshakeCompleted(self) -> None:
        """Note that the handshake is through."""
        self.secure = True
        self.factory.done(self)

    def dataReceived(self, data: bytes) -> None:
        """Take what the client sent. A connection that stays waits in another place from then on."""
        super().dataReceived(data)
        if self.heard - self.begun >= STAYS and not self.is_kept:
            self._stay()

    def _stay(self) -> None:
        keep = self.factory.keep
        # One that is paused would be read again.
        if keep is not None and not (self.is_held or self.factory.is_paused or self.is_ending):
            self.is_kept = True
            keep(self.transport)

    def bad_header(self) -> None:
        """End the connection: what came before the handshake is no header."""
        self.end(self.factory.indexes.error)

    def reason_of(self, lost: Failure) -> int:
        """Return the cell of the reason. Only an end that TLS has announced is a clean one."""
        indexes, why = self.factory.indexes, lost.value
        if not self.secure or isinstance(why, Error):
            return indexes.error
        return indexes.eof if isinstance(why, ConnectionDone) else indexes.reset

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count why it ended."""
        self.factory.done(self)
        super().connectionLost(reason)

    def part_for_age(self, now: int) -> None:
        """Close the connection: TLS has no end of one side that clients go on sending after."""
        self.part(self.factory.indexes.max_age)

    def read_rest(self) -> int:
        """Read and decrypt without waiting; return the cell of the reason if the connection has ended, else 0."""
        transport = cast("TlsTransport", self.transport)
        for _ in range(READS_AT_THE_END):
            if self.stream.intake.is_full:
                break
            is_all, lost = transport.take()
            if self.is_ending:
                return self._reason
            if lost is not None:
                return self.reason_of(lost)
            if is_all and not transport.has_more():
                break
        return 0


class StoringTlsProtocol(Storing, TlsProtocol):
    """One that is told which of its batches are stored."""


class TlsFactory(LineFactory):
    """The connections of one TLS listener."""

    ordinary = TlsProtocol

    def __init__(self, *args: Any, context: Any, keep: Callable[[Any], None] | None = None, **keywords: Any) -> None:
        """Use a factory of TLS contexts. ``keep`` is told only of transports that stay, the others wait in the reactor.

        The other arguments are `LineFactory`'s.
        """
        super().__init__(*args, **keywords)
        self.keep = keep
        self._context = context.getContext()
        self._transport = HeadedTlsTransport if self.is_headed else TlsTransport
        # In the order in which they began, so that those that take too long come first.
        self._handshakes: dict[TlsProtocol, int] = {}
        self._check: IDelayedCall | None = None

    def hand_over(self, connection: raw_socket, stream: LineStream, brought: int) -> None:
        """Make a transport of a connection of the accept lane."""
        connection.setblocking(False)
        protocol = cast("TlsProtocol", self.make_protocol(stream, brought))
        transport = self._transport(self.reactor, connection, self._context, protocol)
        transport.startReading()
        protocol.makeConnection(transport)

    def begun(self, protocol: TlsProtocol) -> None:
        """Note a handshake that has begun."""
        self._handshakes[protocol] = time.monotonic_ns()
        if self._check is None:
            self._check = self.reactor.callLater(BETWEEN_CHECKS, self._end_late)

    def done(self, protocol: TlsProtocol) -> None:
        """Note that a handshake is over, in whatever way."""
        self._handshakes.pop(protocol, None)

    def drain(self) -> None:
        """Read what has come on every connection, and end them all."""
        if self._check is not None:
            self._check.cancel()
            self._check = None
        super().drain()

    def _end_late(self) -> None:
        self._check = None
        latest = time.monotonic_ns() - int(HANDSHAKE_TIMEOUT * NANOSECONDS)
        for protocol in [one for one, since in self._handshakes.items() if since < latest]:
            protocol.end(self.indexes.error)
        if self._handshakes:
            self._check = self.reactor.callLater(BETWEEN_CHECKS, self._end_late)
