"""Why a receiver takes nothing of a request."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.remote_write.clock_guard import ReceiverClock
from statsd_tcp.remote_write.conflict import cause_of
from tests.unit.remote_write.outputs import START


class ConflictTests(SynchronousTestCase):
    """`cause_of`."""

    def test_causes(self) -> None:
        """A request that is refused as a whole may be too old, or a clock is wrong."""
        for wrong, cause in ((-300.0, "clock"), (0.0, "cloned_store")):
            clock = ReceiverClock()
            clock.note(START, 0.0)
            self.assertEqual(cause_of(START - 60, START + wrong, clock, 0.0)[0], cause)
            self.assertEqual(cause_of(START - 3600, START + wrong, clock, 0.0)[0], "too_old")
        self.assertEqual(cause_of(START - 3600, START, ReceiverClock(), 0.0)[0], "too_old")
