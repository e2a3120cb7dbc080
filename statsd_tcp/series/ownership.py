"""The owners of names on the page `/metrics` that several families want: looked at once a minute, decided, and kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

from twisted.logger import Logger

from statsd_tcp.mapping.shown import Family
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.contests import Contests
from statsd_tcp.series.expiry import period
from statsd_tcp.series.owners import Decision, Owner, Takeover, decide

__all__ = ["Ownership"]

_PERIOD = 60.0
"""Seconds between two looks."""

_LOOKED_AT = 10_000
"""Series whose names are looked at in one commit: about 30 milliseconds."""

_KIND_NAMES = {"c": "counter", "g": "gauge", "ms": "timer (ms)", "h": "distribution (h, d)", "s": "set"}


class Ownership:
    """Who owns which names. ``takeovers`` counts those that went to another family, ``last`` is the last of them."""

    _log = Logger()

    def __init__(
        self, columns: Sequence[SeriesColumns], counter_suffix: str, silence: float, monotonic: Callable[[], float]
    ) -> None:
        self._columns = columns
        self._suffix = counter_suffix
        self._silence = silence
        self._monotonic = monotonic
        self._next_look = 0.0
        # Replaced, never changed: snapshots have it.
        self.owners: Mapping[str, Owner] = {}
        self.takeovers = 0
        self.last: Takeover | None = None

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the owners; the series are there already."""
        rows = connection.execute("SELECT name, family, kind, since FROM owners")
        self.owners = {name: Owner(Family(family, kind), since) for name, family, kind, since in rows}
        self._contests = Contests(self._columns, self._suffix, self.owners)

    def decide(self, now: float) -> Decision | None:
        """Return who owns the names, once in a while; None in between."""
        if self._monotonic() < self._next_look or not self._contests.look(_LOOKED_AT):
            return None
        return decide(self._contests.candidates(), self.owners, now, self._silence)

    def apply(self, decision: Decision) -> None:
        """Set the owners of names from now on."""
        if decision.owners != self.owners:
            self.owners = decision.owners
        if not self._contests.settle(decision.candidates, decision.owners):
            self._next_look = self._monotonic() + period(_PERIOD, self._silence)
        self.takeovers += len(decision.takeovers)
        for takeover in decision.takeovers[-1:]:
            self.last = takeover
            self._log.warn(
                "names on /metrics that changed type or unit: {number}; {name} is a {winner} now, was a {loser}",
                number=len(decision.takeovers),
                name=takeover.name,
                winner=_KIND_NAMES[takeover.winner.family.kind],
                loser=_KIND_NAMES[takeover.loser.family.kind],
            )
