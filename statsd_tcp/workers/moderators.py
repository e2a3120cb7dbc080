"""The moderators of a worker: one for what waits for an answer, and those that poll less often."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.moderation import Moderator, Timer
from statsd_tcp.ingest.pace import KeptPace, Pace

__all__ = ["Moderators"]


class Moderators:
    """Those of connections that come, of ``datagrams``, whose lanes tell the ``pace``, and of connections ``kept``.

    ``failed`` is called with a `Failure` when a poll raises.
    """

    def __init__(self, timer: Timer, intake: Intake, failed: Callable[[Failure], None]) -> None:
        self.pace = Pace()
        self.coming = Moderator(timer, intake, failed)
        self.datagrams = Moderator(timer, intake, failed, self.pace.delay)
        self.kept = Moderator(timer, intake, failed, KeptPace(intake.journal).delay)
        self._all = (self.coming, self.datagrams, self.kept)

    def stop(self) -> None:
        """Stop polling."""
        for moderator in self._all:
            moderator.stop()

    def rest(self) -> None:
        """Forget the load: no lane is left that accepts."""
        for moderator in self._all:
            moderator.rest()
