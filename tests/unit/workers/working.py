"""A worker over real sockets and a ledger, whose supervisor is a test."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.python.failure import Failure

from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.ingest import eviction, intake, moderation, protocol
from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.ledger.cells import listener_cells
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.workers.channel import Boot, Gathered, LaneSpec
from statsd_tcp.workers.worker import Worker
from tests.unit.ingest.loopback import Client, LoopbackReactor, VirtualTime, make_listener, wait_readable
from tests.unit.ledger.cases import LedgerTestCase

__all__ = ["DATAGRAMS", "LINES", "RING_SIZE", "WorkerTestCase"]


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
