"""The datagram lane: batches, the last line of a datagram, errors on the socket, pausing."""

from __future__ import annotations

import errno
import socket
from typing import Any

from statsd_tcp.ingest import datagrams
from statsd_tcp.ingest.datagrams import DatagramLane, SegmentLane, read_datagrams
from statsd_tcp.kernel.segments import ask_for_segments, gives_segments
from tests.unit.ingest.loopback import UDP_SEGMENT, IngestTestCase, wait_readable


class FailingSocket:
    """A socket whose reads give what a test says: bytes, or an error."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self._answers = list(answers)

    def recv_into(self, buffer: memoryview, size: int, flags: int) -> int:
        """Return the next answer, at last that there is nothing."""
        answer = self._answers.pop(0) if self._answers else BlockingIOError()
        if isinstance(answer, OSError):
            raise answer
        buffer[: len(answer)] = answer
        return len(answer)


class DatagramLaneTests(IngestTestCase):
    """A UDP socket on the loopback device."""

    def setUp(self) -> None:
        """Make the lane and a client."""
        super().setUp()
        self.port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.port.close)
        self.port.bind(("127.0.0.1", 0))
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.client.close)
        self.client.connect(self.port.getsockname())
        self.lane = self.make_lane(self.port)
        self.lane.start()

    def make_lane(self, port: Any) -> DatagramLane:
        """Make a lane that reads a socket."""
        common = (self.reactor, port, self.intake, 0, self.moderator, self.failures.append)
        return DatagramLane(*common, self.kinds.read_datagrams)

    def send(self, *packets: bytes) -> None:
        """Send datagrams, and wait until the first is there."""
        for packet in packets:
            self.client.send(packet)
        wait_readable(self.port)

    def test_datagrams(self) -> None:
        """The last line of a datagram needs no newline; datagrams, bytes and lines are counted."""
        self.send(b"a\nb", b"c\n", b"d")
        self.reactor.turn()
        self.assertEqual([b"a", b"b", b"c", b"d"], self.tally.lines)
        self.assertEqual((3, 6), (self.tally.datagram_count, self.tally.bytes))

    def test_an_empty_datagram(self) -> None:
        """An empty datagram is one, without a line."""
        self.send(b"", b"a")
        self.reactor.turn()
        self.assertEqual(([b"a"], 2), (self.tally.lines, self.tally.datagram_count))

    def test_one_frame_for_a_batch(self) -> None:
        """Many small datagrams share one frame of the journal."""
        self.send(*[b"a"] * 20)
        self.assertEqual(20, self.lane.poll())
        self.assertEqual((32 + 40) // 8 * 8, self.journal.head)

    def test_budget(self) -> None:
        """One poll takes no more than the budget."""
        self.patch(datagrams, "BUDGET", 3)
        self.send(*[b"a"] * 5)
        self.assertEqual([3, 2, 0], [self.lane.poll() for _ in range(3)])

    def test_largest_datagram(self) -> None:
        """The largest datagram there is comes whole."""
        line = b"x" * 65507
        self.send(line)
        self.reactor.turn()
        self.assertEqual([line], self.tally.lines)

    def test_a_full_journal(self) -> None:
        """With a full journal nothing is read, and after it all that the kernel has kept."""
        while not self.intake.is_full:
            self.intake.take(0, b"x" * 60000 + b"\n", 60001)
        self.send(b"a", b"b")
        self.assertEqual(0, self.lane.poll())
        self.intake.release(self.journal.head)
        self.assertEqual(2, self.lane.poll())

    def test_pause_and_resume(self) -> None:
        """A paused lane is not watched until it is resumed."""
        self.lane.pause("journal")
        self.assertEqual([], self.reactor.getReaders())
        self.lane.resume("journal")
        self.assertEqual([self.lane], self.reactor.getReaders())

    def test_stopped(self) -> None:
        """A stopped lane is not watched again, but can be told to poll."""
        self.lane.pause("journal")
        self.lane.stop()
        self.lane.resume("journal")
        self.assertEqual([], self.reactor.getReaders())
        self.send(b"a")
        self.assertEqual(1, self.lane.poll())

    def test_an_error_on_the_socket(self) -> None:
        """An error that the kernel reports once costs no datagram before or after it."""
        refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        self.patch(self, "kinds", self.kinds._replace(read_datagrams=read_datagrams))
        lane = self.make_lane(FailingSocket(b"a", refused, b"b", refused, refused, b"c"))
        lane.poll()
        self.intake.settle()
        self.assertEqual([b"a", b"b", b"c"], self.tally.lines)
        self.assertEqual(3, self.tally.datagram_count)

    def test_dropped_by_the_reactor(self) -> None:
        """A poll that raises is the worker's failure: nothing would be read from then on."""
        self.patch(self.intake.__class__, "take", _fault)
        self.send(b"a")
        self.reactor.turn()
        self.assertEqual(["a fault"], [failure.getErrorMessage() for failure in self.failures])


class SegmentTests(DatagramLaneTests):
    """A UDP socket that keeps together what came together."""

    def make_lane(self, port: Any) -> DatagramLane:
        """Make a lane that reads a socket."""
        if not isinstance(port, socket.socket):
            return super().make_lane(port)
        ask_for_segments(port)
        if not gives_segments(port):
            self.skipTest("this kernel does not keep datagrams together")
        common = (self.reactor, port, self.intake, 0, self.moderator, self.failures.append)
        return SegmentLane(*common, self.kinds.read_segments)

    def send_at_once(self, data: bytes, size: int) -> None:
        """Send datagrams of one size, of which the last may be shorter, with one call."""
        self.client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
        self.client.send(data)
        self.client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
        wait_readable(self.port)

    def test_segments(self) -> None:
        """Each datagram is one, also the last, which is shorter; others may come before and after."""
        self.client.send(b"first\nx")
        self.send_at_once(b"a:1|cb:2|cc:3", 5)
        self.client.send(b"last")
        self.lane.poll()
        self.intake.settle()
        self.assertEqual([b"first", b"x", b"a:1|c", b"b:2|c", b"c:3", b"last"], self.tally.lines)
        self.assertEqual((5, 7 + 13 + 4), (self.tally.datagram_count, self.tally.bytes))

    def test_whole_lines(self) -> None:
        """What ends in a newline gets no other one."""
        self.send_at_once(b"a:1|c\nb:2|c\nc:3|", 6)
        self.lane.poll()
        self.intake.settle()
        self.assertEqual(([b"a:1|c", b"b:2|c", b"c:3|"], 3), (self.tally.lines, self.tally.datagram_count))

    def test_many_at_once(self) -> None:
        """As many as the kernel takes, of the size of a packet, again and again, are all there."""
        for _ in range(3):
            self.send_at_once(b"x" * 1000 * 60, 1000)
        self.assertEqual(180, self.lane.poll())
        self.intake.settle()
        self.assertEqual(180, len(self.tally.lines))
        self.assertEqual({b"x" * 1000}, set(self.tally.lines))

    def test_little_room(self) -> None:
        """With little room in the journal no more is read than it can take."""
        sent = 0
        while not self.intake.is_full:
            for _ in range(3):
                self.send_at_once(b"x" * 60000, 1000)
                sent += 60
            self.assertLess(0, self.lane.poll())
            self.assertLessEqual(self.journal.head - self.journal.released, len(self.journal.ring))
        while sent > self.tally.datagram_count:
            self.intake.release(self.journal.head)
            self.lane.poll()
            self.intake.settle()
        self.assertEqual(sent, len(self.tally.lines))


def _fault(*arguments: object, **keywords: object) -> None:
    raise ZeroDivisionError("a fault")
