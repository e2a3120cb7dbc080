"""Factory and Protocol: the sweep of idle connections, pausing, and the end of the service."""

from __future__ import annotations

from statsd_tcp.ingest import protocol
from statsd_tcp.ingest.moderation import QUIET_POLLS
from statsd_tcp.ingest.protocol import LineFactory
from statsd_tcp.wire.tails import Tails
from tests.unit.ingest.loopback import IDLE_TIMEOUT, IngestTestCase

FIRST_BYTE = 8.0


class IdleTests(IngestTestCase):
    """One sweep for all connections."""

    def test_one_timer(self) -> None:
        """However many connections there are, there is one timer, and none when the last has gone."""
        clients = [self.adopt()[0] for _ in range(5)]
        self.assertEqual(1, len(self.reactor.getDelayedCalls()))
        for client in clients:
            client.fin()
        self.reactor.turn()
        self.tick(QUIET_POLLS)
        self.reactor.advance(IDLE_TIMEOUT)
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertEqual({"eof": 5}, self.closed)

    def test_who_is_closed(self) -> None:
        """A client that was silent for the timeout, or up to an eighth more, is closed; one that sent stays."""
        silent, _ = self.adopt()
        talkative, _ = self.adopt()
        for _ in range(8):
            self.reactor.advance(IDLE_TIMEOUT / 8)
            talkative.send(b"a\n")
            self.reactor.turn()
        self.assertEqual({}, self.closed)
        self.reactor.advance(IDLE_TIMEOUT / 8)
        self.reactor.turn()
        self.assertEqual(({"idle": 1}, 1), (self.closed, self.occupancy.open))
        self.assertEqual(b"", silent.end())
        talkative.send(b"b\n")
        self.reactor.turn()
        self.assertEqual(b"b", self.tally.lines[-1])

    def test_paused_is_not_idle(self) -> None:
        """A connection that was not read because the journal was full was not silent."""
        client, _ = self.adopt()
        self.factory.pause()
        client.send(b"a\n")
        self.reactor.pump([IDLE_TIMEOUT] * 3)
        self.reactor.turn()
        self.assertEqual(({}, []), (self.closed, self.tally.lines))
        self.factory.resume()
        self.reactor.advance(IDLE_TIMEOUT / 8)
        self.reactor.turn()
        self.assertEqual(({}, [b"a"]), (self.closed, self.tally.lines))

    def test_closed_once(self) -> None:
        """A sweep that finds a connection which is being closed already does not count it twice."""
        self.adopt()
        self.reactor.pump([IDLE_TIMEOUT] * 3)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual({"idle": 1}, self.closed)


class UnfinishedTests(IngestTestCase):
    """Unfinished lines of several connections."""

    def test_too_much_together(self) -> None:
        """When they are too much together the longest counts as too long, at the latest when its connection ends."""
        self.intake.tails = Tails(10)
        (longer, _), (shorter, _) = self.adopt(), self.adopt()
        longer.send(b"a:1|c#x")
        self.reactor.turn()
        shorter.send(b"b:1|")
        self.reactor.turn()
        shorter.send(b"c\n")
        longer.fin()
        self.reactor.turn()
        self.tick()
        self.intake.settle()
        self.assertEqual(([b"b:1|c"], {"line_too_long": 1}), (self.tally.lines, self.tally.rejected))


class FirstByteTests(IngestTestCase):
    """Connections that never sent a byte, while places are scarce."""

    def setUp(self) -> None:
        """Allow four connections, of which three are there, and one of them has spoken."""
        super().setUp()
        self.factory = LineFactory(
            self.reactor, self.cells, self.indexes, self.moderator, self.occupancy, IDLE_TIMEOUT, FIRST_BYTE
        )
        self.occupancy.limit = 4
        self.silent = [self.adopt()[0] for _ in range(2)]
        self.spoken, _ = self.adopt()
        self.spoken.send(b"a\n")
        self.reactor.turn()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the sweeps come."""
        self.reactor.pump([FIRST_BYTE / 8] * int(seconds * 8 / FIRST_BYTE))

    def test_scarce(self) -> None:
        """While three quarters of the places are taken they are closed after the timeout, with a clean end."""
        self.pass_time(FIRST_BYTE)
        self.assertEqual({}, self.closed)
        self.pass_time(FIRST_BYTE / 4)
        self.assertEqual({"first_byte": 2}, self.closed)
        self.assertEqual([b"", b""], [client.end() for client in self.silent])
        self.pass_time(IDLE_TIMEOUT)
        self.assertEqual({"first_byte": 2, "idle": 1}, self.closed)

    def test_places_enough(self) -> None:
        """While there are places enough they stay until the idle timeout."""
        self.occupancy.limit = 5
        self.pass_time(2 * FIRST_BYTE)
        self.assertEqual({}, self.closed)
        self.pass_time(IDLE_TIMEOUT)
        self.assertEqual({"idle": 3}, self.closed)

    def test_retired(self) -> None:
        """No client waits for the places of a worker that no longer accepts."""
        self.factory.retire()
        self.pass_time(2 * FIRST_BYTE)
        self.assertEqual({}, self.closed)

    def test_unread(self) -> None:
        """What came just before the end is counted."""
        self.silent[0].send(b"b\n")
        self.pass_time(2 * FIRST_BYTE)
        self.assertEqual(({"first_byte": 2}, [b"a", b"b"]), (self.closed, self.tally.lines))
        self.assertEqual(b"", self.silent[0].end())

    def test_in_parts(self) -> None:
        """When many are due they are closed in parts, between which other things have their turn."""
        self.patch(protocol, "CLOSED_AT_ONCE", 1)
        self.occupancy.limit = 2
        (sweep,) = self.reactor.getDelayedCalls()
        sweep.cancel()
        self.reactor.rightNow += 2 * FIRST_BYTE
        self.factory._sweep_idle()
        self.assertEqual({"first_byte": 1}, self.closed)
        self.reactor.advance(0)
        self.assertEqual({"first_byte": 2}, self.closed)


class PauseTests(IngestTestCase):
    """Reading stops while the journal is full."""

    def test_pause_and_resume(self) -> None:
        """Nothing is read from any connection until it is resumed, and then nothing is missing."""
        clients = [self.adopt()[0] for _ in range(2)]
        self.factory.pause()
        for client in clients:
            client.send(b"a\n")
        self.reactor.turn()
        self.assertEqual([], self.tally.lines)
        self.factory.resume()
        self.reactor.turn()
        self.assertEqual([b"a", b"a"], self.tally.lines)

    def test_adopted_while_paused(self) -> None:
        """A connection that is handed over meanwhile waits as well."""
        self.factory.pause()
        client, _ = self.adopt()
        client.send(b"a\n")
        self.reactor.turn()
        self.assertEqual([], self.tally.lines)
        self.factory.resume()
        self.reactor.turn()
        self.assertEqual([b"a"], self.tally.lines)


class HandOverTests(IngestTestCase):
    """The reactor takes a connection."""

    def test_the_reactor_refuses(self) -> None:
        """When no transport can be made nothing is counted, and the next connection is made as always."""
        self.reactor.adoption_error = OSError("no")
        self.assertRaises(OSError, self.adopt)
        self.reactor.adoption_error = None
        client, _ = self.adopt()
        client.send(b"a\n")
        self.reactor.turn()
        self.assertEqual(([b"a"], {}), (self.tally.lines, self.closed))


class DrainTests(IngestTestCase):
    """The service stops."""

    def drain(self) -> None:
        """End all connections, as a worker does."""
        self.factory.drain()
        self.moderator.stop()
        self.reactor.turn()
        self.assertEqual(0, self.occupancy.open)
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_what_has_come_counts(self) -> None:
        """Lines that wait are read; the rest of the connection is cut off, for a reason of ours."""
        client, _ = self.adopt()
        client.send(b"a\nb")
        self.drain()
        self.assertEqual(({"shutdown": 1}, [b"a"]), (self.closed, self.tally.lines))
        self.assertEqual({"truncated": 1}, self.tally.rejected)

    def test_a_client_that_is_done(self) -> None:
        """A client that has said so ended itself; its last line counts."""
        client, _ = self.adopt()
        client.send(b"a\nb")
        client.fin()
        self.drain()
        self.assertEqual(({"eof": 1}, [b"a", b"b"]), (self.closed, self.tally.lines))

    def test_no_more_than_there_is_room(self) -> None:
        """Unfinished lines of many that have said their end at once do not go beyond the journal's room."""
        clients = [self.adopt()[0] for _ in range(9)]
        for client in clients:
            client.send(b"a\n" + b"b" * 60)
        self.reactor.turn()
        for client in clients:
            client.fin()
        # There is room for three of them.
        self.intake.take(0, b"x" * (self.intake.brim - self.journal.head - 3 * 96 - 32) + b"\n", 0)
        self.drain()
        self.assertLess(self.journal.head, self.intake.brim + 2 * 96)
        self.assertEqual(9, sum(self.closed.values()))
        self.assertEqual(self.closed["shutdown"], self.tally.rejected["truncated"])

    def test_a_client_that_has_reset(self) -> None:
        """A client that has reset its connection is counted so."""
        client, transport = self.adopt()
        client.send(b"a\nb")
        client.reset()
        self.assertEqual(b"a\nb", transport.socket.recv(10, 2))
        self.drain()
        self.assertEqual(({"reset": 1}, [b"a"]), (self.closed, self.tally.lines))

    def test_paused(self) -> None:
        """Connections that are paused end too."""
        client, _ = self.adopt()
        self.factory.pause()
        client.send(b"a\n")
        self.drain()
        self.assertEqual(({"shutdown": 1}, [b"a"]), (self.closed, self.tally.lines))

    def test_who_keeps_sending(self) -> None:
        """Reading ends after a number of reads, even if there is more: no client can keep the service from its end."""
        self.patch(protocol, "RECEIVE_SIZE", 2)
        self.patch(protocol, "READS_AT_THE_END", 3)
        client, _ = self.adopt()
        client.send(b"a\n" * 10)
        self.drain()
        self.assertEqual(({"shutdown": 1}, 3), (self.closed, len(self.tally.lines)))

    def test_a_full_journal(self) -> None:
        """What has no room in the journal is not read, even now: it would overwrite what is not committed."""
        client, _ = self.adopt()
        while not self.intake.is_full:
            self.intake.take(0, b"x" * 60000 + b"\n", 60001)
        head = self.journal.head
        client.send(b"a\n")
        self.drain()
        self.assertEqual((head, {"shutdown": 1}), (self.journal.head, self.closed))
