"""What both kinds of accept lane share: counting first, budgets, running out of descriptors, pausing and stopping."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from statsd_tcp.ingest import lane
from statsd_tcp.ingest.lane import FULL_PAUSE, AcceptLane
from statsd_tcp.ledger.cells import ACCEPT_ERRNOS
from tests.unit.descriptors import open_here
from tests.unit.ingest.loopback import IngestTestCase


class CountLaneTests(IngestTestCase):
    """A port that counts bare connections."""

    def test_counted(self) -> None:
        """A connection is accepted, counted, and closed with a clean end, whether it sent something or not."""
        lane = self.count_lane()
        silent, talkative = self.connect(), self.connect()
        talkative.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(2, lane.poll())
        self.assertEqual((2, {"counted": 2}), (self.accepted, self.closed))
        self.assertEqual([b"", b""], [silent.end(), talkative.end()])
        self.assertEqual([], self.tally.lines)

    def test_reset(self) -> None:
        """A client that has reset the connection before it is accepted is counted under that reason."""
        lane = self.count_lane()
        self.connect().reset()
        self.assertEqual(1, lane.poll())
        self.assertEqual((1, {"reset": 1}), (self.accepted, self.closed))

    def test_woken(self) -> None:
        """The reactor's wake-up takes what waits."""
        self.count_lane()
        self.connect()
        self.reactor.turn()
        self.assertEqual((1, {"counted": 1}), (self.accepted, self.closed))

    def test_budget(self) -> None:
        """One poll takes no more than the budget; the next takes the rest."""
        self.patch(lane, "BUDGET", 3)
        taking = self.count_lane()
        for _ in range(5):
            self.connect()
        self.assertEqual([3, 2, 0], [taking.poll() for _ in range(3)])
        self.assertEqual(5, self.accepted)

    def test_many(self) -> None:
        """Under load nothing is lost or counted twice, and no descriptor stays open."""
        self.count_lane()
        before = open_here()
        for _ in range(20):
            for _ in range(10):
                self.connect().socket.close()
            self.reactor.turn()
            self.tick()
        self.assertEqual((200, {"counted": 200}), (self.accepted, self.closed))
        self.assertEqual(frozenset(), open_here() - before)


class ExhaustedTests(IngestTestCase):
    """accept(2) fails."""

    def setUp(self) -> None:
        """Make a lane whose accept fails as a test says, until it is mended."""
        super().setUp()
        self.lane = self.count_lane()
        self.error: OSError | None = None
        self.let_it_fail()

    def let_it_fail(self) -> None:
        """Have the lane accept as a test says."""
        self.accept = self.lane._accept
        self.lane._accept = self.fake_accept

    def fake_accept(self) -> tuple[int, object]:
        """Accept, or fail."""
        if self.error is not None:
            raise self.error
        return self.accept()

    def fail_with(self, number: int) -> None:
        """Let a poll fail."""
        self.error = OSError(number, os.strerror(number))
        self.assertEqual(0, self.lane.poll())

    def test_pause_and_resume(self) -> None:
        """Out of descriptors nothing is accepted for a moment and the client waits; then it goes on."""
        client = self.connect()
        self.fail_with(errno.EMFILE)
        self.assertEqual((1, 1), (self.errors("EMFILE"), self.cells[self.indexes.paused]))
        self.reactor.turn()
        self.assertEqual((1, 0), (self.errors("EMFILE"), self.accepted))
        self.error = None
        self.reactor.advance(FULL_PAUSE)
        self.assertEqual(0, self.cells[self.indexes.paused])
        self.reactor.turn()
        self.assertEqual((1, {"counted": 1}), (self.accepted, self.closed))
        self.assertEqual(b"", client.end())

    def test_it_lasts(self) -> None:
        """As long as there are none, every attempt is counted, and there is one attempt for each pause."""
        self.connect()
        self.error = OSError(errno.ENFILE, "too many")
        for _ in range(3):
            self.reactor.turn()
            self.reactor.turn()
            self.reactor.advance(FULL_PAUSE)
        self.assertEqual((3, 0), (self.errors("ENFILE"), self.accepted))

    def test_each_error_has_its_name(self) -> None:
        """Every known errno is counted under its own name, any other under "other"."""
        for name in ACCEPT_ERRNOS[:-1]:
            self.fail_with(getattr(errno, name))
            self.reactor.advance(FULL_PAUSE)
        self.fail_with(errno.EPROTO)
        self.assertEqual([1] * len(ACCEPT_ERRNOS), [self.errors(name) for name in ACCEPT_ERRNOS])
        self.assertEqual({}, self.closed)

    def test_a_client_s_error_is_no_reason_to_pause(self) -> None:
        """A connection that was aborted while it waited does not stop the lane."""
        self.fail_with(errno.ECONNABORTED)
        self.assertEqual(0, self.cells[self.indexes.paused])
        self.assertIn(self.lane, self.reactor.getReaders())

    def test_stopped_in_the_pause(self) -> None:
        """A lane that is stopped while it waits does not come back."""
        self.fail_with(errno.EMFILE)
        self.lane.stop()
        self.reactor.advance(10 * FULL_PAUSE)
        self.assertNotIn(self.lane, self.reactor.getReaders())
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_exhausted_after_the_stop(self) -> None:
        """Nor does one that runs out of descriptors in its last poll."""
        self.lane.stop()
        self.fail_with(errno.EMFILE)
        self.reactor.advance(10 * FULL_PAUSE)
        self.assertNotIn(self.lane, self.reactor.getReaders())


class PauseTests(IngestTestCase):
    """Reasons to accept nothing."""

    def test_every_reason_counts(self) -> None:
        """A lane that is paused for two reasons accepts when both are gone."""
        lane = self.count_lane()
        lane.pause("one")
        lane.pause("two")
        lane.pause("two")
        lane.resume("two")
        self.assertEqual((1, []), (self.cells[self.indexes.paused], self.reactor.getReaders()))
        lane.resume("one")
        self.assertEqual((0, [lane]), (self.cells[self.indexes.paused], self.reactor.getReaders()))

    def test_two_address_families(self) -> None:
        """A listener's two lanes share one cell, which stays up until both accept."""
        first, second = self.count_lane(), self.count_lane()
        first.pause("descriptors")
        second.pause("descriptors")
        first.resume("descriptors")
        self.assertEqual(1, self.cells[self.indexes.paused])
        second.resume("descriptors")
        self.assertEqual(0, self.cells[self.indexes.paused])

    def test_a_reason_that_was_not_given(self) -> None:
        """Taking back what was never said changes nothing."""
        lane = self.count_lane()
        lane.resume("whatever")
        self.assertEqual(0, self.cells[self.indexes.paused])

    def test_stopped(self) -> None:
        """A stopped lane is not watched, whatever is resumed later, but can still be told to poll."""
        lane = self.count_lane()
        lane.pause("journal")
        lane.stop()
        lane.resume("journal")
        self.assertEqual([], self.reactor.getReaders())
        self.connect()
        self.assertEqual(1, lane.poll())

    def test_paused_under_load(self) -> None:
        """A lane that is resumed while there is load is polled by the timer, not watched."""
        lane = self.count_lane()
        for _ in range(3):
            self.connect()
        self.reactor.turn()
        lane.pause("one")
        self.connect()
        self.tick()
        self.assertEqual(3, self.accepted)
        lane.resume("one")
        self.assertEqual([], self.reactor.getReaders())
        self.tick()
        self.assertEqual(4, self.accepted)


class FaultTests(IngestTestCase):
    """A fault of the program's in a poll."""

    def make_faulty(self, lane: AcceptLane) -> None:
        """Let the next connection meet a fault."""

        def serve(descriptor: int, origin: bytes | None) -> None:
            socket.close(descriptor)
            raise ZeroDivisionError("a fault")

        self.patch(lane, "serve", serve)

    def assert_failed(self, act: Callable[[], None]) -> None:
        """Check that the worker hears of it, and that the connection was counted nevertheless."""
        self.connect()
        act()
        self.assertEqual(["a fault"], [failure.getErrorMessage() for failure in self.failures])
        self.assertEqual(1, self.accepted)

    def test_woken(self) -> None:
        """When the reactor has dropped the lane, the worker is told: nothing would be accepted from then on."""
        self.make_faulty(self.count_lane())
        self.assert_failed(self.reactor.turn)

    def test_under_load(self) -> None:
        """So it is when the moderator's timer polls."""
        self.make_faulty(self.count_lane())
        self.moderator._begin()
        self.moderator._run_if_needed(0)
        self.assert_failed(self.tick)
