"""The datagram lane: batches, the last line of a datagram, errors on the socket, pausing."""

from __future__ import annotations

import errno
import socket

from statsd_tcp.ingest import datagrams
from statsd_tcp.ingest.datagrams import DatagramLane, read_datagrams
from tests.unit.ingest.loopback import IngestTestCase, wait_readable


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

    def make_lane(self, port: object) -> DatagramLane:
        """Make a lane that reads a socket."""
        return DatagramLane(
            self.reactor,
            port,  # type: ignore[arg-type]
            self.intake,
            0,
            self.moderator,
            self.failures.append,
            self.kinds.read_datagrams,
        )

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


def _fault(*arguments: object, **keywords: object) -> None:
    raise ZeroDivisionError("a fault")
