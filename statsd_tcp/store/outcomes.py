"""What became of series and of what came for them, counted since the start: see `StoreStats`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from statsd_tcp.store.transaction import Plan

__all__ = ["CONFLICT_REASONS", "DROP_REASONS", "Outcomes"]

CONFLICT_REASONS: Final = ("negative",)
"""Why the store leaves something out."""

DROP_REASONS: Final = ("overflow", "refused")
"""What became of what came for series beyond the limit."""


class Outcomes:
    """The counts; ``left_out`` has the last series of each reason."""

    def __init__(self, outcomes: Iterable[str]) -> None:
        """``outcomes`` are those of rules, if there are any."""
        self.mapped = dict.fromkeys(outcomes, 0)
        self.expired = 0
        self.conflicts = dict.fromkeys(CONFLICT_REASONS, 0)
        self.dropped = dict.fromkeys(DROP_REASONS, 0)
        self.left_out: dict[str, str] = {}

    def note(self, plan: Plan) -> None:
        """Count what a commit has done."""
        for outcome, number in plan.mapped.items():
            self.mapped[outcome] += number
        for changes in plan.series:
            self.expired += len(changes.expired)
            self.conflicts["negative"] += changes.negative
            self.left_out.update(changes.left_out)
        self.dropped["overflow"] += plan.overflowed
        self.dropped["refused"] += plan.refused_series
        self.left_out.update(plan.left_out)
