"""Workers that give no sign of life: avoided, then killed, and let alone when it was us who slept."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.settings.endpoints import parse_count, parse_listen
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.sockets.steering import Steering
from statsd_tcp.supervisor import stalls
from statsd_tcp.supervisor.stalls import AVOIDED_AFTER, KILLED_AFTER, STARTED_AFTER, StallWatch
from tests.unit.ingest.loopback import wait_for

SECOND = 1_000_000_000


class FakeSlot:
    """A slot with a worker whose heartbeat the test decides."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = "ready"
        self.beat = SECOND
        self.killed = self.given_up = 0
        self.age = 0.0
        ledger = SimpleNamespace(cell=lambda _: self.beat)
        self.current: Any = SimpleNamespace(ledger=ledger)

    def starting(self) -> float:
        """Return for how long a process has been started without accepting."""
        return self.age

    def give_up(self) -> None:
        """Count."""
        self.given_up += 1

    def kill_stalled(self) -> None:
        """Count."""
        self.killed += 1


class StallWatchTests(SynchronousTestCase):
    """Three workers, one listener with a real group of sockets, and a clock."""

    def setUp(self) -> None:
        """Begin a second after the boot, all workers beating."""
        self.now = SECOND
        self.slots = [FakeSlot(number) for number in range(3)]
        self.listener = bind_listener(parse_count("tcp:0:interface=127.0.0.1"), 3)
        self.addCleanup(self.listener.close)
        self.listener.listen(128)
        self.watch = StallWatch(self.slots, [self.listener], lambda: self.now)  # type: ignore[arg-type]

    def test_a_start_that_hangs(self) -> None:
        """A worker that does not accept a long time after its start is killed, also one that replaces another."""
        self.slots[1].age = STARTED_AFTER
        self.pass_time(1)
        self.assertEqual(0, self.slots[1].given_up)
        self.slots[1].age = STARTED_AFTER + 1
        self.pass_time(1)
        self.assertEqual([0, 1, 0], [slot.given_up for slot in self.slots])

    def pass_time(self, seconds: float, *silent: int) -> None:
        """Let seconds pass, in which only those workers give no sign of life, and look every second."""
        for _ in range(int(seconds)):
            self.now += SECOND
            for slot in self.slots:
                if slot.number not in silent:
                    slot.beat = self.now
            self.watch.check()

    def queued(self, clients: int) -> list[int]:
        """Connect, and give how many wait in each worker's queue; then empty the queues."""
        opened = [socket.create_connection(("127.0.0.1", self.listener.port)) for _ in range(clients)]
        waiting: list[int] = []

        def are_there() -> bool:
            waiting[:] = [read_queue(row[0]).length for row in self.listener.sockets]
            return sum(waiting) == clients

        wait_for(are_there)
        for row, number in zip(self.listener.sockets, waiting, strict=True):
            for _ in range(number):
                row[0].accept()[0].close()
        for client in opened:
            client.close()
        return waiting

    def test_all_well(self) -> None:
        """Workers that beat are left alone for as long as they do."""
        self.pass_time(60)
        self.assertEqual((frozenset(), [0, 0, 0]), (self.watch.avoided, [slot.killed for slot in self.slots]))

    def test_avoided(self) -> None:
        """A silent worker gets no new connections, and is not killed yet."""
        self.pass_time(AVOIDED_AFTER + 1, 1)
        self.assertEqual((frozenset({1}), 0), (self.watch.avoided, self.slots[1].killed))
        waiting = self.queued(40)
        self.assertEqual((0, 40), (waiting[1], sum(waiting)))

    def test_back(self) -> None:
        """A worker that comes back gets its share again."""
        self.pass_time(AVOIDED_AFTER + 1, 1)
        self.pass_time(1)
        self.assertEqual(frozenset(), self.watch.avoided)
        # The chance that the kernel's hash gives none of 120 to a third of the group is 1e-21.
        self.assertGreater(self.queued(120)[1], 0)

    def test_back_to_steering(self) -> None:
        """Where connections are steered, they are so again when the worker is back."""
        cpu = min(os.sched_getaffinity(0))
        steering = Steering([cpu + 1, cpu, cpu + 2])
        steering.begin([self.listener], inherited=False)
        self.watch = StallWatch(self.slots, [self.listener], lambda: self.now, steering)  # type: ignore[arg-type]
        allowed = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, allowed)
        os.sched_setaffinity(0, {cpu})
        self.assertEqual([0, 20, 0], self.queued(20))
        self.pass_time(AVOIDED_AFTER + 1, 1)
        waiting = self.queued(20)
        self.assertEqual((0, 20), (waiting[1], waiting[0] + waiting[2]))
        self.pass_time(1)
        self.assertEqual([0, 20, 0], self.queued(20))

    def test_killed(self) -> None:
        """One that stays silent is killed as stalled; the others are not touched."""
        self.pass_time(KILLED_AFTER + 1, 2)
        self.assertEqual([0, 0, 1], [slot.killed for slot in self.slots])

    def test_everybody(self) -> None:
        """When all are silent the kernel avoids no worker, since one must have the connections."""
        self.pass_time(AVOIDED_AFTER + 1, 0, 1, 2)
        self.assertEqual(30, sum(self.queued(30)))

    def test_nobody_else(self) -> None:
        """With one worker, or when all are silent, nothing is said of connections that others would get instead."""
        said: list[str] = []
        self.patch(StallWatch, "_log", SimpleNamespace(error=lambda *_, **given: said.append(str(given))))
        StallWatch._log.info = StallWatch._log.error  # type: ignore[method-assign]
        for number in (1, 3):
            self.slots = self.slots[:number]
            listener = bind_listener(parse_count("tcp:0:interface=127.0.0.1"), number)
            self.addCleanup(listener.close)
            self.watch = StallWatch(self.slots, [listener], lambda: self.now)  # type: ignore[arg-type]
            self.pass_time(AVOIDED_AFTER + 1, *range(number))
            self.pass_time(2)
            self.assertTrue(said)
            self.assertFalse([line for line in said if "gets no new" in line or "why" in line])
            self.slots = [FakeSlot(number) for number in range(3)]
            said.clear()

    def test_a_kernel_that_refuses(self) -> None:
        """A kernel that cannot avoid a worker is told of once, however many groups there are."""
        said: list[str] = []

        def refuse(*_: object) -> None:
            raise OSError(1, "Operation not permitted")

        self.patch(stalls, "attach", refuse)
        self.patch(StallWatch, "_log", SimpleNamespace(error=lambda _, **given: said.append(given.get("why", ""))))
        self.watch = StallWatch(self.slots, [self.listener] * 3, lambda: self.now)  # type: ignore[arg-type]
        self.pass_time(AVOIDED_AFTER + 1, 1)
        self.assertEqual(["Operation not permitted", ""], said)

    def test_we_slept(self) -> None:
        """After a long sleep of the supervisor itself no worker is blamed."""
        self.now += int(100 * SECOND)
        self.watch.check()
        self.assertEqual((frozenset(), 0), (self.watch.avoided, self.slots[0].killed))

    def test_without_a_datagram_socket(self) -> None:
        """A worker without a datagram socket is avoided where it has one; the group of the others stays as it is."""
        datagrams = bind_listener(parse_listen("udp:0:interface=127.0.0.1"), 2)
        self.addCleanup(datagrams.close)
        datagrams.sockets.append([])
        steered: list[int] = []
        self.patch(stalls, "attach", lambda member, _: steered.append(member.type))
        self.watch = StallWatch(self.slots, [datagrams, self.listener], lambda: self.now)  # type: ignore[arg-type]
        self.pass_time(AVOIDED_AFTER + 1, 2)
        self.assertEqual([socket.SOCK_STREAM], steered)
        self.pass_time(1)
        self.pass_time(AVOIDED_AFTER + 1, 1)
        self.assertEqual([socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_STREAM], steered)

    def test_an_unknown_order(self) -> None:
        """Where the order of the sockets is not known the kernel avoids no worker; the worker is killed in time."""
        self.listener.ordered = False
        self.pass_time(AVOIDED_AFTER + 1, 1)
        self.assertGreater(self.queued(120)[1], 0)
        self.pass_time(KILLED_AFTER, 1)
        self.assertTrue(self.slots[1].killed)

    def test_starting(self) -> None:
        """A worker that is only starting is not expected to beat."""
        self.slots[0].state = "starting"
        self.pass_time(KILLED_AFTER + 1, 0)
        self.assertEqual((frozenset(), 0), (self.watch.avoided, self.slots[0].killed))
