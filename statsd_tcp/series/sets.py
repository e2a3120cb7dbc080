"""Sets as gauges: how many different members came in the last flush of the clock that has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from statsd_tcp.aggregate.members import Members, Sets
from statsd_tcp.mapping.rules import Treatment

__all__ = ["SetFlush", "SetsPlan"]


class SetsPlan(msgspec.Struct, frozen=True):
    """What a commit does to the sets.

    ``counts``: the number of members of each set of a flush that has ended, None if none has; ``treatments`` are
    those of these sets. ``start``: the beginning of the flush that is open then.
    """

    counts: Mapping[str, int] | None
    treatments: Mapping[str, Treatment]
    start: int
    news: Mapping[str, set[str]]
    news_treatments: Mapping[str, Treatment]


class SetFlush:
    """The members that came in the open flush, in memory only. ``seconds`` is the length of a flush.

    ``approximated`` counts the sets of which a flush had too many members to count them exactly.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._start: int | None = None
        self._sets = Sets()
        self._treatments: dict[str, Treatment] = {}
        self.approximated = 0

    @property
    def open(self) -> Mapping[str, Members]:
        """The sets of the open flush."""
        return self._sets.members

    def begin(self, start: int, sets: Iterable[tuple[str, Members]]) -> None:
        """Go on with a flush that an earlier process began; an identity may be there several times."""
        self._start = start
        self._sets = Sets()
        for identity, members in sets:
            self._sets.add({identity: members})

    def plan(self, news: Mapping[str, set[str]], treatments: Mapping[str, Treatment], moment: float) -> SetsPlan:
        """Work out what members do that came at a moment of the wall clock."""
        start = int(moment // self._seconds) * self._seconds
        ended = self._start is not None and start != self._start
        return SetsPlan(self._sets.counts() if ended else None, self._treatments, start, news, treatments)

    def apply(self, plan: SetsPlan) -> None:
        """Do what was planned."""
        if plan.start != self._start:
            self._start, self._sets, self._treatments = plan.start, Sets(), {}
        before = self._sets.approximated
        self._sets.add(plan.news)
        self.approximated += self._sets.approximated - before
        self._treatments.update(plan.news_treatments)
