"""A reactor that a test turns by hand, clients on the loopback device, and a line port with both of its lanes."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
import time
from _socket import socket as raw_socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ingest import intake, moderation, protocol
from statsd_tcp.ingest.balanced import BalancedLineLane
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ingest.lane_kinds import LaneKinds
from statsd_tcp.ingest.limits import ListenerLimits
from statsd_tcp.ingest.line_lane import LineLane
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.ingest.protocol import LineFactory
from statsd_tcp.ingest.sources import ListenerSources, WorkerSources
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.ledger.cells import CLOSE_REASONS, GLOBAL_CELLS, ledger_cells, listener_cells
from statsd_tcp.ledger.journal import Journal
from tests.patience import PATIENCE
from tests.unit.ingest.other_side import has_end

IDLE_TIMEOUT = 60.0
MAX_LINE = 64
RING_SIZE = 1 << 20

UDP_SEGMENT = 103
"""The option of a client's socket: the size of the datagrams that a send is cut into."""

_PAUSE = 0.001
"""Seconds between two questions: without them a wait takes a whole processor from other tests."""


class LoopbackReactor(MemoryReactorClock):
    """A clock that a test advances, and descriptors that are polled once for each `turn`."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic_ns()
        self.adopted = 0
        self.adoption_error: OSError | None = None

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """Make a transport as the real reactor does."""
        if self.adoption_error is not None:
            raise self.adoption_error
        if addressFamily == socket.AF_UNIX:
            transport: Any = unix.Server._fromConnectedSocket(fileDescriptor, factory, self)
        else:
            transport = tcp.Server._fromConnectedSocket(fileDescriptor, addressFamily, factory, self)
        self.adopted += 1
        return transport

    def turn(self) -> None:
        """Call everything that is ready, once."""
        readable, writable, _ = select.select(list(self.readers), list(self.writers), [], 0)
        for one in readable:
            if one in self.readers:
                self._call(one, one.doRead)
        for one in writable:
            if one in self.writers:
                self._call(one, one.doWrite)

    def _call(self, descriptor: Any, act: Callable[[], Any]) -> None:
        try:
            why = act()
        except Exception as error:  # noqa: BLE001  (what the reactor does)
            why = error
        if why is None:
            return
        self.removeReader(descriptor)
        if act == descriptor.doRead and isinstance(why, ConnectionDone):
            # The protocol may want to write after its client has ended its side.
            descriptor.readConnectionLost(Failure(why))
            return
        self.removeWriter(descriptor)
        descriptor.connectionLost(Failure(why))


class VirtualTime:
    """What stands in for the module ``time``: the test's clock."""

    def __init__(self, reactor: LoopbackReactor) -> None:
        self._reactor = reactor

    def monotonic_ns(self) -> int:
        """Return the clock's time, which begins where the real one is: the parts in C read that."""
        return self._reactor.began + int(self._reactor.seconds() * 1e9)


class RecordingTally:
    """Keeps what the intake hands over."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.ticks: list[int] = []
        self.bytes = 0
        self.datagram_count = 0
        self.rejected: Counter[str] = Counter()
        self.beginnings: list[bytes] = []
        self.bad_headers: list[bytes] = []

    def add(self, listener: int, chunk: bytes, tick: int) -> bool:
        """Keep the lines of a chunk that may have a gauge."""
        self.add_plain(listener, [chunk], tick)
        return False

    def add_plain(self, listener: int, chunks: list[bytes], tick: int) -> None:
        """Keep the lines."""
        for chunk in chunks:
            assert chunk.endswith(b"\n")
            self.lines += chunk[:-1].split(b"\n")
        self.ticks.append(tick)

    def add_late(self, listener: int, chunks: list[bytes]) -> None:
        """Never called: no gauge is new."""
        raise AssertionError

    def received(self, listener: int, nbytes: int) -> None:
        """Add up the bytes."""
        self.bytes += nbytes

    def datagrams(self, listener: int, n: int) -> None:
        """Add up the datagrams."""
        self.datagram_count += n

    def reject(self, listener: int, reason: str, n: int, beginning: bytes) -> None:
        """Add up the lines that were dropped, and note how they begin."""
        self.rejected[reason] += n
        self.beginnings.append(beginning)

    def note_bad_header(self, listener: int, beginning: bytes) -> None:
        """Note what came in the place of a header."""
        self.bad_headers.append(beginning)


class Client:
    """One client on the loopback device."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE)

    def send(self, data: bytes) -> None:
        """Send, and wait until the other side's kernel has it."""
        self.socket.sendall(data)
        self._wait_delivered()

    def fin(self) -> None:
        """Say that nothing more will come, and wait until the other side's kernel knows."""
        self.socket.shutdown(socket.SHUT_WR)
        # An end is acknowledged after 40 ms only.
        wait_for(lambda: has_end(self.socket))

    def reset(self) -> None:
        """Break the connection off."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def end(self) -> bytes:
        """Read to the end, and give what came; raises `ConnectionResetError`."""
        self.socket.settimeout(PATIENCE)
        data = b""
        while more := self.socket.recv(4096):
            data += more
        return data

    def _wait_delivered(self) -> None:
        unacknowledged = bytearray(4)

        def delivered() -> bool:
            fcntl.ioctl(self.socket, termios.TIOCOUTQ, unacknowledged)
            return not any(unacknowledged)

        wait_for(delivered)


def wait_for(condition: Callable[[], bool]) -> None:
    """Ask again and again, until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it has not come to pass"
        time.sleep(_PAUSE)


def wait_readable(one: Any) -> None:
    """Wait until a read would not block."""
    assert select.select([one], [], [], PATIENCE)[0], "nothing has come"


def make_listener() -> socket.socket:
    """Listen on a loopback port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    return listener


class IngestTestCase(SynchronousTestCase):
    """A test with a ledger in memory, an intake, a moderator, and clients."""

    kinds = LaneKinds(CountLane, LineLane, BalancedLineLane)
    """The lanes that are tested."""

    def setUp(self) -> None:
        """Make the parts that all lanes share."""
        self.reactor = LoopbackReactor()
        for module in (intake, moderation, protocol):
            self.patch(module, "time", VirtualTime(self.reactor))
        self.cells = memoryview(bytearray(8 * len(ledger_cells(["tcp:1"])))).cast("Q")
        self.indexes = listener_cells(0)
        self.tally = RecordingTally()
        self.journal = Journal(memoryview(bytearray(RING_SIZE)), self.cells)
        self.sources = self.make_sources()
        self.listener_sources = None if self.sources is None else ListenerSources(self.sources, 0)
        self.intake = Intake(
            self.journal, self.tally, 1, scarce=list, ample=list, full=list, resumed=list, sources=self.sources
        )
        self.limits: ListenerLimits | None = None
        self.failures: list[Failure] = []
        self.moderator = Moderator(self.reactor, self.intake, self.failures.append)
        self.kept_lane = self.kinds.kept(self.reactor, self.moderator, self.failures.append, self.intake)
        self.addCleanup(self.kept_lane.let_go)
        self.occupancy = Occupancy(100)
        self.factory = self.make_factory()
        self.listener = make_listener()
        self.addCleanup(self.listener.close)
        self.addCleanup(self._close_transports)

    def make_sources(self) -> WorkerSources | None:
        """Make what sources are told to, if they are."""
        return None

    def make_factory(self, max_age: float = 0.0, **keywords: Any) -> LineFactory:
        """Make the factory of connections that the accept lane gives away."""
        common = (self.reactor, self.cells, self.indexes, self.moderator, self.occupancy)
        return LineFactory(*common, IDLE_TIMEOUT, max_age=max_age, keep=self.kept_lane.keep, **keywords)

    def _close_transports(self) -> None:
        for one in list(self.factory._protocols):
            one.transport.connectionLost(Failure(ConnectionLost()))  # type: ignore[union-attr]
        self.moderator.stop()
        for connection in self.moderator.unfinished():
            connection.drain()

    def line_lane(self, **keys: Any) -> LineLane:
        """Make and start the lane for lines, with these keys of a listener behind a balancer, if any."""
        kind = self.kinds.balanced if keys else self.kinds.lines
        lane = kind(
            *self._common(),
            self.listener_sources,
            self.limits,
            intake=self.intake,
            index=0,
            occupancy=self.occupancy,
            hand_over=self.factory.hand_over,
            max_line=MAX_LINE,
            **keys,
        )
        lane.start()
        return lane

    def count_lane(self) -> CountLane:
        """Make and start a lane that counts."""
        lane = self.kinds.counting(*self._common(), self.listener_sources, self.limits)
        lane.start()
        return lane

    def _common(self) -> tuple[Any, Any, Any, Any, Any, Any]:
        return (self.reactor, self.listener, self.cells, self.indexes, self.moderator, self.failures.append)

    def connect(self) -> Client:
        """Make a client, and wait until its connection waits to be accepted."""
        client = Client(self.listener.getsockname())
        self.addCleanup(client.socket.close)
        wait_readable(self.listener)
        return client

    def adopt(self) -> tuple[Client, Any]:
        """Make a client whose connection is the ordinary lane's from its first byte; give its transport too."""
        client = self.connect()
        descriptor, _ = self.listener._accept()  # type: ignore[attr-defined]
        self.cells[self.indexes.accepted] += 1
        self.occupancy.open += 1
        known = set(self.factory._protocols)
        connection = raw_socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
        try:
            self.factory.hand_over(connection, LineStream(self.intake, 0, MAX_LINE), 0)
        except OSError:
            connection.close()
            raise
        (made,) = self.factory._protocols - known
        return client, made.transport

    def tick(self, times: int = 1) -> None:
        """Let as many milliseconds pass, one by one."""
        self.reactor.pump([0.001] * times)

    @property
    def accepted(self) -> int:
        """How many were accepted, as the ledger has it."""
        return int(self.cells[self.indexes.accepted])

    @property
    def closed(self) -> dict[str, int]:
        """How many were closed, by reason, without those that are 0."""
        first = self.indexes.eof
        numbers = self.cells[first : first + len(CLOSE_REASONS)].tolist()
        return {reason: number for reason, number in zip(CLOSE_REASONS, numbers, strict=True) if number}

    def errors(self, name: str) -> int:
        """How many errors of accept(2) were counted under a name."""
        names = [(cell.metric, cell.detail) for cell in ledger_cells(["tcp:1"])]
        return int(self.cells[names.index(("accept_errors", name))])

    @property
    def other_cells(self) -> list[int]:
        """The cells that no connection may touch: all before the listener's."""
        return self.cells[: len(GLOBAL_CELLS)].tolist()
