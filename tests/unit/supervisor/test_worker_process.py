"""A worker process, as its supervisor hears of it: through the channel, and when it ends."""

from __future__ import annotations

import os
import secrets

import msgspec

from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.store.snapshot import LedgerState, Snapshot
from statsd_tcp.supervisor.worker_process import WorkerProcess, outcome_of
from statsd_tcp.workers.channel import CANNOT_BOOT, FAILED, Collect, Committed, Drain, Gathered, Ready, Retire
from tests.unit.supervisor.fakes import (
    KILLED,
    LISTENERS,
    SESSION,
    STORE,
    WorkersTestCase,
    break_off,
    committed,
    heard,
    say,
)


class Told:
    """What a process told."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def accepts(self, process: WorkerProcess) -> None:
        """Note it."""
        self.said.append("accepts")

    def gathered(self, process: WorkerProcess, message: Gathered) -> None:
        """Note it."""
        self.said.append(message)

    def over(self, process: WorkerProcess) -> None:
        """Note it; the ledger must be final by now."""
        assert process.ledger.retired
        self.said.append("over")


class WorkerProcessTests(WorkersTestCase):
    """Processes that do not exist, with channels in memory."""

    def setUp(self) -> None:
        """Make one."""
        super().setUp()
        self.told = Told()
        self.process = self.make()

    def make(self) -> WorkerProcess:
        """Make a process with a ledger."""
        self.ledger, lock = self.ledger_folder.make(4, LISTENERS)
        os.close(lock)
        self.child = self.children.start(["worker"], {}, {})
        process = WorkerProcess(self.reactor, self.ledger, self.child, self.told)
        process.open(0)
        self.channel = self.reactor.channels[-1]
        return process

    def state(self, ledger: Ledger, offset: int) -> Snapshot:
        """Return up to where the journal of a ledger is in the store."""
        name = ledger.ledger_id
        return committed(LedgerState(name, 0, "", offset, folded=False, counts={}))

    def test_accepts(self) -> None:
        """A worker that says so accepts; only then can it be asked for anything."""
        self.assertFalse(self.process.collect())
        say(self.channel, Ready())
        self.assertTrue(self.process.collect())
        self.assertEqual((["accepts"], [Collect(SESSION)]), (self.told.said, heard(self.channel)))
        self.reactor.advance(3)
        self.assertEqual(3, self.process.life())

    def test_another_session(self) -> None:
        """It is asked for another session by one who has to start over, with whatever it is asked next."""
        say(self.channel, Ready())
        self.patch(secrets, "randbelow", lambda limit: limit - 1)
        self.process.begin_anew()
        self.process.collect()
        self.process.retire()
        self.process.drain(3.0)
        last = (1 << 32) - 1
        self.assertEqual([Collect(last), Retire(last), Drain(last, 3.0)], heard(self.channel))

    def test_error_after_its_end(self) -> None:
        """An error in what follows its end is in the log at once."""

        def fail(process: WorkerProcess) -> None:
            raise ZeroDivisionError

        self.patch(self.told, "over", fail)
        break_off(self.channel)
        self.child.end()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertIn(f"what follows the end of worker process {self.child.pid} failed", self.logged)

    def test_committed(self) -> None:
        """It is told what is committed of its own ledger, only what it does not know, and at once which store it is."""
        other, lock = self.ledger_folder.make(5, LISTENERS)
        os.close(lock)
        for ledger, offset in ((other, 16), (other, 24), (self.ledger, 8), (self.ledger, 8), (self.ledger, 24)):
            self.process.committed(self.state(ledger, offset))
        self.assertEqual([Committed(offset, node=STORE) for offset in (0, 8, 24)], heard(self.channel))

    def test_left_out(self) -> None:
        """It is told that something of its journal was left out, and not what was left out of another one."""
        snapshot = self.state(self.ledger, 8)
        name = self.ledger.ledger_id
        for left_out, offset in (({name}, 16), ({"other"}, 24)):
            ledgers = {name: msgspec.structs.replace(snapshot.ledgers[name], committed=offset)}
            self.process.committed(msgspec.structs.replace(snapshot, ledgers=ledgers, left_out=left_out))
        self.assertEqual([Committed(16, whole=False, node=STORE), Committed(24, node=STORE)], heard(self.channel))

    def test_both_ends(self) -> None:
        """A worker is dead when it is reaped and its channel is read to the end, in whichever order."""
        for channel_first in (True, False):
            self.make()
            self.told.said.clear()
            ends = [lambda: break_off(self.channel), lambda: self.child.end(None, KILLED)]
            first, second = ends if channel_first else reversed(ends)
            first()
            self.assertEqual(([], False), (self.told.said, self.ledger.retired))
            second()
            self.assertEqual(["over"], self.told.said)

    def test_last_words(self) -> None:
        """What a dead worker had sent is still taken; and nothing is sent to it."""
        self.child.end(None, KILLED)
        message = Gathered(0, 8, b"x", last=True)
        say(self.channel, message)
        self.assertEqual([message, "over"], self.told.said)
        self.assertFalse(self.process.send(Collect(SESSION)))

    def test_how(self) -> None:
        """How it died is said in words, and as one of the outcomes that are counted."""
        for ready, stalled, status, number, outcome, how in (
            (False, False, CANNOT_BOOT, None, "boot", "could not start (exit status 3)"),
            (True, True, None, KILLED, "stalled", "had stalled and was killed (SIGKILL)"),
            (True, False, None, KILLED, "signal", "was killed (SIGKILL)"),
            (True, False, FAILED, None, "failure", "failed (exit status 70)"),
            (True, False, 0, None, "exit", "ended"),
        ):
            process = self.make()
            if ready:
                say(self.channel, Ready())
            process.stalled = stalled
            self.child.end(status, number)
            self.assertEqual((outcome, how), outcome_of(process))
