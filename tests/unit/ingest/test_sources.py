"""What each lane tells of the sources that connect to it."""

from __future__ import annotations

import os
import socket
from tempfile import TemporaryDirectory

from statsd_tcp.ingest.datagrams import DatagramLane, SegmentLane
from statsd_tcp.ingest.line_lane import LineLane
from statsd_tcp.ingest.sources import ListenerSources, WorkerSources, packed_address
from statsd_tcp.kernel.segments import ask_for_segments, gives_segments
from statsd_tcp.who.layout import OPEN, PERIOD, RECORD, Record, table_offset, table_size, unix_address
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from tests.unit.ingest.headers import BAD, CLIENT, GOOD, LOCAL
from tests.unit.ingest.loopback import IDLE_TIMEOUT, MAX_LINE, UDP_SEGMENT, Client, wait_readable
from tests.unit.ingest.test_balanced import LATE_POLLS, TRUSTED, PollingTestCase

SETS = 16
HERE = packed_address("127.0.0.1")


class SourcesTestCase(PollingTestCase):
    """A test in which sources are counted."""

    def make_sources(self) -> WorkerSources:
        """Make the memory, and what writes it."""
        self.memory = SourceMemory.make(SourcePlan(tuple(range(1 << 40, (1 << 40) + 7)), sets=SETS))
        return WorkerSources(self.memory, self.kinds.add_source)

    def seen(self) -> dict[bytes, dict[str, int]]:
        """Return by address what is known of each source, without zeros."""
        start = table_offset(self.memory.cells[OPEN], SETS)
        found = (Record(*one) for one in RECORD.iter_unpack(bytes(self.memory.view[start : start + table_size(SETS)])))
        return {
            one.address: {name: value for name, value in one._asdict().items() if value and name not in _KEY}
            for one in found
            if one.listener
        }

    def only(self, **expected: int) -> None:
        """Expect one source, this machine, and no more than that of it."""
        self.assertEqual(self.seen(), {HERE: expected})

    def client(self, data: bytes = b"", *, fin: bool = True) -> Client:
        """Return a client that has sent data."""
        client = self.connect()
        if data:
            client.send(data)
        if fin:
            client.fin()
        return client


_KEY = {"address", "listener"}


class CountTests(SourcesTestCase):
    """Ports that only count."""

    def test_connections(self) -> None:
        """Each connection is one of its source; a reset is known, too."""
        self.count_lane()
        for _ in range(3):
            self.client()
        self.poll()
        self.only(connections=3)
        self.connect().reset()
        self.poll()
        self.only(connections=4, resets=1)


class LineTests(SourcesTestCase):
    """Ports for lines."""

    lane: LineLane

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.lane = self.line_lane()

    def test_at_once(self) -> None:
        """A connection that has sent everything counts with its lines and bytes."""
        self.client(b"a:1|c\nb:2|c\n")
        self.client(b"g:1|g\n")
        self.poll()
        self.only(connections=2, lines=3, nbytes=18)

    def test_unterminated(self) -> None:
        """The last line counts after a clean end, though it has no newline."""
        self.client(b"a:1|c\nb:2|c")
        self.poll()
        self.only(connections=1, lines=2, nbytes=11)

    def test_late(self) -> None:
        """What comes later counts for the same connection, on whichever lane it is by then."""
        client = self.client(b"a:1|c\n", fin=False)
        self.poll()
        client.send(b"b:")
        self.poll(LATE_POLLS)
        self.assertEqual(len(self.factory.kept), 1)
        client.send(b"1|c\nc:1|c\n")
        self.poll(LATE_POLLS)
        client.fin()
        self.poll(LATE_POLLS)
        self.only(connections=1, lines=3, nbytes=18)

    def test_reset(self) -> None:
        """A reset is its source's, whether it comes early or late."""
        self.client(fin=False).reset()
        self.poll()
        client = self.client(b"a:1|c\n", fin=False)
        self.poll(LATE_POLLS)
        client.reset()
        self.poll(LATE_POLLS)
        self.assertEqual(self.closed, {"reset": 2})
        self.only(connections=2, lines=1, nbytes=6, resets=2)

    def test_evicted(self) -> None:
        """A connection that is closed because it is silent is its source's."""
        self.client(fin=False)
        self.poll(LATE_POLLS)
        self.reactor.pump([IDLE_TIMEOUT / 4] * 6)
        self.assertEqual(self.closed, {"idle": 1})
        self.only(connections=1, evicted=1)

    def test_too_long(self) -> None:
        """A line that is too long is a bad one of its source at once, as is one that was broken off."""
        self.client(b"x" * (MAX_LINE + 10))
        client = self.client(b"a:1", fin=False)
        self.poll(LATE_POLLS)
        client.reset()
        self.poll(LATE_POLLS)
        self.only(connections=2, nbytes=MAX_LINE + 13, bad=2, resets=1)

    def test_bad_lines(self) -> None:
        """Lines that are found to be bad later are those of the sources that have sent them."""
        self.client(b"a:1|c\nbad\n")
        self.client(b"bad\nbad\ng:1|g\n")
        self.poll()
        self.client(b"a:1|c\n")
        client = self.client(b"ba", fin=False)
        self.poll(LATE_POLLS)
        client.send(b"d\n")
        self.poll(LATE_POLLS)
        self.intake.blame({0: {b"bad"}})
        self.assertEqual(self.seen()[HERE]["bad"], 4)
        self.intake.blame({0: {b"bad"}})
        self.assertEqual(self.seen()[HERE]["bad"], 4)

    def test_another_period(self) -> None:
        """A connection that stays brings its lines to the period that is open when they come."""
        client = self.client(b"a:1|c\n", fin=False)
        self.poll(LATE_POLLS)
        assert self.sources is not None
        self.sources.turn(self.memory.cells[2] + PERIOD * 1_000_000_000)
        client.send(b"b:1|c\n")
        self.poll(LATE_POLLS)
        self.only(lines=1, nbytes=6)


class BalancedTests(SourcesTestCase):
    """Ports behind a balancer."""

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.factory = self.make_factory(is_headed=True)
        self.line_lane(proxy="any", trust=TRUSTED)

    def test_address_in_the_header(self) -> None:
        """The source is the client that the header names, in both versions, early and late."""
        for header in (GOOD["v1"].data, GOOD["v2"].data):
            self.client(header + b"a:1|c\n")
            self.poll()
            client = self.client(header[:9], fin=False)
            self.poll(LATE_POLLS)
            client.send(header[9:] + b"a:1|c\n")
            client.fin()
            self.poll(LATE_POLLS)
            client = self.client(header, fin=False)
            self.poll(LATE_POLLS)
            client.send(b"b:1|c")
            client.fin()
            self.poll(LATE_POLLS)
        self.assertEqual(self.seen(), {packed_address(CLIENT): {"connections": 6, "lines": 6, "nbytes": 34}})

    def test_none(self) -> None:
        """Health checks, headers that do not say who it is, and bad ones are no sources."""
        for data in (*LOCAL.values(), *list(BAD.values())[:5], b"PROXY UNKNOWN\r\na:1|c\n"):
            self.client(data)
            self.poll()
        self.assertEqual(self.seen(), {})


class UnixTests(SourcesTestCase):
    """Unix sockets."""

    def test_user(self) -> None:
        """The source is the user at the other end."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(path)
        self.listener.listen(8)
        self.listener.setblocking(False)
        self.line_lane()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"a:1|c\n")
            client.shutdown(socket.SHUT_WR)
            self.poll()
        self.assertEqual(self.seen(), {unix_address(os.getuid()): {"connections": 1, "lines": 1, "nbytes": 6}})


class DatagramTests(SourcesTestCase):
    """Datagrams."""

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.port.close)
        self.port.bind(("127.0.0.1", 0))
        self.make_lane().start()

    def make_lane(self) -> DatagramLane:
        """Make the lane of the socket."""
        assert self.sources is not None
        common = (self.reactor, self.port, self.intake, 0, self.moderator, self.failures.append)
        return DatagramLane(*common, self.kinds.read_datagrams, sources=ListenerSources(self.sources, 0))

    def send(self, address: str, *packets: bytes) -> None:
        """Send from an address."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((address, 0))
            for packet in packets:
                client.sendto(packet, self.port.getsockname())
        wait_readable(self.port)

    def test_sources(self) -> None:
        """Each datagram counts as a connection would, with its lines and bytes; bad lines are told apart."""
        self.send("127.0.0.2", b"a:1|c", b"a:1|c\nbad\n", b"")
        self.send("127.0.0.3", b"bad")
        self.poll()
        self.intake.blame({0: {b"bad"}})
        self.assertEqual(
            self.seen(),
            {
                packed_address("127.0.0.2"): {"connections": 3, "lines": 3, "nbytes": 15, "bad": 1},
                packed_address("127.0.0.3"): {"connections": 1, "lines": 1, "nbytes": 3, "bad": 1},
            },
        )


class SegmentTests(DatagramTests):
    """Datagrams of a socket that keeps together what came together."""

    def make_lane(self) -> DatagramLane:
        """Make the lane of the socket."""
        assert self.sources is not None
        ask_for_segments(self.port)
        if not gives_segments(self.port):
            self.skipTest("this kernel does not keep datagrams together")
        common = (self.reactor, self.port, self.intake, 0, self.moderator, self.failures.append)
        return SegmentLane(*common, self.kinds.read_segments, sources=ListenerSources(self.sources, 0))

    def test_at_once(self) -> None:
        """Of datagrams that came at once each counts."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 5)
            client.sendto(b"a:1|cb:1|cbad", self.port.getsockname())
        wait_readable(self.port)
        self.poll()
        self.intake.blame({0: {b"bad"}})
        expected = {"connections": 3, "lines": 3, "nbytes": 13, "bad": 1}
        self.assertEqual(self.seen(), {packed_address("127.0.0.1"): expected})
