"""A worker: from its sockets to what it sends to the supervisor; a full journal; the end."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from struct import pack
from typing import Any, cast

import msgspec
from twisted.python.failure import Failure

from statsd_tcp.aggregate import digest as digest_module
from statsd_tcp.aggregate import tally as tally_module
from statsd_tcp.aggregate.encoding import VERSION_1, decode, encode
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.numbered import Numbered
from statsd_tcp.commit.replay import replay
from statsd_tcp.ingest import eviction, intake, moderation, protocol
from statsd_tcp.ingest import lane as lane_module
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.kernel.segments import ask_for_segments
from statsd_tcp.ledger.cells import HEARTBEAT, JOURNAL_HEAD, JOURNAL_RELEASED, listener_cells
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.reader import LedgerReader
from statsd_tcp.who.layout import BEGAN, OPEN, PERIOD, RECORD, Record, table_offset, table_size
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from statsd_tcp.workers.channel import Boot, Gathered, LaneSpec, Ready
from statsd_tcp.workers.draining import CHECK, YOUTH
from statsd_tcp.workers.worker import LONGEST_CONFIRMATION, Worker
from tests.unit.aggregate.model import sums
from tests.unit.ingest.batches import batch, hello
from tests.unit.ingest.loopback import UDP_SEGMENT, Client, LoopbackReactor, VirtualTime, make_listener, wait_readable
from tests.unit.ledger.cases import LedgerTestCase

RING_SIZE = 1 << 19

# The listeners of the test's ledgers: a stream of lines, and datagrams. Bare connections come in under the first too.
LINES, DATAGRAMS = 0, 1


class WorkerTestCase(LedgerTestCase):
    """A test with a worker in this process."""

    connections = 100
    sources: WorkerSources | None = None

    def setUp(self) -> None:
        """Make the sockets and the worker."""
        super().setUp()
        self.reactor = LoopbackReactor()
        self.time = VirtualTime(self.reactor)
        for module in (eviction, intake, moderation, protocol):
            self.patch(module, "time", self.time)
        self.ledger: LedgerMap = self.map(self.create(ring_size=RING_SIZE), writable=True)
        self.listener, self.counter = make_listener(), make_listener()
        self.port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port.bind(("127.0.0.1", 0))
        for one in (self.listener, self.counter, self.port):
            self.addCleanup(one.close)
        self.sent: list[Any] = []
        self.failures: list[Failure] = []
        self.done: list[bool] = []
        self.worker = self.make_worker()

    def make_worker(self) -> Worker:
        """Make the worker, with copies of the descriptors, as a process of its own has them."""
        lanes = (
            self.spec(self.listener, LINES, "lines"),
            self.spec(self.counter, LINES, "count"),
            self.spec(self.port, DATAGRAMS, "datagrams"),
        )
        boot = Boot(self.ledger.path, lanes, self.connections, 60.0, first_byte_timeout=8.0)
        common = (self.reactor, boot, self.ledger, self.sent.append, self.failures.append)
        worker = Worker(*common, ticks=self.time.monotonic_ns, sources=self.sources)
        self.addCleanup(self.close, worker)
        return worker

    def spec(self, one: socket.socket, index: int, kind: Any) -> LaneSpec:
        """Describe a socket to the worker."""
        return LaneSpec(os.dup(one.fileno()), int(one.family), index, kind, sources=kind != "datagrams")

    def close(self, worker: Worker) -> None:
        """Close everything that the worker has."""
        if not self.done:
            worker.drain(lambda: None)
            self.turn(5)
        worker._kept_lane.let_go()
        for lane in worker._lanes:
            os.close(lane.fileno())
            getattr(lane, "_listener", getattr(lane, "_port", None)).detach()  # type: ignore[union-attr]

    def turn(self, times: int = 3) -> None:
        """Let the reactor run, a millisecond for each turn."""
        for _ in range(times):
            self.reactor.turn()
            self.reactor.advance(0.001)

    def connect(self, listener: socket.socket | None = None) -> Client:
        """Make a client."""
        one = listener or self.listener
        client = Client(one.getsockname())
        self.addCleanup(client.socket.close)
        wait_readable(one)
        return client

    def lines(self, data: bytes) -> None:
        """Send lines over a connection that ends."""
        client = self.connect()
        client.send(data)
        client.fin()

    def collect(self) -> tuple[Gathered, Interval]:
        """Ask the worker; give its answer, also decoded."""
        self.sent.clear()
        self.worker.collect()
        (message,) = self.sent
        return message, decode(message.interval) if message.interval else Interval()

    def cell(self, name: str) -> int:
        """Read a cell of the listener of lines."""
        return int(self.ledger.cells[getattr(listener_cells(LINES), name)])


class SourcesTests(WorkerTestCase):
    """A worker that counts sources, of all but datagrams."""

    def setUp(self) -> None:
        """Start it."""
        self.memory = SourceMemory.make(SourcePlan.by_chance()._replace(sets=4))
        self.sources = WorkerSources(self.memory)
        super().setUp()
        self.worker.start()

    def seen(self) -> dict[int, tuple[int, int, int]]:
        """Return by listener the connections, lines and bad lines of this machine."""
        start = table_offset(self.memory.cells[OPEN], 4)
        table = bytes(self.memory.view[start : start + table_size(4)])
        found = [Record(*one) for one in RECORD.iter_unpack(table)]
        return {one.listener - 1: (one.connections, one.lines, one.bad) for one in found if one.listener}

    def test_bad_lines(self) -> None:
        """When the interval is taken it is known whose the bad lines were, once."""
        self.lines(b"a:1|c\nbad\n")
        self.lines(b"a:1|c\nbad\nworse\nx:1|g\n")
        self.turn()
        self.assertEqual({LINES: (2, 6, 0)}, self.seen())
        self.collect()
        self.assertEqual({LINES: (2, 6, 3)}, self.seen())
        self.lines(b"a:1|c\n")
        self.turn()
        self.collect()
        self.assertEqual({LINES: (3, 7, 3)}, self.seen())

    def test_not_of_datagrams(self) -> None:
        """Datagrams are not counted where that was not asked for, and bare connections are."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"a:1|c\nbad\n", self.port.getsockname())
        wait_readable(self.port)
        self.connect(self.counter)
        self.turn()
        self.collect()
        self.assertEqual({LINES: (1, 0, 0)}, self.seen())

    def test_period(self) -> None:
        """The next period is opened by the worker's own clock, whether or not a client connects."""
        self.memory.cells[BEGAN] = self.time.monotonic_ns()
        self.reactor.pump([1.0] * (PERIOD - 1))
        self.assertEqual(1, self.memory.cells[OPEN])
        self.reactor.pump([1.0] * 2)
        self.assertEqual(2, self.memory.cells[OPEN])


class ServingTests(WorkerTestCase):
    """A worker at work."""

    def setUp(self) -> None:
        """Start it."""
        super().setUp()
        self.worker.start()

    def test_ready(self) -> None:
        """A worker that accepts says so, and its heart beats."""
        self.assertEqual([Ready()], self.sent)
        self.assertGreater(self.ledger.cells[HEARTBEAT], 0)

    def test_collect(self) -> None:
        """What was received is sent with the journal's offsets that it was made from, and the next time the rest."""
        self.lines(b"a:1|c\na:2|c\n")
        self.turn()
        first, interval = self.collect()
        self.assertEqual((0, self.ledger.cells[JOURNAL_HEAD]), (first.start, first.end))
        self.assertEqual({"a": 3.0}, interval.counters)
        self.assertEqual({"tcp:8125": ListenerCounts(12, 2, 0, 0)}, interval.listeners)
        self.lines(b"a:5|c\n")
        self.turn()
        second, interval = self.collect()
        self.assertEqual((first.end, {"a": 5.0}), (second.start, interval.counters))

    def test_numbers(self) -> None:
        """A worker that is asked for a session says a name once; without one, and in answers before it, each time."""
        for session, known in ((0, 0), (7, 0), (7, 1), (8, 0)):
            self.worker.session = session
            self.lines(b"a:5|c\n")
            self.turn()
            message, interval = self.collect()
            if session:
                expected = Numbered(session << 32, known, [] if known else ["a"], bytes(4), pack("<d", 5.0))
                self.assertEqual((expected, {}), (interval.numbered, interval.counters))
            else:
                self.assertEqual((Numbered(), {"a": 5.0}), (interval.numbered, interval.counters))
                self.assertEqual(encode(interval, VERSION_1)[:1], message.interval[:1])

    def test_nothing(self) -> None:
        """A worker that received nothing sends an empty answer."""
        message, _ = self.collect()
        self.assertEqual(Gathered(0, 0, b""), message)

    def test_counted(self) -> None:
        """Bare connections are counted in the ledger, at once."""
        for _ in range(3):
            self.connect(self.counter).socket.close()
        self.turn()
        self.assertEqual((3, 3), (self.cell("accepted"), self.cell("counted") + self.cell("reset")))

    def test_datagrams(self) -> None:
        """Datagrams are lines of their listener."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"a:1|c\nb:2|c", self.port.getsockname())
        wait_readable(self.port)
        self.turn()
        _, interval = self.collect()
        self.assertEqual({"udp:8125": ListenerCounts(11, 2, 0, 1)}, interval.listeners)

    def test_a_flood_of_datagrams(self) -> None:
        """Under a load of datagrams their socket is polled, and connections are still accepted as they come."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(moderation.BUSY_BATCH):
                client.sendto(b"a:1|c", self.port.getsockname())
        wait_readable(self.port)
        watched = len(self.reactor.getReaders())
        self.reactor.turn()
        self.assertEqual(watched - 1, len(self.reactor.getReaders()))
        self.lines(b"b:1|c\n")
        self.reactor.turn()
        self.assertEqual(1, self.cell("accepted"))

    def test_datagrams_while_collected(self) -> None:
        """Under a load of datagrams those that wait are read before the interval is closed, and right after it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:

            def send(*lines: bytes) -> None:
                for line in lines:
                    client.sendto(line, self.port.getsockname())
                wait_readable(self.port)

            send(*[b"a:1|c"] * moderation.BUSY_BATCH)
            self.reactor.turn()
            send(b"b:1|c")
            tally = self.worker._tally
            take = tally.take

            def take_and_send() -> Interval:
                taken = take()
                send(b"c:1|c")
                return taken

            self.patch(tally, "take", take_and_send)
            message, interval = self.collect()
        self.assertEqual({"a": float(moderation.BUSY_BATCH), "b": 1.0}, interval.counters)
        self.assertLess(message.end, self.ledger.cells[JOURNAL_HEAD])
        self.patch(tally, "take", take)
        self.assertEqual({"c": 1.0}, self.collect()[1].counters)

    def test_journal_and_interval_agree(self) -> None:
        """What is replayed from the journal is what the worker sent."""
        for data in (b"a:1|c\nb:2|g\n", b"junk\n\n", b"t:7|ms|@0.5\n"):
            self.lines(data)
            self.turn()
        message, interval = self.collect()
        reader = LedgerReader.open(Path(self.ledger.path))
        self.addCleanup(reader.close)
        found = replay(reader, 0)
        self.assertEqual(message.end, found.end)
        replayed = decode(found.payload)
        del replayed.listeners["udp:8125"]
        # The worker had met some of the shapes before.
        self.assertEqual(sums(interval), sums(replayed))

    def test_committed(self) -> None:
        """What is committed may be overwritten."""
        self.lines(b"a:1|c\n")
        self.turn()
        message, _ = self.collect()
        self.worker.committed(message.end)
        self.assertEqual(message.end, self.ledger.cells[JOURNAL_RELEASED])

    def test_what_is_not_settled_yet(self) -> None:
        """An answer covers the journal to its end, also what was waiting to be tallied with the next poll."""
        client = self.connect()
        self.turn()
        self.worker._moderators.coming.busy = True
        client.send(b"a:1|c\n")
        self.reactor.turn()
        message, interval = self.collect()
        self.assertEqual(({"a": 1.0}, self.ledger.cells[JOURNAL_HEAD]), (interval.counters, message.end))

    def test_examples(self) -> None:
        """What was rejected goes along by example, once."""
        self.lines(b"a:1|c\nq:x|ms\n")
        self.turn()
        self.assertEqual((Example("malformed_value", "tcp:8125", b"q:x|ms"),), self.collect()[0].examples)
        self.assertEqual((), self.collect()[0].examples)

    def test_heartbeat(self) -> None:
        """Every collection is a heartbeat."""
        before = self.ledger.cells[HEARTBEAT]
        self.reactor.advance(1)
        self.collect()
        self.assertEqual(before + 1_000_000_000, self.ledger.cells[HEARTBEAT])

    def test_a_long_lived_client(self) -> None:
        """A client that stays goes to the reactor, and is counted when it ends."""
        client = self.connect()
        self.turn()
        self.assertEqual((1, 1), (self.reactor.adopted, self.cell("accepted")))
        client.send(b"a:1|c\n")
        self.turn()
        client.fin()
        self.turn()
        self.assertEqual((1, {"a": 1.0}), (self.cell("eof"), self.collect()[1].counters))

    def test_a_fault(self) -> None:
        """A fault in a lane ends the worker: nothing else would notice."""
        self.patch(self.worker._tally.__class__, "add_plain", None)
        self.lines(b"a:1|c\n")
        self.turn()
        self.assertEqual(1, len(self.failures))
        self.assertEqual(1, self.cell("accepted"))


class SegmentsTests(WorkerTestCase):
    """A worker of which a socket keeps datagrams together."""

    def make_worker(self) -> Worker:
        """Make it, and have it start."""
        ask_for_segments(self.port)
        worker = super().make_worker()
        worker.start()
        return worker

    def test_datagrams_at_once(self) -> None:
        """Datagrams that a client has sent at once are told apart."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 5)
            client.sendto(b"a:1|cb:2|cc:3|", self.port.getsockname())
        wait_readable(self.port)
        self.turn()
        self.assertEqual({"udp:8125": ListenerCounts(14, 3, 0, 3)}, self.collect()[1].listeners)


class FullTests(WorkerTestCase):
    """The journal is full."""

    def setUp(self) -> None:
        """Start, with a client that stays."""
        super().setUp()
        self.worker.start()
        self.client = self.connect()
        self.turn()
        self.sent.clear()

    def crowd(self) -> int:
        """Let the client send until only the reserve of the journal is left; give how many lines that were."""
        line = b"x:1|c|#" + b"y" * 7000 + b"\n"
        for count in range(8, 200, 8):
            self.client.send(line * 8)
            self.reactor.turn()
            if self.worker._intake.is_scarce:
                return count
            # Slowly enough to be no load: then nothing else is due when it is scarce.
            self.reactor.advance(0.002)
        raise AssertionError("it is never scarce")

    def fill(self) -> None:
        """Fill the reserve too."""
        self.crowd()
        while not self.worker._intake.is_full:
            self.worker._intake.take(LINES, b"#" * 60000 + b"\n", 60001)

    def test_a_reserve_for_others(self) -> None:
        """A client that stays and sends much is no longer read; others are, new and old, and so are datagrams."""
        other = self.connect()
        self.turn(20)
        count = self.crowd()
        self.assertEqual([], self.sent)
        self.reactor.advance(0)
        (message,) = self.sent
        self.assertEqual(count, decode(message.interval).listeners["tcp:8125"].lines)
        self.client.send(b"late:1|c\n")
        other.send(b"kept:1|c\n")
        self.lines(b"b:1|c\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"d:1|c", self.port.getsockname())
        wait_readable(self.port)
        self.turn()
        self.assertEqual({"kept": 1.0, "b": 1.0, "d": 1.0}, self.collect()[1].counters)
        self.worker.committed(message.end)
        self.turn()
        self.assertEqual({"late": 1.0}, self.collect()[1].counters)

    def test_full(self) -> None:
        """A full journal stops all reading and asks for a commit by itself; bare connections are still counted."""
        self.fill()
        self.reactor.advance(0)
        (message,) = self.sent
        self.assertEqual(message.end, self.ledger.cells[JOURNAL_HEAD])
        self.client.send(b"a:1|c\n")
        self.lines(b"b:1|c\n")
        self.connect(self.counter)
        self.turn()
        self.assertEqual(message.end, self.ledger.cells[JOURNAL_HEAD])
        self.assertEqual((2, 1), (self.cell("accepted"), self.cell("paused")))
        self.worker.committed(message.end)
        self.turn()
        self.assertEqual((3, 0), (self.cell("accepted"), self.cell("paused")))
        self.assertEqual({"a": 1.0, "b": 1.0}, self.collect()[1].counters)

    def test_who_goes_on_first(self) -> None:
        """When there is room again those that come and those that stay take turns at being read first."""
        add, firsts = self.reactor.addReader, []
        (kept,) = self.worker._kept()
        waiting: Any = cast("Any", kept.transport).reactor
        add_kept = waiting.addReader
        for _ in range(4):
            while not self.worker._intake.is_full:
                self.worker._intake.take(LINES, b"#" * 60000 + b"\n", 60001)
            again: list[bool] = []

            def note(reader: Any, again: list[bool] = again) -> None:
                again.append(True)
                add(reader)

            def note_kept(reader: Any, again: list[bool] = again) -> None:
                again.append(False)
                add_kept(reader)

            self.patch(self.reactor, "addReader", note)
            self.patch(waiting, "addReader", note_kept)
            self.worker.committed(self.ledger.cells[JOURNAL_HEAD])
            firsts.append(again[0])
        self.assertIn(firsts, ([True, False, True, False], [False, True, False, True]))

    def test_datagrams_wait(self) -> None:
        """Datagrams wait in the kernel meanwhile."""
        self.fill()
        self.reactor.advance(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"a:1|c", self.port.getsockname())
        wait_readable(self.port)
        head = self.ledger.cells[JOURNAL_HEAD]
        self.turn()
        self.assertEqual(head, self.ledger.cells[JOURNAL_HEAD])
        self.worker.committed(head)
        self.turn()
        self.assertGreater(self.ledger.cells[JOURNAL_HEAD], head)


class DrainTests(WorkerTestCase):
    """The supervisor asks for the end, or is gone."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        self.worker.start()
        self.sent.clear()

    def drain(self) -> None:
        """Drain, and check that everything is closed and nothing runs on."""
        self.worker.drain(lambda: self.done.append(True))
        self.reactor.turn()
        self.reactor.pump([CHECK] * (int(YOUTH / CHECK) + 2))
        self.assertEqual([True], self.done)
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertEqual(([], []), (self.reactor.getReaders(), self.reactor.getWriters()))

    def never_empty(self) -> tuple[list[None], Any]:
        """Have each poll for bare connections find one more, a tenth of a second later; return the polls, and how."""
        polls: list[None] = []

        def poll(lane: Any) -> int:
            polls.append(None)
            self.reactor.advance(0.1)
            return 1

        return polls, self.patch(CountLane, "poll", poll)

    def test_everything_that_waits(self) -> None:
        """Connections and datagrams that wait are taken, whatever the budget."""
        self.patch(lane_module, "BUDGET", 7)
        for number in range(20):
            self.lines(b"a:%d|c\n" % number)
            self.connect(self.counter)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"b:1|c", self.port.getsockname())
        wait_readable(self.port)
        self.drain()
        self.worker.collect(last=True)
        (message,) = self.sent
        self.assertTrue(message.last)
        self.assertEqual({"a": 190.0, "b": 1.0}, decode(message.interval).counters)
        self.assertEqual((40, 20, 20), (self.cell("accepted"), self.cell("eof"), self.cell("counted")))

    def test_open_connections(self) -> None:
        """Open connections are read to what has come, and closed; every accepted one has its reason."""
        adopted, unfinished = self.connect(), None
        self.turn()
        unfinished = self.connect()
        self.reactor.turn()
        for client in (adopted, unfinished):
            client.send(b"a:1|c\nb")
        self.drain()
        self.assertEqual((2, 2), (self.cell("accepted"), self.cell("shutdown")))
        self.assertEqual(2, self.collect()[1].bad_lines["truncated"])

    def test_young(self) -> None:
        """A client that was accepted just before, or waits to be, may still send its lines; an older one may not."""
        old = self.connect()
        self.turn(int(YOUTH * 1000))
        young = self.connect()
        self.turn()
        waits = self.connect()
        self.worker.drain(lambda: self.done.append(True))
        self.turn(20)
        self.assertEqual(([], 3), (self.done, self.cell("accepted")))
        for client in (young, waits):
            client.send(b"a:1|c\n")
            client.fin()
        self.turn(20)
        self.assertEqual((2, 1, [True]), (self.cell("eof"), self.cell("shutdown"), self.done))
        self.assertEqual(2.0, self.collect()[1].counters["a"])
        self.assertEqual(b"", old.end())

    def test_young_in_a_short_drain(self) -> None:
        """A client that has just begun has no more than half of the time after which the worker is killed."""
        client = self.connect()
        self.worker.drain(lambda: self.done.append(True), seconds=YOUTH / 2)
        self.turn(int(YOUTH / 4 * 1000) - 10)
        self.assertEqual([], self.done)
        self.turn(20)
        self.assertEqual(([True], 1), (self.done, self.cell("shutdown")))
        self.assertEqual(b"", client.end())

    def test_much_at_once(self) -> None:
        """Values and members are sent unasked as soon as they are many, once for each turn of the reactor."""
        self.patch(tally_module, "HELD", 100)
        self.patch(digest_module, "COLLECTED", 100)
        self.patch(tally_module, "_BATCH_BYTES", 100)
        self.lines(b"".join(b"t:%d|ms\n" % number for number in range(tally_module.TABLE_LINES + 2)))
        self.sent.clear()
        self.turn()
        (message,) = self.sent
        self.assertEqual(tally_module.TABLE_LINES + 2, len(decode(message.interval).times["t"]))
        self.assertEqual(message.end, self.worker._intake.journal.head)
        self.turn()
        self.assertEqual(1, len(self.sent))

    def test_nothing_is_accepted_afterwards(self) -> None:
        """After the end no client is accepted, not even when room in the journal or among the connections is made."""
        self.worker._occupancy.limit = 1
        self.connect()
        self.connect()
        self.turn()
        self.assertEqual((1, 1), (self.cell("accepted"), self.cell("paused")))
        self.worker._on_full()
        self.reactor.advance(0)
        self.drain()
        self.worker._on_room()
        self.assertEqual(([], 2), (self.reactor.getReaders(), self.cell("accepted")))

    def full(self) -> list[Client]:
        """Take all places, and have another client wait."""
        self.worker._occupancy.limit = 2
        clients = [self.connect() for _ in range(2)]
        self.turn(20)
        self.assertEqual(2, len(list(self.worker._kept())))
        clients.append(self.connect())
        return clients

    def test_full(self) -> None:
        """While it serves, a connection is closed for one that waits."""
        self.full()
        self.reactor.advance(1)
        self.turn()
        self.assertEqual((3, 1), (self.cell("accepted"), self.cell("evicted")))

    def test_full_and_drained(self) -> None:
        """A worker that drains cuts off no client for others: all that wait are taken, and end because it stops."""
        self.full()
        self.reactor.advance(1)
        self.drain()
        self.assertEqual((3, 0, 3), (self.cell("accepted"), self.cell("evicted"), self.cell("shutdown")))

    def test_retired(self) -> None:
        """What waits when a successor takes over is taken, whatever the budget: a listener may have been given up."""
        self.patch(lane_module, "BUDGET", 7)
        for number in range(20):
            self.lines(b"a:%d|c\n" % number)
            self.connect(self.counter)
        self.worker.retire(lambda: self.done.append(True))
        self.assertEqual((40, 20), (self.cell("accepted"), self.cell("counted")))
        self.turn()
        self.reactor.advance(1)
        self.assertEqual(({"a": 190.0}, 20), (self.collect()[1].counters, self.cell("eof")))

    def test_retired_under_full_load(self) -> None:
        """A listener that always has another client keeps no worker that has a successor, nor the others' clients."""
        self.patch(lane_module, "BUDGET", 7)
        for number in range(20):
            self.lines(b"a:%d|c\n" % number)
        polls, patch = self.never_empty()
        self.worker.retire(lambda: self.done.append(True))
        patch.restore()
        self.assertLess(len(polls), 10)
        self.turn()
        self.reactor.advance(1)
        self.assertEqual((20, [True]), (self.cell("eof"), self.done))

    def test_full_and_retired(self) -> None:
        """A worker with a successor cuts off no client, neither for others nor because places were scarce."""
        *kept, _ = self.full()
        self.turn()
        self.worker.retire(lambda: self.done.append(True))
        self.reactor.pump([1.0] * 20)
        self.assertEqual((2, 0, 0), (self.cell("accepted"), self.cell("evicted"), self.cell("first_byte")))
        for client in kept:
            client.fin()
        self.turn()
        self.reactor.advance(1)
        self.assertEqual((2, [True]), (self.cell("eof"), self.done))

    def test_first_byte(self) -> None:
        """While it serves, one that never sent a byte is closed when places are scarce."""
        self.full()
        self.worker._eviction.stop()
        self.reactor.pump([1.0] * 20)
        self.assertEqual((0, 2), (self.cell("evicted"), self.cell("first_byte")))

    def test_a_queue_that_is_never_empty(self) -> None:
        """A listener that always has another client does not keep the worker for ever."""
        polls, patch = self.never_empty()
        self.drain()
        patch.restore()
        self.assertLess(len(polls), 20)

    def test_a_full_journal(self) -> None:
        """What has no room is not read; what is not committed is never overwritten."""
        client = self.connect()
        self.turn()
        while not self.worker._intake.is_full:
            self.worker._intake.take(LINES, b"x" * 60000 + b"\n", 60001)
        head = self.ledger.cells[JOURNAL_HEAD]
        client.send(b"a:1|c\n" * 1000)
        self.drain()
        self.assertEqual(head, self.ledger.cells[JOURNAL_HEAD])
        self.assertLessEqual(head - self.ledger.cells[JOURNAL_RELEASED], RING_SIZE)


class BatchTests(WorkerTestCase):
    """A worker with a listener for batches."""

    def spec(self, one: socket.socket, index: int, kind: Any) -> LaneSpec:
        """Take batches where lines are expected."""
        return msgspec.structs.replace(super().spec(one, index, kind), stores=kind == "lines")

    def setUp(self) -> None:
        """Start, and have a client with a batch under way."""
        super().setUp()
        self.worker.start()
        self.worker.know("node")
        self.client = self.connect()
        self.client.send(hello() + batch(1))
        self.turn(10)

    def test_confirmed(self) -> None:
        """A batch is handed over with the next answer, and confirmed when the supervisor says that it is stored."""
        message, interval = self.collect()
        (one,) = message.batches.sums
        self.assertEqual((1, {"a": 1.0, "b": 2.0}), (one.sequence, decode(one.payload).counters))
        self.assertEqual(
            ({}, len(hello() + batch(1))), (interval.counters, interval.listeners["tcp:8125"].received_bytes)
        )
        self.worker.committed(message.end)
        self.turn()
        self.assertEqual(b"!node node\n!stored 1 2 0\n", self.client.socket.recv(99))

    def drain(self, *, heard: bool) -> None:
        """Begin to drain, and let some time pass."""
        self.sent.clear()
        self.worker.drain(lambda: self.done.append(True), heard=heard)
        self.turn(int(YOUTH * 1000) + 10)

    def test_drain(self) -> None:
        """At the end the supervisor is sent what is under way at once, and clients hear of it before all is closed."""
        self.drain(heard=True)
        (message,) = self.sent
        self.assertEqual(([], False, True), (self.done, message.last, message.urgent))
        self.assertEqual(1, len(message.batches.sums))
        self.worker.committed(message.end)
        self.turn()
        self.assertEqual(b"!node node\n!stored 1 2 0\n", self.client.end())
        self.client.socket.close()
        self.turn(10)
        self.assertEqual(([True], 1), (self.done, self.cell("shutdown")))

    def test_nobody_listens(self) -> None:
        """Without a commit in time, or without a supervisor, the connection is closed and the client told nothing."""
        self.drain(heard=True)
        self.turn(int(LONGEST_CONFIRMATION * 1000))
        self.assertEqual(([True], b"!node node\n"), (self.done, self.client.end()))

    def test_no_supervisor(self) -> None:
        """Without a supervisor nothing is waited for."""
        self.drain(heard=False)
        self.assertEqual(([True], []), (self.done, self.sent))


class CapTests(WorkerTestCase):
    """As many connections as there may be."""

    connections = 2

    def test_cap(self) -> None:
        """At the cap the next client waits until one has gone."""
        self.worker.start()
        first, *_ = [self.connect() for _ in range(3)]
        self.turn()
        self.assertEqual((2, 1), (self.cell("accepted"), self.cell("paused")))
        first.fin()
        self.turn()
        self.assertEqual(3, self.cell("accepted"))
