"""Which family has a name on the page `/metrics` that several want: decided from what is durable, and kept.

A family has its name, and those of its parts, until another one is more lasting. One that came in several commits is
more lasting than one that came in a single commit, which is often a mistake; otherwise it is the one that came when the
other had been silent for long. A name that is free goes to the first one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from statsd_tcp.mapping.shown import Family

__all__ = ["HELD", "SILENCE", "Candidate", "Decision", "Owner", "Takeover", "decide"]

SILENCE = 600.0
"""Seconds for which a family was silent when its name may go to another one."""

HELD = 3600.0
"""Seconds for which a name stays with the family that has taken it over."""

FIRST = float("-inf")
"""Since when a family has a name that no other one had before."""


class Candidate(NamedTuple):
    """A family that wants a name which others want too.

    ``born`` is the lowest id of its series, and ``identity`` that series. ``updated``: wall time of what came last.
    ``lasting`` tells whether it came in more than one commit.
    """

    family: Family
    born: int
    updated: float
    lasting: bool
    identity: str = ""


class Owner(NamedTuple):
    """The family that has a name, and the wall time at which it took the name over."""

    family: Family
    since: float = FIRST


class Takeover(NamedTuple):
    """A name has gone from one family to another."""

    name: str
    loser: Candidate
    winner: Candidate


class Decision(NamedTuple):
    """The owners from now on, by name, and who wanted to be one.

    What is different: names that were taken over, names that had another owner or none, names that have none now.
    """

    owners: Mapping[str, Owner]
    candidates: Sequence[Candidate] = ()
    takeovers: Sequence[Takeover] = ()
    changed: Sequence[str] = ()
    freed: Sequence[str] = ()

    def is_new(self) -> bool:
        """Return whether anything is different."""
        return bool(self.changed or self.freed)

    def rows(self) -> list[tuple[str, str, str, float]]:
        """Return the rows of the table ``owners`` that are different."""
        return [(name, *self.owners[name].family, self.owners[name].since) for name in self.changed]


def decide(
    candidates: Collection[Candidate], owners: Mapping[str, Owner], now: float, silence: float = SILENCE
) -> Decision:
    """Find the owners of all names that several candidates want; ``owners`` are those until ``now``.

    A name is also kept that was taken over lately: it does not go to any other candidate meanwhile.
    """
    page = _Page(owners, now)
    in_order = sorted(candidates, key=lambda each: each.born)
    page.fill(each for each in in_order if page.was_owner(each))
    page.fill(in_order)
    before = dict(page.shown)
    waiting = [each for each in in_order if before.get(each.family.name) != each]
    wanting = _wanting(in_order)
    takeovers: list[Takeover] = []
    for each in sorted(waiting, key=lambda each: (not each.lasting, -each.updated)):
        others = chain.from_iterable(wanting[name] for name in each.family.names)
        # A name that went to this one would be held, and the one that is to have it would wait for that.
        if not any(is_more_lasting(other, each, silence) for other in others):
            takeovers += page.take_over(each, silence)
    page.fill(in_order)
    decided = {name: page.owner(name, before.get(name)) for name in page.shown}
    kept = {name: owner for name, owner in decided.items() if len(wanting[name]) > 1 or now - owner.since < HELD}
    changed = [name for name, owner in kept.items() if owners.get(name) != owner]
    return Decision(kept, in_order, takeovers, changed, [name for name in owners if name not in kept])


def is_more_lasting(one: Candidate, other: Candidate, silence: float) -> bool:
    """Return whether ``one`` may have the name that ``other`` has."""
    if one.lasting != other.lasting:
        return one.lasting
    return one.updated - other.updated >= silence


def _wanting(candidates: Iterable[Candidate]) -> Mapping[str, Sequence[Candidate]]:
    """Return by name who wants it."""
    wanting: dict[str, list[Candidate]] = {}
    for each in candidates:
        for name in each.family.names:
            wanting.setdefault(name, []).append(each)
    return wanting


class _Page:
    """The candidates that are shown, by each of the names that they need: no two need the same."""

    def __init__(self, owners: Mapping[str, Owner], now: float) -> None:
        self._owners = owners
        self._now = now
        self._held = {name for name, owner in owners.items() if now - owner.since < HELD}
        self.shown: dict[str, Candidate] = {}

    def was_owner(self, candidate: Candidate) -> bool:
        """Return whether a candidate had one of its names until now."""
        owners = (self._owners.get(name) for name in candidate.family.names)
        return any(owner is not None and owner.family == candidate.family for owner in owners)

    def fill(self, candidates: Iterable[Candidate]) -> None:
        """Show the candidates whose names are all free, one after the other."""
        for each in candidates:
            if not self.shown.keys() & each.family.names:
                self.shown.update(dict.fromkeys(each.family.names, each))

    def take_over(self, candidate: Candidate, silence: float) -> list[Takeover]:
        """Show a candidate instead of those that have its names, if it may have all of them."""
        rivals: dict[Candidate, str] = {}
        for name in candidate.family.names:
            if name in self.shown:
                rivals.setdefault(self.shown[name], name)
        given = set(chain.from_iterable(rival.family.names for rival in rivals))
        if self._held & given or not all(is_more_lasting(candidate, rival, silence) for rival in rivals):
            return []
        for name in given:
            del self.shown[name]
        self.fill([candidate])
        self._held.update(given, candidate.family.names)
        return [Takeover(name, rival, candidate) for rival, name in rivals.items()]

    def owner(self, name: str, before: Candidate | None) -> Owner:
        """Return the owner of a name that was shown of ``before``."""
        shown, owner = self.shown[name], self._owners.get(name)
        if before is not None and shown != before:
            return Owner(shown.family, self._now)
        return Owner(shown.family, FIRST if owner is None else owner.since)
