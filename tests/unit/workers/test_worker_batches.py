"""A worker hands batches over, and confirms them."""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.workers.channel import LaneSpec
from statsd_tcp.workers.draining import YOUTH
from statsd_tcp.workers.worker import LONGEST_CONFIRMATION
from tests.unit.ingest.batches import batch, hello
from tests.unit.workers.working import WorkerTestCase


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
