"""The supervisor: starting, deaths, giving up, taking over."""

from __future__ import annotations

import os
import socket
from typing import Any

from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.status.greeting import greeting
from statsd_tcp.supervisor.backoff import HEALTHY_LIFE
from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.supervisor.supervisor import BOOT_TRIES, ORPHAN_CHECK, Supervisor
from statsd_tcp.workers.channel import CANNOT_BOOT, FIRST_SOCKET, Ready
from tests.unit.supervisor.fakes import break_off, say
from tests.unit.supervisor.supervising import SupervisorTestCase


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
