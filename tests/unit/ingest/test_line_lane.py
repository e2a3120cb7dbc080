"""The lane for lines: the cap of open connections, a full journal, the hand-over, and the end of the service."""

from __future__ import annotations

import errno
import os

from statsd_tcp.ingest import line_lane, native_lanes, protocol
from statsd_tcp.ingest.lane import FULL_PAUSE
from tests.unit.ingest.loopback import Client, IngestTestCase


class CapTests(IngestTestCase):
    """As many open connections as there may be."""

    def test_pause_and_resume(self) -> None:
        """At the cap the next client waits, unaccepted; when a connection has ended it has its turn."""
        self.occupancy.limit = 2
        lane = self.line_lane()
        first, *_ = (self.connect() for _ in range(3))
        self.assertEqual(2, lane.poll())
        self.assertEqual((2, 1), (self.occupancy.open, self.cells[self.indexes.paused]))
        self.assertEqual([], self.reactor.getReaders())
        first.fin()
        self.poll()
        self.assertEqual((1, 0), (self.occupancy.open, self.cells[self.indexes.paused]))
        self.poll()
        self.assertEqual((3, {"eof": 1}, 2), (self.accepted, self.closed, self.occupancy.open))

    def poll(self) -> None:
        """Let the server read what has come."""
        self.reactor.turn()
        self.moderator._run_if_needed(0)
        self.tick()

    def test_finished_connections_take_no_room(self) -> None:
        """A connection that is done in its first poll never counts as open."""
        self.occupancy.limit = 1
        lane = self.line_lane()
        for _ in range(5):
            client = self.connect()
            client.send(b"a\n")
            client.fin()
        self.assertEqual(5, lane.poll())
        self.assertEqual((5, {"eof": 5}, 0), (self.accepted, self.closed, self.occupancy.open))

    def test_handed_over_connections_count(self) -> None:
        """A connection that the reactor has takes room until it ends."""
        self.occupancy.limit = 1
        self.line_lane()
        client = self.connect()
        for _ in range(3):
            self.poll()
        self.assertEqual((1, 1), (self.reactor.adopted, self.occupancy.open))
        self.connect()
        self.poll()
        self.assertEqual((1, 1), (self.accepted, self.cells[self.indexes.paused]))
        client.fin()
        self.poll()
        self.poll()
        self.assertEqual(({"eof": 1}, 2), (self.closed, self.accepted))


class FullTests(IngestTestCase):
    """The journal has no room."""

    def fill(self) -> None:
        """Let the journal be full."""
        while not self.intake.is_full:
            self.intake.take(0, b"x" * 60000 + b"\n", 60001)
        self.intake.settle()
        self.tally.lines.clear()

    def test_nothing_is_accepted(self) -> None:
        """Nothing is accepted until there is room again."""
        lane = self.line_lane()
        self.fill()
        client = self.connect()
        client.send(b"a\n")
        self.assertEqual((0, 0), (lane.poll(), self.accepted))
        self.intake.release(self.journal.head)
        self.assertEqual(1, lane.poll())
        self.intake.settle()
        self.assertEqual([b"a"], self.tally.lines)

    def test_unfinished_connections_wait(self) -> None:
        """What is read would have nowhere to go: nothing is read from connections that were put off either."""
        self.patch(line_lane, "POLLS_AT_REST", 12)
        lane = self.line_lane()
        clients = [self.connect() for _ in range(4)]
        lane.poll()
        self.fill()
        for client in clients:
            client.send(b"a\n")
        head = self.journal.head
        self.moderator._run_if_needed(0)
        self.tick(4)
        self.assertEqual(head, self.journal.head)
        self.intake.release(head)
        self.tick()
        self.assertEqual([b"a"] * 4, self.tally.lines)

    def test_a_batch_ends_where_the_room_does(self) -> None:
        """Connections behind the one that fills the journal stay in the queue, and none of their lines is lost."""
        lane = self.line_lane()
        line = b"x" * 50000 + b"\n"
        for _ in range(25):
            client = self.connect()
            client.send(line)
            client.fin()
        taken = lane.poll()
        self.assertTrue(self.intake.is_full)
        self.assertLess(taken, 25)
        self.assertLess(self.journal.head - self.journal.released, len(self.journal.ring))
        self.intake.release(self.journal.head)
        self.assertEqual(25 - taken, lane.poll())
        self.moderator._run_if_needed(0)
        self.tick()
        self.assertEqual(({"eof": 25}, 25), (self.closed, len(self.tally.lines)))


class ReserveTests(IngestTestCase):
    """Only the reserve of the journal is left."""

    def setUp(self) -> None:
        """Make a share of 4,000 bytes, which one read can bring."""
        super().setUp()
        for module in (line_lane, native_lanes, protocol):
            self.patch(module, "SHARE", 4000)
        self.patch(line_lane, "RECEIVE_SIZE", 4000)
        self.intake._ample = self.factory.release
        self.line_lane()
        while not self.intake.is_scarce:
            self.intake.take(0, b"x" * 60_000 + b"\n", 0)
        self.intake.settle()
        self.tally.bytes = 0

    def poll(self, times: int) -> None:
        """Let the server read what has come."""
        for _ in range(times):
            self.reactor.turn()
            self.moderator._run_if_needed(0)
            self.tick()
        self.intake.settle()

    def brings(self, client: Client, *, times: int) -> None:
        """Have a client send five shares, and see what of it is read before and after a commit."""
        client.send(b"abc\n" * 5000)
        self.poll(times)
        self.assertLessEqual(self.tally.bytes, 2 * 4000)
        self.intake.release(self.journal.head)
        self.poll(times)
        self.assertEqual(20_000, self.tally.bytes)

    def test_a_newcomer_at_rest(self) -> None:
        """A new connection brings its share, stays, and is no longer read until there is room."""
        self.brings(self.connect(), times=5)
        self.assertEqual(1, self.reactor.adopted)

    def test_a_newcomer_under_load(self) -> None:
        """So it is with one that is parked."""
        self.moderator._begin()
        self.brings(self.connect(), times=20)

    def test_others(self) -> None:
        """One that brings little is read all the while, however it comes in pieces, and short ones end."""
        great, small, short = self.connect(), self.connect(), self.connect()
        great.send(b"abc\n" * 5000)
        for piece in (b"d\n", b"e\n", b"f\n"):
            small.send(piece)
            self.poll(3)
        short.send(b"g\n")
        short.fin()
        self.poll(3)
        self.assertLessEqual({b"d", b"e", b"f", b"g"}, set(self.tally.lines))
        self.assertEqual({"eof": 1}, self.closed)


class ReadTests(IngestTestCase):
    """How much is read from one connection."""

    def test_reads_per_poll(self) -> None:
        """One poll reads a connection a few times at most, so that one sender cannot own the reactor."""
        self.patch(line_lane, "RECEIVE_SIZE", 2)
        self.patch(line_lane, "POLLS_AT_REST", 12)
        lane = self.line_lane()
        client = self.connect()
        client.send(b"a\n" * 10)
        client.fin()
        lane.poll()
        self.intake.settle()
        self.assertEqual(line_lane.READS_PER_POLL, len(self.tally.lines))
        self.moderator._run_if_needed(0)
        self.tick(3)
        self.assertEqual((10, {"eof": 1}), (len(self.tally.lines), self.closed))

    def test_an_unknown_error(self) -> None:
        """A connection that fails in another way than by a reset ends as an error, half a line as truncated."""
        lane = self.line_lane()
        client = self.connect()
        client.send(b"a\nb")
        lane.poll()
        (unfinished,) = self.moderator.unfinished()
        connection = unfinished._connection  # type: ignore[attr-defined]
        os.close(connection.detach())
        unfinished.poll()
        self.intake.settle()
        self.assertEqual(({"error": 1}, [b"a"]), (self.closed, self.tally.lines))
        self.assertEqual({"truncated": 1}, self.tally.rejected)
        self.assertEqual(0, self.occupancy.open)


class HandOverTests(IngestTestCase):
    """A connection goes to the reactor."""

    def unfinished(self) -> None:
        """Accept one connection that has sent half a line."""
        self.lane = self.line_lane()
        self.client = self.connect()
        self.client.send(b"a:1")
        self.reactor.turn()

    def test_after_one_millisecond_at_rest(self) -> None:
        """At rest a connection is polled once more, then the reactor has it, with what was read."""
        self.unfinished()
        self.assertEqual(0, self.reactor.adopted)
        self.tick()
        self.assertEqual(1, self.reactor.adopted)
        self.client.send(b"|c\n")
        self.reactor.turn()
        self.assertEqual([b"a:1|c"], self.tally.lines)

    def test_after_fifteen_milliseconds_under_load(self) -> None:
        """Under load it is parked, read when something comes, and handed over after 15 milliseconds."""
        self.moderator._begin()
        self.moderator._run_if_needed(0)
        self.line_lane()
        self.connect()
        self.tick()
        self.assertEqual(1, self.accepted)
        for _ in range(14):
            self.tick()
            self.moderator._quiet = 0
        self.assertEqual(0, self.reactor.adopted)
        self.tick()
        self.assertEqual(1, self.reactor.adopted)

    def test_without_a_descriptor(self) -> None:
        """When the reactor lacks a descriptor for it, it stays, accepting pauses, and it is tried again."""
        self.unfinished()
        self.reactor.adoption_error = OSError(errno.EMFILE, "too many")
        self.tick()
        self.assertEqual((1, 1), (self.errors("EMFILE"), self.cells[self.indexes.paused]))
        self.assertEqual((1, {}), (self.occupancy.open, self.closed))
        self.reactor.adoption_error = None
        self.tick()
        self.assertEqual(1, self.reactor.adopted)
        self.client.send(b"|c\n")
        self.reactor.advance(FULL_PAUSE)
        self.reactor.turn()
        self.assertEqual(([b"a:1|c"], 0), (self.tally.lines, self.cells[self.indexes.paused]))

    def test_finished_while_it_stays(self) -> None:
        """A connection that stays for want of a descriptor is still read, and counted when its client is done."""
        self.unfinished()
        self.reactor.adoption_error = OSError(errno.EMFILE, "too many")
        self.tick()
        self.client.send(b"|c\n")
        self.client.fin()
        self.tick()
        self.assertEqual(({"eof": 1}, [b"a:1|c"]), (self.closed, self.tally.lines))

    def test_reset_in_between(self) -> None:
        """A client that resets after the last poll and before the hand-over ended with a reset."""
        self.unfinished()
        self.reactor.adoption_error = OSError(errno.ENOTCONN, "not connected")
        self.tick()
        self.assertEqual(({"reset": 1}, 0), (self.closed, self.occupancy.open))
        self.assertEqual(({"truncated": 1}, 0), (self.tally.rejected, self.cells[self.indexes.paused]))


class DrainTests(IngestTestCase):
    """The service stops while connections are put off."""

    def drain(self, *sent: bytes, fin: bool = False) -> None:
        """Accept a client that sends some pieces after the first poll, and end."""
        lane = self.line_lane()
        client = self.connect()
        lane.poll()
        for piece in sent:
            client.send(piece)
        if fin:
            client.fin()
        for one in self.moderator.unfinished():
            one.drain()
        self.intake.settle()
        self.assertEqual(0, self.occupancy.open)

    def test_lines_count(self) -> None:
        """What has come is read; half a line does not count, for the client was not done."""
        self.drain(b"a\nb")
        self.assertEqual(({"shutdown": 1}, [b"a"]), (self.closed, self.tally.lines))
        self.assertEqual({"truncated": 1}, self.tally.rejected)

    def test_a_client_that_is_done(self) -> None:
        """A client that is done ends as always, its last line counts."""
        self.drain(b"a\nb", fin=True)
        self.assertEqual(({"eof": 1}, [b"a", b"b"]), (self.closed, self.tally.lines))

    def test_more_than_one_poll_reads(self) -> None:
        """All that waits is read, not only what one poll takes."""
        self.patch(line_lane, "RECEIVE_SIZE", 2)
        self.drain(b"a\n" * 50)
        self.assertEqual(({"shutdown": 1}, 50), (self.closed, len(self.tally.lines)))
