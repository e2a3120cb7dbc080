"""Flushes on their way to carbon: the bytes, the connection, and when a flush counts as written."""

from __future__ import annotations

import pickle
import struct
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.outputs.graphite import Graphite, NotTakenError, as_lines, as_pickles
from statsd_tcp.settings.graphite import GraphiteTarget, parse_graphite

FLUSH = FlushResult(start=1000, seconds=10, counters={"hits": 25.0})


class Transport(StringTransport):
    """A transport whose sending side can be closed, and that is aborted where the other one is."""

    ended = False
    aborted = False
    missing = 0
    """A number of bytes that the peer has not acknowledged."""

    def getHandle(self) -> Transport:
        """Return what stands for the socket."""
        return self

    def loseWriteConnection(self) -> None:
        """Note the end of what is sent."""
        self.ended = True

    def abortConnection(self) -> None:
        """Note the abortion."""
        self.aborted = True


def _missing(transport: Any) -> int:
    number: int = transport.missing
    return number


class Peer:
    """A carbon in memory."""

    def __init__(self, target: str = "tcp:127.0.0.1:2003") -> None:
        self.reactor = MemoryReactorClock()
        self.graphite = Graphite(self.reactor, parse_graphite(target), self.reactor.seconds, _missing)
        self.protocol: Any = None
        self.transport = Transport()

    def deliver(self, flush: FlushResult = FLUSH) -> Deferred[None]:
        """Have a flush delivered, up to the attempt to connect."""
        delivered = Deferred.fromCoroutine(self.graphite.deliver(flush))
        # The endpoint looks the name up first, and the fake reactor answers at once.
        self.reactor.advance(0)
        return delivered

    def accept(self) -> None:
        """Take the connection."""
        factory = self.reactor.tcpClients[-1][2]
        self.transport = Transport()
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def read(self) -> bytes:
        """Read to the end."""
        producer: Any = self.transport.producer
        while not self.transport.ended:
            producer.resumeProducing()
        data: bytes = self.transport.value()
        return data

    def take_end(self) -> None:
        """Have the kernel take what was written, with its end."""
        self.protocol.writeConnectionLost()

    def end(self) -> None:
        """End its side in good order, upon which the connection is over."""
        self.protocol.readConnectionLost()
        self.close(ConnectionAborted() if self.transport.aborted else ConnectionDone())

    def close(self, reason: Exception) -> None:
        """End the connection."""
        self.protocol.connectionLost(Failure(reason))


class DeliveryTests(SynchronousTestCase):
    """One connection for each flush."""

    def test_a_flush_that_is_read_is_written(self) -> None:
        """A flush counts as written when the peer has ended the connection after our end."""
        peer = Peer()
        delivered = peer.deliver()
        self.assertEqual(peer.reactor.tcpClients[0][:2], ("127.0.0.1", 2003))
        peer.accept()
        text = peer.read().decode()
        peer.take_end()
        self.assertNoResult(delivered)
        peer.end()
        self.assertTrue(peer.transport.disconnecting)
        self.successResultOf(delivered)
        self.assertIn("stats.hits 2.5 1010\nstats_counts.hits 25 1010\n", text)
        self.assertEqual(peer.reactor.getDelayedCalls(), [])

    def test_a_connection_that_breaks(self) -> None:
        """A connection that is reset, before or after our end, means that the flush may not have been read."""
        for whole in (False, True):
            with self.subTest(whole=whole):
                peer = Peer()
                delivered = peer.deliver()
                peer.accept()
                if whole:
                    peer.read()
                    peer.take_end()
                peer.close(ConnectionLost())
                self.failureResultOf(delivered, NotTakenError)

    def test_a_peer_that_ends_too_early(self) -> None:
        """A peer that ends in good order, but before our end, has not read all."""
        peer = Peer()
        delivered = peer.deliver()
        peer.accept()
        peer.end()
        self.assertTrue(peer.transport.aborted)
        self.failureResultOf(delivered, NotTakenError)

    def test_a_peer_that_ends_while_we_write(self) -> None:
        """A peer that ends in good order, while the last bytes wait for the kernel, has not read all."""
        peer = Peer()
        delivered = peer.deliver()
        peer.accept()
        peer.read()
        peer.end()
        self.failureResultOf(delivered, NotTakenError)

    def test_a_peer_that_ends_while_bytes_are_on_their_way(self) -> None:
        """A peer that ends in good order, without having acknowledged all, has not read all."""
        peer = Peer()
        delivered = peer.deliver()
        peer.accept()
        peer.read()
        peer.take_end()
        peer.transport.missing = 1
        peer.end()
        self.assertTrue(peer.transport.aborted)
        self.failureResultOf(delivered, NotTakenError)

    def test_nobody_there(self) -> None:
        """A refused connection is an error, and is told of in the next flush."""
        peer = Peer()
        peer.reactor.advance(50)
        delivered = peer.deliver()
        factory: Any = peer.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(Refused()))
        # Then the endpoint looks whether there is another address.
        peer.reactor.advance(1)
        self.failureResultOf(delivered, Refused)
        peer.deliver()
        peer.accept()
        self.assertIn(b"stats.statsd.graphiteStats.last_exception 51 1010\n", peer.read())

    def test_a_peer_that_hangs(self) -> None:
        """A peer that takes nothing for long is given up."""
        peer = Peer()
        delivered = peer.deliver()
        peer.accept()
        peer.reactor.advance(29)
        peer.read()
        peer.reactor.advance(29)
        self.assertFalse(peer.transport.aborted)
        peer.reactor.advance(2)
        self.assertTrue(peer.transport.aborted)
        peer.close(ConnectionLost())
        self.failureResultOf(delivered, NotTakenError)

    def test_a_peer_that_never_closes(self) -> None:
        """A flush that a peer acknowledges and does not close after counts as written the second time, with a warning.

        From then on it is not waited for long, until the peer closes again.
        """
        warned: list[str] = []
        log = SimpleNamespace(warn=lambda text, **_: warned.append(text), info=lambda text, **_: warned.append(text))
        self.patch(Graphite, "_log", log)
        peer = Peer()

        def attempt(flush: FlushResult, seconds: float) -> Deferred[None]:
            delivered = peer.deliver(flush)
            peer.accept()
            peer.read()
            peer.take_end()
            peer.reactor.advance(seconds - 0.1)
            self.assertFalse(peer.transport.disconnecting)
            peer.reactor.advance(0.1)
            self.assertTrue(peer.transport.disconnecting)
            peer.close(ConnectionDone())
            return delivered

        failure = self.failureResultOf(attempt(FLUSH, 30), NotTakenError)
        self.assertIn("the peer does not close its side", str(failure.value))
        self.assertEqual([], warned)
        self.successResultOf(attempt(FLUSH, 30))
        self.successResultOf(attempt(FlushResult(start=1010, seconds=10), 2))
        self.assertEqual(1, len(warned))
        delivered = peer.deliver(FlushResult(start=1020, seconds=10))
        peer.accept()
        peer.read()
        peer.take_end()
        peer.end()
        self.successResultOf(delivered)
        self.assertIn("closes its side of a connection again", warned[1])
        self.failureResultOf(attempt(FlushResult(start=1030, seconds=10), 30), NotTakenError)

    def test_a_peer_that_never_closes_and_hangs(self) -> None:
        """What the kernel of such a peer has not acknowledged is waited for as long as ever, and is not written."""
        peer = Peer()
        peer.graphite._never_closes = True
        delivered = peer.deliver()
        peer.accept()
        peer.read()
        peer.take_end()
        peer.transport.missing = 1
        peer.reactor.pump([2.0] * 14)
        self.assertFalse(peer.transport.aborted)
        peer.reactor.advance(2)
        self.assertTrue(peer.transport.aborted)
        peer.close(ConnectionAborted())
        failure = self.failureResultOf(delivered, NotTakenError)
        self.assertEqual("the connection broke: the peer took nothing for 30 s", str(failure.value))

    def test_cancelled(self) -> None:
        """A delivery that is cancelled gives its connection up."""
        peer = Peer()
        delivered = peer.deliver()
        peer.accept()
        delivered.cancel()
        self.assertTrue(peer.transport.aborted)
        peer.close(ConnectionLost())
        self.failureResultOf(delivered)

    def test_what_it_says_about_itself(self) -> None:
        """The next flush says when the last one was written, its length, and how far apart the two were."""
        peer = Peer()
        delivered = peer.deliver()
        peer.accept()
        first = peer.read()
        peer.take_end()
        peer.reactor.advance(5)
        peer.end()
        self.successResultOf(delivered)
        peer.deliver(FlushResult(start=1030, seconds=10))
        peer.accept()
        lines = peer.read().decode().splitlines()
        for line in (
            "stats.statsd.graphiteStats.last_flush 5 1040",
            "stats.statsd.graphiteStats.flush_time 5000 1040",
            f"stats.statsd.graphiteStats.flush_length {len(first)} 1040",
            "stats.gauges.statsd.timestamp_lag 20 1040",
        ):
            self.assertIn(line, lines)

    def test_pickles(self) -> None:
        """The same points go as pickles, where that is asked for."""
        peer = Peer("tcp:127.0.0.1:2004:protocol=pickle")
        peer.deliver()
        peer.accept()
        data = peer.read()
        (length,) = struct.unpack_from("!L", data)
        self.assertEqual(length, len(data) - 4)
        self.assertIn(("stats_counts.hits", (1010, 25.0)), pickle.loads(data[4:]))  # noqa: S301 - our own


class WireTests(SynchronousTestCase):
    """Points as bytes."""

    def test_numbers(self) -> None:
        """Whole numbers are written without a point, others so that they read back as they are."""
        cases = [(3.0, "3"), (0.1, "0.1"), (-2.0, "-2"), (1e15, "1000000000000000.0"), (1e21, "1e+21"), (5, "5")]
        for value, expected in cases:
            self.assertEqual(b"".join(as_lines(iter([("a", value)]), 7)), f"a {expected} 7\n".encode())

    @settings(max_examples=50)
    @given(st.integers(0, 1300))
    def test_chunks(self, number: int) -> None:
        """However many points there are, all are written once, in order, in pieces that carbon takes."""
        sent = [(f"p{index}", float(index)) for index in range(number)]
        text = b"".join(as_lines(iter(sent), 7)).decode()
        self.assertEqual([line.split()[0] for line in text.splitlines()], [path for path, _ in sent])
        found = []
        for chunk in as_pickles(iter(sent), 7):
            self.assertLess(len(chunk), 1 << 20)
            found += pickle.loads(chunk[4:])  # noqa: S301 - our own
        self.assertEqual(found, [(path, (7, value)) for path, value in sent])


class TargetTests(SynchronousTestCase):
    """The value of the option."""

    def test_good(self) -> None:
        """Host and port are needed; the rest has etsy's defaults."""
        self.assertEqual(parse_graphite("tcp:carbon.example:2003"), GraphiteTarget(host="carbon.example", port=2003))
        self.assertEqual(parse_graphite(r"tcp:\:\:1:2003").label, "graphite:[::1]:2003")
        given = "protocol=pickle:namespace=new:prefix=:timers=t:suffix=.eu:stats=me:counts=no"
        found = parse_graphite(f"tcp:h:2004:{given}").of_node("a")
        self.assertTrue(found.pickles)
        names = found.names
        self.assertEqual(
            (names.legacy, names.prefix, names.timers, names.counters, names.suffix, names.stats, names.counts),
            (False, "", "t", "counters", "eu", "me", False),
        )

    def test_bad(self) -> None:
        """What is wrong is said."""
        cases = {
            "tcp:h": "not of the form tcp:HOST:PORT",
            "udp:h:2003": "not of the form tcp:HOST:PORT",
            "tcp::2003": "not of the form tcp:HOST:PORT",
            "tcp:h:0": "'0' is not a port",
            "tcp:h:x": "'x' is not a port",
            "tcp:h:2003:protocol=udp": "protocol=udp is not one of text, pickle",
            "tcp:h:2003:prefix=p": "prefix= is for namespace=new only",
            "tcp:h:2003:colour=red": "'colour=red' is not one of protocol=",
            "tcp:h:2003:counts": "'counts' is not one of protocol=",
            "tcp:h:2003:counts=no:counts=no": "counts= is given twice",
            "tcp:h:2003:\\": "a backslash at the end",
        }
        for text, message in cases.items():
            with self.subTest(text=text):
                self.assertIn(message, str(self.assertRaises(ValueError, parse_graphite, text)))
