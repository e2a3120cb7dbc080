"""The connections of a TLS port, which always get a transport.

What a client sends first is a handshake, of which the accept lane could make nothing. One that does not come to its end
in time is broken off. A handshake that fails, for whatever reason, is a connection closed for ``error``.
"""

from __future__ import annotations

import time
from typing import Any, cast

from OpenSSL.SSL import Error
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.line_lane import READS_AT_THE_END
from statsd_tcp.ingest.protocol import LineFactory, LineProtocol
from statsd_tcp.ingest.storing import Storing

__all__ = ["HANDSHAKE_TIMEOUT", "StoringTlsProtocol", "TlsFactory", "TlsProtocol"]

HANDSHAKE_TIMEOUT = 10.0
"""Seconds in which a handshake must be through: two round trips, and a client that may be busy."""

BETWEEN_CHECKS = 1.0
"""Seconds between two checks for handshakes that take too long, while there are any."""


@implementer(IHandshakeListener)
class TlsProtocol(LineProtocol):
    """One client that uses TLS. Its transport is a `twisted.protocols.tls.TLSMemoryBIOProtocol`."""

    factory: TlsFactory
    secure = False

    def connectionMade(self) -> None:
        """Join the factory's connections, and those whose handshake is not through."""
        super().connectionMade()
        self.factory.begun(self)

    def handshakeCompleted(self) -> None:
        """Note that the handshake is through."""
        self.secure = True
        self.factory.done(self)

    def reason_of(self, lost: Failure) -> int:
        """Return the cell of the reason. Only an end that TLS has announced is a clean one."""
        if self.secure and not lost.check(Error):
            return super().reason_of(lost)
        return self.factory.indexes.error

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count why it ended."""
        self.factory.done(self)
        super().connectionLost(reason)

    def end(self, reason: int) -> None:
        """Close the connection. Twisted would wait for the other side to agree, for ever."""
        super().end(reason)
        if self.transport is not None:
            cast("Any", self.transport).transport.loseConnection()

    def part_for_age(self, now: int) -> None:
        """Close the connection: TLS has no end of one side that clients go on sending after."""
        self.part(self.factory.indexes.max_age)

    def connection(self) -> Any:
        """Return the connection's socket, below TLS."""
        return cast("Any", self.transport).transport.getHandle()

    def close(self, reason: int) -> None:
        """Announce the end as TLS wants it, and close the connection in the same moment."""
        raw = cast("Any", self.transport).transport
        self.end(reason)
        raw.doWrite()
        raw.connectionLost(connectionDone)

    def read_rest(self) -> int:
        """Read and decrypt without waiting; return the cell of the reason if the connection has ended, else 0."""
        tls = cast("Any", self.transport)
        indexes, connection = self.factory.indexes, tls.transport
        receive = self.connection().recv
        for _ in range(READS_AT_THE_END):
            if self.stream.intake.is_full:
                break
            try:
                data = receive(RECEIVE_SIZE)
            except BlockingIOError:
                break
            except OSError:
                return indexes.reset
            if not data:
                return indexes.reset
            tls.dataReceived(data)
            if connection.disconnecting:
                return indexes.eof if self.secure else indexes.error
        return 0


class StoringTlsProtocol(Storing, TlsProtocol):
    """One that is told which of its batches are stored."""


class _HeadedTls(BufferingTLSTransport):
    """TLS that begins after a header."""

    wrappedProtocol: TlsProtocol

    def dataReceived(self, data: bytes) -> None:
        """Take what was received; of the first bytes what is not the header's."""
        client = self.wrappedProtocol
        rest = client.stream.strip(data) if client.stream.awaits_header else data
        if rest is None:
            client.end(client.factory.indexes.error)
        elif rest:
            super().dataReceived(rest)


class TlsFactory(LineFactory):
    """The connections of one TLS listener."""

    ordinary = TlsProtocol

    def __init__(self, *args: Any, context: Any, **keywords: Any) -> None:
        """Use a factory of TLS contexts; the other arguments are `LineFactory`'s."""
        super().__init__(*args, **keywords)
        self.outermost = TLSMemoryBIOFactory(context, False, self, self.reactor)
        if self.is_headed:
            self.outermost.protocol = _HeadedTls
        self.outermost.noisy = False
        # In the order in which they began, so that those that take too long come first.
        self._handshakes: dict[TlsProtocol, int] = {}
        self._check: IDelayedCall | None = None

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
