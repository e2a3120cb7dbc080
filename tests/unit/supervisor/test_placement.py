"""Workers on processors of their own: what they are told, what is said of it, and groups that become smaller."""

from __future__ import annotations

import errno
import os
import socket
from types import SimpleNamespace
from typing import Any

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.kernel.process_stats import only_processor
from statsd_tcp.settings.endpoints import Endpoint, parse_count
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.sockets.inherited import InheritedListener, InheritedSockets
from statsd_tcp.sockets.steering import Steering
from statsd_tcp.status.greeting import greeting
from statsd_tcp.supervisor.handover import HANDSHAKES, Handover
from statsd_tcp.supervisor.start_plan import Plan
from tests.patience import PATIENCE
from tests.unit.ingest.loopback import wait_for
from tests.unit.supervisor.fakes import WorkersTestCase
from tests.unit.supervisor.supervising import SupervisorTestCase

NO_SLOTS: Any = SimpleNamespace(present=[], departing=[])
"""No workers were left by the image before."""


class PlanTests(SupervisorTestCase):
    """What a plan with processors leads to."""

    def placed(self, *, pin: bool, steer: str = "") -> Plan:
        """Return the plan with two processors."""
        settings = msgspec.structs.replace(self.plan.settings, pin=pin, steer=steer)
        return self.plan._replace(settings=settings, cpus=(4, 6))

    def workers_line(self, plan: Plan) -> str:
        """Return the line of the greeting about the workers."""
        return next(line for line in greeting(plan) if line.startswith("  workers"))

    def test_boot(self) -> None:
        """Each worker is told its own processor, and none where only connections are steered."""
        pinned, steered = self.placed(pin=True), self.placed(pin=False, steer="cpu")
        self.assertEqual([4, 6], [pinned.boot(number, "x").cpu for number in (0, 1)])
        self.assertEqual([None, None], [steered.boot(number, "x").cpu for number in (0, 1)])
        self.assertEqual(((), None), (self.plan.cpus, self.plan.boot(0, "x").cpu))

    def test_greeting(self) -> None:
        """The greeting says where the workers are, and who gets what."""
        self.assertTrue(self.workers_line(self.placed(pin=True)).endswith("2 (as asked for), on CPU 4, 6"))
        both = self.workers_line(self.placed(pin=True, steer="cpu"))
        self.assertTrue(both.endswith(", on CPU 4, 6, each for what its CPU receives"), both)
        self.assertTrue(self.workers_line(self.plan).endswith("(as asked for)"))


class ProcessorTests(SynchronousTestCase):
    """Finding out on which processor a process is kept."""

    def test_only_one(self) -> None:
        """It is the one of the affinity mask, if there is one only."""
        allowed = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, allowed)
        os.sched_setaffinity(0, {min(allowed)})
        self.assertEqual(min(allowed), only_processor(os.getpid()))

    def test_several(self) -> None:
        """With several, and for a process that is gone, there is none."""
        self.patch(os, "sched_getaffinity", lambda _: {0, 1})
        self.assertIs(None, only_processor(1))

        def gone(_: int) -> set[int]:
            raise ProcessLookupError

        self.patch(os, "sched_getaffinity", gone)
        self.assertIs(None, only_processor(1))


class GoneTests(WorkersTestCase):
    """A listener that options no longer name."""

    def test_a_copy_elsewhere(self) -> None:
        """When its sockets are closed no client can connect, though another process has copies of them."""
        before = bind_listener(parse_count("tcp:0:interface=127.0.0.1"), 2)
        before.listen(64)
        copies = [row[0].dup() for row in before.sockets]
        for copy in copies:
            self.addCleanup(copy.close)
        inherited = InheritedSockets(
            [InheritedListener(before.endpoint, before.port, [[row[0].detach()] for row in before.sockets])]
        )
        inherited.settle()
        clock = Clock()
        Handover(clock, self.children, inherited, NO_SLOTS, list).begin([], self.ledger_folder)
        clock.pump([0, HANDSHAKES, HANDSHAKES])
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", before.port))

    def test_turned_away(self) -> None:
        """While its workers are replaced no client can connect; to a Unix socket that may be another's, any."""
        for own in (False, True):
            before = bind_listener(Endpoint("unix", path=f"@statscounter-test-{os.getpid()}-{own}"), 1)
            before.listen(64)
            name = before.sockets[0][0].getsockname()
            listener = InheritedListener(before.endpoint, 0, [[before.sockets[0][0].detach()]], own=own)
            inherited = InheritedSockets([listener])
            inherited.settle()
            self.addCleanup(inherited.abandon)
            Handover(Clock(), self.children, inherited, NO_SLOTS, list).begin([], self.ledger_folder)
            with socket.socket(socket.AF_UNIX) as client:
                self.assertEqual(errno.ECONNREFUSED if own else 0, client.connect_ex(name))

    def test_let_in(self) -> None:
        """A process that has a copy of such a socket can listen with it when the reload is complete."""
        before = bind_listener(parse_count("tcp:0:interface=127.0.0.1"), 1)
        before.listen(64)
        copy = before.sockets[0][0].dup()
        self.addCleanup(copy.close)
        inherited = InheritedSockets(
            [InheritedListener(before.endpoint, before.port, [[before.sockets[0][0].detach()]])]
        )
        inherited.settle()
        clock = Clock()
        Handover(clock, self.children, inherited, NO_SLOTS, list).begin([], self.ledger_folder)
        clock.pump([0, HANDSHAKES, HANDSHAKES])
        self.assertEqual([], inherited.given_up)
        # Its port is another one now: that was the kernel's choice.
        copy.listen(64)
        socket.create_connection(copy.getsockname(), PATIENCE).close()


class ShrinkTests(WorkersTestCase):
    """Three workers were there, and two stay."""

    def test_steered_on(self) -> None:
        """When the sockets of the third are closed, connections go by processor to the two that stay."""
        before = bind_listener(parse_count("tcp:0:interface=127.0.0.1"), 3)
        before.listen(64)
        rows = [[one.detach() for one in row] for row in before.sockets]
        inherited = InheritedSockets([InheritedListener(before.endpoint, before.port, rows)])
        listener = inherited.take(before.endpoint, 2)
        assert listener is not None
        self.addCleanup(listener.close)
        cpu, clock = min(os.sched_getaffinity(0)), Clock()
        steering = Steering([cpu + 1, cpu])
        steering.begin([listener], inherited=True)
        handover = Handover(clock, self.children, inherited, NO_SLOTS, list, steering)
        handover.begin([], self.ledger_folder)
        clock.pump([0, HANDSHAKES, HANDSHAKES])
        self.assertFalse(handover.running)
        allowed = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, allowed)
        os.sched_setaffinity(0, {cpu})
        for _ in range(12):
            self.addCleanup(socket.create_connection(("127.0.0.1", listener.port)).close)
        wait_for(lambda: sum(read_queue(row[0]).length for row in listener.sockets) == 12)
        self.assertEqual(0, read_queue(listener.sockets[0][0]).length)
