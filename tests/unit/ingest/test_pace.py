"""The pace of datagram lanes: the next poll comes before what arrives meanwhile can fill a buffer."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ingest import datagrams, pace
from statsd_tcp.ingest.datagrams import DatagramLane
from statsd_tcp.ingest.moderation import BACKLOGGED, INTERVAL, Moderator
from statsd_tcp.ingest.pace import LONGEST, MUCH, KeptPace, Pace, PacedSocket
from statsd_tcp.kernel.accept_queue import receive_memory
from statsd_tcp.ledger.cells import ledger_cells
from statsd_tcp.ledger.journal import Journal
from tests.unit.ingest.loopback import IngestTestCase, wait_readable

MILLISECOND = 1_000_000
LARGE = 1 << 23


class KeptPaceTests(SynchronousTestCase):
    """Connections that stay are polled seldom, unless they bring much."""

    def test_delay(self) -> None:
        """The longest delay while they bring little; an interval while they bring much; none if not all were read."""
        cells = memoryview(bytearray(8 * len(ledger_cells(["tcp:1"])))).cast("Q")
        journal = Journal(memoryview(bytearray(1 << 20)), cells)
        pace = KeptPace(journal)
        line, much = b"a:1|c\n", b"x" * MUCH + b"\n"
        for brought, found, delay in (
            (b"", 0, LONGEST),
            (line, BACKLOGGED - 1, LONGEST),
            (much, 1, INTERVAL),
            (line, 1, LONGEST),
            (much, BACKLOGGED, 0.0),
            (line, BACKLOGGED, 0.0),
        ):
            if brought:
                journal.append(0, brought, 0, len(brought), 0)
            self.assertEqual(delay, pace.delay(found))


class PaceTests(SynchronousTestCase):
    """Of all lanes the one that can wait least says when."""

    def test_delay(self) -> None:
        """The shortest patience is the delay, in whole intervals or none; each poll starts again."""
        pace = Pace()
        for patiences, delay in (
            ((), LONGEST),
            ((LONGEST, 0.002, 0.003), 0.002),
            ((LONGEST, INTERVAL * 0.6), INTERVAL),
            ((LONGEST, INTERVAL * 0.4), 0.0),
            ((0.003,), 0.003),
        ):
            for patience in patiences:
                pace.note(patience)
            self.assertEqual(delay, pace.delay(9))


class PacedSocketTests(SynchronousTestCase):
    """What a socket's buffer allows."""

    def patience(self, waiting: int, room: int, elapsed: int = MILLISECOND) -> float:
        """Ask a socket of which so much is full, so long after it was asked first."""
        memory = [(0, room), (waiting, room)]
        self.patch(pace, "receive_memory", lambda port: memory.pop(0))
        paced = PacedSocket(None)  # type: ignore[arg-type]
        paced.patience(MILLISECOND)
        return paced.patience(MILLISECOND + elapsed)

    def test_an_empty_buffer(self) -> None:
        """A large one waits long, one of the kernel's default size an interval."""
        self.assertEqual([LONGEST, INTERVAL], [self.patience(0, room) for room in (LARGE * 4, 212_992)])

    def test_a_buffer_that_fills(self) -> None:
        """It is read when a quarter of it is full at the rate since the last poll."""
        self.assertAlmostEqual(0.002, self.patience(LARGE // 8, LARGE))
        self.assertAlmostEqual(0.002, self.patience(LARGE // 2, LARGE, 4 * MILLISECOND))
        self.assertAlmostEqual(0.00025, self.patience(212_992, 212_992))

    def test_a_kernel_that_does_not_tell(self) -> None:
        """Then it is polled once in an interval, as a connection's lane is."""

        def refuse(port: object) -> tuple[int, int]:
            raise OSError

        self.patch(pace, "receive_memory", refuse)
        self.assertEqual(INTERVAL, PacedSocket(None).patience(MILLISECOND))  # type: ignore[arg-type]


class PacedLaneTests(IngestTestCase):
    """A lane whose moderator goes by its pace."""

    def setUp(self) -> None:
        """Make the lane and a client."""
        super().setUp()
        self.port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.port.close)
        self.port.bind(("127.0.0.1", 0))
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.client.close)
        self.client.connect(self.port.getsockname())
        self.room = LARGE * 4
        self.patch(pace, "receive_memory", lambda port: (0, self.room))
        self.pace = Pace()
        self.paced = Moderator(self.reactor, self.intake, self.failures.append, self.pace.delay)
        self.addCleanup(self.paced.stop)
        common = (self.reactor, self.port, self.intake, 0, self.paced, self.failures.append)
        self.lane = DatagramLane(*common, self.kinds.read_datagrams, pace=self.pace)
        self.lane.start()

    def send(self, number: int = 3) -> None:
        """Send datagrams, and wait until the first is there."""
        for _ in range(number):
            self.client.send(b"a")
        wait_readable(self.port)

    def test_a_large_buffer(self) -> None:
        """Under load the lane is polled each time the longest interval has passed, and not before."""
        self.send()
        self.reactor.turn()
        self.send()
        self.tick(3)
        self.assertEqual(3, len(self.tally.lines))
        self.tick(2)
        self.assertEqual(6, len(self.tally.lines))

    def test_memory_of_a_socket(self) -> None:
        """The kernel tells how much waits in the buffer, and how much may."""
        waiting, room = receive_memory(self.port)
        self.assertEqual((0, self.port.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)), (waiting, room))
        self.send()
        self.assertLess(0, receive_memory(self.port)[0])

    def test_more_than_the_budget(self) -> None:
        """A poll that leaves some is followed at once."""
        self.patch(datagrams, "BUDGET", 3)
        self.send(5)
        self.reactor.turn()
        self.assertEqual(3, len(self.tally.lines))
        self.reactor.advance(0)
        self.assertEqual(5, len(self.tally.lines))
