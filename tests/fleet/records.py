"""What the clients know of each visit, and what a run may have cost.

A visit is *sure* if the service said `ok`. Without that it is *in doubt* if a node or the balancer was killed or
stopped around it. If nothing explains that it had no `ok`, it is *lost*, and no run may have one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.torture.books import Death

__all__ = ["AROUND", "Account", "Visit"]

AROUND = 2.0
"""Seconds before and after a kill in which it may have cost a visit."""


class Visit(NamedTuple):
    """One connection with one line; times are monotonic. ``error`` is empty after a good end."""

    began: float
    ended: float
    confirmed: bool
    error: str


class Account(NamedTuple):
    """How many visits there were of each sort, and some that are lost."""

    sure: int
    doubtful: int
    lost: Sequence[Visit]

    @classmethod
    def of(cls, visits: Iterable[Visit], kills: Sequence[Death]) -> Account:
        """Sort visits by what was killed meanwhile."""
        sure = doubtful = 0
        lost: list[Visit] = []
        for visit in visits:
            if visit.confirmed:
                sure += 1
            elif any(_touches(kill, visit) for kill in kills):
                doubtful += 1
            else:
                lost.append(visit)
        return cls(sure, doubtful, lost)


def _touches(kill: Death, visit: Visit) -> bool:
    """Return whether a kill may have cost that visit."""
    return visit.began <= kill.ended + AROUND and visit.ended >= kill.began - AROUND
