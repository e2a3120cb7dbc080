"""Sets as gauges: how many different members came in the last flush of the clock that has ended."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from statsd_tcp.mapping.rules import Treatment

__all__ = ["SetFlush", "SetsPlan"]


class SetsPlan(msgspec.Struct, frozen=True):
    """What news do to the sets.

    ``counts``: the number of members of each set of a flush that has ended, None if none has; ``treatments`` are
    those of these sets. ``start``: the beginning of the flush that is open then.
    """

    counts: Mapping[str, int] | None
    treatments: Mapping[str, Treatment]
    start: int
    news: Mapping[str, set[str]]
    news_treatments: Mapping[str, Treatment]


class SetFlush:
    """The members that came in the open flush, in memory only. ``seconds`` is the length of a flush."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._start: int | None = None
        self._members: dict[str, set[str]] = {}
        self._treatments: dict[str, Treatment] = {}

    def begin(self, start: int, members: Mapping[str, set[str]]) -> None:
        """Go on with a flush that an earlier process began."""
        self._start = start
        self._members = {identity: set(each) for identity, each in members.items()}

    def plan(self, news: Mapping[str, set[str]], treatments: Mapping[str, Treatment], moment: float) -> SetsPlan:
        """Work out what news of a moment of the wall clock do."""
        start = int(moment // self._seconds) * self._seconds
        ended = self._start is not None and start != self._start
        counts = {identity: len(members) for identity, members in self._members.items()} if ended else None
        return SetsPlan(counts, self._treatments, start, news, treatments)

    def apply(self, plan: SetsPlan) -> None:
        """Do what was planned."""
        if plan.start != self._start:
            self._start, self._members, self._treatments = plan.start, {}, {}
        for identity, members in plan.news.items():
            self._members.setdefault(identity, set()).update(members)
        self._treatments.update(plan.news_treatments)
