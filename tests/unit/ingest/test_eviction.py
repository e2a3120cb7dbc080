"""Which connections go when all places are taken, and how they end."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ingest import eviction
from statsd_tcp.ingest.eviction import GRACE, MOST_AT_ONCE, Eviction
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.moderation import QUIET_POLLS
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.kernel.peers import source_of
from tests.unit.ingest.loopback import Client, IngestTestCase, LoopbackReactor, VirtualTime, wait_readable
from tests.unit.kernel.fakes import Named


class FakeKept:
    """A connection of a source, last heard of some seconds ago."""

    def __init__(self, case: ChoiceTests, source: str, ago: float = 10.0, *, silent: bool = False) -> None:
        self._case = case
        self.silent = silent
        self.source: str | bytes | int | None = None
        self.heard = case.time.monotonic_ns() - int(ago * 1e9)
        self.is_ending = self.is_held = False
        self.asked = 0
        self._address = source
        case.kept.append(self)
        case.occupancy.open += 1

    def find_source(self) -> None:
        """Ask the kernel."""
        self.asked += 1
        self.source = source_of(cast("Any", Named(socket.AF_INET, self._address)))

    def evict(self) -> None:
        """Go."""
        self._case.kept.remove(self)
        self._case.evicted.append(self)
        self._case.occupancy.leave()


class Full:
    """An intake whose journal may be full."""

    is_full = False


class ChoiceTests(SynchronousTestCase):
    """Room for 64 connections, so that no source may hold more than four without danger."""

    def setUp(self) -> None:
        """Begin with no connection."""
        self.reactor = LoopbackReactor()
        self.time = VirtualTime(self.reactor)
        self.patch(eviction, "time", self.time)
        self.kept: list[FakeKept] = []
        self.evicted: list[FakeKept] = []
        self.intake = Full()
        self.occupancy = Occupancy(64)
        self.eviction = Eviction(self.reactor, cast("Intake", self.intake), self.occupancy, lambda: self.kept)

    def fill(self, source: str, number: int, **keywords: Any) -> list[FakeKept]:
        """Have a source hold that many more places."""
        return [FakeKept(self, source, **keywords) for _ in range(number)]

    def fill_fairly(self, number: int) -> None:
        """Have sources with four places each hold that many."""
        for source in range(number // 4):
            self.fill(f"192.0.2.{source}", 4, ago=1000.0, silent=True)

    def test_greatest(self) -> None:
        """The source that holds the most loses a thirty-second of the places, even if others were silent for longer."""
        self.fill_fairly(56)
        greatest = self.fill("198.51.100.1", 8)
        self.assertTrue(self.eviction.make_room())
        self.assertEqual(2, len(self.evicted))
        self.assertLess(set(self.evicted), set(greatest))

    def test_silent_first(self) -> None:
        """Of its connections those go first that never sent a byte, and then those that were silent for longest."""
        ages = (5.0, 9.0, 7.0)
        spoke = [FakeKept(self, "192.0.2.1", ago) for ago in ages]
        silent = [FakeKept(self, "192.0.2.1", ago / 10, silent=True) for ago in ages]
        self.occupancy.limit = 6
        while self.kept:
            self.occupancy.open = 6
            self.eviction.make_room()
        order = [silent[1], silent[2], silent[0], spoke[1], spoke[2], spoke[0]]
        self.assertEqual(order, self.evicted)

    def test_nobody_to_blame(self) -> None:
        """Where no source holds more than a sixteenth of the places none has to go."""
        self.fill_fairly(64)
        self.assertFalse(self.eviction.make_room())
        self.assertEqual([], self.evicted)

    def test_no_more_than_too_many(self) -> None:
        """No source loses more than what it holds beyond a sixteenth."""
        self.fill_fairly(59)
        self.fill("198.51.100.1", 5)
        self.occupancy.open = 64
        self.eviction.make_room()
        self.assertEqual(1, len(self.evicted))

    def test_most_at_once(self) -> None:
        """However many places there are, no more are closed at once than one poll accepts."""
        self.occupancy.limit = 100 * MOST_AT_ONCE
        self.fill("192.0.2.1", self.occupancy.limit)
        self.assertTrue(self.eviction.make_room())
        self.assertEqual(MOST_AT_ONCE, len(self.evicted))

    def test_asked_once(self) -> None:
        """The kernel is asked for an address once, and only when all places are taken."""
        kept = self.fill("192.0.2.1", 64)
        self.assertEqual([0] * 64, [one.asked for one in kept])
        for _ in range(2):
            self.assertTrue(self.eviction.make_room())
            self.fill("192.0.2.1", 2)
        self.assertEqual([1] * 64, [one.asked for one in kept])

    def test_grace(self) -> None:
        """A connection that was heard of a moment ago stays; it is tried again while a lane waits."""
        resumed: list[bool] = []
        self.fill("192.0.2.1", 64, ago=0.0)
        self.assertFalse(self.eviction.make_room())
        self.occupancy.when_room(lambda: resumed.append(True))
        self.reactor.advance(GRACE / 2)
        self.assertEqual([], self.evicted)
        self.reactor.advance(GRACE)
        self.assertEqual((2, [True]), (len(self.evicted), resumed))
        self.reactor.advance(GRACE)
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_looks_are_few(self) -> None:
        """When a look finds less than is closed at once there is no other before long, however many ask."""
        looks: list[bool] = []
        self.fill_fairly(64)

        def look() -> list[FakeKept]:
            looks.append(True)
            return self.kept

        self.eviction._kept = look
        for _ in range(10):
            self.assertFalse(self.eviction.make_room())
        self.assertEqual(1, len(looks))
        self.reactor.advance(GRACE)
        self.assertFalse(self.eviction.make_room())
        self.assertEqual(2, len(looks))

    def test_full_journal(self) -> None:
        """While what clients sent cannot be taken none is cut off."""
        self.fill("192.0.2.1", 64)
        self.intake.is_full = True
        self.assertFalse(self.eviction.make_room())
        self.assertEqual([], self.evicted)

    def test_stopped(self) -> None:
        """A worker that no longer accepts cuts off no client, and waits for nothing."""
        self.fill("192.0.2.1", 64, ago=0.0)
        self.assertFalse(self.eviction.make_room())
        self.eviction.stop()
        self.reactor.advance(10)
        self.assertFalse(self.eviction.make_room())
        self.assertEqual(([], []), (self.evicted, self.reactor.getDelayedCalls()))

    def test_ending(self) -> None:
        """A connection that is being closed already, or is not read for now, is not closed for another."""
        for number, one in enumerate(self.fill("192.0.2.1", 64)):
            one.is_ending, one.is_held = number % 2 == 0, number % 2 == 1
        self.assertFalse(self.eviction.make_room())
        self.assertEqual([], self.evicted)


class PlacesTests(IngestTestCase):
    """A lane with three places, all of which one client has."""

    def setUp(self) -> None:
        """Take the places."""
        super().setUp()
        self.patch(eviction, "time", VirtualTime(self.reactor))
        self.occupancy.limit = 3
        self.eviction = Eviction(self.reactor, self.intake, self.occupancy, lambda: self.factory.kept)
        self.occupancy.make_room = self.eviction.make_room
        self.addCleanup(self.eviction.stop)
        self.lane = self.line_lane()
        self.clients = [self.held() for _ in range(3)]
        self.assertEqual((3, 3), (self.reactor.adopted, self.occupancy.open))
        self.reactor.advance(GRACE)

    def held(self, data: bytes = b"") -> Client:
        """Make a client that stays."""
        client = self.connect()
        if data:
            client.send(data)
        self.turn()
        return client

    def turn(self) -> None:
        """Let the server do all that it can do now, until it is at rest."""
        for _ in range(QUIET_POLLS + 4):
            self.reactor.turn()
            self.tick()

    def test_another_client(self) -> None:
        """Another client is served at once, and the one that was silent for longest sees a clean end."""
        late = self.held(b"a\n")
        self.assertEqual(({"evicted": 1}, [b"a"]), (self.closed, self.tally.lines))
        self.assertEqual(b"", self.clients[0].end())
        late.fin()
        self.turn()
        self.assertEqual(({"evicted": 1, "eof": 1}, 2), (self.closed, self.occupancy.open))

    def test_unread(self) -> None:
        """What a victim has sent and was not read is counted, and it sees no reset."""
        self.clients[0].send(b"b\nhalf")
        late = self.connect()
        late.send(b"a\n")
        self.moderator.woken(self.lane)
        self.assertEqual({"evicted": 1}, self.closed)
        self.assertEqual(b"", self.clients[0].end())
        self.turn()
        self.assertEqual([b"a", b"b"], sorted(self.tally.lines))
        self.assertEqual({"truncated": 1}, self.tally.rejected)

    def test_who_has_spoken(self) -> None:
        """A client that has sent lines stays while there is one that never sent a byte, however it sent them."""
        for client in self.clients:
            client.fin()
        self.turn()
        spoken = self.held(b"a\n")
        silent = [self.held(), self.held()]
        self.reactor.advance(GRACE)
        self.held(b"b\n")
        self.assertEqual(b"", silent[0].end())
        self.reactor.advance(GRACE)
        self.held(b"c\n")
        self.assertEqual(b"", silent[1].end())
        self.reactor.advance(GRACE)
        self.held()
        self.assertEqual(b"", spoken.end())
        self.assertEqual({"eof": 3, "evicted": 3}, self.closed)

    def test_a_victim_that_has_ended(self) -> None:
        """A victim that turns out to have ended is counted as such, with its last line."""
        self.clients[0].send(b"b")
        self.clients[0].fin()
        self.connect()
        self.moderator.woken(self.lane)
        self.assertEqual(({"eof": 1}, [b"b"]), (self.closed, self.tally.lines))

    def test_none_to_be_had(self) -> None:
        """Without a victim accepting pauses, and goes on when one may go."""
        self.eviction._next_look = VirtualTime(self.reactor).monotonic_ns() + int(GRACE * 1e9)
        waiting = self.connect()
        waiting.send(b"a\n")
        self.turn()
        self.assertEqual((3, 1, {}), (self.accepted, self.cells[self.indexes.paused], self.closed))
        self.reactor.advance(2 * GRACE)
        wait_readable(self.listener)
        self.turn()
        self.assertEqual((4, 0, {"evicted": 1}), (self.accepted, self.cells[self.indexes.paused], self.closed))
        self.assertEqual([b"a"], self.tally.lines)
