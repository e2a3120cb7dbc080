"""The moderator: watched at rest, a poll every millisecond under load, and the connections that are not finished."""

from __future__ import annotations

import socket

from statsd_tcp.ingest.moderation import BACKLOGGED, BUSY_BATCH, QUIET_POLLS
from statsd_tcp.ingest.parking import PATIENCE
from tests.unit.ingest.loopback import IngestTestCase


class FakeLane:
    """A lane that finds what a test says."""

    def __init__(self) -> None:
        self.watched = False
        self.finds: list[int] = []
        self.polls = 0
        self.error: Exception | None = None

    def watch(self) -> None:
        """Note it."""
        assert not self.watched
        self.watched = True

    def unwatch(self) -> None:
        """Note it."""
        self.watched = False

    def poll(self) -> int:
        """Find the next of the numbers given, then nothing."""
        self.polls += 1
        if self.error is not None:
            raise self.error
        return self.finds.pop(0) if self.finds else 0


class FakeUnfinished:
    """A connection that counts how often it was polled."""

    def __init__(self) -> None:
        self.polls = 0
        self.until = 0
        self.error: Exception | None = None

    def ready(self, events: int) -> bool:
        """Stay as it is."""
        return False

    def poll(self) -> None:
        """Count."""
        self.polls += 1
        if self.error is not None:
            raise self.error

    def drain(self) -> None:
        """Do nothing."""


class PuttingOffLane(FakeLane):
    """A lane that puts a connection off in each poll."""

    def __init__(self, test: ModeratorTests) -> None:
        super().__init__()
        self._test = test
        self.made: list[FakeUnfinished] = []

    def poll(self) -> int:
        """Take one connection that is not done."""
        connection = FakeUnfinished()
        self.made.append(connection)
        self._test.moderator.put_off(connection)
        return super().poll()


class ModeratorTests(IngestTestCase):
    """The moderator and lanes that only count."""

    def setUp(self) -> None:
        """Look after two lanes."""
        super().setUp()
        self.lanes = [FakeLane(), FakeLane()]
        for lane in self.lanes:
            self.moderator.add(lane)

    def wake(self, lane: FakeLane, *finds: int) -> None:
        """Have a lane's socket become readable, and find these numbers in this and the following polls."""
        lane.finds += finds
        self.moderator.woken(lane)

    def test_at_rest(self) -> None:
        """At rest every lane is watched, and no timer runs."""
        self.assertEqual([True, True], [lane.watched for lane in self.lanes])
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_a_single_connection(self) -> None:
        """One connection at rest is taken at once and leaves everything at rest."""
        self.tick(10)
        self.wake(self.lanes[0], 1)
        self.assertEqual(1, self.lanes[0].polls)
        self.assertFalse(self.moderator.busy)
        self.assertTrue(self.lanes[0].watched)
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_a_batch_is_load(self) -> None:
        """Several connections in one wake-up end the watching of all lanes; each is polled every millisecond."""
        self.wake(self.lanes[0], BUSY_BATCH)
        self.assertTrue(self.moderator.busy)
        self.assertEqual([False, False], [lane.watched for lane in self.lanes])
        self.tick(5)
        self.assertEqual([6, 5], [lane.polls for lane in self.lanes])

    def test_wake_ups_in_quick_succession_are_load(self) -> None:
        """Single connections less than a millisecond apart are load, a millisecond apart they are not."""
        self.tick(10)
        self.wake(self.lanes[0], 1)
        self.reactor.advance(0.0011)
        self.wake(self.lanes[0], 1)
        self.assertFalse(self.moderator.busy)
        self.reactor.advance(0.0009)
        self.wake(self.lanes[1], 1)
        self.assertTrue(self.moderator.busy)

    def test_back_to_rest(self) -> None:
        """After enough polls that found nothing the lanes are watched again, and the timer ends."""
        self.wake(self.lanes[0], BUSY_BATCH)
        self.tick(QUIET_POLLS - 1)
        self.assertTrue(self.moderator.busy)
        self.tick()
        self.assertFalse(self.moderator.busy)
        self.assertEqual([True, True], [lane.watched for lane in self.lanes])
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_a_find_begins_the_quiet_anew(self) -> None:
        """Only polls in a row that found nothing count as quiet."""
        self.wake(self.lanes[0], BUSY_BATCH)
        self.tick(QUIET_POLLS - 1)
        self.lanes[1].finds = [1]
        self.tick(QUIET_POLLS)
        self.assertTrue(self.moderator.busy)

    def test_a_full_batch_is_followed_at_once(self) -> None:
        """A poll that found a whole budget is followed by another without a millisecond's wait."""
        self.wake(self.lanes[0], BACKLOGGED, BACKLOGGED, 1)
        self.reactor.advance(0)
        self.assertEqual(3, self.lanes[0].polls)
        self.reactor.advance(0)
        self.assertEqual(3, self.lanes[0].polls)
        self.tick()
        self.assertEqual(4, self.lanes[0].polls)

    def test_a_removed_lane(self) -> None:
        """A lane that was removed is neither watched nor polled, and gets its turn when it is back."""
        self.moderator.remove(self.lanes[0])
        self.assertFalse(self.lanes[0].watched)
        self.wake(self.lanes[1], BUSY_BATCH)
        self.tick(2)
        self.assertEqual(0, self.lanes[0].polls)
        self.moderator.add(self.lanes[0])
        self.assertFalse(self.lanes[0].watched)
        self.tick(1)
        self.assertEqual(1, self.lanes[0].polls)

    def test_put_off(self) -> None:
        """A connection that is put off is polled in the next poll, once."""
        connections = [FakeUnfinished() for _ in range(3)]
        for connection in connections[:2]:
            self.moderator.put_off(connection)
        self.wake(self.lanes[0], BUSY_BATCH)
        self.assertEqual([0, 0, 0], [connection.polls for connection in connections])
        self.tick()
        self.moderator.put_off(connections[2])
        self.assertEqual([1, 1, 0], [connection.polls for connection in connections])
        self.tick(2)
        self.assertEqual([1, 1, 1], [connection.polls for connection in connections])

    def test_the_timer_at_rest(self) -> None:
        """At rest the timer runs only as long as a connection is put off, and polls at no lane."""
        connection = FakeUnfinished()
        self.moderator.put_off(connection)
        self.wake(self.lanes[0], 1)
        self.tick()
        self.assertEqual(1, connection.polls)
        self.assertEqual(1, self.lanes[0].polls)
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_the_timer_while_one_is_parked(self) -> None:
        """When the load ends the timer runs on for the connections that are parked, until the last has gone on."""
        connection = FakeUnfinished()
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.moderator.parking.add(ours.fileno(), connection)
        self.wake(self.lanes[0], 1)
        self.tick(PATIENCE - 1)
        self.assertEqual(0, connection.polls)
        self.assertEqual(1, len(self.reactor.getDelayedCalls()))
        self.tick()
        self.assertEqual(1, connection.polls)
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_nothing_is_polled_twice_at_once(self) -> None:
        """A connection that a lane puts off under load has its turn in the next poll, not in the same one."""
        lane = PuttingOffLane(self)
        self.moderator.add(lane)
        self.wake(self.lanes[0], BUSY_BATCH)
        self.tick()
        self.assertEqual([0], [one.polls for one in lane.made])
        self.tick()
        self.assertEqual([1, 0], [one.polls for one in lane.made])

    def test_everything_is_settled_after_a_poll(self) -> None:
        """What a poll brought is in the tally when it ends, with the time of the poll."""
        self.intake.take(0, b"a:1|c\n", 6)
        self.wake(self.lanes[0], 1)
        self.assertEqual([b"a:1|c"], self.tally.lines)
        self.assertEqual([self.reactor.began], self.tally.ticks)

    def test_settle_soon(self) -> None:
        """Lines of the ordinary lane are settled at once at rest, and with the next poll under load."""
        self.intake.take(0, b"a:1|c\n", 6)
        self.moderator.settle_soon()
        self.assertEqual([b"a:1|c"], self.tally.lines)
        self.wake(self.lanes[0], BUSY_BATCH)
        self.intake.take(0, b"b:1|c\n", 6)
        self.moderator.settle_soon()
        self.assertEqual([b"a:1|c"], self.tally.lines)
        self.tick()
        self.assertEqual([b"a:1|c", b"b:1|c"], self.tally.lines)

    def test_a_poll_that_raises(self) -> None:
        """A lane that raises in the timer's poll is reported as the worker's failure, and nothing runs on."""
        self.wake(self.lanes[0], BUSY_BATCH)
        self.lanes[1].error = ZeroDivisionError("a fault")
        self.tick()
        self.assertEqual(["a fault"], [failure.getErrorMessage() for failure in self.failures])
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_a_connection_that_raises(self) -> None:
        """An unfinished connection that raises is a failure of the worker as well."""
        connection = FakeUnfinished()
        connection.error = ZeroDivisionError("a fault")
        self.moderator.put_off(connection)
        self.wake(self.lanes[0], 1)
        self.tick()
        self.assertEqual(1, len(self.failures))

    def test_stop_at_rest(self) -> None:
        """At rest too nothing is watched after the end."""
        self.moderator.stop()
        self.assertEqual([False, False], [lane.watched for lane in self.lanes])

    def test_stop(self) -> None:
        """After the end nothing is watched, no timer runs, and what was put off can be taken."""
        connection = FakeUnfinished()
        self.moderator.put_off(connection)
        self.wake(self.lanes[0], BUSY_BATCH)
        self.moderator.stop()
        self.assertEqual([False, False], [lane.watched for lane in self.lanes])
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertEqual([connection], self.moderator.unfinished())
        self.assertEqual([], self.moderator.unfinished())
