"""What the service says about itself: the answers to the questions of its pages, from its parts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from zope.interface import implementer

from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.status.document import describe, total
from statsd_tcp.status.gathering import own_metrics
from statsd_tcp.status.interfaces import Answer, ISources
from statsd_tcp.status.left_out import LeftOut, in_status
from statsd_tcp.status.moments import Moments, Reading
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.status.parts import Parts
from statsd_tcp.status.queues import queues
from statsd_tcp.status.refusals import Refusals
from statsd_tcp.store.snapshot import ACCEPTED, LINES, Snapshot

__all__ = ["Report"]

RATE_SPAN = 10
"""Seconds over which the status page's rates are taken."""


class _Sample(NamedTuple):
    at: float
    connections: int
    lines: int


@implementer(ISources)
class Report:
    """Answers the pages' questions. All in the reactor's thread, all from memory except for a few looks into /proc."""

    def __init__(self, reactor: Any, parts: Parts, ticks: Callable[[], int] = time.monotonic_ns) -> None:
        """``ticks`` is the clock of the heartbeats."""
        self._reactor = reactor
        self._parts = parts
        self._ticks = ticks
        self.who = parts.who
        self.refusals = Refusals()
        self.moments = Moments()
        self._left_out: Sequence[LeftOut] = ()
        self._samples: deque[_Sample] = deque(maxlen=RATE_SPAN + 1)

    def sample(self) -> None:
        """Note the numbers of this moment, for the rates. To be called once a second."""
        snapshot = self.snapshot()
        if snapshot is not None:
            totals = self._parts.totals(snapshot)
            now = self._reactor.seconds()
            self._samples.append(_Sample(now, total(totals, ACCEPTED), total(totals, LINES)))
            waiting = queues(self._parts.plan.listeners)
            self.moments.note(Reading(now, totals, waiting, snapshot, self.outputs()))
            self.who.check()

    @property
    def node(self) -> str:
        """Return the name of this node."""
        return self._parts.plan.settings.node

    def snapshot(self) -> Snapshot | None:
        """Return what the last commit made."""
        return self._parts.committer.snapshot

    def own_metrics(self, snapshot: Snapshot) -> OwnMetrics:
        """Gather the service's own numbers."""
        return own_metrics(self._parts, snapshot, self.refusals.counts)

    def reload(self, answer: Answer) -> bool:
        """Make the service read its configuration again."""
        return self._parts.reload.ask(answer)

    def healthy(self) -> tuple[bool, str]:
        """Return whether the service works, and if not why."""
        return self._parts.health.healthy()

    def ready(self) -> tuple[bool, str]:
        """Return whether the service is ready, and if not why."""
        return self._parts.health.ready()

    def uptime(self) -> float:
        """Return the seconds since the start, whatever was reloaded since."""
        now: float = self._reactor.seconds()
        return now - self._parts.health.started_at

    def outputs(self) -> list[OutputFacts]:
        """Describe how the outputs do."""
        return self._parts.outputs()

    def examples(self) -> list[dict[str, Any]]:
        """Return the last example of everything that was rejected."""
        return self._parts.examples.rows()

    def scraped(self, left_out: Sequence[LeftOut]) -> None:
        """Take note of what a scrape could not show, unless the operator wants no names of clients to be seen."""
        if not self._parts.plan.settings.hide_bad_lines:
            self._left_out = left_out

    def conflicts(self) -> list[dict[str, str]]:
        """Return the first series that the last scrape could not show, each with the one that has its place."""
        return [in_status(one) for one in self._left_out]

    def status(self) -> dict[str, Any]:
        """Describe the service."""
        return describe(
            self._parts,
            uptime=self.uptime(),
            rates=self._rates(),
            refused=self.refusals.counts,
            conflicts=self.conflicts(),
            ticks=self._ticks(),
        )

    def _rates(self) -> dict[str, float]:
        if len(self._samples) < 2:  # noqa: PLR2004  (a rate is between two)
            return {"connections_per_second": 0.0, "lines_per_second": 0.0}
        first, last = self._samples[0], self._samples[-1]
        span = last.at - first.at
        return {
            "connections_per_second": round((last.connections - first.connections) / span, 1),
            "lines_per_second": round((last.lines - first.lines) / span, 1),
        }
