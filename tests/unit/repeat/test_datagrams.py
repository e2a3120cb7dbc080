"""Lines on their way over UDP: packed, a portion at a time, and accounted for."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.repeat import addresses
from statsd_tcp.repeat.addresses import AGAIN, Address
from statsd_tcp.repeat.datagrams import FEWEST, LARGEST_DATAGRAM, PAUSE, DatagramSender, cut
from statsd_tcp.repeat.queue import MOST_BYTES, Repeated
from statsd_tcp.settings.repeat import Target
from tests.patience import PATIENCE

LABEL = "repeat:udp:127.0.0.1:9"

_lines = st.lists(st.binary(min_size=1, max_size=12).map(lambda line: line.replace(b"\n", b"x")), max_size=40)


class FakeSocket:
    """Takes datagrams, or raises what the test has put into ``errors``."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.taken: list[bytes] = []
        self.errors: list[OSError] = []
        self.closed = False

    def send(self, data: bytes) -> int:
        """Take a datagram."""
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(data)
        return len(data)

    def close(self) -> None:
        """Take note of the end."""
        self.closed = True


class PoolClock(Clock):
    """A clock with something in the place of a pool of threads."""

    def getThreadPool(self) -> object:
        """Return something."""
        return object()


class DatagramSenderTestCase(SynchronousTestCase):
    """A sender with sockets that the test looks into."""

    host = "127.0.0.1"

    def setUp(self) -> None:
        """Make the sender."""
        self.clock = PoolClock()
        self.sockets: list[FakeSocket] = []
        self.refused: OSError | None = None
        self.sender = DatagramSender(self.clock, Target("udp", self.host, 9), self.connect)

    def connect(self, address: Address) -> socket.socket:
        """Make a socket."""
        if self.refused is not None:
            raise self.refused
        self.sockets.append(FakeSocket(address))
        return cast("socket.socket", self.sockets[-1])

    def pass_time(self) -> None:
        """Let one portion go out."""
        self.clock.advance(PAUSE)

    def assert_report(self, sent: int, failed: int, dropped: int, queued: int, error: str = "") -> None:
        """Compare what has happened since the last time."""
        self.assertEqual(
            Repeated(f"repeat:udp:{self.host}:9", sent, failed, dropped, queued, error), self.sender.report()
        )


class DatagramSenderTests(DatagramSenderTestCase):
    """To an address."""

    def test_together(self) -> None:
        """What comes shortly one after the other shares a datagram, in its order; when nothing waits nothing runs."""
        self.sender.send(b"g:1|g\n")
        self.sender.send(b"g:2|g\n")
        self.assert_report(0, 0, 0, 2)
        self.pass_time()
        self.assertEqual([b"g:1|g\ng:2|g"], self.sockets[0].taken)
        self.assertEqual((socket.AF_INET, ("127.0.0.1", 9)), self.sockets[0].address)
        self.assert_report(2, 0, 0, 0)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_portions(self) -> None:
        """Much is sent in portions, so that the other side can keep up, and all of it in the end."""
        self.sender.send(b"page.hits:1|c\n" * 50_000)
        self.pass_time()
        self.assertEqual(FEWEST, len(self.sockets[0].taken))
        steps = 0
        while self.clock.getDelayedCalls():
            self.pass_time()
            steps += 1
        lines = sum(one.count(b"\n") + 1 for one in self.sockets[0].taken)
        self.assertEqual((50_000, True), (lines, 10 < steps < 1.0 / PAUSE))
        self.assert_report(50_000, 0, 0, 0)

    def test_kernel_is_full(self) -> None:
        """What the kernel does not take now waits for the next portion."""
        self.sender.send(b"a:1|c\n")
        self.pass_time()
        self.sockets[0].errors = [BlockingIOError()]
        self.sender.send(b"b:1|c\n")
        self.pass_time()
        self.assert_report(1, 0, 0, 1)
        self.pass_time()
        self.assertEqual([b"a:1|c", b"b:1|c"], self.sockets[0].taken)

    def test_nobody_listens(self) -> None:
        """That an earlier datagram was refused is a failure, and the one at hand is sent; all may be well again."""
        self.sender.send(b"a:1|c\n")
        self.pass_time()
        self.sockets[0].errors = [ConnectionRefusedError()]
        self.sender.send(b"b:1|c\n")
        self.pass_time()
        self.assertEqual([b"a:1|c", b"b:1|c"], self.sockets[0].taken)
        self.assert_report(2, 1, 0, 0)

    def test_other_errors(self) -> None:
        """A datagram that cannot be sent is dropped and counted, and the next one is tried."""
        self.sender.send(b"a:1|c\nb:1|c\n" + b"x" * 1432 + b"\n")
        self.sockets_made()
        self.sockets[0].errors = [OSError(errno.ENETUNREACH, "Network is unreachable")]
        self.sender.flush()
        self.assertEqual([b"x" * 1432], self.sockets[0].taken)
        self.assert_report(1, 1, 2, 0)

    def sockets_made(self) -> None:
        """Have the socket made, with nothing sent yet."""
        self.sender._lookup.refresh()

    def test_full(self) -> None:
        """Beyond the limit lines are dropped and counted, not kept."""
        line = b"x" * 1023 + b"\n"
        self.sender.send(line * (MOST_BYTES // len(line)))
        self.sender.send(line * 5)
        self.assert_report(0, 0, 5, MOST_BYTES // len(line))

    def test_flush(self) -> None:
        """At the end all is sent at once; what the kernel does not take then is lost and counted."""
        self.sender.send(b"a:1|c\n" + b"x" * 1432 + b"\n")
        self.sockets_made()
        self.sockets[0].errors = [BlockingIOError()]
        self.successResultOf(self.sender.close())
        self.assertEqual(([], True, []), (self.sockets[0].taken, self.sockets[0].closed, self.clock.getDelayedCalls()))
        self.assert_report(0, 0, 2, 0)

    def test_no_socket(self) -> None:
        """An address to which the machine has no way is an error; the lines wait as long as there is room."""
        self.refused = OSError(errno.ENETUNREACH, "Network is unreachable")
        self.sender.send(b"a:1|c\n")
        self.pass_time()
        self.assert_report(0, 1, 0, 1, "Network is unreachable")


class NamedTargetTests(DatagramSenderTestCase):
    """To a name, which is looked up in a thread."""

    host = "stats.example"

    def setUp(self) -> None:
        """Have the test answer in the place of the thread."""
        super().setUp()
        self.asked: list[Deferred[Any]] = []

        def defer(*_: object) -> Deferred[Any]:
            self.asked.append(Deferred())
            return self.asked[-1]

        self.patch(addresses, "deferToThreadPool", defer)

    def send(self, line: bytes) -> None:
        """Send a line and let time pass."""
        self.sender.send(line)
        self.pass_time()

    def test_waits(self) -> None:
        """Lines wait for the address, and the name is asked for once."""
        self.send(b"a:1|c\n")
        self.send(b"b:1|c\n")
        self.assertEqual((1, []), (len(self.asked), self.sockets))
        self.asked[0].callback((socket.AF_INET, ("10.0.0.1", 9)))
        self.pass_time()
        self.assertEqual([b"a:1|c", b"b:1|c"], self.sockets[0].taken)

    def test_moves(self) -> None:
        """The name is looked up again from time to time, and lines go to where it leads then."""
        for host in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
            self.send(b"a:1|c\n")
            self.asked[-1].callback((socket.AF_INET, (host, 9)))
            self.pass_time()
            self.clock.advance(AGAIN)
        self.send(b"b:1|c\n")
        self.assertEqual([True, False], [one.closed for one in self.sockets])
        self.assertEqual([[b"a:1|c"] * 3, [b"b:1|c"]], [one.taken for one in self.sockets])

    def test_not_found(self) -> None:
        """A name that is not found is an error, and asked for again; the old address is good until then."""
        self.send(b"a:1|c\n")
        self.asked[0].errback(socket.gaierror(-2, "Name or service not known"))
        self.assert_report(0, 1, 0, 1, "stats.example is not found: Name or service not known")
        self.clock.advance(AGAIN)
        self.asked[1].callback((socket.AF_INET, ("10.0.0.1", 9)))
        self.pass_time()
        self.assert_report(1, 0, 0, 0)


class RealSocketTests(SynchronousTestCase):
    """Over a real socket."""

    def test_arrives(self) -> None:
        """A datagram arrives at the address that was asked for."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(PATIENCE)
            clock = Clock()
            sender = DatagramSender(clock, Target("udp", "127.0.0.1", server.getsockname()[1]))
            sender.send(b"a:1|c\n")
            clock.advance(PAUSE)
            self.assertEqual(b"a:1|c", server.recv(100))
            self.successResultOf(sender.close())


class CutTests(SynchronousTestCase):
    """Datagrams of whole lines."""

    def test_fits(self) -> None:
        """What fits goes in one piece, without the last newline."""
        self.assertEqual([b"a:1|c\nb:2|c"], list(cut(b"a:1|c\nb:2|c\n")))
        self.assertEqual([], list(cut(b"")))

    def test_to_the_byte(self) -> None:
        """A datagram is filled to the byte, and not beyond."""
        self.assertEqual([b"aaa\nbbb"], list(cut(b"aaa\nbbb\n", 7)))
        self.assertEqual([b"aaa", b"bbb"], list(cut(b"aaa\nbbb\n", 6)))
        self.assertEqual([b"aaa\nbbb", b"c"], list(cut(b"aaa\nbbb\nc\n", 7)))

    def test_too_long(self) -> None:
        """A line that is longer than a datagram goes alone, whole."""
        self.assertEqual([b"a", b"bbbbb", b"c\nd"], list(cut(b"a\nbbbbb\nc\nd\n", 3)))

    def test_usual_size(self) -> None:
        """Unless told otherwise no datagram of short lines is larger than what passes undivided."""
        sizes = [len(one) for one in cut(b"page.hits:1|c\n" * 1000)]
        self.assertLessEqual(max(sizes), LARGEST_DATAGRAM)
        self.assertGreater(min(sizes[:-1]), LARGEST_DATAGRAM - len(b"page.hits:1|c\n"))

    @given(_lines, st.integers(1, 40))
    def test_nothing_is_lost(self, lines: list[bytes], size: int) -> None:
        """The datagrams have all lines in their order, and only one of a single line is larger than asked for."""
        datagrams = list(cut(b"".join(line + b"\n" for line in lines), size))
        self.assertEqual(lines, [line for one in datagrams for line in one.split(b"\n")])
        self.assertEqual([], [one for one in datagrams if len(one) > size and b"\n" in one])
