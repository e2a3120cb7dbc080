"""What an output is: a place to which every flush's result is written, in order, until it was written."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from zope.interface import Interface

from statsd_tcp.aggregate.flushes import FlushResult

__all__ = ["GROUP", "IOutput", "OutputFactory"]

GROUP = "statscounter.outputs"
"""The group of entry points in which other packages offer their `OutputFactory`."""


class IOutput(Interface):
    """Somewhere that flushes are written to. All calls come from the reactor's thread, and must not wait."""

    def deliver(flush: FlushResult) -> Awaitable[None] | None:  # noqa: N805 - an interface's methods have no self
        """Write one flush; fires when it is written, or fails, and then the same flush is given again later.

        Flushes come one after the other in the order of time, the next one when this one is written. After a crash the
        last one may come a second time. A coroutine does as well as a Deferred.
        """

    def stop() -> Awaitable[None] | None:
        """Let go of everything; a delivery that was under way has been cancelled."""


class OutputFactory(Protocol):
    """What an entry point of the group `GROUP` names."""

    def __call__(self, reactor: Any, arguments: Mapping[str, str]) -> IOutput:
        """Make the output of ``--output NAME:key=value...``; ``ValueError`` says which argument cannot be used."""
