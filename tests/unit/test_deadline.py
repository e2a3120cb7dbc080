"""A stop that hangs is ended."""

from __future__ import annotations

from threading import Event

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import deadline
from statsd_tcp.deadline import begin_deadline

LONG = 60.0


class DeadlineTests(SynchronousTestCase):
    """Threads of this process."""

    def test_said_and_ended(self) -> None:
        """When the time is over it is said first, and then the process ends with status 1."""
        self.patch(deadline, "SAY_SECONDS", LONG)
        events: list[object] = []
        begin_deadline(0.0, lambda: events.append("said"), events.append).join(LONG)
        self.assertEqual(["said", 1], events)

    def test_what_says_it_hangs(self) -> None:
        """A log that hangs does not keep the process."""
        self.patch(deadline, "SAY_SECONDS", 0.01)
        events: list[object] = []
        free = Event()
        begin_deadline(0.0, lambda: free.wait(LONG), events.append).join(LONG)
        free.set()
        self.assertEqual([1], events)
