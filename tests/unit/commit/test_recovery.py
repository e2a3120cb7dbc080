"""Reading dead workers' journals: one process after the other, two failures at most, and a limit of time."""

from __future__ import annotations

import errno
import os
import signal

import msgspec

from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.commit.recovery import LAST_READING, LONGEST_READING, LONGEST_RETRY, RETRY, Recovery
from statsd_tcp.commit.replay import Replay
from statsd_tcp.commit.replay_process import BEGUN
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.folder import Ledger
from tests.unit.supervisor.fakes import LISTENERS, FakeChild, WorkersTestCase

WHOLE = Replay(8, 72, b"interval")


class RecoveryTests(WorkersTestCase):
    """A recovery whose processes don't exist."""

    def setUp(self) -> None:
        """Make it, and two ledgers of dead workers."""
        super().setUp()
        self.recovery = Recovery(self.reactor, self.children)
        self.calls = 0
        self.first, self.second = self.make(0), self.make(1)

    def make(self, worker: int) -> Ledger:
        """Make a ledger whose writer is gone."""
        ledger, descriptor = self.ledger_folder.make(worker, LISTENERS)
        os.close(descriptor)
        return ledger

    def note(self) -> None:
        """Count the calls."""
        self.calls += 1

    def answer(self, process: FakeChild, replay: Replay) -> None:
        """Let a process find something."""
        process.say(BEGUN + msgspec.msgpack.encode(replay), pipe=1)
        process.end()

    def break_down(self, process: FakeChild, *, status: int | None = 1, number: int | None = None) -> None:
        """Let a process fail that has begun to read."""
        process.say(BEGUN, pipe=1)
        process.end(status, number)

    def test_one_after_the_other(self) -> None:
        """Journals are read one at a time, in the order asked for; what each gives is there under its ledger's id."""
        self.recovery.read(self.first, 8, self.note)
        self.recovery.read(self.second, 0, self.note)
        (process,) = self.children.started
        self.assertEqual([str(self.first.path), "8"], list(process.command[-2:]))
        self.answer(process, WHOLE)
        self.assertEqual({self.first.ledger_id: WHOLE}, self.recovery.results)
        self.assertEqual((1, 2), (self.calls, len(self.children.started)))
        self.answer(self.children.started[1], WHOLE)
        self.assertEqual((2, 2, False), (self.calls, len(self.recovery.results), self.recovery.busy))
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_error_after_a_reading(self) -> None:
        """An error in what follows a reading is in the log at once."""

        def fail() -> None:
            raise ZeroDivisionError

        self.recovery.read(self.first, 8, fail)
        self.answer(self.children.started[0], WHOLE)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(["what follows the reading of a journal failed"], self.logged)

    def test_asked_again(self) -> None:
        """Who asks again for what is being read, or is read and not taken yet, has no second process started."""
        for _ in range(2):
            self.recovery.read(self.first, 8, self.note)
        self.answer(self.children.started[0], WHOLE)
        self.recovery.read(self.first, 8, self.note)
        self.assertEqual(1, len(self.children.started))

    def test_damaged(self) -> None:
        """A journal that is not whole gives what is, with its fault."""
        self.recovery.read(self.first, 8, self.note)
        self.answer(self.children.started[0], Replay(8, 72, b"interval", "28 bytes are damaged"))
        self.assertEqual("28 bytes are damaged", self.recovery.results[self.first.ledger_id].fault)

    def test_two_failures(self) -> None:
        """A journal whose reading fails is tried once more a second later, and given up then; both are told."""
        self.recovery.read(self.first, 8, self.note)
        self.break_down(self.children.started[0], status=None, number=signal.SIGSEGV)
        self.assertEqual((1, {}), (self.first.failed_readings, self.recovery.results))
        self.reactor.advance(RETRY)
        self.children.started[1].say(b"Traceback\nValueError: what a line\n")
        self.break_down(self.children.started[1])
        self.reactor.advance(RETRY)
        self.assertEqual(2, len(self.children.started))
        found = self.recovery.results[self.first.ledger_id]
        self.assertEqual((8, 8, {}), (found.start, found.end, decode(found.payload).counters))
        self.assertIn("could not be read", found.fault)
        path = self.first.path
        self.assertEqual(
            [
                f"the journal {path} could not be read: the reading process was killed (SIGSEGV)",
                f"the journal {path} could not be read: ValueError: what a line",
            ],
            self.logged,
        )

    def test_failures_of_an_earlier_run(self) -> None:
        """Failures are counted in the file: the next start of the service doesn't begin anew."""
        for _ in range(2):
            self.first.note_failed_reading()
        self.assertEqual(2, Ledger(self.first.path).failed_readings)
        self.recovery.read(self.first, 0, self.note)
        self.assertEqual([], self.children.started)
        self.assertNotEqual("", self.recovery.results[self.first.ledger_id].fault)

    def test_one_fails_and_another_one_waits(self) -> None:
        """Behind a journal that fails the others have their turn."""
        self.recovery.read(self.first, 8, self.note)
        self.recovery.read(self.second, 8, self.note)
        for _ in range(2):
            self.break_down(self.children.started[-1])
            self.reactor.advance(RETRY)
        self.answer(self.children.started[-1], WHOLE)
        self.assertEqual({self.first.ledger_id, self.second.ledger_id}, set(self.recovery.results))

    def test_takes_too_long(self) -> None:
        """A process that doesn't end is killed, and that is a failure."""
        self.recovery.read(self.first, 8, self.note)
        self.reactor.advance(LONGEST_READING)
        (process,) = self.children.started
        self.assertEqual(1, process.kills)
        self.break_down(process, status=None, number=signal.SIGKILL)
        self.assertEqual(1, self.first.failed_readings)

    def test_no_process(self) -> None:
        """That no process can be made is not the journal's fault: it is tried until it works."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.recovery.read(self.first, 8, self.note)
        for _ in range(5):
            self.reactor.advance(RETRY)
        self.assertEqual((0, {}), (self.first.failed_readings, self.recovery.results))
        self.children.error = None
        self.reactor.advance(RETRY)
        self.assertEqual(1, len(self.children.started))

    def test_fails_before_it_has_begun(self) -> None:
        """A process that fails before it looks at the journal says nothing against it: it is tried ever more slowly."""
        self.recovery.read(self.first, 8, self.note)
        for _ in range(10):
            process = self.children.started[-1]
            process.say(b"ModuleNotFoundError: No module named 'msgspec'\n")
            process.end(1)
            self.reactor.advance(LONGEST_RETRY)
        self.assertEqual((11, 0, {}), (len(self.children.started), self.first.failed_readings, self.recovery.results))
        self.answer(self.children.started[-1], WHOLE)
        self.assertEqual("", self.recovery.results[self.first.ledger_id].fault)

    def test_stop(self) -> None:
        """A stop kills the process, waits for its end, and is no failure; afterwards it can be asked again."""
        self.recovery.read(self.first, 8, self.note)
        stopped = self.recovery.stop()
        self.assertNoResult(stopped)
        (process,) = self.children.started
        self.assertEqual(1, process.kills)
        process.end(None, signal.SIGKILL)
        self.successResultOf(stopped)
        self.assertEqual((0, []), (self.first.failed_readings, self.reactor.getDelayedCalls()))
        self.recovery.read(self.first, 8, self.note)
        self.assertEqual(2, len(self.children.started))

    def test_stop_while_it_waits(self) -> None:
        """A stop between two attempts leaves nothing behind."""
        self.recovery.read(self.first, 8, self.note)
        self.break_down(self.children.started[0])
        self.successResultOf(self.recovery.stop())
        self.assertEqual(([], False), (self.reactor.getDelayedCalls(), self.recovery.busy))

    def test_settled(self) -> None:
        """Who stops is told when all is read, or when that takes too long."""
        self.successResultOf(self.recovery.settled())
        self.recovery.read(self.first, 8, self.note)
        early, late = self.recovery.settled(), self.recovery.settled()
        self.assertNoResult(early)
        self.answer(self.children.started[0], WHOLE)
        self.successResultOf(early)
        self.successResultOf(late)
        self.recovery.read(self.second, 8, self.note)
        impatient = self.recovery.settled()
        self.reactor.advance(LAST_READING)
        self.successResultOf(impatient)
        self.answer(self.children.started[1], WHOLE)

    def test_the_ledger_stays_as_it_is(self) -> None:
        """Counting a failure changes nothing else in the file."""
        before = self.first.path.read_bytes()
        self.first.note_failed_reading()
        after = self.first.path.read_bytes()
        self.assertEqual(1, sum(one != other for one, other in zip(before, after, strict=True)))
        descriptor = os.open(self.first.path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        LedgerMap(descriptor, "x", writable=False).close()
