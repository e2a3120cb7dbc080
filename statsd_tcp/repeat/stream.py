"""Lines on their way to a server over TCP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.repeat.queue import LineQueue, Repeated
from statsd_tcp.settings.repeat import Target
from statsd_tcp.words import in_words

__all__ = ["StreamSender"]

CONNECT_TIMEOUT = 10
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts to connect, doubled with each that fails."""

CLOSE_TIME = 1.0
"""Seconds that what was written may take to be read by the other side, at the end."""


class StreamSender:
    """Writes lines to a connection that is made again whenever it is lost. While there is none they wait."""

    def __init__(self, reactor: Any, target: Target, endpoint: Any = None) -> None:
        """Connect through ``endpoint``, which by default is made from the target."""
        if endpoint is None:
            endpoint = HostnameEndpoint(reactor, target.host, target.port, timeout=CONNECT_TIMEOUT)
        self._reactor = reactor
        self._queue = LineQueue(target.label)
        self._writer: _Writer | None = None
        self._closed: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None
        pauses = backoffPolicy(SHORTEST_PAUSE, LONGEST_PAUSE, factor=2.0)
        attempts = _Attempts(endpoint, self._not_connected)
        self._client = ClientService(attempts, _Writers(self), retryPolicy=pauses, clock=reactor)
        self._failing = False
        # Connects when there is something to send, so that a worker that gets no lines keeps nothing open.
        self._started = False

    def send(self, lines: bytes) -> None:
        """Send lines, each of which ends in a newline."""
        if not self._started:
            self._started = True
            self._queue.error = "not connected"
            self._client.startService()
        self._queue.put(lines)
        self.flush()

    def flush(self) -> None:
        """Write what waits, if the other side keeps up."""
        if self._writer is None or self._writer.paused or not self._queue.size:
            return
        lines = self._queue.take()
        if lines:
            self._queue.sent(lines.count(b"\n"), len(lines))
            self._writer.write(lines)

    def report(self) -> Repeated:
        """Return what has happened since the last call."""
        return self._queue.report()

    def close(self) -> Deferred[None]:
        """Return what waits a moment to be read by the other side, and disconnect."""
        if not self._started:
            return succeed(None)
        if self._writer is None and (self._failing or not self._queue.size):
            return _ended(self._client.stopService())
        closed: Deferred[None] = Deferred()
        self._closed = closed
        self._deadline = self._reactor.callLater(CLOSE_TIME, self._out_of_time)
        if self._writer is not None:
            self._end(self._writer)
        return closed.addCallback(lambda _: _ended(self._client.stopService()))

    def connected(self, writer: _Writer) -> None:
        """Start writing."""
        self._writer = writer
        self._failing = False
        self._queue.error = ""
        if self._closed is None:
            self.flush()
        else:
            self._end(writer)

    def lost(self, why: str) -> None:
        """Take note that the connection is gone; what was written but not read is lost."""
        self._writer = None
        if self._closed is not None:
            self._done(self._closed)
            return
        self._queue.failed()
        self._queue.error = f"not connected: {why}"

    def _end(self, writer: _Writer) -> None:
        lines = self._queue.take()
        self._queue.sent(lines.count(b"\n"), len(lines))
        writer.end(lines)

    def _out_of_time(self) -> None:
        if self._writer is not None:
            self._writer.abort()
        elif self._closed is not None:
            self._done(self._closed)

    def _done(self, closed: Deferred[None]) -> None:
        self._closed = None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        closed.callback(None)

    def _not_connected(self, failure: Failure) -> Failure:
        self._failing = True
        if not failure.check(CancelledError):
            self._queue.failed()
            self._queue.error = f"not connected: {in_words(failure.value)}"
        return failure


@implementer(IStreamClientEndpoint)
class _Attempts:
    """An endpoint that tells of each attempt that fails; who tries keeps that to itself."""

    def __init__(self, endpoint: Any, failed: Callable[[Failure], Failure]) -> None:
        self._endpoint = endpoint
        self._failed = failed

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect, or fail."""
        attempt: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return attempt.addErrback(self._failed)


@implementer(IPushProducer)
class _Writer(Protocol):
    """One connection. It is paused while the other side does not keep up."""

    transport: Any

    def __init__(self, sender: StreamSender) -> None:
        self._sender = sender
        self.paused = False

    def connectionMade(self) -> None:
        """Ask to be told when the other side does not keep up, and begin."""
        self.transport.registerProducer(self, True)
        self._sender.connected(self)

    def write(self, lines: bytes) -> None:
        """Send lines, or have them wait in the transport."""
        self.transport.write(lines)

    def end(self, lines: bytes) -> None:
        """Send the last lines, and disconnect when they are sent."""
        self.transport.unregisterProducer()
        self.transport.write(lines)
        self.transport.loseConnection()

    def abort(self) -> None:
        """Disconnect at once."""
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """Leave the lines in the queue, whose size is limited."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self.paused = False
        self._sender.flush()

    def stopProducing(self) -> None:
        """Do nothing: the loss of the connection is reported by another call as well."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Notify the sender."""
        self._sender.lost(in_words(reason.value))


class _Writers(Factory):
    noisy = False

    def __init__(self, sender: StreamSender) -> None:
        self._sender = sender

    def buildProtocol(self, addr: IAddress | None) -> _Writer:
        """Make the protocol of the next connection."""
        return _Writer(self._sender)


def _ended(stopped: Any) -> Deferred[None]:
    """Return what ``stopService`` gave as a Deferred, whatever that was."""
    if not isinstance(stopped, Deferred):
        return succeed(None)
    return stopped.addCallback(lambda _: None)
