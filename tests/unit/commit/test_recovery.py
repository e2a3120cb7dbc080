"""Reading the journals of the dead: in turns, piece by piece; whatever happens to a reader is an outcome."""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

import msgspec

from statsd_tcp.aggregate.encoding import VERSION
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.commit.looks import LOOK_SECONDS, MOST_LOOKS
from statsd_tcp.commit.recovery import (
    LONGEST_RETRY,
    MOST_FAILURES,
    PATIENCE,
    RETRY,
    Recovery,
)
from statsd_tcp.commit.replay import Replay, Skipped
from statsd_tcp.commit.replay_process import LEDGER_DESCRIPTOR, NO_MEMORY, ReadRequest
from statsd_tcp.commit.suspicion import MOST_KILLS
from statsd_tcp.commit.turns import SHARE, STOP_SECONDS
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.ledger.suspect import Suspect
from tests.unit.supervisor.fakes import LISTENERS, FakeChild, WorkersTestCase

PIECE = Replay(8, 72, b"interval")
BEGUN = b"!\n"
SILENCE = PATIENCE / SHARE


class RecoveryTestCase(WorkersTestCase):
    """A recovery whose processes do not exist, with two turns."""

    def setUp(self) -> None:
        """Make it, and ledgers of dead workers."""
        super().setUp()
        self.proc = self.folder / "proc"
        self.recovery = Recovery(self.reactor, self.children, at_once=2, proc=self.proc)
        self.calls = 0
        self.first, self.second, self.third = (self.make(number) for number in range(3))

    def make(self, worker: int) -> Ledger:
        """Make a ledger whose writer is gone."""
        ledger, descriptor = self.ledger_folder.make(worker, LISTENERS)
        os.close(descriptor)
        return ledger

    def note(self) -> None:
        """Count the calls."""
        self.calls += 1

    def read(self, *ledgers: Ledger, start: int = 8, until: int | None = None) -> None:
        """Have pieces read."""
        for ledger in ledgers:
            self.recovery.read(ledger, start, self.note, until)

    def request(self, number: int = -1) -> ReadRequest:
        """Return what a process was asked for."""
        return msgspec.json.decode(self.children.started[number].command[-1], type=ReadRequest)

    def answer(self, process: FakeChild, replay: Replay = PIECE) -> None:
        """Let a process find something."""
        process.say(BEGUN + b"=" + msgspec.msgpack.encode(replay), pipe=1)
        process.end()

    def break_down(self, words: bytes = BEGUN, *, status: int | None = None, number: int | None = 11) -> None:
        """Let the last process fail, by SIGSEGV if nothing else is said."""
        process = self.children.started[-1]
        process.say(words, pipe=1)
        process.end(status, number)

    @property
    def running(self) -> int:
        """Count the processes that were started and have not ended."""
        return sum(1 for one in self.children.started if one.ending is None)


class TurnTests(RecoveryTestCase):
    """Who is read when."""

    def test_turns(self) -> None:
        """As many journals as there are turns are read at once, the others in the order asked for."""
        self.read(self.first, self.second, self.third)
        self.assertEqual(2, self.running)
        self.answer(self.children.started[0])
        self.assertEqual(({self.first.ledger_id: PIECE}, 1), (self.recovery.results, self.calls))
        self.assertEqual([str(one.path) for one in (self.first, self.second, self.third)], self.paths())
        # The next piece of the first one is behind the third.
        del self.recovery.results[self.first.ledger_id]
        self.read(self.first, start=72)
        self.assertEqual(3, len(self.children.started))
        self.answer(self.children.started[1])
        self.assertEqual((str(self.first.path), 72), (self.request().path, self.request().start))
        self.assertEqual(3, self.recovery.waiting)

    def paths(self) -> list[str]:
        """Return the ledgers that processes were started for."""
        return [self.request(number).path for number in range(len(self.children.started))]

    def test_what_a_process_has(self) -> None:
        """A process has the open ledger, so that it reads one that was deleted, and no Ctrl-C reaches it."""
        self.first.path.unlink()
        self.read(self.first, until=40)
        self.assertEqual({LEDGER_DESCRIPTOR: self.first.file.fileno()}, self.children.started[0].descriptors)
        self.assertEqual(ReadRequest(str(self.first.path), 8, 40, interval=VERSION), self.request())
        self.assertTrue(self.children.started[0].apart)

    def test_asked_again(self) -> None:
        """Who asks again for what is being read, or is read and not taken yet, has no second process started."""
        self.read(self.first, self.first)
        self.answer(self.children.started[0])
        self.read(self.first)
        self.assertEqual(1, len(self.children.started))

    def test_done(self) -> None:
        """A journal waits from when it is first asked for until nothing more of it is; who waits for all is told."""
        self.assertEqual(None, self.recovery.underway)
        self.read(self.first)
        self.reactor.advance(1)
        self.read(self.second)
        self.assertEqual((2, 1.0), (self.recovery.waiting, self.recovery.underway))
        settled = self.recovery.settled(100.0)
        self.recovery.keep({self.second.ledger_id})
        self.assertEqual(1, self.recovery.waiting)
        self.assertNoResult(settled)
        self.recovery.keep(())
        self.successResultOf(settled)
        self.successResultOf(self.recovery.settled(100.0))
        self.assertEqual(None, self.recovery.underway)

    def test_not_settled_in_time(self) -> None:
        """Who waits for all waits no longer than it said."""
        self.read(self.first)
        settled = self.recovery.settled(3.0)
        self.reactor.advance(3.0)
        self.successResultOf(settled)

    def test_a_silent_process(self) -> None:
        """One that is silent is killed much later, each time later; that is not held against the journal."""
        self.read(self.first)
        for patience in (PATIENCE, 2 * PATIENCE, 4 * PATIENCE):
            process = self.children.started[-1]
            process.say(BEGUN, pipe=1)
            self.reactor.advance(patience / SHARE)
            self.reactor.advance(patience * 0.9)
            self.assertEqual(0, process.kills)
            self.reactor.advance(patience)
            self.assertEqual(1, process.kills)
            process.end(None, signal.SIGKILL)
            self.assertEqual(None, self.first.suspect(8))
            self.reactor.advance(LONGEST_RETRY)

    def test_never_more_than_turns(self) -> None:
        """A silent one is killed for another that waits, which gets its turn when it is gone and not before."""
        self.read(self.first, self.second)
        self.reactor.advance(SILENCE / 2)
        self.children.started[1].say(BEGUN, pipe=1)
        self.reactor.advance(SILENCE / 2)
        self.assertEqual([0, 0], [one.kills for one in self.children.started])
        self.read(self.third)
        self.assertEqual([1, 0], [one.kills for one in self.children.started])
        self.reactor.advance(SILENCE)
        self.assertEqual(([1, 0], 2), ([one.kills for one in self.children.started], self.running))
        self.children.started[0].end(None, signal.SIGKILL)
        self.assertEqual((str(self.third.path), 2), (self.request().path, self.running))
        self.assertEqual(None, self.first.suspect(8))

    def test_all_silent(self) -> None:
        """Where all are silent each gets its turn after the others, and more time each time."""
        self.read(self.first, self.second, self.third)
        kills = []
        for _ in range(200):
            self.reactor.advance(1.0)
            self.assertLessEqual(self.running, 2)
            for process in self.children.started:
                if process.kills and process.ending is None:
                    kills.append(self.reactor.seconds())
                    process.end(None, signal.SIGKILL)
        paths = self.paths()
        self.assertEqual({str(one.path) for one in (self.first, self.second, self.third)}, set(paths))
        self.assertLess(len([one for one in kills if one > 100]), len([one for one in kills if one <= 100]))

    def test_a_slow_one(self) -> None:
        """One that gives a word from time to time is never killed."""
        self.read(self.first)
        for offset in range(200):
            self.reactor.advance(PATIENCE / 2)
            self.children.started[0].say(b"@%d\n" % offset, pipe=1)
        self.assertEqual(0, self.children.started[0].kills)


class OutcomeTests(RecoveryTestCase):
    """What a process comes to."""

    def test_damaged(self) -> None:
        """A journal that is not whole gives what is, with its fault, which is counted."""
        self.read(self.first)
        self.answer(self.children.started[0], Replay(8, 72, b"interval", "28 bytes are damaged"))
        self.assertEqual("28 bytes are damaged", self.recovery.results[self.first.ledger_id].fault)
        self.assertEqual(1, self.recovery.faults["damaged"])

    def test_overwritten(self) -> None:
        """That a journal is newer than the store, and what it lacks for that, is said; it is no damage."""
        self.read(self.first)
        self.answer(self.children.started[0], Replay(8, 72, overwritten=48))
        self.assertIn("48 bytes of the journal", self.logged[-1])
        self.assertEqual(0, self.recovery.faults["damaged"])

    def test_examples(self) -> None:
        """Examples of what a journal's lines were rejected for are told as those of workers are."""
        told: list[Example] = []
        recovery = Recovery(self.reactor, self.children, at_once=1, proc=self.proc, rejected=told.extend)
        recovery.read(self.first, 8, lambda: None)
        example = Example("malformed_line", "tcp:8125", b"junk")
        self.answer(self.children.started[-1], Replay(8, 72, examples=(example,)))
        self.assertEqual([example], told)

    def test_damage_in_a_gap(self) -> None:
        """Of a living worker's journal what cannot be read is passed over, and said: it goes on behind it."""
        self.read(self.first, until=200)
        self.answer(self.children.started[0], Replay(8, 72, b"interval", "128 bytes are damaged"))
        self.assertEqual(Replay(8, 200, b"interval", whole=False), self.recovery.results[self.first.ledger_id])
        self.assertIn("128 bytes are damaged", self.logged[-1])

    def test_a_deadly_frame(self) -> None:
        """After a death it is read frame by frame; a frame that ends its reader twice is skipped, and it is said."""
        self.read(self.first)
        self.break_down()
        self.assertEqual(Suspect(8, 0), self.first.suspect(8))
        self.reactor.advance(RETRY)
        self.assertEqual("careful", self.request().mode)
        self.break_down(BEGUN + b"@8\n@56\n@104\n")
        self.reactor.advance(RETRY)
        self.assertEqual(("careful", 104), (self.request().mode, self.request().stop))
        self.answer(self.children.started[-1], Replay(8, 104))
        del self.recovery.results[self.first.ledger_id]
        self.read(self.first, start=104)
        self.break_down(BEGUN + b"@104\n")
        self.reactor.advance(RETRY)
        self.assertEqual(("skip", 104), (self.request().mode, self.request().start))
        self.assertEqual(Suspect(104, 2), self.first.suspect(8))
        skipped = Skipped(3, "tcp:8125", "/state/ledgers/x.skipped")
        self.answer(self.children.started[-1], Replay(104, 152, skipped=skipped))
        self.assertEqual((1, 3), (self.recovery.faults["frame"], self.recovery.faults["reader"]))
        self.assertEqual(
            f"3 lines of tcp:8125 end the process that reads them, and are left out of the journal {self.first.path}:"
            " they are kept in /state/ledgers/x.skipped",
            self.logged[-1],
        )
        self.assertEqual(None, Ledger(self.first.path).suspect(152))

    def test_the_next_run(self) -> None:
        """What is known of a deadly frame is in the file: the next start of the service does not start over."""
        self.first.note_suspect(Suspect(104, 2))
        self.assertEqual(Suspect(104, 2), Ledger(self.first.path).suspect(8))
        recovery = Recovery(self.reactor, self.children, at_once=1)
        recovery.read(Ledger(self.first.path), 104, self.note)
        self.assertEqual("skip", self.request().mode)

    def test_a_frame_that_takes_too_long(self) -> None:
        """A frame that used up its time is skipped at once."""
        self.first.note_suspect(Suspect(8, 0))
        self.read(self.first)
        self.break_down(BEGUN + b"@8\n@56\n", number=signal.SIGPROF)
        self.assertEqual(Suspect(56, 2), self.first.suspect(8))

    def test_ended_by_others(self) -> None:
        """Who ends a reader from outside makes no frame a suspect: it is tried again, ever more slowly."""
        self.first.note_suspect(Suspect(8, 0))
        self.read(self.first)
        for turn in range(3 * MOST_KILLS):
            self.break_down(BEGUN + b"@8\n@56\n", number=40 if turn % 2 else signal.SIGTERM)
            self.assertEqual(Suspect(8, 0), self.first.suspect(8))
            self.reactor.advance(LONGEST_RETRY)
        self.answer(self.children.started[-1])
        self.assertEqual({self.first.ledger_id: PIECE}, self.recovery.results)

    def test_short_of_memory(self) -> None:
        """A reader that is killed by the kernel, or gets no memory, reads frame by frame then, and blames none."""
        self.read(self.first)
        self.break_down(number=signal.SIGKILL)
        self.assertEqual(Suspect(8, 0), self.first.suspect(8))
        for frame in range(3 * MOST_KILLS):
            self.reactor.advance(LONGEST_RETRY)
            self.break_down(BEGUN + b"@8\n@%d\n" % (56 + 48 * (frame % 2)), status=NO_MEMORY, number=None)
        self.assertEqual(Suspect(8, 0), self.first.suspect(8))

    def test_a_frame_that_takes_all_memory(self) -> None:
        """A frame under way in many such deaths in a row is a suspect at last; the journal does not wait for ever."""
        self.first.note_suspect(Suspect(8, 0))
        began = self.reactor.seconds()
        self.read(self.first)
        for deaths in (1, 2):
            for _ in range(MOST_KILLS):
                self.assertNotEqual(Suspect(8, deaths), self.first.suspect(8))
                self.break_down(BEGUN + b"@8\n", number=signal.SIGKILL)
                before = len(self.children.started)
                while len(self.children.started) == before:
                    self.reactor.advance(1.0)
            self.assertEqual(Suspect(8, deaths), self.first.suspect(8))
        self.assertEqual("skip", self.request().mode)
        self.assertTrue(200 < self.reactor.seconds() - began < 300)

    def test_between_two_frames(self) -> None:
        """No frame is the suspect of a reader that dies while it takes the next one from the file."""
        self.first.note_suspect(Suspect(8, 0))
        self.read(self.first)
        self.break_down(BEGUN + b"@8\n-\n")
        self.assertEqual(Suspect(8, 0), self.first.suspect(8))

    def state(self, process: FakeChild, letter: str, faults: int = 0, disk: int = 0) -> None:
        """Have a process in a state."""
        folder = self.proc / str(process.pid)
        folder.mkdir(parents=True, exist_ok=True)
        fields = [letter, *["0"] * 8, str(faults), *["0"] * 29, str(disk), "0"]
        (folder / "stat").write_text(f"{process.pid} (a) b) {' '.join(fields)}\n")

    def look(self, letter: str, times: int = MOST_LOOKS + 1) -> FakeChild:
        """Have the last process in a state for this many looks."""
        process = self.children.started[-1]
        self.state(process, letter)
        for _ in range(times):
            self.reactor.advance(LOOK_SECONDS)
        return process

    def test_a_frame_that_hangs(self) -> None:
        """A frame at which its reader sleeps for ten seconds is found frame by frame, and skipped."""
        self.read(self.first)
        self.children.started[-1].say(BEGUN, pipe=1)
        self.look("S", 2)
        self.assertEqual(0, self.look("S", MOST_LOOKS - 2).kills)
        process = self.look("S", 1)
        self.assertEqual(1, process.kills)
        process.end(None, signal.SIGKILL)
        self.assertEqual(Suspect(8, 0), self.first.suspect(8))
        self.reactor.advance(RETRY)
        self.assertEqual("careful", self.request().mode)
        self.children.started[-1].say(BEGUN + b"@8\n-\n@56\n", pipe=1)
        process = self.look("S")
        self.assertEqual(1, process.kills)
        process.end(None, signal.SIGKILL)
        self.assertEqual(Suspect(56, 2), self.first.suspect(8))
        self.assertIn("the reading process hung and was killed", self.logged[-1])

    def test_slow_for_other_reasons(self) -> None:
        """One that is stopped, waits for the processor or the disk, or for the next frame, does not hang."""
        self.first.note_suspect(Suspect(8, 0))
        self.read(self.first)
        process = self.children.started[-1]
        process.say(BEGUN + b"@8\n", pipe=1)
        for letter in "RTDtR":
            self.look("S", MOST_LOOKS - 2)
            self.look(letter, 2 * MOST_LOOKS if letter == "R" else 2)
            process.say(b"-\n@8\n", pipe=1)
        for number in range(2 * MOST_LOOKS):
            self.state(process, "S", faults=number % 2, disk=number // 2)
            self.reactor.advance(LOOK_SECONDS)
            process.say(b"" if number % 15 else b"-\n@8\n", pipe=1)
        process.say(b"-\n", pipe=1)
        self.look("S", 2 * MOST_LOOKS)
        self.assertEqual(0, process.kills)

    def test_looks_that_come_late(self) -> None:
        """Where the whole machine stood still nothing is known of the time."""
        self.read(self.first)
        process = self.children.started[-1]
        process.say(BEGUN, pipe=1)
        self.state(process, "S")
        for _ in range(4):
            self.look("S", MOST_LOOKS - 4)
            self.reactor.advance(3 * LOOK_SECONDS)
        self.assertEqual(0, process.kills)

    def test_what_can_t_be_skipped(self) -> None:
        """A journal of which not even a frame can be left out is given up, with its fault, after some attempts."""
        self.first.note_suspect(Suspect(8, 2))
        self.read(self.first)
        for _ in range(MOST_FAILURES):
            self.break_down(b"!\n")
            self.reactor.advance(LONGEST_RETRY)
        self.assertEqual(MOST_FAILURES, len(self.children.started))
        self.assertIn("could not be read", self.recovery.results[self.first.ledger_id].fault)

    def test_the_suspect_can_t_be_noted(self) -> None:
        """Where the file cannot be written the suspect is known at least until the end of this run."""

        def refuse(path: Any, *arguments: Any) -> int:
            raise PermissionError(errno.EACCES, "no")

        self.patch(os, "open", refuse)
        self.read(self.first)
        self.break_down()
        self.assertEqual(Suspect(8, 0), self.first.suspect(8))
        self.reactor.advance(RETRY)
        self.assertEqual("careful", self.request().mode)
        self.assertTrue(any("cannot be noted" in line for line in self.logged))

    def test_one_fails_and_others_wait(self) -> None:
        """One that always fails takes no turn from the others."""
        self.read(self.first, self.second, self.third)
        for process in self.children.started[:2]:
            process.end(1)
        self.assertEqual(str(self.third.path), self.request().path)
        self.answer(self.children.started[-1])
        self.assertEqual([self.third.ledger_id], list(self.recovery.results))

    def test_no_process(self) -> None:
        """That no process can be made is not the journal's fault: it is tried, ever more slowly, until it works."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.read(self.first)
        for _ in range(8):
            self.reactor.advance(LONGEST_RETRY)
        self.assertEqual((None, {}), (self.first.suspect(8), self.recovery.results))
        self.assertEqual(9, self.recovery.faults["reader"])
        self.children.error = None
        self.reactor.advance(LONGEST_RETRY)
        self.assertEqual(1, len(self.children.started))

    def test_fails_before_it_has_begun(self) -> None:
        """A process that fails before it looks at the journal says nothing against it; its last words are told."""
        self.read(self.first)
        for _ in range(10):
            process = self.children.started[-1]
            process.say(b"Traceback\nModuleNotFoundError: No module named 'msgspec'\n")
            process.end(1)
            self.reactor.advance(LONGEST_RETRY)
        self.assertEqual((11, None, {}), (len(self.children.started), self.first.suspect(8), self.recovery.results))
        self.assertTrue(self.logged[-1].endswith("ModuleNotFoundError: No module named 'msgspec'"))

    def test_an_error_of_the_disk(self) -> None:
        """Nor does an error of the operating system, which is told."""
        self.read(self.first)
        self.break_down(BEGUN + b"?[Errno 5] Input/output error\n", status=0, number=None)
        self.assertEqual(None, self.first.suspect(8))
        self.assertTrue(self.logged[-1].endswith("could not be read: [Errno 5] Input/output error"))
        self.reactor.advance(RETRY)
        self.assertEqual(("quick", 2), (self.request().mode, len(self.children.started)))

    def test_what_nobody_thought_of(self) -> None:
        """An exception anywhere is logged and counted, and the journal is tried again."""

        def fail(*arguments: Any, **keywords: Any) -> Any:
            raise ZeroDivisionError

        for owner, name in ((self.children, "start"), (self.recovery, "_judge")):
            patch = self.patch(owner, name, fail)
            self.read(self.first)
            if self.children.started:
                self.answer(self.children.started[-1])
            patch.restore()
            self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
            self.reactor.advance(LONGEST_RETRY)
        self.assertEqual(2, self.recovery.faults["error"])
        self.answer(self.children.started[-1])
        self.assertEqual({self.first.ledger_id: PIECE}, self.recovery.results)

    def test_error_after_a_reading(self) -> None:
        """One in what follows a reading is in the log at once; the result stays, and the others have their turn."""

        def fail() -> None:
            raise ZeroDivisionError

        self.recovery.read(self.first, 8, fail)
        self.read(self.second, self.third)
        self.answer(self.children.started[0])
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(({self.first.ledger_id: PIECE}, 3), (self.recovery.results, len(self.children.started)))


class StopTests(RecoveryTestCase):
    """The service stops, or becomes another image."""

    def test_stop(self) -> None:
        """A stop kills the processes, waits for their end, and is no failure; afterwards it can be asked again."""
        self.read(self.first, self.second, self.third)
        stopped = self.recovery.stop()
        self.assertNoResult(stopped)
        for process in list(self.children.started):
            self.assertEqual(1, process.kills)
            process.say(BEGUN, pipe=1)
            process.end(None, signal.SIGKILL)
        self.successResultOf(stopped)
        self.assertEqual((None, []), (self.first.suspect(8), self.reactor.getDelayedCalls()))
        self.assertEqual((2, {}), (len(self.children.started), self.recovery.results))
        self.read(self.first)
        self.assertEqual(3, len(self.children.started))

    def test_stop_while_it_rests(self) -> None:
        """A stop between two attempts leaves nothing behind."""
        self.read(self.first)
        self.break_down()
        self.successResultOf(self.recovery.stop())
        self.assertEqual(([], 0), (self.reactor.getDelayedCalls(), self.recovery.waiting))

    def test_a_process_that_does_not_end(self) -> None:
        """A stop does not wait for ever for one that cannot be killed."""
        self.read(self.first)
        stopped = self.recovery.stop()
        self.reactor.advance(STOP_SECONDS)
        self.successResultOf(stopped)
        self.children.started[0].end(None, signal.SIGKILL)
