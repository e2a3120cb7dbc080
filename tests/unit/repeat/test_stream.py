"""Lines on their way over TCP: connections that come, go, and do not keep up."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from statsd_tcp.repeat.queue import MOST_BYTES, Repeated
from statsd_tcp.repeat.stream import CLOSE_TIME, LONGEST_PAUSE, StreamSender
from statsd_tcp.settings.repeat import Target

LABEL = "repeat:tcp:h:9"


class Transport(StringTransport):
    """A transport in memory that remembers how it was ended."""

    aborted = False

    def abortConnection(self) -> None:
        """Remember that."""
        self.aborted = True


@implementer(IStreamClientEndpoint)
class FakeEndpoint:
    """Connects when the test says so."""

    def __init__(self) -> None:
        self.attempts: list[tuple[Any, Deferred[Any]]] = []

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Begin an attempt."""
        self.attempts.append((protocolFactory, Deferred()))
        return self.attempts[-1][1]

    def succeed(self) -> tuple[Any, Any]:
        """Let the last attempt succeed; give the protocol and its transport."""
        factory, attempt = self.attempts[-1]
        protocol, transport = factory.buildProtocol(None), Transport()
        protocol.makeConnection(transport)
        attempt.callback(protocol)
        return protocol, transport

    def fail(self) -> None:
        """Let the last attempt fail."""
        self.attempts[-1][1].errback(ConnectError(string="refused"))


class StreamSenderTests(SynchronousTestCase):
    """A sender whose connections the test makes."""

    def setUp(self) -> None:
        """Make the sender."""
        self.clock = Clock()
        self.endpoint = FakeEndpoint()
        self.sender = StreamSender(self.clock, Target("tcp", "h", 9), self.endpoint)

    def assert_report(self, sent: int, failed: int, dropped: int, queued: int, error: str = "") -> None:
        """Compare what has happened since the last time."""
        self.assertEqual(Repeated(LABEL, sent, failed, dropped, queued, error), self.sender.report())

    def test_when_needed(self) -> None:
        """Nothing is connected before there is something to send, and what came until then is sent first."""
        self.assertEqual([], self.endpoint.attempts)
        self.sender.send(b"a:1|c\n")
        self.sender.send(b"b:1|c\n")
        self.assert_report(0, 0, 0, 2, "not connected")
        _, transport = self.endpoint.succeed()
        self.sender.send(b"c:1|c\n")
        self.assertEqual(b"a:1|c\nb:1|c\nc:1|c\n", transport.value())
        self.assert_report(3, 0, 0, 0)

    def test_refused(self) -> None:
        """A server that refuses is tried again later; each attempt that fails is counted, and the lines wait."""
        self.sender.send(b"a:1|c\n")
        for number in range(1, 4):
            self.endpoint.fail()
            self.assert_report(0, 1, 0, 1, "not connected: An error occurred while connecting: refused")
            self.clock.advance(LONGEST_PAUSE + 2)
            self.assertEqual(number + 1, len(self.endpoint.attempts))
        _, transport = self.endpoint.succeed()
        self.assertEqual(b"a:1|c\n", transport.value())
        self.assert_report(1, 0, 0, 0)

    def test_lost(self) -> None:
        """A connection that ends is made again, and what comes meanwhile waits."""
        self.sender.send(b"a:1|c\n")
        protocol, _ = self.endpoint.succeed()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.sender.send(b"b:1|c\n")
        self.assert_report(1, 1, 0, 1, "not connected: Connection was closed cleanly")
        self.clock.advance(LONGEST_PAUSE + 2)
        self.endpoint.fail()
        self.assertEqual(1, self.sender.report().failed)
        self.clock.advance(LONGEST_PAUSE + 2)
        _, transport = self.endpoint.succeed()
        self.assertEqual(b"b:1|c\n", transport.value())

    def test_does_not_keep_up(self) -> None:
        """While the other side does not read, lines wait in the queue up to its limit, and are dropped beyond."""
        self.sender.send(b"a:1|c\n")
        _, transport = self.endpoint.succeed()
        transport.clear()
        transport.producer.pauseProducing()
        line = b"x" * 1023 + b"\n"
        self.sender.send(line * (MOST_BYTES // len(line)))
        self.sender.send(line)
        self.assertEqual(b"", transport.value())
        self.assert_report(1, 0, 1, MOST_BYTES // len(line))
        transport.producer.resumeProducing()
        self.assertEqual(MOST_BYTES, len(transport.value()))

    def test_close(self) -> None:
        """At the end the last lines are written, and the sender is done when the connection has ended."""
        self.sender.send(b"a:1|c\n")
        protocol, transport = self.endpoint.succeed()
        transport.producer.pauseProducing()
        self.sender.send(b"b:1|c\n")
        closed = self.sender.close()
        self.assertEqual((b"a:1|c\nb:1|c\n", True), (transport.value(), transport.disconnecting))
        self.assertNoResult(closed)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(closed)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_close_takes_too_long(self) -> None:
        """A server that does not read is waited for, but not for long."""
        self.sender.send(b"a:1|c\n")
        _, transport = self.endpoint.succeed()
        closed = self.sender.close()
        self.assertFalse(transport.aborted)
        self.clock.advance(CLOSE_TIME)
        self.assertTrue(transport.aborted)
        self.assertNoResult(closed)

    def test_close_while_connecting(self) -> None:
        """A connection that is being made when the end comes still gets the lines, if it comes soon."""
        for connects in (True, False):
            sender = StreamSender(self.clock, Target("tcp", "h", 9), self.endpoint)
            sender.send(b"a:1|c\n")
            closed = sender.close()
            self.assertNoResult(closed)
            if connects:
                protocol, transport = self.endpoint.succeed()
                self.assertEqual((b"a:1|c\n", True), (transport.value(), transport.disconnecting))
                protocol.connectionLost(Failure(ConnectionDone()))
            else:
                self.clock.advance(CLOSE_TIME)
            self.successResultOf(closed)

    def test_close_unconnected(self) -> None:
        """Without a connection there is nothing to wait for, whether or not one was tried."""
        self.successResultOf(StreamSender(self.clock, Target("tcp", "h", 9), self.endpoint).close())
        self.sender.send(b"a:1|c\n")
        self.endpoint.fail()
        self.successResultOf(self.sender.close())
        self.assertEqual([], self.clock.getDelayedCalls())
