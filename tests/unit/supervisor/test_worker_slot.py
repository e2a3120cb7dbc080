"""A worker's slot does what the table of its life says: with processes, ledgers, channels and timers."""

from __future__ import annotations

import errno
import os
import socket

from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.store.snapshot import LedgerState
from statsd_tcp.supervisor.backoff import HEALTHY_LIFE
from statsd_tcp.supervisor.launcher import Launcher
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.worker_process import Outcome
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from statsd_tcp.workers.channel import CANNOT_BOOT, Boot, Channel, Collect, Committed, Drain, Gathered, Ready, Retire
from tests.unit.supervisor.fakes import (
    KILLED,
    LISTENERS,
    SESSION,
    STORE,
    FakeChild,
    WorkersTestCase,
    break_off,
    committed,
    heard,
    say,
)


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
        """Make the slot, with the number 4."""
        super().setUp()
        self.events = RecordedEvents()
        launcher = Launcher(
            self.reactor,
            self.children,
            4,
            [],
            LISTENERS,
            lambda path: Boot(path, (), 10, 60.0),
            self.ledger_folder,
        )
        self.slot = WorkerSlot(self.reactor, launcher, self.events)

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

    def assert_now(self, state: str, started: int) -> None:
        """Check the state, and how many processes were started up to now."""
        self.assertEqual((state, started), (self.slot.state, len(self.children.started)))


class LifeTests(SlotTestCase):
    """Workers start, accept and die."""

    def test_ready(self) -> None:
        """A worker that accepts is told of, and its slot is ready."""
        self.slot.start()
        self.assertEqual(("starting", self.process.pid, []), (self.slot.state, self.slot.pid, self.slot.collect()))
        say(self.channel, Ready())
        self.assertEqual(("ready", 1), (self.slot.state, self.events.ready_count))

    def test_gathered(self) -> None:
        """What a worker gathered is passed on with its ledger."""
        self.make_ready()
        message = Gathered(0, 8, b"x")
        say(self.channel, message)
        (ledger_id,) = self.ledger_folder.ledgers
        self.assertEqual([(ledger_id, message)], self.events.messages)

    def test_stalled(self) -> None:
        """A worker that gives no sign of life is killed, and its death is told as what it is; an empty slot stays."""
        self.slot.kill_stalled()
        self.make_ready()
        process = self.process
        self.slot.kill_stalled()
        self.assertEqual(1, process.kills)
        self.die()
        self.assertEqual("stalled", self.events.deaths[-1][1])

    def test_replaced_at_once(self) -> None:
        """After a healthy life the next worker is there at once, with a ledger of its own, when the death is told."""
        self.make_ready()
        self.reactor.advance(HEALTHY_LIFE)
        self.die()
        self.assert_now("starting", 2)
        self.assertEqual(2, len(self.ledger_folder.ledgers))
        self.assertEqual(("signal", "was killed (SIGKILL)"), self.events.deaths[-1][1:])

    def test_a_signal_without_a_name(self) -> None:
        """A worker that is ended by a signal of real time is replaced as after any other."""
        self.make_ready()
        self.reactor.advance(HEALTHY_LIFE)
        self.die(number=40)
        self.assert_now("starting", 2)
        self.assertEqual(("signal", "was killed (signal 40)"), self.events.deaths[-1][1:])

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

    def test_unable(self) -> None:
        """When none can be started that is told, twice in a row, and it is tried again after a while."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.slot.start()
        self.children.error = None
        self.assertEqual(2 * ["its process cannot be made: no more processes"], self.events.unables)
        self.assertEqual(("waiting", 0), (self.slot.state, self.slot.pid))
        self.reactor.advance(0.1)
        self.make_ready()
        self.assert_now("ready", 1)

    def test_whoever_hears_of_it_stops_all(self) -> None:
        """A listener that is told that none can be started may stop the slot: it is not tried again then."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.events.unable = lambda slot, why: slot.stop()  # type: ignore[method-assign]
        self.slot.start()
        self.assertEqual(("stopped", []), (self.slot.state, self.reactor.getDelayedCalls()))

    def test_held(self) -> None:
        """A slot that is held is not filled again until it is released, even where the next one had to wait."""
        self.make_ready()
        self.slot.hold()
        self.die()
        self.assert_now("stopped", 1)
        self.slot.release()
        self.assert_now("starting", 2)
        self.die()
        self.assert_now("waiting", 2)
        self.slot.hold()
        self.assertEqual(("stopped", []), (self.slot.state, self.reactor.getDelayedCalls()))
        self.slot.release()
        self.assert_now("starting", 3)


class StopTests(SlotTestCase):
    """The service stops."""

    def test_drain(self) -> None:
        """A worker is asked to drain, is let go when it has handed over everything, and is not replaced."""
        self.make_ready()
        heard(self.channel)
        self.slot.stop()
        self.assertEqual(("draining", [Drain(SESSION)]), (self.slot.state, heard(self.channel)))
        self.assertEqual([], self.slot.collect())
        say(self.channel, Gathered(0, 8, b"x", last=True))
        self.assertFalse(self.channel.connected)
        self.process.end(0)
        self.assert_now("stopped", 1)
        self.assertEqual((None, "exit"), (self.slot.current, self.events.deaths[0][1]))

    def test_never_ready(self) -> None:
        """A worker that does not accept yet has nothing to hand over, and is killed."""
        self.slot.start()
        self.slot.stop()
        self.assertEqual(1, self.process.kills)
        self.die()
        self.assertEqual("stopped", self.slot.state)

    def test_empty(self) -> None:
        """A slot that has no worker is stopped at once, also while one is to come."""
        self.slot.stop()
        self.slot.kill()
        self.assertEqual("stopped", self.slot.state)
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.slot.start()
        self.slot.stop()
        self.assertEqual(("stopped", []), (self.slot.state, self.reactor.getDelayedCalls()))

    def test_give_up(self) -> None:
        """A worker that does not accept yet can be given up; one that does stays, and can be killed."""
        self.slot.start()
        self.slot.give_up()
        self.assertEqual(1, self.process.kills)
        self.die()
        self.make_ready()
        self.slot.give_up()
        self.assertEqual(0, self.process.kills)
        self.slot.kill()
        self.assertEqual(1, self.process.kills)


class ReplaceTests(SlotTestCase):
    """A worker is replaced by one with the same sockets."""

    def setUp(self) -> None:
        """Start a worker that accepts, and ask for a successor."""
        super().setUp()
        self.make_ready()
        self.reactor.advance(HEALTHY_LIFE)
        self.old_process, self.old_channel = self.process, self.channel
        (self.old_ledger,) = self.ledger_folder.ledgers
        heard(self.channel)
        self.told: list[bool] = []
        self.slot.replace(self.told.append)

    def end(self, process: FakeChild, channel: Channel, status: int = 0) -> None:
        """Let a worker end."""
        break_off(channel)
        process.end(status)

    def test_the_successor_accepts(self) -> None:
        """The old worker goes on until the new one accepts; then it serves its clients to their end."""
        self.assertEqual(([], []), (self.told, heard(self.old_channel)))
        self.assertEqual(("ready", self.old_process.pid), (self.slot.state, self.slot.pid))
        say(self.channel, Ready())
        self.assertEqual(([True], [Retire(SESSION)]), (self.told, heard(self.old_channel)))
        self.assertEqual(("ready", self.process.pid), (self.slot.state, self.slot.pid))

    def test_the_old_one_ends(self) -> None:
        """When its last client has gone the old worker's ledger is final; that is no death, and it is not replaced."""
        say(self.channel, Ready())
        self.assertEqual(2, len(self.slot.collect()))
        say(self.old_channel, Gathered(0, 8, b"x", last=True))
        self.old_process.end(0)
        self.assert_now("ready", 2)
        self.assertEqual(([self.old_ledger], []), (self.events.left_ledgers, self.events.deaths))
        self.assertEqual([(self.old_ledger, 8)], [(ledger, one.end) for ledger, one in self.events.messages])

    def test_the_successor_can_t_start(self) -> None:
        """When the new one cannot start, the old one stays as it was."""
        self.end(self.process, self.channel, CANNOT_BOOT)
        self.assertEqual(([False], []), (self.told, heard(self.old_channel)))
        self.assertEqual(("ready", self.old_process.pid), (self.slot.state, self.slot.pid))
        self.assertEqual(["its successor could not start (exit status 3)"], self.events.unables)

    def test_no_successor(self) -> None:
        """So it is when no process can be made for it."""
        say(self.channel, Ready())
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.slot.replace(self.told.append)
        self.assertEqual(([True, False], "ready"), (self.told, self.slot.state))

    def test_the_old_one_dies_meanwhile(self) -> None:
        """When the old one dies before the new one accepts, the new one is its replacement."""
        self.end(self.old_process, self.old_channel)
        self.assert_now("starting", 2)
        say(self.channel, Ready())
        self.assertEqual(("ready", self.process.pid, [True]), (self.slot.state, self.slot.pid, self.told))

    def test_stop(self) -> None:
        """When the service stops, all workers of the slot drain; one that does not accept is killed: no error."""
        say(self.channel, Ready())
        second = self.channel
        self.slot.replace(self.told.append)
        for one in (self.old_channel, second):
            heard(one)
        self.slot.stop()
        self.assertEqual([[Drain(SESSION)], [Drain(SESSION)]], [heard(one) for one in (self.old_channel, second)])
        self.assertEqual((0, 1), (self.old_process.kills, self.process.kills))
        for process, channel in zip(self.children.started, self.reactor.channels, strict=True):
            self.assertEqual("draining", self.slot.state)
            self.end(process, channel)
        self.assertEqual(("stopped", [], []), (self.slot.state, self.slot.processes, self.events.unables))

    def test_committed(self) -> None:
        """What is committed is told to the process with that ledger; for a dead worker's, no process is told."""
        heard(self.channel)
        snapshot = committed(LedgerState(self.old_ledger, 4, "", 8, folded=False, counts={}))
        self.slot.committed(snapshot)
        told = [[Committed(8, node=STORE)], [Committed(0, node=STORE)]]
        self.assertEqual(told, [heard(one) for one in (self.old_channel, self.channel)])
        self.end(self.old_process, self.old_channel)
        self.slot.committed(snapshot)
        self.assertEqual([], heard(self.channel))


class AdoptTests(SlotTestCase):
    """Workers of an earlier image of the supervisor."""

    def adopt(self, *, leaving: bool) -> tuple[FakeChild, Channel]:
        """Adopt one."""
        ledger, lock = self.ledger_folder.make(4, LISTENERS)
        os.close(lock)
        with socket.socket() as one:
            channel = os.dup(one.fileno())
        self.slot.adopt(InheritedWorker(4, 77, ledger.ledger_id, channel, b"", [], leaving=leaving), ledger)
        return self.process, self.channel

    def test_ready(self) -> None:
        """One that accepted does so, and is asked; when it dies it is replaced."""
        process, channel = self.adopt(leaving=False)
        self.assertEqual(("ready", process.pid), (self.slot.state, self.slot.pid))
        self.slot.collect()
        self.assertEqual([Collect(SESSION)], heard(channel))
        self.reactor.advance(HEALTHY_LIFE)
        self.die()
        self.assert_now("starting", 2)

    def test_leaving(self) -> None:
        """One that had been replaced serves its clients to their end, and is handed on as such."""
        _, channel = self.adopt(leaving=True)
        self.assertEqual(("stopped", 1), (self.slot.state, len(self.slot.leaving)))
        transport: object = channel.transport
        transport.fileno = lambda: 5  # type: ignore[attr-defined]
        self.assertEqual([(4, 77, 5, True)], [(w.number, w.pid, w.channel, w.leaving) for w in self.slot.handed_on()])
        self.die()
        self.assertEqual((1, []), (len(self.events.left_ledgers), self.slot.handed_on()))

    def test_depart(self) -> None:
        """A slot that is given up has no worker that accepts; its clients are served to their end."""
        _, channel = self.adopt(leaving=False)
        self.slot.depart()
        self.assertEqual(([Retire(SESSION)], "stopped"), (heard(channel), self.slot.state))
        self.die()
        self.assertEqual((1, 1), (len(self.events.left_ledgers), len(self.children.started)))
