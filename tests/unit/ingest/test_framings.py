"""Connections whose packets have their length before them, on both lanes; and Unix datagrams."""

from __future__ import annotations

import os
import socket
import struct

from statsd_tcp.ingest import datagrams
from statsd_tcp.ingest.datagrams import UnixDatagramLane
from statsd_tcp.ingest.line_lane import LineLane
from tests.unit.ingest.loopback import MAX_LINE, IngestTestCase, wait_readable


def packet(data: bytes) -> bytes:
    """Write a packet with its length."""
    return struct.pack("<I", len(data)) + data


class LengthTests(IngestTestCase):
    """A stream of packets, as the accept lane and the ordinary one read it."""

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.lane = LineLane(
            *self._common(),
            intake=self.intake,
            index=0,
            occupancy=self.occupancy,
            hand_over=self.factory.hand_over,
            max_line=MAX_LINE,
            framing="length",
        )
        self.lane.start()

    def poll(self, times: int = 1) -> None:
        """Let the server read what has come."""
        for _ in range(times):
            self.reactor.turn()
            self.moderator._run_if_needed(0)
            self.tick()
        self.intake.settle()

    def test_short(self) -> None:
        """A client that sends whole packets and goes is done at the first poll."""
        client = self.connect()
        client.send(packet(b"a\nb") + packet(b"c\n"))
        client.fin()
        self.poll()
        self.assertEqual(([b"a", b"b", b"c"], {"eof": 1}), (self.tally.lines, self.closed))
        self.assertEqual((0, 13), (self.reactor.adopted, self.tally.bytes))

    def test_a_newline_at_the_end_of_a_read(self) -> None:
        """A read that ends in a newline need not end in a whole packet."""
        client = self.connect()
        client.send(struct.pack("<I", 4) + b"a\n")
        self.poll()
        self.assertEqual([], self.tally.lines)
        client.send(b"b\n")
        self.poll(3)
        self.assertEqual([b"a", b"b"], self.tally.lines)

    def test_handed_over(self) -> None:
        """A client that stays goes on on the ordinary lane in the middle of a packet."""
        client = self.connect()
        client.send(packet(b"a") + packet(b"bcd")[:5])
        self.poll(3)
        self.assertEqual((1, [b"a"]), (self.reactor.adopted, self.tally.lines))
        client.send(b"cd" + packet(b"e"))
        client.fin()
        self.poll(2)
        self.assertEqual(([b"a", b"bcd", b"e"], {"eof": 1}), (self.tally.lines, self.closed))

    def test_truncated(self) -> None:
        """A packet that does not come to its end is dropped, however clean the end of the stream is."""
        client = self.connect()
        client.send(packet(b"a") + packet(b"bcd")[:-1])
        client.fin()
        self.poll()
        self.assertEqual(([b"a"], {"truncated": 1}), (self.tally.lines, dict(self.tally.rejected)))

    def test_wrong_length_at_once(self) -> None:
        """A client that sends bare lines is closed for an error, and counted as one bad line."""
        client = self.connect()
        client.send(b"a:1|c\nb:2|c\n")
        self.poll()
        self.assertEqual(({"error": 1}, {"malformed_line": 1}), (self.closed, dict(self.tally.rejected)))
        self.assertEqual(([], 12, 0), (self.tally.lines, self.tally.bytes, self.occupancy.open))
        self.assertEqual([b"a:1|c\nb:2|c\n"], self.tally.beginnings)

    def test_wrong_length_later(self) -> None:
        """So is one that goes wrong on the ordinary lane; what came before counts."""
        client = self.connect()
        client.send(packet(b"a"))
        self.poll(3)
        client.send(packet(b"b") + b"\xff" * 8 + packet(b"c"))
        self.poll(2)
        self.assertEqual((1, {"error": 1}), (self.reactor.adopted, self.closed))
        self.assertEqual(([b"a", b"b"], {"malformed_line": 1}), (self.tally.lines, dict(self.tally.rejected)))

    def test_wrong_length_at_the_end(self) -> None:
        """So is one whose wrong length is found when the service stops."""
        client, stay = self.connect(), self.connect()
        self.poll(3)
        client.send(b"\xff" * 8)
        stay.send(packet(b"a"))
        self.factory.drain()
        self.poll()
        self.assertEqual(({"error": 1, "shutdown": 1}, [b"a"]), (self.closed, self.tally.lines))
        self.assertEqual({"malformed_line": 1}, dict(self.tally.rejected))


class UnixDatagramTests(IngestTestCase):
    """A Unix datagram socket, under an abstract name."""

    def setUp(self) -> None:
        """Make the lane and a client."""
        super().setUp()
        self.port = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.port.close)
        self.port.bind(f"\0statscounter-test-{os.getpid()}")
        self.client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.client.close)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.client.connect(self.port.getsockname())
        self.lane = UnixDatagramLane(
            self.reactor,
            self.port,
            self.intake,
            0,
            self.moderator,
            self.failures.append,
            self.kinds.read_datagrams,
        )
        self.lane.start()

    def test_datagrams(self) -> None:
        """Datagrams are read as those of UDP are."""
        for data in (b"a\nb", b"", b"c\n"):
            self.client.send(data)
        self.reactor.turn()
        self.assertEqual(([b"a", b"b", b"c"], 3), (self.tally.lines, self.tally.datagram_count))

    def test_at_once_under_load(self) -> None:
        """Under load, when all other sockets are polled once a millisecond, this one is read as before."""
        self.moderator._begin()
        self.client.send(b"a")
        self.reactor.turn()
        self.assertNotEqual(0, self.journal.head)
        self.assertEqual([self.lane], self.reactor.getReaders())

    def test_a_datagram_that_is_too_large(self) -> None:
        """Of a datagram larger than the buffer the whole lines count; the one that was cut is counted as that."""
        self.patch(datagrams, "LARGEST", 100)
        for data in (b"a\n" * 40 + b"x" * 100, b"y" * 101, b"z" * 100):
            self.client.send(data)
        self.reactor.turn()
        self.assertEqual([b"a"] * 40 + [b"z" * 100], self.tally.lines)
        self.assertEqual(({"truncated": 2}, 3), (dict(self.tally.rejected), self.tally.datagram_count))
        self.assertEqual([b"x" * 20, b"y" * 100], self.tally.beginnings)

    def test_largest(self) -> None:
        """A datagram as large as the buffer comes whole, behind others too."""
        self.client.send(b"a" * 40000)
        self.client.send(b"b" * 65536)
        self.reactor.turn()
        self.assertEqual([40000, 65536], [len(line) for line in self.tally.lines])

    def test_pause_resume_stop(self) -> None:
        """Paused or stopped it is not watched; stopped it can still be told to poll."""
        self.lane.pause("journal")
        self.assertEqual([], self.reactor.getReaders())
        self.lane.resume("journal")
        self.assertEqual([self.lane], self.reactor.getReaders())
        self.lane.stop()
        self.lane.resume("journal")
        self.assertEqual([], self.reactor.getReaders())
        self.client.send(b"a")
        wait_readable(self.port)
        self.assertEqual(1, self.lane.poll())
