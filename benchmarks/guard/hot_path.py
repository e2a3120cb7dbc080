"""What is counted: pieces of the hot path, run in one process without a reactor, always with the same input.

    python -m benchmarks.guard.hot_path PIECE SWITCH      prints how many units of work were done

SWITCH is the library made of ``switch.c``: under callgrind only the work itself is counted, without the clients, the
start and the imports.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import select
import socket
import sys
import termios
from _socket import socket as raw_socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet import tcp

from statsd_tcp import native as native_parts
from statsd_tcp.aggregate import sums
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.datagrams import DatagramLane, SegmentLane
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.lane import AcceptLane, CountLane
from statsd_tcp.ingest.lane_kinds import lane_kinds
from statsd_tcp.ingest.limits import ListenerLimits, WorkerLimits
from statsd_tcp.ingest.line_lane import LineLane
from statsd_tcp.ingest.moderation import INTERVAL, QUIET_POLLS, Moderator, Timer
from statsd_tcp.ingest.native_lanes import NativeCountLane, NativeLineLane
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.ingest.protocol import LineFactory
from statsd_tcp.ingest.sources import ListenerSources, WorkerSources
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.kernel.segments import ask_for_segments, gives_segments
from statsd_tcp.ledger.cells import ledger_cells, listener_cells
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.who.layout import KEYS, MAPPED
from statsd_tcp.who.limit_memory import ACTIVE, LimitMemory, LimitPlan
from statsd_tcp.who.limits import SourceLimits
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.workers.turns import Turns

Work = Callable[[], object]

CLIENTS = 128
"""Connected at once: fewer than one poll accepts."""
ROUNDS = 16
WARM_UP_ROUNDS = 4
"""Python adapts its bytecode to what it meets first."""
RING_SIZE = 1 << 20
CHUNKS = 400
LINES_PER_CHUNK = 50


class Counted:
    """Calls work in such a way that callgrind counts it."""

    def __init__(self, switch: str) -> None:
        library = ctypes.PyDLL(switch)
        self._on: Work = library.count_on
        self._off: Work = library.count_off

    def __call__(self, work: Work) -> None:
        """Work, and be counted."""
        self._on()
        work()
        self._off()


class Turned:
    """Stands in for the reactor: calls what is to be called later when it is turned. Under load nothing is watched."""

    def __init__(self) -> None:
        self._later: list[Work] = []

    def callLater(self, delay: float, function: Work) -> None:
        """Keep it for the next turn."""
        self._later.append(function)

    def addReader(self, reader: object) -> None:
        """Do nothing."""

    def removeReader(self, reader: object) -> None:
        """Do nothing."""

    def adoptStreamConnection(self, descriptor: int, family: int, factory: LineFactory) -> None:
        """Make a transport as the real reactor does."""
        tcp.Server._fromConnectedSocket(descriptor, family, factory, self)  # noqa: SLF001

    def forget(self) -> None:
        """Call nothing of what was to be called."""
        self._later = []

    def turn(self) -> None:
        """Call everything."""
        due, self._later = self._later, []
        for function in due:
            function()


class Waited:
    """Stands in for the kernel: answers at once, when as much time has passed as it was to wait."""

    def __init__(self) -> None:
        self.now = 0
        self._epoll = select.epoll()

    def ticks(self) -> int:
        """Return the time, in nanoseconds."""
        return self.now

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Look for events."""
        self.now += int(timeout * NANOSECONDS)
        return self._epoll.poll(0, maxevents)


class Scene:
    """A worker's parts, and clients on the loopback device."""

    def __init__(
        self, *, native: bool = False, who: bool = False, limited: bool = False, timer: Timer | None = None
    ) -> None:
        self._native = native
        self.reactor = cast("Any", Turned())
        cells = memoryview(bytearray(8 * len(ledger_cells(["tcp"])))).cast("Q")
        self.tally = Tally([("tcp", Grammar())], new_sums=partial(sums.new_sums, 1) if native else None)
        journal = Journal(memoryview(bytearray(RING_SIZE)), cells)
        sources = _sources(native=native) if who else None
        self._sources = None if sources is None else ListenerSources(sources, 0)
        self.intake = Intake(
            journal, self.tally, 1, scarce=_fail, ample=_fail, full=_fail, resumed=_fail, sources=sources
        )
        self.moderator = Moderator(timer or self.reactor, self.intake, _fail)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=CLIENTS)
        self.listener.setblocking(False)
        self._common = (self.reactor, self.listener, cells, listener_cells(0), self.moderator, _fail)
        self._limits = None
        if limited:
            limits = _limits(native=native)
            self._limits = ListenerLimits(limits, 0, cells, listener_cells(0), sources)
            self.intake.limits[0] = self._limits

    def count_lane(self) -> AcceptLane:
        """A port that counts."""
        return (NativeCountLane if self._native else CountLane)(*self._common, self._sources, self._limits)

    def line_lane(self) -> AcceptLane:
        """A port for lines."""
        return (NativeLineLane if self._native else LineLane)(
            *self._common,
            self._sources,
            self._limits,
            intake=self.intake,
            index=0,
            occupancy=Occupancy(CLIENTS),
            hand_over=_fail,
            max_line=8192,
        )

    def keep(self) -> list[socket.socket]:
        """Connected clients that stay, each of which has sent a line."""
        lane = lane_kinds(in_c=self._native).kept(self.reactor, self.moderator, _fail, self.intake)
        reactor, _, cells, indexes, moderator, _ = self._common
        factory = LineFactory(reactor, cells, indexes, moderator, Occupancy(CLIENTS), 1.0, keep=lane.keep)
        origin = MAPPED + bytes((127, 0, 0, 1)) if self._sources else None
        clients = self.clients()
        for _ in clients:
            connection = self.listener.accept()[0]
            kept = raw_socket(connection.family, connection.type, 0, connection.detach())
            factory.hand_over(kept, LineStream(self.intake, 0, 8192, origin=origin), 1)
        # The sweep of idle connections: time stands still here.
        self.reactor.forget()
        self.moderator._begin()  # noqa: SLF001
        self.moderator._run_if_needed(0)  # noqa: SLF001
        return clients

    def datagram_lane(self, port: socket.socket) -> DatagramLane:
        """A port for datagrams, which the kernel keeps together only for the parts in C."""
        common = (self.reactor, port, self.intake, 0, self.moderator, _fail)
        kinds = lane_kinds(in_c=self._native)
        if self._native:
            ask_for_segments(port)
        if gives_segments(port):
            return SegmentLane(*common, kinds.read_segments, self._sources)
        return DatagramLane(*common, kinds.read_datagrams, self._sources)

    def clients(self) -> list[socket.socket]:
        """Connected clients, waiting to be accepted."""
        return [socket.create_connection(self.listener.getsockname()) for _ in range(CLIENTS)]

    def begin(self, lane: AcceptLane) -> None:
        """Poll the lane's socket, under load."""
        self.moderator.add(lane)
        self.moderator._begin()  # noqa: SLF001
        self.moderator._run_if_needed(0)  # noqa: SLF001

    def tick(self) -> None:
        """Let a millisecond pass: everything that is due polls."""
        self.reactor.turn()

    def forget(self) -> None:
        """Empty the tally and the journal."""
        self.tally.take()
        self.intake.blame({})
        self.intake.release(self.intake.journal.head)


def _sources(*, native: bool) -> WorkerSources:
    """What sources are told to, always with the same keys."""
    memory = SourceMemory.make(SourcePlan(tuple(range(1 << 60, (1 << 60) + KEYS))))
    return WorkerSources(memory, lane_kinds(in_c=native).add_source)


def _limits(*, native: bool) -> WorkerLimits:
    """Limits that are not reached, with a column of another worker."""
    keys = tuple(range(1 << 60, (1 << 60) + KEYS))
    memory = LimitMemory.make(LimitPlan(keys, columns=2, interval=1, room=1 << 40, most_open=1 << 20))
    memory.cells[ACTIVE] = 2
    SourceLimits(memory, 1).admits(MAPPED + bytes((127, 0, 0, 1)), 0)
    return WorkerLimits(memory, 0, lane_kinds(in_c=native).admits)


def send(clients: list[socket.socket], *, end: bool = True, lines: int = 1) -> None:
    """Let each client send lines and say that it was all; return when the other side's kernel has them."""
    for number, client in enumerate(clients):
        client.sendall(b"app.page%d.hits:1|c\n" % number * lines)
        if end:
            client.shutdown(socket.SHUT_WR)
    unacknowledged = bytearray(4)
    for client in clients:
        while fcntl.ioctl(client, termios.TIOCOUTQ, unacknowledged) or any(unacknowledged):
            pass


def close(clients: list[socket.socket]) -> None:
    """Let the clients see the server's end, which they must, and go."""
    for client in clients:
        if client.recv(1):
            raise AssertionError("a server that has nothing to say has said something")
        client.close()


def rounds(one: Callable[[bool], None]) -> None:
    """Do one round again and again, first uncounted."""
    for number in range(WARM_UP_ROUNDS + ROUNDS):
        gc.collect()
        one(number >= WARM_UP_ROUNDS)


def line(counted: Counted, *, native: bool = False, who: bool = False, limited: bool = False) -> int:
    """Connections that have sent their line when they are accepted: accept, read, journal, tally."""
    scene = Scene(native=native, who=who, limited=limited)
    return _at_once(counted, scene, scene.line_lane(), lines=1)


def ten(counted: Counted) -> int:
    """The same with ten lines each, in C."""
    scene = Scene(native=True, who=True)
    return _at_once(counted, scene, scene.line_lane(), lines=10)


def bare(counted: Counted, *, native: bool = False, who: bool = False, limited: bool = False) -> int:
    """Connections that are counted."""
    scene = Scene(native=native, who=who, limited=limited)
    return _at_once(counted, scene, scene.count_lane(), lines=0)


def _at_once(counted: Counted, scene: Scene, lane: AcceptLane, *, lines: int) -> int:
    scene.begin(lane)

    def one(counts: bool) -> None:
        clients = scene.clients()
        if lines:
            send(clients, lines=lines)
        (counted if counts else _do)(scene.tick)
        close(clients)
        scene.forget()

    rounds(one)
    return ROUNDS * CLIENTS


def late(counted: Counted, *, native: bool = False) -> int:
    """Connections that send their line 5 milliseconds after they were accepted."""
    scene = Scene(native=native)
    scene.begin(scene.line_lane())

    def one(counts: bool) -> None:
        act = counted if counts else _do
        clients = scene.clients()
        for _ in range(5):
            act(scene.tick)
        send(clients)
        for _ in range(10):
            act(scene.tick)
        close(clients)
        scene.forget()

    rounds(one)
    return ROUNDS * CLIENTS


def kept(counted: Counted, *, native: bool = False, who: bool = False) -> int:
    """Lines of connections that stay, one of each."""
    scene = Scene(native=native, who=who)
    clients = scene.keep()

    def one(counts: bool) -> None:
        send(clients, end=False)
        (counted if counts else _do)(scene.tick)
        scene.forget()

    rounds(one)
    return ROUNDS * CLIENTS


def datagrams(counted: Counted, *, native: bool = False, who: bool = False) -> int:
    """Datagrams of one line that wait when their socket is polled: read, journal, tally."""
    scene = Scene(native=native, who=who)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        port.bind(("127.0.0.1", 0))
        one.connect(port.getsockname())
        lane = scene.datagram_lane(port)

        def poll() -> None:
            if lane.poll() != CLIENTS:
                _fail("datagrams were lost")
            scene.intake.settle()

        def send_and_poll(counts: bool) -> None:
            for number in range(CLIENTS):
                one.send(b"app.page%d.hits:1|c\n" % number)
            (counted if counts else _do)(poll)
            scene.forget()

        rounds(send_and_poll)
    return ROUNDS * CLIENTS


def quiet(counted: Counted) -> int:
    """Polls under load that find nothing."""
    scene = Scene()
    scene.begin(scene.line_lane())

    def poll() -> None:
        for _ in range(QUIET_POLLS - 1):
            scene.tick()

    def one(counts: bool) -> None:
        clients = [socket.create_connection(scene.listener.getsockname())]
        send(clients)
        scene.tick()
        (counted if counts else _do)(poll)
        close(clients)

    rounds(one)
    return ROUNDS * (QUIET_POLLS - 1)


def waking(counted: Counted) -> int:
    """Polls under load that find nothing, each with the wait for it, which the reactor does not see."""
    kernel = Waited()
    turns = Turns(kernel, kernel.ticks)
    scene = Scene(native=True, who=True, timer=turns)
    scene.begin(scene.line_lane())

    def one(counts: bool) -> None:
        clients = [socket.create_connection(scene.listener.getsockname())]
        send(clients)
        turns.poll(INTERVAL, CLIENTS)
        (counted if counts else _do)(lambda: turns.poll((QUIET_POLLS - 1) * INTERVAL, CLIENTS))
        close(clients)

    rounds(one)
    return ROUNDS * (QUIET_POLLS - 1)


def _lines(counted: Counted, make: Callable[[int], bytes], *, native: bool, plain: bool = True) -> int:
    tally = Tally([("tcp", Grammar())], new_sums=partial(sums.new_sums, 1) if native else None)
    numbers = range(CHUNKS * LINES_PER_CHUNK)
    lines = [make(number) for number in numbers]
    chunks = [b"".join(lines[start : start + LINES_PER_CHUNK]) for start in range(0, len(lines), LINES_PER_CHUNK)]

    def count() -> None:
        for tick, chunk in enumerate(chunks):
            if plain:
                tally.add_plain(0, [chunk], tick)
            else:
                tally.add(0, chunk, tick)
        tally.take()

    count()
    gc.collect()
    counted(count)
    return len(lines)


def counters(counted: Counted, *, native: bool = False) -> int:
    """Lines of counters in the tally, many of which repeat themselves."""
    return _lines(counted, lambda number: b"app.page%d.hits:1|c\n" % (number * 7919 % 1000), native=native)


def timers(counted: Counted, *, native: bool = False) -> int:
    """Lines of timers in the tally, few of which repeat themselves."""
    return _lines(
        counted,
        lambda number: b"app.page%d.time:%d|ms\n" % (number * 7919 % 1000, 100 + number * 104729 % 900),
        native=native,
    )


def gauges(counted: Counted, *, native: bool = False) -> int:
    """Lines of gauges in the tally, which are read one by one."""
    return _lines(
        counted,
        lambda number: b"app.page%d.load:%d|g\n" % (number * 7919 % 1000, number % 900),
        native=native,
        plain=False,
    )


def _do(work: Work) -> None:
    work()


def _fail(*reason: object) -> None:
    raise AssertionError(*reason)


PIECES: dict[str, Callable[[Counted], int]] = {
    "bare": bare,
    "line": line,
    "bare-who": partial(bare, who=True),
    "line-who": partial(line, who=True),
    "bare-limited": partial(bare, who=True, limited=True),
    "line-limited": partial(line, who=True, limited=True),
    "late": late,
    "kept": kept,
    "kept-who": partial(kept, who=True),
    "quiet": quiet,
    "datagrams": datagrams,
    "datagrams-who": partial(datagrams, who=True),
    "counters": counters,
    "timers": timers,
    "gauges": gauges,
}

if native_parts.BUILT:
    PIECES |= {
        f"{piece.__name__}-c": partial(piece, native=True)
        for piece in (bare, line, late, kept, datagrams, counters, timers)
    }
    PIECES |= {"waking-c": waking, "ten-who-c": ten}
    PIECES |= {
        f"{piece.__name__}-who-c": partial(piece, native=True, who=True) for piece in (bare, line, kept, datagrams)
    }
    PIECES |= {
        f"{piece.__name__}-limited-c": partial(piece, native=True, who=True, limited=True) for piece in (bare, line)
    }


def main(piece: str, switch: str) -> int:
    """Run one piece."""
    print(PIECES[piece](Counted(switch)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
