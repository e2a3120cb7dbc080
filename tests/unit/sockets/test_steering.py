"""Steering by processor, with real groups on loopback, where the sender's processor is the receiving one."""

from __future__ import annotations

import os
import socket
from unittest import SkipTest

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.settings.endpoints import parse_count, parse_listen
from statsd_tcp.sockets import steering
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.sockets.bpf import Instruction, attach
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.sockets.steering import Steering
from tests.unit.ingest.loopback import wait_for

CLIENTS = 12
"""The chance that the hash puts all of them into a given one of two queues is one in 4096."""


class SteeringTests(SynchronousTestCase):
    """Two workers, on two processors of this machine."""

    def setUp(self) -> None:
        """Make the group."""
        self.cpus = sorted(os.sched_getaffinity(0))[:2]
        self.listener = bind_listener(parse_count("tcp:0"), 2)
        self.addCleanup(self.listener.close)
        self.listener.listen(64)

    def queues(self, cpu: int, host: str = "127.0.0.1") -> list[int]:
        """Connect from a processor, and give how many connections each worker got."""
        family = ":" in host
        mine = [row[family] for row in self.listener.sockets]
        before, allowed = [read_queue(one).length for one in mine], os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpu})
        try:
            for _ in range(CLIENTS):
                self.addCleanup(socket.create_connection((host, self.listener.port)).close)
        finally:
            os.sched_setaffinity(0, allowed)
        got: list[int] = []

        def are_there() -> bool:
            got[:] = [read_queue(one).length - length for one, length in zip(mine, before, strict=True)]
            return sum(got) == CLIENTS

        wait_for(are_there)
        return got

    def begin(self, cpus: list[int], *, inherited: bool = False) -> Steering:
        """Steer the group."""
        made = Steering(cpus)
        made.begin([self.listener], inherited=inherited)
        return made

    def need_two(self) -> None:
        """Skip where there is one processor only."""
        if len(self.cpus) == 1:
            raise SkipTest("needs two processors")

    def test_by_cpu(self) -> None:
        """Each connection is in the queue of the worker on the processor that received it."""
        self.need_two()
        first, second = self.cpus
        self.begin([first, second])
        self.assertEqual([[CLIENTS, 0], [0, CLIENTS]], [self.queues(first), self.queues(second)])

    def test_the_other_way_round(self) -> None:
        """It is the processors that count and not the order of the workers."""
        self.need_two()
        first, second = self.cpus
        self.begin([second, first])
        self.assertEqual([[0, CLIENTS], [CLIENTS, 0]], [self.queues(first), self.queues(second)])

    def test_both_families(self) -> None:
        """IPv6 has groups of its own, which are steered as well."""
        self.need_two()
        if len(self.listener.sockets[0]) == 1:
            raise SkipTest("needs IPv6")
        self.begin(self.cpus)
        self.assertEqual([0, CLIENTS], self.queues(self.cpus[1], "::1"))

    def test_restore(self) -> None:
        """After another program in between, all is as it was before."""
        self.need_two()
        usual = self.begin(self.cpus)
        attach(self.listener.sockets[0][0], [Instruction(0x06, 0, 0, 0)])
        self.assertEqual([CLIENTS, 0], self.queues(self.cpus[1]))
        usual.restore(self.listener.sockets[0][0])
        self.assertEqual([0, CLIENTS], self.queues(self.cpus[1]))

    def test_switched_off(self) -> None:
        """What an earlier image had steered goes by the hash again when that is no longer wanted."""
        self.begin(self.cpus)
        self.begin([], inherited=True)
        found = [0, 0]
        for _ in range(8):
            found = [sum(pair) for pair in zip(found, self.queues(self.cpus[0]), strict=True)]
            if all(found):
                break
        self.assertTrue(all(found), found)

    def test_off(self) -> None:
        """Without steering the kernel is not told anything."""
        called: list[str] = []
        for name in ("attach", "detach"):
            self.patch(steering, name, lambda *_, name=name: called.append(name))
        self.begin([])
        self.assertEqual([], called)

    def test_one_worker(self) -> None:
        """One worker gets everything without a program."""
        called: list[str] = []
        self.patch(steering, "attach", lambda *_: called.append("attach"))
        self.begin(self.cpus[:1])
        self.assertEqual([], called)

    def test_datagrams(self) -> None:
        """Datagrams are not steered: those of one client stay in order."""
        attached: list[socket.socket] = []
        self.patch(steering, "attach", lambda member, _: attached.append(member))
        datagrams = bind_listener(parse_listen("udp:0:interface=127.0.0.1"), 2)
        self.addCleanup(datagrams.close)
        Steering([0, 1]).begin([datagrams, self.listener], inherited=False)
        self.assertEqual(self.listener.sockets[0], attached)

    def test_refused(self) -> None:
        """A kernel that does not take the program costs one line, and the service goes on."""

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(steering, "attach", refuse)
        with capturedLogs() as events:
            self.begin(self.cpus * 2 if len(self.cpus) == 1 else self.cpus)
        self.assertEqual(1, len(events))
        self.assertIn("Operation not permitted", str(events[0]["error"]))

    def test_an_unknown_order(self) -> None:
        """Sockets whose order is not known are not steered, and one line says so."""
        attached: list[socket.socket] = []
        self.patch(steering, "attach", lambda member, _: attached.append(member))
        self.listener.ordered = False
        with capturedLogs() as events:
            self.begin(self.cpus * 2 if len(self.cpus) == 1 else self.cpus)
        self.assertEqual(([], [self.listener.label]), (attached, [event["label"] for event in events]))

    def test_shared(self) -> None:
        """A socket that all workers share is in no group."""
        attached: list[socket.socket] = []
        self.patch(steering, "attach", lambda member, _: attached.append(member))
        shared = BoundListener(self.listener.endpoint, self.listener.port, [self.listener.sockets[0]] * 2)
        Steering([0, 1]).begin([shared], inherited=False)
        self.assertEqual([], attached)
