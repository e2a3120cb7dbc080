"""The lane of connections that stay: watched together at rest, polled under load, each with its own end."""

from __future__ import annotations

import select
from unittest import mock

from statsd_tcp.ingest import kept_lane
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.moderation import BUSY_BATCH, QUIET_POLLS
from tests.unit.ingest.loopback import Client, IngestTestCase


class KeptLaneTests(IngestTestCase):
    """Clients that stay, and send a line now and then."""

    def clients(self, number: int) -> list[Client]:
        """Make clients that stay, a while before anything else happens."""
        made = [self.adopt()[0] for _ in range(number)]
        self.tick(5)
        return made

    def test_the_reactor_watches_all_as_one(self) -> None:
        """The reactor watches one descriptor for all clients, and one wake-up reads what they all have sent."""
        for number, client in enumerate(self.clients(BUSY_BATCH - 1)):
            client.send(b"a:%d|c\n" % number)
        self.assertEqual([self.kept_lane], self.reactor.getReaders())
        self.reactor.turn()
        self.assertEqual([b"a:0|c", b"a:1|c"], sorted(self.tally.lines))
        self.assertFalse(self.moderator.busy)

    def test_under_load_the_moderator_polls(self) -> None:
        """Many that send at once are load: the next lines are found by the moderator, and later it is at rest again."""
        clients = self.clients(BUSY_BATCH)
        for client in clients:
            client.send(b"a:1|c\n")
        self.reactor.turn()
        self.assertEqual((True, []), (self.moderator.busy, self.reactor.getReaders()))
        clients[0].send(b"b:1|c\n")
        self.tick()
        self.assertEqual(b"b:1|c", self.tally.lines[-1])
        self.tick(QUIET_POLLS)
        self.assertEqual((False, [self.kept_lane]), (self.moderator.busy, self.reactor.getReaders()))

    def test_no_more_than_a_budget(self) -> None:
        """One poll reads of a bounded number of clients; the others come next."""
        self.patch(kept_lane, "BUDGET", 2)
        for client in self.clients(3):
            client.send(b"a:1|c\n")
        self.assertEqual(2, self.kept_lane.poll())
        self.moderator.settle_soon()
        self.assertEqual(2, len(self.tally.lines))
        self.assertLessEqual(1, self.kept_lane.poll())

    def test_paused(self) -> None:
        """What a client sends while reading is paused is read afterwards."""
        (client,) = self.clients(1)
        self.factory.pause()
        client.send(b"a:1|c\n")
        self.assertEqual((0, []), (self.kept_lane.poll(), self.tally.lines))
        self.factory.resume()
        self.reactor.turn()
        self.assertEqual([b"a:1|c"], self.tally.lines)

    def test_paused_by_another(self) -> None:
        """A client is not read in a poll in which what was read of another one has paused all."""
        for client in self.clients(2):
            client.send(b"a:1|c\n")
        self.patch(Intake, "take", lambda *_, **_keywords: self.factory.pause())
        self.assertEqual(2, self.kept_lane.poll())
        self.assertEqual(0, self.kept_lane.poll())
        unread = [one.connection() for one in self.factory.kept]
        self.assertEqual(1, len(select.select(unread, (), (), 0)[0]))

    def test_no_room_to_watch(self) -> None:
        """A connection that the kernel cannot watch here waits in the reactor."""
        with mock.patch.object(
            self.kept_lane, "_epoll", mock.Mock(register=mock.Mock(side_effect=OSError(28, "full")))
        ):
            client, transport = self.adopt()
        self.assertEqual([transport], self.reactor.getReaders())
        client.send(b"a:1|c\n")
        self.reactor.turn()
        client.fin()
        self.reactor.turn()
        self.assertEqual(([b"a:1|c"], {"eof": 1}), (self.tally.lines, self.closed))

    def test_a_fault_costs_its_own_connection(self) -> None:
        """A fault in reading one client is logged and ends that connection; the others go on."""
        first, transport = self.adopt()
        (second,) = self.clients(1)
        self.patch(transport.protocol, "dataReceived", None)
        first.send(b"a:1|c\n")
        self.reactor.turn()
        self.assertEqual(1, len(self.flushLoggedErrors(TypeError)))
        self.assertEqual({"reset": 1}, self.closed)
        self.tick(5)
        second.send(b"b:1|c\n")
        self.reactor.turn()
        self.assertEqual(([b"b:1|c"], []), (self.tally.lines, self.failures))

    def test_every_end_is_forgotten(self) -> None:
        """Nothing is kept of connections that have ended, by whichever side."""
        clients = self.clients(4)
        clients[0].fin()
        clients[1].reset()
        self.reactor.turn()
        self.factory.drain()
        self.assertEqual({"eof": 1, "reset": 1, "shutdown": 2}, self.closed)
        self.assertEqual({}, self.kept_lane._readers)

    def test_at_the_end_of_the_load(self) -> None:
        """When the last lane that accepts has stopped, those that stay are watched by the reactor again."""
        clients = self.clients(BUSY_BATCH)
        for client in clients:
            client.send(b"a:1|c\n")
        self.reactor.turn()
        self.moderator.rest()
        self.assertEqual([self.kept_lane], self.reactor.getReaders())
