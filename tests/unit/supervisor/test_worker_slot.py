"""A worker's slot: filled, spoken to, refilled, emptied."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping, Sequence

from statsd_tcp.children import Received
from statsd_tcp.ledger import folder as ledger_folder
from statsd_tcp.ledger.file import lock_ledger
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.store.snapshot import LedgerState
from statsd_tcp.supervisor.backoff import HEALTHY_LIFE
from statsd_tcp.supervisor.worker_process import Outcome
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from statsd_tcp.workers.channel import (
    CANNOT_BOOT,
    FAILED,
    FIRST_SOCKET,
    LEDGER_DESCRIPTOR,
    Boot,
    Channel,
    Collect,
    Committed,
    Drain,
    Gathered,
    Ready,
    Retire,
)
from tests.unit.descriptors import open_here
from tests.unit.supervisor.fakes import KILLED, LISTENERS, FakeChild, WorkersTestCase, break_off, heard, say


def safe(**offsets: int) -> dict[str, LedgerState]:
    """Say up to where the journals of ledgers are in the store."""
    return {
        ledger_id: LedgerState(ledger_id, 0, "", offset, folded=False, counts={})
        for ledger_id, offset in offsets.items()
    }


class RecordedEvents:
    """What a slot told."""

    def __init__(self) -> None:
        self.ready_count = 0
        self.messages: list[tuple[str, Gathered]] = []
        self.deaths: list[tuple[str, Outcome, str]] = []
        self.unables: list[str] = []
        self.left_ledgers: list[str] = []

    def ready(self, slot: WorkerSlot) -> None:
        """Count."""
        self.ready_count += 1

    def gathered(self, ledger: Ledger, message: Gathered) -> None:
        """Note it."""
        self.messages.append((ledger.ledger_id, message))

    def gone(self, slot: WorkerSlot, ledger: Ledger, outcome: Outcome, how: str) -> None:
        """Note it; the ledger must be final by now."""
        assert ledger.retired
        self.deaths.append((ledger.ledger_id, outcome, how))

    def left(self, slot: WorkerSlot, ledger: Ledger) -> None:
        """Note it; the ledger must be final by now."""
        assert ledger.retired
        self.left_ledgers.append(ledger.ledger_id)

    def unable(self, slot: WorkerSlot, why: str) -> None:
        """Note it."""
        self.unables.append(why)


class SlotTestCase(WorkersTestCase):
    """A test with one slot."""

    def setUp(self) -> None:
        """Make the slot, with one socket."""
        super().setUp()
        self.socket = socket.socket()
        self.addCleanup(self.socket.close)
        self.events = RecordedEvents()
        self.slot = WorkerSlot(
            self.reactor,
            self.children,
            4,
            [self.socket],
            LISTENERS,
            lambda path: Boot(path, (), 10, 60.0),
            self.ledger_folder,
            self.events,
        )

    @property
    def process(self) -> FakeChild:
        """The process that was started last."""
        return self.children.started[-1]

    @property
    def channel(self) -> Channel:
        """Its channel."""
        return self.reactor.channels[-1]

    def make_ready(self) -> None:
        """Start a worker that accepts."""
        if not self.children.started or self.process.ending:
            self.slot.start()
        say(self.channel, Ready())

    def die(self, status: int | None = None, number: int | None = KILLED) -> None:
        """Let the worker end."""
        break_off(self.channel)
        self.process.end(status, number)


class StartTests(SlotTestCase):
    """A worker is started."""

    def test_boot(self) -> None:
        """A new worker has its ledger, locked, its socket, and is told the rest."""
        self.slot.start()
        (ledger,) = self.ledger_folder.ledgers.values()
        self.assertEqual(4, ledger.worker)
        inherited = self.process.descriptors
        self.assertEqual(self.socket.fileno(), inherited[FIRST_SOCKET])
        self.assertEqual([Boot(str(ledger.path), (), 10, 60.0)], heard(self.channel))
        self.assertEqual(("starting", self.process.pid), (self.slot.state, self.slot.pid))
        self.assertEqual("4", self.process.command[-1])

    def test_the_lock_is_the_worker_s(self) -> None:
        """While the process is made the ledger is locked; our own copy of the lock is closed then."""
        seen: list[bool] = []
        start = self.children.start

        def watch(
            argv: Sequence[str],
            environ: Mapping[str, str],
            pipes: Mapping[int, Received],
            descriptors: Mapping[int, int],
        ) -> FakeChild:
            (ledger,) = self.ledger_folder.ledgers.values()
            self.assertRaises(BlockingIOError, lock_ledger, ledger.path)
            inherited = os.fstat(descriptors[LEDGER_DESCRIPTOR])
            seen.append(os.path.samestat(inherited, ledger.path.stat()))
            return start(argv, environ, pipes, descriptors)

        self.patch(self.children, "start", watch)
        self.slot.start()
        self.assertEqual([True], seen)
        (ledger,) = self.ledger_folder.ledgers.values()
        os.close(lock_ledger(ledger.path))

    def test_nothing_stays_open(self) -> None:
        """Of all that a worker is given nothing stays open here but the ledger's map."""
        self.make_ready()
        before = open_here()
        self.die()
        self.make_ready()
        # One more ledger is mapped.
        self.assertLessEqual(open_here(), before + 1)

    def test_ready(self) -> None:
        """A worker that says so accepts; only then can it be asked for anything."""
        self.slot.start()
        heard(self.channel)
        self.assertFalse(self.slot.collect())
        say(self.channel, Ready())
        self.assertEqual(("ready", 1), (self.slot.state, self.events.ready_count))
        self.assertTrue(self.slot.collect())
        self.assertEqual([Collect()], heard(self.channel))

    def test_gathered(self) -> None:
        """What a worker gathered is passed on with its ledger."""
        self.make_ready()
        message = Gathered(0, 8, b"x")
        say(self.channel, message)
        (ledger_id,) = self.ledger_folder.ledgers
        self.assertEqual([(ledger_id, message)], self.events.messages)

    def test_committed(self) -> None:
        """Only the worker with that ledger is told what is committed, and only what it does not know."""
        self.make_ready()
        heard(self.channel)
        (ledger_id,) = self.ledger_folder.ledgers
        self.slot.committed(safe(another=16))
        self.slot.committed(safe(**{ledger_id: 8}))
        self.slot.committed(safe(**{ledger_id: 8}))
        self.slot.committed(safe(**{ledger_id: 24}))
        self.assertEqual([Committed(8), Committed(24)], heard(self.channel))

    def test_what_it_prints(self) -> None:
        """What a worker prints is logged with its number."""
        self.slot.start()
        self.process.say(b"Traceback {braces}\n")
        self.assertEqual(["worker 4: Traceback {braces}"], self.logged)


class DeathTests(SlotTestCase):
    """A worker dies."""

    def test_both_ends(self) -> None:
        """A worker is dead when it is reaped and its channel is read to the end, in whichever order."""
        for first, second in (("channel", "process"), ("process", "channel")):
            self.make_ready()
            for end in (first, second):
                deaths = len(self.events.deaths)
                if end == "channel":
                    break_off(self.channel)
                else:
                    self.process.end(None, KILLED)
            self.assertEqual(deaths + 1, len(self.events.deaths))
        self.assertEqual(2, len(self.events.deaths))

    def test_last_words(self) -> None:
        """What a dead worker had sent is still taken."""
        self.make_ready()
        self.process.end(None, KILLED)
        say(self.channel, Gathered(0, 8, b"x"))
        self.assertEqual(1, len(self.events.messages))
        self.assertEqual([], self.events.deaths)

    def test_how(self) -> None:
        """How it died is said in words, and as one of the outcomes that are counted."""
        for status, number, outcome, how in (
            (None, KILLED, "signal", "was killed (SIGKILL)"),
            (FAILED, None, "failure", "failed (exit status 70)"),
            (0, None, "exit", "ended"),
        ):
            self.make_ready()
            self.reactor.advance(HEALTHY_LIFE)
            self.die(status, number)
            self.assertEqual((outcome, how), self.events.deaths[-1][1:])

    def test_boot_failure(self) -> None:
        """A worker that never accepted could not start."""
        self.slot.start()
        self.die(CANNOT_BOOT, None)
        self.assertEqual(("boot", "could not start (exit status 3)"), self.events.deaths[-1][1:])

    def test_replaced_at_once(self) -> None:
        """After a healthy life the next worker is there at once, with a ledger of its own."""
        self.make_ready()
        self.reactor.advance(HEALTHY_LIFE)
        self.die()
        self.assertEqual((2, "starting"), (len(self.children.started), self.slot.state))
        self.assertEqual(2, len(self.ledger_folder.ledgers))
        say(self.channel, Ready())
        self.assertEqual("ready", self.slot.state)

    def test_delays(self) -> None:
        """After several short lives the next worker waits."""
        for delay in (0, 0.1, 0.2, 0.4):
            self.make_ready()
            self.die()
            started = len(self.children.started)
            if delay:
                self.assertEqual(("waiting", 0), (self.slot.state, self.slot.pid))
                self.reactor.advance(delay - 0.01)
                self.assertEqual(started, len(self.children.started))
                self.reactor.advance(0.02)
                self.assertEqual(started + 1, len(self.children.started))
            self.assertEqual("starting", self.slot.state)

    def test_short_lives(self) -> None:
        """Short lives count until a worker has lived for long, even while it lives."""
        for _ in range(3):
            self.make_ready()
            self.die()
            self.reactor.advance(1)
        self.assertEqual(3, self.slot.short_lives)
        self.make_ready()
        self.assertEqual(3, self.slot.short_lives)
        self.reactor.advance(HEALTHY_LIFE)
        self.assertEqual(0, self.slot.short_lives)

    def test_a_late_committed(self) -> None:
        """What is committed of a dead worker's ledger concerns nobody any more."""
        self.make_ready()
        (ledger_id,) = self.ledger_folder.ledgers
        self.reactor.advance(HEALTHY_LIFE)
        self.die()
        heard(self.channel)
        self.slot.committed(safe(**{ledger_id: 8}))
        self.assertEqual([], heard(self.channel))


class UnableTests(SlotTestCase):
    """No worker can be started."""

    def assert_tried_again(self, words: str) -> None:
        """Check that it was said, twice in a row, that nothing is left of it, and that it is tried again."""
        self.assertEqual(2, len(self.events.unables))
        self.assertIn(words, self.events.unables[0])
        self.assertEqual(("waiting", 0), (self.slot.state, self.slot.pid))
        self.reactor.advance(0.1)

    def test_no_ledger(self) -> None:
        """Without a ledger, as on a full disk, it is tried again after a while."""

        def full(*arguments: object, **keywords: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch = self.patch(ledger_folder, "create_ledger", full)
        self.slot.start()
        patch.restore()
        self.assert_tried_again("its ledger can't be made: [Errno 28] No space left on device")
        self.assertEqual("starting", self.slot.state)

    def test_no_process(self) -> None:
        """Without a process it is the same, and the ledgers that were made for it are folded."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.slot.start()
        self.children.error = None
        self.assertEqual([True, True], [ledger.retired for ledger in self.ledger_folder.ledgers.values()])
        self.assert_tried_again("its process can't be made: [Errno 11] no more processes")
        self.assertEqual("starting", self.slot.state)
        say(self.channel, Ready())
        self.assertEqual("ready", self.slot.state)

    def test_no_channel(self) -> None:
        """A worker that was made but can't be spoken to is ended, and replaced when it is reaped."""
        self.reactor.adoption_error = OSError(errno.EMFILE, "too many")
        self.slot.start()
        self.reactor.adoption_error = None
        self.assertEqual(1, self.process.kills)
        self.assertEqual(1, len(self.events.unables))
        self.process.end(None, KILLED)
        self.assertEqual(("boot", "could not start (SIGKILL)"), self.events.deaths[-1][1:])
        self.assertEqual((2, "starting"), (len(self.children.started), self.slot.state))


class StopTests(SlotTestCase):
    """The service stops."""

    def test_drain(self) -> None:
        """A worker is asked to drain, is let go when it has handed over everything, and isn't replaced."""
        self.make_ready()
        heard(self.channel)
        self.slot.stop()
        self.assertEqual(("draining", [Drain()]), (self.slot.state, heard(self.channel)))
        say(self.channel, Gathered(0, 8, b"x", last=True))
        self.assertFalse(self.channel.connected)
        self.process.end(0)
        self.assertEqual(("stopped", None, 1), (self.slot.state, self.slot.current, len(self.children.started)))
        self.assertEqual((1, "exit"), (len(self.events.messages), self.events.deaths[0][1]))

    def test_never_ready(self) -> None:
        """A worker that doesn't accept yet has nothing to hand over, and is killed."""
        self.slot.start()
        self.slot.stop()
        self.assertEqual(1, self.process.kills)
        self.die()
        self.assertEqual("stopped", self.slot.state)

    def test_while_waiting(self) -> None:
        """A slot that waits for its next worker waits no more."""
        for _ in range(2):
            self.make_ready()
            self.die()
        self.assertEqual("waiting", self.slot.state)
        self.slot.stop()
        self.assertEqual(("stopped", []), (self.slot.state, self.reactor.getDelayedCalls()))

    def test_empty(self) -> None:
        """A slot that was never filled stops without ado."""
        self.slot.stop()
        self.slot.kill()
        self.assertEqual("stopped", self.slot.state)

    def test_held(self) -> None:
        """A slot that is held isn't filled again until it is released."""
        self.make_ready()
        self.slot.hold()
        self.die()
        self.assertEqual(("stopped", 1), (self.slot.state, len(self.children.started)))
        self.slot.release()
        self.assertEqual(("starting", 2), (self.slot.state, len(self.children.started)))

    def test_held_while_waiting(self) -> None:
        """A slot that waits for its next worker, and is held, waits no more; released it has one at once."""
        for _ in range(2):
            self.make_ready()
            self.die()
        self.assertEqual("waiting", self.slot.state)
        self.slot.hold()
        self.assertEqual(("stopped", []), (self.slot.state, self.reactor.getDelayedCalls()))
        self.slot.release()
        self.assertEqual("starting", self.slot.state)

    def test_held_in_good_health(self) -> None:
        """Holding and releasing a slot whose worker lives changes nothing."""
        self.make_ready()
        self.slot.hold()
        self.slot.release()
        self.assertEqual(("ready", 1), (self.slot.state, len(self.children.started)))

    def test_give_up(self) -> None:
        """A worker that doesn't accept yet can be given up; one that does stays."""
        self.slot.start()
        self.slot.give_up()
        self.assertEqual(1, self.process.kills)
        self.die()
        self.make_ready()
        self.slot.give_up()
        self.assertEqual(0, self.process.kills)

    def test_kill(self) -> None:
        """A worker can be ended at once."""
        self.make_ready()
        self.slot.kill()
        self.assertEqual(1, self.process.kills)


class ReplaceTests(SlotTestCase):
    """A worker is replaced by one with the same sockets."""

    def setUp(self) -> None:
        """Start a worker that accepts."""
        super().setUp()
        self.make_ready()
        self.reactor.advance(HEALTHY_LIFE)
        self.old_process, self.old_channel = self.process, self.channel
        (self.old_ledger,) = self.ledger_folder.ledgers
        heard(self.channel)
        self.told: list[bool] = []

    def replace(self) -> None:
        """Ask for a successor."""
        self.slot.replace(self.told.append)

    def end(self, process: FakeChild, channel: Channel, status: int = 0) -> None:
        """Let a worker end."""
        break_off(channel)
        process.end(status)

    def test_the_successor_accepts(self) -> None:
        """The old worker goes on until the new one accepts; then it serves its clients to their end."""
        self.replace()
        self.assertEqual(([], []), (self.told, heard(self.old_channel)))
        self.assertEqual(("ready", self.old_process.pid), (self.slot.state, self.slot.pid))
        say(self.channel, Ready())
        self.assertEqual(([True], [Retire()]), (self.told, heard(self.old_channel)))
        self.assertEqual(("ready", self.process.pid), (self.slot.state, self.slot.pid))

    def test_the_old_one_ends(self) -> None:
        """When its last client has gone the old worker's ledger is final; that is no death, and nobody replaces it."""
        self.replace()
        say(self.channel, Ready())
        self.assertEqual(2, len(self.slot.collect()))
        say(self.old_channel, Gathered(0, 8, b"x", last=True))
        self.old_process.end(0)
        self.assertEqual([self.old_ledger], self.events.left_ledgers)
        self.assertEqual(([], 2, "ready"), (self.events.deaths, len(self.children.started), self.slot.state))
        self.assertEqual([(self.old_ledger, 8)], [(ledger, one.end) for ledger, one in self.events.messages])

    def test_the_successor_can_t_start(self) -> None:
        """When the new one can't start, the old one stays as it was."""
        self.replace()
        self.end(self.process, self.channel, CANNOT_BOOT)
        self.assertEqual([False], self.told)
        self.assertEqual(("ready", self.old_process.pid), (self.slot.state, self.slot.pid))
        self.assertEqual(["its successor could not start (exit status 3)"], self.events.unables)
        self.assertEqual([], heard(self.old_channel))

    def test_no_successor(self) -> None:
        """So it is when no process can be made for it."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.replace()
        self.assertEqual(([False], "ready"), (self.told, self.slot.state))

    def test_the_old_one_dies_meanwhile(self) -> None:
        """When the old one dies before the new one accepts, the new one is its replacement."""
        self.replace()
        self.end(self.old_process, self.old_channel)
        self.assertEqual(("starting", 2), (self.slot.state, len(self.children.started)))
        say(self.channel, Ready())
        self.assertEqual(("ready", self.process.pid), (self.slot.state, self.slot.pid))
        self.assertEqual(1, len(self.told))

    def test_not_ready(self) -> None:
        """A slot that is about to have a new worker needs no other."""
        self.end(self.old_process, self.old_channel)
        self.replace()
        self.assertEqual(([True], 2), (self.told, len(self.children.started)))

    def test_stop(self) -> None:
        """When the service stops all workers of the slot drain, and one that doesn't accept yet is killed."""
        self.replace()
        say(self.channel, Ready())
        second = self.channel
        self.replace()
        for one in (self.old_channel, second):
            heard(one)
        self.slot.stop()
        self.assertEqual([[Drain()], [Drain()]], [heard(one) for one in (self.old_channel, second)])
        self.assertEqual((0, 1), (self.old_process.kills, self.process.kills))
        for process, channel in zip(self.children.started, self.reactor.channels, strict=True):
            self.assertEqual("draining", self.slot.state)
            self.end(process, channel)
        self.assertEqual(("stopped", []), (self.slot.state, self.slot.processes))

    def test_depart(self) -> None:
        """A slot that is given up has no worker that accepts; its clients are served to their end."""
        self.slot.depart()
        self.assertEqual(([Retire()], "stopped"), (heard(self.old_channel), self.slot.state))
        self.end(self.old_process, self.old_channel)
        self.assertEqual(([self.old_ledger], 1), (self.events.left_ledgers, len(self.children.started)))
