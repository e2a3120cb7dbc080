"""An output by remote write with a receiver that answers what a test wants."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from prometheus_client.core import Metric
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.remote_write.answers import Answer
from statsd_tcp.remote_write.encoding import EMPTY
from statsd_tcp.remote_write.freezing import Freezer, Page
from statsd_tcp.remote_write.output import RemoteWrite
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.frozen import Bounds, Queue
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.remote_write.messages import read
from tests.unit.web.tables import make_snapshot

START = 1_800_000_000.0


class Receiver:
    """A receiver that takes everything, unless a test says what it answers."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.bodies: list[bytes] = []
        self.probes = 0
        self.answer: Callable[[bytes], Answer | None] = lambda body: Answer(204)
        self.pending: Deferred[Answer] | None = None
        self.closed = False

    def post(self, body: bytes) -> Deferred[Answer]:
        """Take a request."""
        if body == EMPTY:
            self.probes += 1
        else:
            self.bodies.append(body)
        answer = self.answer(body)
        if answer is None:
            self.pending = Deferred()
            return self.pending
        return succeed(answer._replace(date=self.now()) if answer.status else answer)

    def close(self) -> Deferred[None]:
        """Note it."""
        self.closed = True
        return succeed(None)


def names(body: bytes) -> list[str]:
    """Return the names of the series of a request."""
    return [dict(labels)["__name__"] for labels, _ in read(body)]


class OutputTestCase(SynchronousTestCase):
    """Has an output, its receiver and its file."""

    def setUp(self) -> None:
        """Start an output with slots of ten seconds."""
        self.reactor = Clock()
        self.reactor.advance(100)
        self.wrong = 0.0
        self.receiver = Receiver(lambda: START + self.reactor.seconds())
        self.database = sqlite3.connect(":memory:")
        self.addCleanup(self.database.close)
        self.broken = False
        self.families: list[Metric] = []
        self.output = self.make()

    def make(self) -> RemoteWrite:
        """Start an output."""
        output = RemoteWrite(
            self.reactor,
            Queue("a", Bounds(100, 1 << 20)),
            Freezer(Page(""), {}, 10),
            10,
            self.receiver,
            self.stored,
            lambda snapshot: self.families,
            ["a"],
            maybeDeferred,
            wall=lambda: START + self.reactor.seconds() + self.wrong,
            spread=lambda: 0.5,
        )
        output.startService()
        return output

    def stored(self, work: Callable[[sqlite3.Connection], Any]) -> Deferred[Any]:
        """Do something with the file."""
        if self.broken:
            return fail(StoreError("the disk is full"))
        return succeed(work(self.database))

    def commit(self, *series: tuple[str, str, float]) -> Snapshot:
        """Let a slot end, and commit."""
        self.reactor.advance(10)
        snapshot = make_snapshot(*series)
        self.output.committed(snapshot)
        return snapshot

    def wait(self, seconds: float) -> None:
        """Let time pass, by the second."""
        for _ in range(round(seconds)):
            self.reactor.advance(1)

    def sent(self) -> list[list[str]]:
        """Return the names of the series of all requests."""
        return [names(body) for body in self.receiver.bodies]
