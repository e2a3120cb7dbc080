"""A supervisor over real sockets, and workers that do not exist."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed

from statsd_tcp import startup
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.commit.opening import Misunderstandings
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.settings.build import build_settings
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.rounds import AFTER_SECOND
from statsd_tcp.supervisor.supervisor import Supervisor
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from statsd_tcp.workers.channel import Channel, Gathered, Ready
from tests.unit.supervisor.fakes import KILLED, FakeChild, WorkersTestCase, break_off, heard, say
from tests.unit.web.tables import make_snapshot

__all__ = ["DRAIN_TIMEOUT", "FakeCommitter", "FakeEvents", "SupervisorTestCase"]


DRAIN_TIMEOUT = 5.0


class FakeCommitter:
    """Keeps what it is given; a test says how commits go."""

    def __init__(self) -> None:
        self.added: list[Piece] = []
        self.commits = 0
        self.closed = False
        self.failure = ""
        self.underway: float | None = None
        self.snapshot: Snapshot | None = make_snapshot()
        self.not_understood = Misunderstandings()

    def add(self, piece: Piece) -> None:
        """Keep it."""
        self.added.append(piece)

    def commit(self) -> Deferred[None]:
        """Count."""
        self.commits += 1
        return succeed(None)

    def finish(self, seconds: float) -> Deferred[None]:
        """Count."""
        return self.commit()

    def close(self) -> Deferred[None]:
        """Note it."""
        self.closed = True
        return succeed(None)


class FakeEvents:
    """Notes what the supervisor tells."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.given_up: list[str] = []
        self.each_second: Callable[[], object] = list
        self.repeats: list[tuple[int, Sequence[Repeated]]] = []
        self.examples: list[Example] = []

    def every_second(self) -> None:
        """Do what the test wants."""
        self.each_second()

    def all_accept(self) -> None:
        """Note it."""
        self.said.append("all accept")

    def reloaded(self) -> None:
        """Note it."""
        self.said.append("reloaded")

    def repeated(self, worker: int, news: Sequence[Repeated]) -> None:
        """Note it."""
        self.repeats.append((worker, news))

    def rejected(self, examples: Sequence[Example]) -> None:
        """Note them."""
        self.examples += examples

    def give_up(self, why: str) -> None:
        """Note why."""
        self.given_up.append(why)


class SupervisorTestCase(WorkersTestCase):
    """A test with a supervisor over real sockets, and workers that do not exist."""

    workers = 2

    def setUp(self) -> None:
        """Bind, and make the supervisor."""
        super().setUp()
        loopback = "tcp:0:interface=127.0.0.1"
        given = {"listen": [loopback, f"udp{loopback[3:]}"], "count": [f"{loopback}:name=probes"], "http": [loopback]}
        given |= {"admin": [""], "workers": [str(self.workers)], "max-connections": ["100"]}
        given |= {"drain-timeout": [str(DRAIN_TIMEOUT)], "state-dir": [str(self.folder / "state")]}
        self.patch(startup, "raise_descriptor_limit", lambda: 1024)
        self.patch(startup, "listen_backlog", lambda: 16)
        self.plan, *_, lock = startup.make_plan(build_settings(given), {})
        self.addCleanup(os.close, lock)
        assert self.plan.http is not None
        for listener in [*self.plan.listeners, self.plan.http]:
            self.addCleanup(listener.close)
        self.events = FakeEvents()
        self.given_up = self.events.given_up
        self.committer = FakeCommitter()
        self.supervisor = self.make_supervisor(self.ledger_folder)

    def make_supervisor(self, ledger_folder: LedgerFolder) -> Supervisor:
        """Make the supervisor, with a wall clock by which a second has just begun whenever it is asked."""
        committer: Any = self.committer
        return Supervisor(
            self.reactor, self.children, self.plan, ledger_folder, committer, self.events, wall=lambda: AFTER_SECOND
        )

    def start(self, *, ready: bool = True) -> None:
        """Start everything, and have all workers accept."""
        self.supervisor.privilegedStartService()
        self.supervisor.startService()
        if ready:
            for channel in self.reactor.channels:
                say(channel, Ready())
        self.drop()

    def drop(self) -> None:
        """Forget what the workers were told."""
        for channel in self.reactor.channels:
            heard(channel)

    def round(self) -> None:
        """Let a second pass."""
        self.reactor.advance(1)

    def worker(self, number: int) -> tuple[WorkerSlot, FakeChild, Channel]:
        """Return the present worker of a slot."""
        slot = self.supervisor._slots.present[number]
        index = next(i for i, process in enumerate(self.children.started) if process.pid == slot.pid)
        return slot, self.children.started[index], self.reactor.channels[index]

    def answer(self, number: int, interval: bytes = b"x", *, last: bool = False) -> None:
        """Let a worker answer."""
        say(self.worker(number)[2], Gathered(0, 8, interval, last))

    def die(self, number: int, status: int | None = None, signal: int | None = KILLED) -> None:
        """Let a worker end."""
        _, process, channel = self.worker(number)
        break_off(channel)
        process.end(status, signal)
