"""The worker process: what each message leads to, and how it ends."""

from __future__ import annotations

import errno
import gc
import io
import os
import socket
import sys
from typing import Any

import msgspec
from twisted.python.failure import Failure

from statsd_tcp.ledger.cells import GAP_MAX, listener_cells
from statsd_tcp.workers import process
from statsd_tcp.workers.channel import (
    CANNOT_BOOT,
    FAILED,
    Boot,
    Collect,
    Committed,
    Drain,
    Gathered,
    LaneSpec,
    Message,
    Ready,
    Retire,
)
from statsd_tcp.workers.process import ChildEnd
from statsd_tcp.workers.turns import Turns
from tests.unit.ingest.loopback import Client, make_listener, wait_readable
from tests.unit.supervisor.fakes import LISTENERS, WorkersTestCase, break_off, heard, say
from tests.unit.workers.test_turns import FakePoller


class Exited(BaseException):
    """Stands for the end of the process."""


class ChildEndTests(WorkersTestCase):
    """A worker process without the process."""

    def setUp(self) -> None:
        """Make what the supervisor gives a worker: a channel, a ledger, a socket."""
        super().setUp()
        self.ledger, self.lock = self.ledger_folder.make(0, LISTENERS)
        self.addCleanup(os.close, self.lock)
        self.patch(process, "LEDGER_DESCRIPTOR", self.lock)
        self.frozen: list[bool] = []
        self.patch(gc, "freeze", lambda: self.frozen.append(True))
        self.statuses: list[int] = []
        self.patch(os, "_exit", self.exit)
        self.errors = io.StringIO()
        self.patch(sys, "stderr", self.errors)
        self.reactor.running = True
        theirs, ours = socket.socketpair()
        self.addCleanup(theirs.close)
        self.turns = Turns(FakePoller())
        self.process = ChildEnd(self.reactor, self.turns)
        self.process.open(ours.detach())
        (self.channel,) = self.reactor.channels
        self.listener = make_listener()
        self.addCleanup(self.listener.close)

    def exit(self, status: int) -> None:
        """Note the status, and go no further."""
        self.statuses.append(status)
        raise Exited

    def boot(self, **changes: Any) -> None:
        """Send the first message."""
        lane = LaneSpec(os.dup(self.listener.fileno()), int(self.listener.family), 0, "lines")
        message = Boot(str(self.ledger.path), (lane,), 10, 60.0)
        say(self.channel, msgspec.structs.replace(message, **changes))
        self.addCleanup(self.let_go)

    def let_go(self) -> None:
        """Close what the worker has taken."""
        worker = self.process._worker
        if worker is not None:
            worker._moderators.coming.stop()
            for lane in worker._lanes:
                os.close(lane._port.detach())

    def heard(self) -> list[Message]:
        """Take what the worker sent."""
        return heard(self.channel)

    def test_boot(self) -> None:
        """A worker that is told what it needs accepts, says so, and looks for garbage from then on."""
        self.addCleanup(gc.enable)
        gc.disable()
        self.boot()
        self.assertEqual(([Ready()], [True], True), (self.heard(), self.frozen, gc.isenabled()))

    def test_longest_gap(self) -> None:
        """The longest gap is that of what it serves: its own start is none, and each collection publishes it."""
        self.turns.longest = 9_000_000_000
        self.boot()
        self.assertEqual(0, self.turns.longest)
        self.turns.longest = 500_000_000
        say(self.channel, Collect())
        self.assertEqual(0.5, self.ledger.cell(GAP_MAX) / 1e9)

    def test_no_processor(self) -> None:
        """A worker that is not told a processor leaves its affinity alone."""
        self.patch(os, "sched_setaffinity", lambda *_: self.fail("it was set"))
        self.boot()

    def test_processor(self) -> None:
        """A worker that is told a processor stays there, and says nothing."""
        placed: list[tuple[int, set[int]]] = []
        self.patch(os, "sched_setaffinity", lambda *arguments: placed.append(arguments))
        self.boot(cpu=3)
        self.assertEqual(([(0, {3})], [Ready()], ""), (placed, self.heard(), self.errors.getvalue()))

    def test_not_on_that_processor(self) -> None:
        """Where it may not choose its processor it says so in one line, and accepts."""

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        self.patch(os, "sched_setaffinity", refuse)
        self.boot(cpu=3)
        said = "cannot be kept on CPU 3 (Operation not permitted), and runs on any\n"
        self.assertEqual(([Ready()], said), (self.heard(), self.errors.getvalue()))

    def test_before_the_boot(self) -> None:
        """Other messages have no meaning before the first."""
        for message in (Collect(), Drain(), Committed(8)):
            say(self.channel, message)
        self.assertEqual([], self.heard())

    def test_collect(self) -> None:
        """A worker that is asked answers."""
        self.boot()
        self.heard()
        say(self.channel, Collect())
        say(self.channel, Committed(0))
        self.assertEqual([Gathered(0, 0, b"")], self.heard())

    def test_session(self) -> None:
        """Whatever asks for an answer says in which session."""
        self.boot()
        for message in (Collect(5), Committed(0), Collect(6), Retire(7)):
            say(self.channel, message)
            assert self.process._worker is not None
            self.assertEqual(getattr(message, "session", 5), self.process._worker.session)

    def test_drain(self) -> None:
        """A worker that drains answers once more, for the last time, and ends with the channel."""
        self.boot()
        self.heard()
        say(self.channel, Drain())
        self.assertEqual([Gathered(0, 0, b"", last=True)], self.heard())
        self.assertFalse(self.reactor.hasStopped)
        break_off(self.channel)
        self.assertTrue(self.reactor.hasStopped)

    def test_the_supervisor_is_gone(self) -> None:
        """Without a supervisor a worker takes what waits into its ledger, and ends."""
        self.boot()
        client = Client(self.listener.getsockname())
        self.addCleanup(client.socket.close)
        wait_readable(self.listener)
        client.send(b"a:1|c\n")
        client.fin()
        break_off(self.channel)
        self.assertTrue(self.reactor.hasStopped)
        indexes = listener_cells(0)
        self.assertEqual((1, 1), (self.ledger.cell(indexes.accepted), self.ledger.cell(indexes.eof)))

    def test_gone_before_the_boot(self) -> None:
        """A worker whose supervisor is gone before it said anything just ends."""
        break_off(self.channel)
        self.assertTrue(self.reactor.hasStopped)

    def test_can_t_boot(self) -> None:
        """A worker that cannot begin says why, and ends with a status of its own."""
        self.ledger.path.write_bytes(b"")
        os.truncate(self.ledger.path, 0)
        self.assertRaises(Exited, self.boot)
        self.assertEqual([CANNOT_BOOT], self.statuses)
        self.assertIn("is empty", self.errors.getvalue())

    def test_a_fault(self) -> None:
        """A fault of the program's ends it at once, with its trace and another status."""
        self.boot()
        self.assertRaises(Exited, self.process._fail, Failure(ZeroDivisionError("a fault")))
        self.assertEqual([FAILED], self.statuses)
        self.assertIn("a fault", self.errors.getvalue())
