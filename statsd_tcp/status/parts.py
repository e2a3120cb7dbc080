"""The parts of the service that report on themselves, and what is asked of those that a test may replace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from statsd_tcp.commit.committer import Committer
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.repeat.totals import RepeatTotals
from statsd_tcp.status.examples import LastExamples
from statsd_tcp.status.health import Health
from statsd_tcp.status.interfaces import Answer
from statsd_tcp.status.kernel_watch import KernelWatch
from statsd_tcp.status.own_metrics import RemoteFacts
from statsd_tcp.status.underway import Underway
from statsd_tcp.status.who import Who
from statsd_tcp.store.snapshot import Snapshot, TotalKey
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.supervisor import Supervisor

__all__ = ["Delivering", "Parts", "Reloading", "Remote"]


class Reloading(Protocol):
    """What the pages need of reloads. ``successful`` tells about the last one, None before the first."""

    successful: bool | None

    def ask(self, answer: Answer) -> bool:
        """Reload as soon as possible, and call back with the outcome; return whether the request is accepted."""


class Delivering(Protocol):
    """What the pages need of an output."""

    def facts(self) -> OutputFacts:
        """Describe how it does."""


class Remote(Delivering, Protocol):
    """What they need of one by remote write."""

    def remote_facts(self) -> RemoteFacts:
        """Describe what became of its samples."""

    def findings(self) -> list[dict[str, Any]]:
        """Return what the operator has to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts. ``remotes`` are the outputs by remote write, ``deliveries`` all others."""

    plan: Plan
    supervisor: Supervisor
    committer: Committer
    ledger_folder: LedgerFolder
    recovery: Recovery
    health: Health
    reload: Reloading
    kernel: KernelWatch
    underway: Underway
    deliveries: Sequence[Delivering]
    remotes: Sequence[Remote]
    repeats: RepeatTotals
    examples: LastExamples
    who: Who

    def totals(self, snapshot: Snapshot) -> dict[TotalKey, int]:
        """Add up the totals of a snapshot and what workers have counted since."""
        return snapshot.totals(self.ledger_folder.counts())

    def outputs(self) -> list[OutputFacts]:
        """Describe how the outputs do."""
        return [one.facts() for one in (*self.deliveries, *self.remotes)] + self.repeats.facts()
