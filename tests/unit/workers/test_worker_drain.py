"""A worker that is to end takes what waits, and leaves the rest."""

from __future__ import annotations

import socket
from typing import Any

from statsd_tcp.aggregate import digest as digest_module
from statsd_tcp.aggregate import listener_lines
from statsd_tcp.aggregate import tally as tally_module
from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.ingest import lane as lane_module
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.workers.draining import CHECK, YOUTH
from tests.unit.ingest.loopback import Client, wait_readable
from tests.unit.workers.working import LINES, RING_SIZE, WorkerTestCase


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
        self.patch(listener_lines, "HELD", 100)
        self.patch(digest_module, "COLLECTED", 100)
        self.patch(tally_module, "_BATCH_BYTES", 100)
        self.lines(b"".join(b"t:%d|ms\n" % number for number in range(listener_lines.TABLE_LINES + 2)))
        self.sent.clear()
        self.turn()
        (message,) = self.sent
        self.assertEqual(listener_lines.TABLE_LINES + 2, len(decode(message.interval).times["t"]))
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
