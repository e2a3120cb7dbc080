"""Whether the service works and whether it is ready, as probes and systemd's watchdog ask it."""

from __future__ import annotations

from statsd_tcp.commit.committer import Committer
from statsd_tcp.supervisor.supervisor import Supervisor

__all__ = ["LONGEST_COMMIT", "Health"]

LONGEST_COMMIT = 10.0
"""Seconds after which the commit under way is taken for one that hangs. It is hundreds of times what one takes; and at
the rate of a busy worker the journals are full by then."""

MOST_FULL = 0.5
"""The part of a journal that may wait for a commit. Beyond it clients will soon have to wait."""


class Health:
    """The service's health.

    ``started_at`` is when it was started, by the reactor's clock and whatever was reloaded since. ``up`` is what the
    operator says: while it is False the service says that it is not ready, and works. ``start`` tells this start from
    others, whatever was reloaded since.
    """

    def __init__(
        self, supervisor: Supervisor, committer: Committer, *, started_at: float, up: bool = True, start: str = ""
    ) -> None:
        self._supervisor = supervisor
        self._committer = committer
        self.started_at = started_at
        self.up = up
        self.start = start

    def healthy(self) -> tuple[bool, str]:
        """Return whether the service works, and if not why."""
        return self._supervisor.healthy()

    def ready(self) -> tuple[bool, str]:
        """Return whether every listener has a worker that accepts and the store takes what they gather, and why not.

        Whatever else is wrong must not take this machine out of a balancer: outputs least of all.
        """
        if self._committer.failure:
            return False, f"commits fail: {self._committer.failure}"
        underway = self._committer.underway
        if underway is not None and underway > LONGEST_COMMIT:
            return False, f"the commit under way began {underway:.0f} s ago"
        if self._committer.snapshot is None:
            return False, "the store is being opened"
        worker, fill = self._supervisor.fullest_journal()
        if fill > MOST_FULL:
            return False, f"the journal of worker {worker} is {fill:.0%} full of what is not committed"
        if not self.up:
            return False, "the console has been told that it is down"
        return self._supervisor.accepting()
