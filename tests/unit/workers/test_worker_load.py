"""A worker whose journal is full, and what has a bound."""

from __future__ import annotations

import socket
from typing import Any, cast

from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.ledger.cells import JOURNAL_HEAD
from tests.unit.ingest.loopback import wait_readable
from tests.unit.workers.working import LINES, WorkerTestCase


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
