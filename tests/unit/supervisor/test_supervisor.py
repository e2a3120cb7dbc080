"""The supervisor: rounds of collecting, deaths, giving up, taking over, stopping."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed

from statsd_tcp import startup
from statsd_tcp.aggregate.batches import BatchSum, Brought
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.commit.opening import Misunderstandings
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.ledger.cells import GAP_MAX, HEARTBEAT, JOURNAL_HEAD, JOURNAL_RELEASED, listener_cells
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.repeat.totals import RepeatTotals
from statsd_tcp.settings.build import build_settings
from statsd_tcp.status.examples import LastExamples
from statsd_tcp.status.greeting import greeting
from statsd_tcp.status.health import LONGEST_COMMIT, Health
from statsd_tcp.status.parts import Parts
from statsd_tcp.status.report import Report
from statsd_tcp.status.underway import Underway
from statsd_tcp.status.who import Who
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.snapshot import ACCEPTED, LINES, LedgerState, Snapshot, TotalKey
from statsd_tcp.supervisor.backoff import HEALTHY_LIFE
from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.supervisor.rounds import AFTER_SECOND
from statsd_tcp.supervisor.shutdown import LAST_COMMIT, LAST_KILL
from statsd_tcp.supervisor.supervisor import BOOT_TRIES, ORPHAN_CHECK, Supervisor
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from statsd_tcp.workers.channel import CANNOT_BOOT, FIRST_SOCKET, Channel, Collect, Committed, Drain, Gathered, Ready
from tests.unit.supervisor.fakes import KILLED, RING_SIZE, SESSION, FakeChild, WorkersTestCase, break_off, heard, say
from tests.unit.web.tables import make_snapshot

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


class StartTests(SupervisorTestCase):
    """The service starts."""

    def test_listening(self) -> None:
        """Sockets listen once the service may, with the whole backlog; before that no client can connect."""
        (one,) = self.plan.listeners[0].sockets[1]
        self.assertRaises(ConnectionRefusedError, socket.create_connection, one.getsockname())
        self.supervisor.privilegedStartService()
        self.assertEqual((0, 16), read_queue(one)[:2])
        socket.create_connection(one.getsockname()).close()

    def test_without_privileges(self) -> None:
        """Where the privileged start is not called the sockets listen with the other one."""
        self.supervisor.startService()
        self.assertEqual((0, 16), read_queue(self.plan.listeners[0].sockets[0][0])[:2])

    def test_workers(self) -> None:
        """Every slot gets a worker, with the sockets of its own."""
        self.start(ready=False)
        self.assertEqual(2, len(self.children.started))
        for number, process in enumerate(self.children.started):
            inherited = process.descriptors
            for index, listener in enumerate(self.plan.listeners):
                self.assertEqual(listener.sockets[number][0].fileno(), inherited[FIRST_SOCKET + index])

    def test_boot(self) -> None:
        """A worker is told which descriptor is what, and how many connections are its share."""
        boot = self.plan.boot(1, "/x")
        self.assertEqual(
            [(FIRST_SOCKET, 0, "lines"), (FIRST_SOCKET + 1, 1, "datagrams"), (FIRST_SOCKET + 2, 2, "count")],
            [(lane.descriptor, lane.index, lane.kind) for lane in boot.lanes],
        )
        self.assertEqual((50, 600.0, "/x"), (boot.connections, boot.idle_timeout, boot.ledger_path))
        self.assertEqual((60.0, 0.0), (boot.first_byte_timeout, boot.max_age))

    def test_announced(self) -> None:
        """When for the first time all workers accept, it is said once."""
        said = self.events.said
        self.start(ready=False)
        say(self.reactor.channels[0], Ready())
        self.assertEqual([], said)
        say(self.reactor.channels[1], Ready())
        self.assertEqual(["all accept"], said)
        self.reactor.advance(HEALTHY_LIFE)
        self.die(0)
        say(self.worker(0)[2], Ready())
        self.assertEqual(["all accept"], said)
        self.assertIn(f"worker 0 accepts (pid {self.worker(0)[1].pid})", self.logged)

    def test_accepting(self) -> None:
        """The service accepts when each listener has one worker that does, wherever the others are."""
        labels = ", ".join(listener.label for listener in self.plan.listeners)
        nobody = (False, f"no worker accepts at {labels}")
        self.start(ready=False)
        self.assertEqual(nobody, self.supervisor.accepting())
        say(self.reactor.channels[1], Ready())
        self.assertEqual((True, "ok"), self.supervisor.accepting())
        self.supervisor._stalls.avoided = frozenset({1})
        self.assertEqual(nobody, self.supervisor.accepting())
        say(self.reactor.channels[0], Ready())
        self.assertEqual((True, "ok"), self.supervisor.accepting())

    def test_a_listener_of_one_worker(self) -> None:
        """A listener that only one worker reads is unserved without that one."""
        listener = self.plan.listeners[1]
        for one in listener.sockets[0]:
            one.close()
        listener.sockets[0] = []
        self.start(ready=False)
        say(self.reactor.channels[0], Ready())
        self.assertEqual((False, f"no worker accepts at {listener.label}"), self.supervisor.accepting())
        say(self.reactor.channels[1], Ready())
        self.assertEqual((True, "ok"), self.supervisor.accepting())

    def test_no_store(self) -> None:
        """When the first commit shows that there is no store the service ends, with its reason."""
        self.committer.snapshot, self.committer.failure = None, "x.sqlite is damaged"
        self.start(ready=False)
        self.assertEqual(["x.sqlite is damaged"], self.given_up)

    def test_no_store_after_a_reload(self) -> None:
        """An image that takes workers over goes on without the store, as when commits fail later: the workers count."""
        committer: Any = self.committer
        self.committer.snapshot, self.committer.failure = None, "the disk is full"
        manifest = Manifest(0, [], [], [], {}, 0.0, 1, "")
        self.supervisor = Supervisor(
            self.reactor, self.children, self.plan, self.ledger_folder, committer, self.events, manifest
        )
        self.start()
        self.assertEqual(([], False), (self.given_up, self.supervisor.draining))

    def test_the_greeting(self) -> None:
        """The greeting names what listens where, why there are that many workers, the state, and a command to try."""
        first, second, third = (listener.port for listener in self.plan.listeners)
        lines = greeting(self.plan)
        self.assertEqual(
            [
                f"  StatsD lines      tcp 127.0.0.1:{first}",
                f"  StatsD lines      udp 127.0.0.1:{second}",
                f"  bare connections  tcp 127.0.0.1:{third} as probes",
            ],
            lines[1:4],
        )
        text = "\n".join(lines)
        http = self.plan.http.port if self.plan.http else 0
        self.assertIn(f"  metrics, status   http://127.0.0.1:{http}/\n", text)
        self.assertIn("  workers           2 (as asked for)\n", text)
        self.assertRegex(text, r"\n  hot path          in (C|Python \(.*\))\n")
        self.assertIn(f"  state             {self.folder}/state\n", text)
        self.assertIn("50 open connections per worker, 16 waiting in each accept queue", text)
        self.assertTrue(
            lines[-1].endswith(f" load --mode connect --target tcp:127.0.0.1:{third} --verify http://127.0.0.1:{http}")
        )

    def test_the_greeting_without_pages(self) -> None:
        """Without pages there is nothing to compare with; without ports for bare connections lines are sent."""
        text = "\n".join(greeting(self.plan._replace(http=None)))
        self.assertNotIn("http", text)
        self.assertNotIn("  try  ", text)
        self.assertIn("load --mode line --target", greeting(self.plan._replace(listeners=self.plan.listeners[:1]))[-1])
        self.assertNotIn("load", greeting(self.plan._replace(listeners=self.plan.listeners[1:2]))[-1])


class RoundTests(SupervisorTestCase):
    """Once a second."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        self.start()
        self.before = self.committer.commits

    @property
    def commits(self) -> int:
        """How many commits there were since the start."""
        return self.committer.commits - self.before

    def test_a_round(self) -> None:
        """Every worker is asked; when all have answered there is one commit of all answers."""
        self.round()
        self.assertEqual(
            [[Collect(SESSION)], [Collect(SESSION)]], [heard(channel) for channel in self.reactor.channels]
        )
        self.answer(0)
        self.assertEqual(0, self.commits)
        self.answer(1, b"y")
        self.assertEqual(1, self.commits)
        self.assertEqual([b"x", b"y"], [one.payload for one in self.committer.added])
        ledgers = [slot.current.ledger.ledger_id for slot in self.supervisor._slots.present if slot.current]
        self.assertEqual(ledgers, [one.ledger_id for one in self.committer.added])

    def test_nothing_received(self) -> None:
        """A worker that received nothing answers as well; there is nothing to keep."""
        self.round()
        self.answer(0, b"")
        self.answer(1, b"")
        self.assertEqual((1, []), (self.commits, self.committer.added))

    def test_unasked(self) -> None:
        """A worker whose journal is full does not wait to be asked, and its lines are committed at once."""
        self.answer(1)
        self.assertEqual((1, 1), (self.commits, len(self.committer.added)))

    def test_a_worker_that_hangs(self) -> None:
        """One that does not answer delays no other, and is not asked twice; when it answers after all that counts."""
        self.round()
        self.drop()
        self.answer(0)
        self.assertEqual(0, self.commits)
        for number in range(1, 4):
            self.round()
            self.assertEqual([[Collect(SESSION)], []], [heard(channel) for channel in self.reactor.channels])
            self.answer(0)
            self.assertEqual(number, self.commits)
        self.answer(1)
        self.assertEqual((4, 5), (self.commits, len(self.committer.added)))
        self.round()
        self.assertEqual(
            [[Collect(SESSION)], [Collect(SESSION)]], [heard(channel) for channel in self.reactor.channels]
        )

    def test_all_hang(self) -> None:
        """When none answers there is still a commit, of the connections that are counted in shared memory."""
        self.round()
        self.round()
        self.assertEqual(1, self.commits)

    def test_a_worker_that_dies_meanwhile(self) -> None:
        """One that dies before it answered is not waited for, and its successor is asked."""
        self.round()
        self.answer(0)
        self.die(1)
        self.assertEqual(1, self.commits)
        say(self.worker(1)[2], Ready())
        self.drop()
        self.round()
        self.assertEqual([Collect(SESSION)], heard(self.worker(1)[2]))

    def test_committed(self) -> None:
        """What is in the store is told once to the worker with that ledger, and to no other."""
        current = self.supervisor._slots.present[1].current
        assert current is not None
        state = LedgerState(current.ledger.ledger_id, 1, "", 8, folded=False, counts={})
        snapshot = msgspec.structs.replace(make_snapshot(), ledgers={state.ledger_id: state})
        for _ in range(2):
            self.supervisor.committed(snapshot)
        self.assertEqual([[], [Committed(8)]], [heard(channel) for channel in self.reactor.channels])

    def test_while_commits_fail(self) -> None:
        """While commits fail no worker is asked for more: it is safer in the journals. The commit is tried again."""
        self.committer.failure = "the disk is full"
        self.round()
        self.assertEqual(([], 1), (heard(self.reactor.channels[0]), self.commits))
        self.committer.failure = ""
        self.round()
        self.assertEqual([Collect(SESSION)], heard(self.reactor.channels[0]))

    def test_not_understood(self) -> None:
        """The worker whose ledger gave what is not understood is asked for another session, and no other one."""
        current = [slot.current for slot in self.supervisor._slots.present]
        self.patch(secrets, "randbelow", lambda _: SESSION)
        self.supervisor.begin_anew(current[1].ledger.ledger_id if current[1] else "")
        self.round()
        self.assertEqual(
            [[Collect(SESSION)], [Collect(SESSION + 1)]], [heard(channel) for channel in self.reactor.channels]
        )

    def test_a_round_that_raises(self) -> None:
        """A fault in a round is logged, and the next round comes nevertheless."""

        def fail() -> None:
            raise ZeroDivisionError

        self.events.each_second = fail
        self.round()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.events.each_second = list
        self.round()
        self.assertEqual([Collect(SESSION)], heard(self.reactor.channels[0]))


class HandedOnTests(SupervisorTestCase):
    """What the next image of the supervisor is told of workers."""

    def test_who_is_still_to_be_reaped(self) -> None:
        """A worker that has said its last word, and has not ended yet, is told of by its number only."""
        self.start()
        one = self.supervisor._slots.present[0].current
        assert one is not None
        one.channel_ended = True
        break_off(self.worker(0)[2])
        channel: Any = self.worker(1)[2]
        channel.transport.fileno = lambda: 5
        workers, ending = self.supervisor.handed_on()
        self.assertEqual(([1], [one.child.pid]), ([worker.number for worker in workers], ending))


class DeathTests(SupervisorTestCase):
    """Workers die."""

    def test_counted(self) -> None:
        """Each death is counted by its outcome, said, and committed at once."""
        self.start()
        before = self.committer.commits
        self.die(0)
        self.die(1, 70, None)
        counted = {outcome: number for outcome, number in self.supervisor.restarts.items() if number}
        self.assertEqual({"signal": 1, "failure": 1}, counted)
        self.assertEqual(before + 2, self.committer.commits)
        self.assertEqual(
            ["worker 0 was killed (SIGKILL)", "worker 1 failed (exit status 70)"],
            [line for line in self.logged if line.startswith("worker")],
        )

    def test_can_t_boot(self) -> None:
        """When workers cannot even start, and none ever did, the service ends with the reason."""
        self.start(ready=False)
        for tries in range(BOOT_TRIES):
            self.assertEqual([], self.given_up)
            self.die(tries % 2, CANNOT_BOOT, None)
        (why,) = self.given_up
        self.assertTrue(why.startswith("workers cannot start: "), why)
        self.assertIn("could not start (exit status 3)", why)

    def test_boot_failures_after_a_good_start(self) -> None:
        """Later failures to boot end nothing: they are tried again, and the service says that it is not well."""
        self.start()
        for _ in range(BOOT_TRIES):
            self.assertEqual((True, "ok"), self.supervisor.healthy())
            self.die(0, CANNOT_BOOT, None)
            self.reactor.advance(0.5)
        self.assertEqual(([], (False, "worker 0 keeps dying")), (self.given_up, self.supervisor.healthy()))
        say(self.worker(0)[2], Ready())
        self.reactor.advance(HEALTHY_LIFE)
        self.assertEqual((True, "ok"), self.supervisor.healthy())

    def test_no_processes(self) -> None:
        """When no process can be made, and none ever was, the service ends as well."""
        self.children.error = OSError(11, "no more processes")
        self.start(ready=False)
        self.reactor.advance(1)
        self.assertEqual(1, len(self.given_up))
        self.assertIn("no more processes", self.given_up[0])
        self.successResultOf(self.supervisor.stopService())
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_no_ledgers(self) -> None:
        """So it does when no ledger can be made."""

        def full(*arguments: object) -> None:
            raise OSError(28, "no space")

        self.patch(LedgerFolder, "make", full)
        self.start(ready=False)
        self.reactor.advance(1)
        self.assertEqual(1, len(self.given_up))
        self.assertIn("no space", self.given_up[0])


class TakeOverTests(SupervisorTestCase):
    """Ledgers of an earlier run."""

    def test_orphans(self) -> None:
        """Those whose writer has gone are retired at the start, the others when it has."""
        earlier = LedgerFolder(self.folder)
        dead, descriptor = earlier.make(0, self.plan.directory())
        os.close(descriptor)
        living, descriptor = earlier.make(1, self.plan.directory())
        self.start()
        ours = self.supervisor._ledger_folder.ledgers
        self.assertEqual([True, False], [ours[one.ledger_id].retired for one in (dead, living)])
        self.assertIn("2 ledgers of the last run are taken over", self.logged)
        os.close(descriptor)
        self.reactor.advance(ORPHAN_CHECK)
        self.assertTrue(ours[living.ledger_id].retired)
        for ledger in (dead, living):
            ledger.file.close()

    def test_the_stop_ends_the_waiting(self) -> None:
        """A service that stops does not wait for writers of an earlier run."""
        earlier = LedgerFolder(self.folder)
        living, descriptor = earlier.make(1, self.plan.directory())
        self.addCleanup(os.close, descriptor)
        self.addCleanup(living.file.close)
        self.start()
        stopped = self.supervisor.stopService()
        for number in (0, 1):
            self.answer(number, last=True)
            self.worker(number)[1].end(0)
        self.successResultOf(stopped)
        self.assertEqual([], self.reactor.getDelayedCalls())


class StopTests(SupervisorTestCase):
    """The service stops."""

    def setUp(self) -> None:
        """Start, and begin to stop."""
        super().setUp()
        self.start()
        self.before = self.committer.commits
        self.stopped = self.supervisor.stopService()

    def finish(self, number: int) -> None:
        """Let a worker hand over everything, and end."""
        self.answer(number, last=True)
        self.worker(number)[1].end(0)

    def test_in_order(self) -> None:
        """Workers drain; when all have ended the sockets are closed, and everything is committed once."""
        self.assertEqual([[Drain(SESSION)], [Drain(SESSION)]], [heard(channel) for channel in self.reactor.channels])
        self.assertEqual((False, "draining"), self.supervisor.accepting())
        self.finish(0)
        self.assertNoResult(self.stopped)
        (one,) = self.plan.listeners[0].sockets[0]
        self.assertGreater(one.fileno(), 0)
        self.finish(1)
        self.successResultOf(self.stopped)
        self.assertEqual(-1, one.fileno())
        self.assertEqual((self.before + 1, True), (self.committer.commits, self.committer.closed))
        self.assertEqual(2, len(self.committer.added))
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertEqual(2, len(self.children.started))

    def test_batches(self) -> None:
        """What is urgent is committed before all have ended, because clients wait for it; nothing else is."""
        self.answer(0)
        self.assertEqual(self.before, self.committer.commits)
        brought = Brought((BatchSum(bytes(16), 1, "tcp:8125", b""),))
        say(self.reactor.channels[0], Gathered(0, 8, b"", batches=brought))
        self.assertEqual(self.before, self.committer.commits)
        say(self.reactor.channels[0], Gathered(8, 8, b"", urgent=True))
        self.assertEqual(self.before + 1, self.committer.commits)
        self.assertEqual(brought, self.committer.added[-1].batches)
        self.finish(0)
        self.finish(1)
        self.successResultOf(self.stopped)

    def test_no_more_rounds(self) -> None:
        """No worker is asked or replaced any longer."""
        self.drop()
        self.round()
        self.assertEqual([], heard(self.reactor.channels[0]))
        self.die(0)
        self.reactor.advance(1)
        self.assertEqual(2, len(self.children.started))
        self.assertEqual(0, sum(self.supervisor.restarts.values()))

    def test_out_of_time(self) -> None:
        """A worker that does not finish in time is killed; its ledger has what it counted."""
        self.finish(0)
        self.reactor.advance(DRAIN_TIMEOUT)
        process = self.worker(1)[1]
        self.assertEqual(1, process.kills)
        self.assertNoResult(self.stopped)
        ledger = self.supervisor._slots.present[1].current.ledger  # type: ignore[union-attr]
        self.die(1)
        self.successResultOf(self.stopped)
        self.assertTrue(ledger.retired)
        self.assertIn("1 workers did not finish in time and are killed", self.logged)

    def test_workers_that_cannot_be_killed(self) -> None:
        """A stop goes on without workers that do not even end when they are killed."""
        self.reactor.advance(DRAIN_TIMEOUT)
        self.reactor.advance(LAST_KILL)
        self.successResultOf(self.stopped)
        self.assertIn("workers cannot be ended", self.logged[-2])
        self.assertEqual((self.before + 1, True), (self.committer.commits, self.committer.closed))

    def test_a_last_commit_that_hangs(self) -> None:
        """A stop ends though its last commit does not return, and says so."""
        self.patch(self.committer, "finish", lambda seconds: Deferred[None]())
        self.finish(0)
        self.finish(1)
        self.assertNoResult(self.stopped)
        self.reactor.advance(max(DRAIN_TIMEOUT, LAST_COMMIT) - 0.1)
        self.assertNoResult(self.stopped)
        self.reactor.advance(0.1)
        self.successResultOf(self.stopped)
        self.assertIn("the last commit has not returned", self.logged[-1])

    def test_kill(self) -> None:
        """A second signal kills all workers that are left."""
        self.finish(0)
        self.supervisor.kill()
        self.assertEqual(1, self.worker(1)[1].kills)


class ReportTests(SupervisorTestCase):
    """What the service says about itself."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        committer: Any = self.committer
        kernel: Any = SimpleNamespace(families=list, findings=list)
        reload: Any = SimpleNamespace(successful=None)
        self.health = Health(self.supervisor, committer, started_at=1.0)
        self.recovery = Recovery(self.reactor, self.children, 1)
        parts = Parts(
            plan=self.plan,
            supervisor=self.supervisor,
            committer=committer,
            ledger_folder=self.ledger_folder,
            recovery=self.recovery,
            health=self.health,
            reload=reload,
            kernel=kernel,
            underway=Underway({"commit": [self.committer]}),
            deliveries=[],
            remotes=[],
            repeats=RepeatTotals((), self.reactor.seconds),
            examples=LastExamples(self.reactor, kept=True),
            who=Who(self.reactor, None, (), None, ()),
        )
        self.report = Report(self.reactor, parts)
        self.start()

    def set_cell(self, number: int, index: int, value: int) -> None:
        """Store into a worker's ledger as the worker would."""
        current = self.supervisor._slots.present[number].current
        assert current is not None
        with current.ledger.path.open("r+b") as file:
            file.seek(current.ledger.file.header.cells_at + 8 * index)
            file.write(value.to_bytes(8, "little"))

    def test_ready(self) -> None:
        """Ready is who accepts and commits."""
        self.assertEqual((True, "ok"), self.report.ready())
        self.committer.failure = "the disk is full"
        self.assertEqual((False, "commits fail: the disk is full"), self.report.ready())
        self.committer.failure, self.committer.snapshot = "", None
        self.assertEqual((False, "the store is being opened"), self.report.ready())

    def test_a_commit_that_hangs(self) -> None:
        """Who has a commit that does not return is not ready and says since when; it is a finding with its age."""
        self.committer.underway = LONGEST_COMMIT
        self.assertEqual(((True, "ok"), []), (self.report.ready(), self.report.status()["findings"]))
        self.committer.underway = 12.0
        self.assertEqual((False, "the commit under way began 12 s ago"), self.report.ready())
        self.assertEqual((True, "ok"), self.report.healthy())
        (finding,) = self.report.status()["findings"]
        self.assertEqual(("underway.commit", 12.0), (finding["id"], finding["seconds"]))
        self.assertEqual(12.0, self.report.own_metrics(make_snapshot()).underway["commit"])

    def test_a_journal_that_fills(self) -> None:
        """Who has a journal that is more than half full of what is not committed is not ready."""
        self.set_cell(1, JOURNAL_RELEASED, 8)
        self.set_cell(1, JOURNAL_HEAD, 8 + RING_SIZE // 2)
        self.assertEqual((True, "ok"), self.report.ready())
        self.set_cell(1, JOURNAL_HEAD, 8 + RING_SIZE * 3 // 4)
        self.assertEqual((False, "the journal of worker 1 is 75% full of what is not committed"), self.report.ready())

    def test_down(self) -> None:
        """Who is told to be down is not ready, and healthy."""
        self.health.up = False
        self.assertEqual((False, "the console has been told that it is down"), self.report.ready())
        self.assertEqual((True, "ok"), self.report.healthy())

    def test_own_metrics(self) -> None:
        """The numbers come from the ledgers, the sockets, the slots and the kernel."""
        self.set_cell(1, listener_cells(0).accepted, 5)
        self.set_cell(1, listener_cells(0).paused, 1)
        self.set_cell(0, GAP_MAX, 250_000_000)
        own = self.report.own_metrics(make_snapshot())
        label = self.plan.listeners[0].label
        self.assertEqual(5, own.totals[TotalKey(ACCEPTED, label, "1")])
        self.assertEqual({label: True, "probes": False}, own.accept_paused)
        self.assertEqual(0.25, own.reactor_gap_seconds_max)
        self.assertEqual({"ready": 2, "starting": 0, "draining": 0, "waiting": 0, "stopped": 0}, own.workers)
        self.assertEqual({self.plan.listeners[1].label: 0}, own.receive_drops)
        self.assertEqual(
            [(label, 0), (label, 1), ("probes", 0), ("probes", 1)],
            [(one.listener, one.worker) for one in own.accept_queues],
        )

    def test_examples(self) -> None:
        """What a worker gives as an example of what it rejected is told at once, before its commit."""
        example = Example("malformed_value", "tcp:8125", b"q:x|ms")
        say(self.worker(0)[2], Gathered(0, 0, b"", examples=(example,)))
        self.assertEqual([example], self.events.examples)

    def test_status(self) -> None:
        """The status names listeners with their real ports, and workers with slot, state and heartbeat."""
        self.set_cell(0, HEARTBEAT, 1)
        status = self.report.status()
        self.assertEqual([one.port for one in self.plan.listeners], [one["port"] for one in status["listeners"]])
        self.assertEqual(["ready", "ready"], [one["state"] for one in status["workers"]])
        self.assertGreater(status["workers"][0]["heartbeat_age_seconds"], 0)
        self.assertEqual(0, status["workers"][1]["heartbeat_age_seconds"])
        self.assertEqual((True, 50, ""), tuple(
            status[key] for key in ("ready", "connection_limit_per_worker", "last_commit_error")
        ))  # fmt: skip
        self.assertEqual(str(self.folder / "state"), status["state_dir"])

    def test_open_connections(self) -> None:
        """What was accepted and not closed is open."""
        self.set_cell(0, listener_cells(0).accepted, 5)
        self.set_cell(0, listener_cells(0).eof, 3)
        self.set_cell(1, listener_cells(0).accepted, 2)
        first = self.report.status()["listeners"][0]
        self.assertEqual((7, 4), (first["connections"], first["open"]))

    def test_rates(self) -> None:
        """Rates are taken between the oldest and the newest of the last samples, and are 0 before there are two."""
        self.assertEqual({"connections_per_second": 0.0, "lines_per_second": 0.0}, self.report.status()["rates"])
        for second in range(20):
            self.set_cell(0, listener_cells(0).accepted, 100 * second)
            self.report.sample()
            self.reactor.advance(1)
        self.assertEqual(100.0, self.report.status()["rates"]["connections_per_second"])

    def test_rates_of_lines(self) -> None:
        """Lines come with the commits."""
        for lines in (0, 50):
            snapshot = make_snapshot()
            settled = {TotalKey(LINES, "tcp:1"): lines}
            self.committer.snapshot = Snapshot(**{**_fields(snapshot), "settled": settled})
            self.report.sample()
            self.reactor.advance(2)
        self.assertEqual(25.0, self.report.status()["rates"]["lines_per_second"])


def _fields(snapshot: Snapshot) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}
