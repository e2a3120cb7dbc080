"""What the HTTP side asks of the service: the interface that `report.Report` provides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from statsd_tcp.status.left_out import LeftOut
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.store.snapshot import Snapshot

__all__ = ["Answer", "ISources"]

Answer = Callable[[str], Deferred[None]]
"""Answers a request for a reload with the outcome of its rehearsal: "", or one line that says why it is refused. What
it returns fires when that has been sent: the process replaces its own image right after."""


class ISources(Interface):
    """Where the pages get their contents from: called in the reactor's thread, and must not wait."""

    moments = Attribute("The `status.moments.Moments` that keep what happened in each of the last seconds.")

    who = Attribute("The `status.who.Who` that tells where connections come from.")

    node = Attribute("The name of this node.")

    refusals = Attribute("The `status.refusals.Refusals` that count what the HTTP server refuses.")

    def snapshot() -> Snapshot | None:
        """Return what the last commit made; None before the store is open."""

    def own_metrics(snapshot: Snapshot) -> OwnMetrics:  # noqa: N805 - an interface's methods have no self
        """Gather the service's own numbers, with the totals of that snapshot."""

    def scraped(left_out: Sequence[LeftOut]) -> None:  # noqa: N805
        """Take note of the first series that a scrape could not show."""

    def healthy() -> tuple[bool, str]:
        """Return whether the service works, and if not why: one line."""

    def ready() -> tuple[bool, str]:
        """Return whether every listener has a worker that accepts, and if not why: one line."""

    def status() -> dict[str, Any]:
        """Describe the service in what JSON can hold: the body of the status page without its version."""

    def reload(answer: Answer) -> bool:  # noqa: N805
        """Read the configuration again and replace the program, as HUP does; return whether that is taken up."""
