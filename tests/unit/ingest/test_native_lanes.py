"""The lanes in C do what the lanes in Python do: all tests of these, once more."""

from __future__ import annotations

import errno
import resource
import time
from types import ModuleType
from typing import Any

from statsd_tcp import native
from statsd_tcp.ingest import intake, native_lanes
from statsd_tcp.ingest.balanced import NativeBalancedLineLane
from statsd_tcp.ingest.lane import FULL_PAUSE
from statsd_tcp.ingest.lane_kinds import LaneKinds, lane_kinds
from statsd_tcp.ingest.native_lanes import NativeCountLane, NativeLineLane
from statsd_tcp.ledger.cells import JOURNAL_HEAD
from statsd_tcp.ledger.journal import read_frames
from tests.unit.descriptors import open_here
from tests.unit.ingest import (
    test_accept,
    test_balanced,
    test_datagrams,
    test_endings,
    test_eviction,
    test_framings,
    test_kept_lane,
    test_limits,
    test_line_lane,
    test_moderation,
    test_parking,
    test_protocol,
    test_source_limits,
    test_sources,
)
from tests.unit.ingest.loopback import RING_SIZE, IngestTestCase

MODULES = (
    test_accept,
    test_balanced,
    test_datagrams,
    test_endings,
    test_eviction,
    test_framings,
    test_kept_lane,
    test_limits,
    test_line_lane,
    test_moderation,
    test_parking,
    test_protocol,
    test_source_limits,
    test_sources,
)
_burst: Any = getattr(native_lanes, "_burst", None)

NATIVE = lane_kinds(in_c=True) if native.BUILT else LaneKinds(NativeCountLane, NativeLineLane, NativeBalancedLineLane)
PLAIN = IngestTestCase.kinds
WITHOUT = None if native.BUILT else "the parts in C were not built"


def let_it_fail(case: Any) -> None:
    """Have the lane in C accept as a test says."""
    original = case.lane._burst

    def fake(*arguments: Any) -> tuple[int, int]:
        return original(*arguments) if case.error is None else (0, case.error.errno)

    case.lane._burst = fake


def make_faulty(case: IngestTestCase, lane: Any) -> None:
    """Let the next connection meet a fault."""
    original = lane._burst

    def fake(*arguments: Any) -> None:
        original(*arguments)
        raise ZeroDivisionError("a fault")

    case.patch(lane, "_burst", fake)


REPLACED: dict[str, dict[str, Any]] = {
    "ExhaustedTests": {"let_it_fail": let_it_fail},
    "FaultTests": {"make_faulty": make_faulty},
}
"""What in the tests of the lanes in Python reaches into the Python."""


def _with_native_lanes(module: ModuleType) -> dict[str, type[IngestTestCase]]:
    """Return each of a module's cases again, with the lanes in C."""
    cases = {}
    for name, case in vars(module).items():
        if isinstance(case, type) and issubclass(case, IngestTestCase) and case.__module__ == module.__name__:
            members: dict[str, Any] = {"__doc__": case.__doc__, "__module__": __name__, "kinds": NATIVE}
            members |= {"skip": WITHOUT} if WITHOUT else {}
            cases[f"Native{name}"] = type(f"Native{name}", (case,), members | REPLACED.get(name, {}))
    return cases


for _module in MODULES:
    globals().update(_with_native_lanes(_module))


class SameJournalTests(IngestTestCase):
    """What the lane in C leaves in shared memory."""

    kinds = NATIVE
    if WITHOUT:
        skip = WITHOUT

    def test_frames(self) -> None:
        """Every frame has a good checksum, and says what came from where and when; also where the ring wraps around."""
        lane = self.line_lane()
        for number in range(100):
            line = b"%d:" % number + b"x" * (number * 997 % 36000) + b"\n"
            client = self.connect()
            client.socket.sendall(line)
            client.fin()
            self.intake.tick, start = number, self.journal.head
            self.assertEqual(1, lane.poll())
            frames = list(read_frames(self.journal.ring, start, self.journal.head))
            self.assertEqual([(self.journal.head, number, 0, len(line), 0, line, None)], frames)
            self.intake.release(start)
        self.assertGreater(self.journal.head, len(self.journal.ring))

    def test_every_frame(self) -> None:
        """All frames of one poll are there, in the order of the connections, gauges with a tick of their own."""
        lane = self.line_lane()
        lines = [b"a:1|c\n", b"b:2|g\n", b"c:3|c\n", b"d:4|g\n"]
        for line in lines:
            client = self.connect()
            client.send(line)
            client.fin()
        self.assertEqual(4, lane.poll())
        frames = list(read_frames(self.journal.ring, 0, self.journal.head))
        self.assertEqual(lines, [frame.lines for frame in frames])
        ticks = [frame.tick for frame in frames]
        self.assertEqual(ticks[1], ticks[2])
        self.assertLess(ticks[1], ticks[3])
        self.assertEqual([ticks[1], ticks[3]], self.tally.ticks)
        self.assertEqual([b"b:2|g", b"d:4|g"], self.tally.lines)

    def test_order_of_gauges(self) -> None:
        """What a client sent before another one came is taken before, also where it is left to Python."""
        self.patch(intake, "time", time)
        lane = self.line_lane()
        for line in (b"a:1|g", b"a:2|g\n", b"a:3|g"):
            client = self.connect()
            client.socket.sendall(line)
            client.fin()
        self.assertEqual(3, lane.poll())
        self.assertEqual([b"a:1|g", b"a:2|g", b"a:3|g"], self.tally.lines)
        self.assertEqual(sorted(self.tally.ticks), self.tally.ticks)
        self.assertEqual(self.intake.tick, self.tally.ticks[-1])

    def test_room_for_what_python_takes(self) -> None:
        """Data without a newline at their end are not read beyond what the journal has room for."""
        lane = self.line_lane()
        block = b"a:1|c\n" * 8000 + b"a:1|c"
        for _ in range(2 * RING_SIZE // len(block)):
            client = self.connect()
            client.socket.sendall(block)
            client.fin()
        polls: list[int] = []
        while sum(polls) < 2 * RING_SIZE // len(block):
            polls.append(lane.poll())
            self.assertTrue(polls[-1])
            self.assertLess(self.journal.head - self.journal.released, RING_SIZE)
            self.intake.release(self.journal.head)
        self.assertGreater(len(polls), 2)

    def test_no_descriptor_left_open(self) -> None:
        """Each connection that is done in C is closed, whatever its end."""
        lane = self.line_lane()
        before = open_here()
        for number in range(30):
            client = self.connect()
            client.socket.sendall(b"a:1|c\n")
            if number % 3:
                client.fin()
            else:
                client.reset()
            self.assertEqual(1, lane.poll())
            client.socket.close()
        self.assertEqual({"eof": 20, "reset": 10}, self.closed)
        self.assertEqual(frozenset(), open_here() - before)

    def test_out_of_descriptors(self) -> None:
        """A line port that finds no descriptor counts that and waits, as one in Python does."""
        lane = self.line_lane()
        self.connect()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            self.assertEqual(0, lane.poll())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertEqual((1, 1, 0), (self.errors("EMFILE"), self.cells[self.indexes.paused], self.accepted))
        self.reactor.advance(FULL_PAUSE)
        self.assertEqual(1, lane.poll())

    def test_nothing_told(self) -> None:
        """What was framed and never told to the tally, because the process died, is read back whole."""
        self.line_lane()
        for number in range(3):
            client = self.connect()
            client.socket.sendall(b"a:%d|c\n" % number)
            client.fin()
        counts = (self.indexes.accepted, self.indexes.eof, self.indexes.reset, self.indexes.error, JOURNAL_HEAD)
        taken, *_ = _burst.lines(
            self.listener.fileno(), 9, 4, 1 << 16, self.cells, counts, self.journal.ring, 0, self.intake.brim, 5
        )
        head = self.cells[JOURNAL_HEAD]
        frames = list(read_frames(self.journal.ring, 0, head))
        self.assertEqual((3, {"eof": 3}), (taken, self.closed))
        self.assertEqual([b"a:0|c\n", b"a:1|c\n", b"a:2|c\n"], [frame.lines for frame in frames])

    def test_wrong_arguments(self) -> None:
        """Flushes that are not there and rings too small to read into are refused before anything is accepted."""
        self.connect()
        descriptor = self.listener.fileno()
        good = (self.indexes.accepted, self.indexes.eof, self.indexes.reset, self.indexes.error, 2)
        ring = self.journal.ring
        for indexes, room, at_once, error in (
            ((1, 2, 3, 4, len(self.cells)), ring, 100, IndexError),
            ((-1, 2, 3, 4, 5), ring, 100, IndexError),
            (good, ring[: 1 << 10], 100, ValueError),
            (good, ring, (1 << 16) + 1, ValueError),
            (good, ring, 0, ValueError),
        ):
            with self.assertRaises(error):
                _burst.lines(descriptor, 9, 4, at_once, self.cells, indexes, room, 0, 1 << 18, 1)
        with self.assertRaises(IndexError):
            _burst.bare(descriptor, 9, self.cells, (1, 2, 1 << 40))
        self.assertEqual(0, self.accepted)

    def test_wrong_arguments_for_datagrams(self) -> None:
        """A buffer that is too small, or what is no socket, is refused; an error of recv(2) is given as its number."""
        buffer = memoryview(bytearray(100))
        for batch, largest in ((50, 50), (-1, 10), (10, 0), (1 << 62, 1 << 62)):
            self.assertRaises(ValueError, _burst.datagrams, self.listener, 9, buffer, batch, largest)
        self.assertRaises(TypeError, _burst.datagrams, "socket", 9, buffer, 10, 10)
        self.assertEqual((0, 0, 0, 0, errno.ENOTCONN, b""), _burst.datagrams(self.listener, 9, buffer, 10, 10))

    def test_wrong_arguments_for_segments(self) -> None:
        """A buffer without room for a piece, and another size of pieces, are refused."""
        for size, largest in ((2 * 65536 - 1, 65536), (1 << 18, 65535), (1 << 18, 1 << 17), (1 << 18, 0)):
            buffer = memoryview(bytearray(size))
            self.assertRaises(ValueError, _burst.segments, self.listener, 9, buffer, 10, largest)
        buffer = memoryview(bytearray(1 << 17))
        self.assertRaises(TypeError, _burst.segments, "socket", 9, buffer, 10, 65536)
        self.assertEqual((0, 0, 0, 0, errno.ENOTCONN, b""), _burst.segments(self.listener, 9, buffer, 10, 65536))

    def test_no_listener(self) -> None:
        """An error of accept(2) is given as its number."""
        self.assertEqual((0, errno.EBADF), _burst.bare(-1, 9, self.cells, (1, 2, 3)))


class ChoiceTests(IngestTestCase):
    """Which lanes serve."""

    def test_wanted(self) -> None:
        """Those in C where they were built; those in Python if the environment says so, or wants a crash."""
        environs: tuple[dict[str, str], ...] = ({}, {native.VARIABLE: "1"}, {"STATSCOUNTER_CRASH": "after-frame"})
        for environ, expected in zip(environs, (native.BUILT, False, False), strict=True):
            self.assertEqual(expected, native.is_used(environ))
            self.assertEqual(expected, native.use(environ) == "in C")
            self.assertEqual(not expected, native.use(environ).startswith("in Python ("))
        self.assertEqual(PLAIN, lane_kinds(in_c=False))
