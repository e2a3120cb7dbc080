"""A worker serves its listeners, and hands over what came."""

from __future__ import annotations

import socket
from pathlib import Path
from struct import pack

from statsd_tcp.aggregate.encoding import VERSION_1, decode, encode
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.numbered import Numbered
from statsd_tcp.commit.replay import replay
from statsd_tcp.ingest import moderation
from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.kernel.segments import ask_for_segments
from statsd_tcp.ledger.cells import HEARTBEAT, JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.reader import LedgerReader
from statsd_tcp.who.layout import BEGAN, OPEN, PERIOD, RECORD, Record, table_offset, table_size
from statsd_tcp.who.memory import SourceMemory, SourcePlan
from statsd_tcp.workers.channel import Gathered, Ready
from statsd_tcp.workers.worker import Worker
from tests.unit.aggregate.model import sums
from tests.unit.ingest.loopback import UDP_SEGMENT, wait_readable
from tests.unit.workers.working import LINES, WorkerTestCase


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
