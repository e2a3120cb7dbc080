"""One connection of Twisted: a protocol that is its transport's producer, and the attempt to make it."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp_client.lane import Lane
from statsd_tcp_client.threads.connection import disown, tune
from statsd_tcp_client.turning import Turning

__all__ = ["Connection"]


@implementer(IPullProducer)
class Connection(Protocol):
    """Tells a `Turning` how it goes. As a pull producer it is asked for more when the kernel has taken everything."""

    def __init__(self, lane: Lane, turning: Turning, endpoint: Any) -> None:
        self._lane = lane
        self._turning: Turning | None = turning
        self._given = 0
        self._attempt = connectProtocol(endpoint, self)
        self._attempt.addErrback(self._failed)

    # What `Turning` calls.

    def write(self, data: bytes) -> None:
        """Send."""
        transport: Any = self.transport
        transport.write(data)
        # How much is taken is not told until it is all. So part of it may be, and what is lost then is in doubt.
        self._given += len(data) - 1
        self._taken(1)

    def half_close(self) -> None:
        """End this side. A producer would have to end first."""
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseWriteConnection()

    def close(self) -> None:
        """Close it, or give the attempt up."""
        self._turning = None
        transport: Any = self.transport
        if transport is None:
            self._attempt.cancel()
        else:
            transport.unregisterProducer()
            transport.loseConnection()

    def disown(self) -> None:
        """Let the socket be the parent's alone."""
        self._turning = None
        transport: Any = self.transport
        if transport is not None:
            disown(transport.getHandle())

    # What Twisted calls.

    def connectionMade(self) -> None:
        """Begin."""
        transport: Any = self.transport
        if self._turning is None:
            transport.abortConnection()
            return
        tune(transport.getHandle())
        # That asks for more at once, before there is anything.
        transport.registerProducer(self, False)  # an argument of Twisted's
        self._turning.connected(self._lane)

    def dataReceived(self, data: bytes) -> None:
        """Read."""
        if self._turning is not None:
            self._turning.received(self._lane, data)

    def resumeProducing(self) -> None:
        """All is taken."""
        given, self._given = self._given, 0
        if given:
            self._taken(given)

    def stopProducing(self) -> None:
        """The connection is lost, which is told elsewhere."""

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # as Twisted has it
        """Tell the end."""
        self._ended("" if reason.check(ConnectionDone) else reason.getErrorMessage())

    def _taken(self, number: int) -> None:
        if self._turning is not None:
            self._turning.taken(self._lane, number)

    def _failed(self, failure: Failure) -> None:
        self._ended(failure.getErrorMessage())

    def _ended(self, error: str) -> None:
        turning, self._turning = self._turning, None
        if turning is not None:
            turning.ended(self._lane, error)
