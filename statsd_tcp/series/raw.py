"""The counters as clients name them, and which series of the page each of them adds to.

    raw counters      0   1   2   3        what workers, flushes and the console know
                      |   |   |   |
    shown at          5   7   7   -        what the page has: here 1 and 2 add to one series, and 3 is dropped
                     *1  *1  *0.001

Without a mapping file the raw counters are the shown ones, and nothing of this exists. A rule is asked once, when a raw
counter comes for the first time since the start, and again if the series that it added to has gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.overflow import OVERFLOW, fitting
from statsd_tcp.mapping.mapper import OUTCOMES, Target
from statsd_tcp.mapping.rules import PLAIN
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.exact import Doubles
from statsd_tcp.series.increments import Increments, distinct, merged
from statsd_tcp.series.plan import NO_POSITIONS, Fresh, Positions, SeriesPlan

__all__ = ["RawLayer", "Resolved", "located"]

_ASK: Final = -2
_DROPPED: Final = -1
"""In place of a shown position: a rule must be asked, or it drops what comes."""

_OVERFLOW: Final = OVERFLOW["counters"]


class Resolved(NamedTuple):
    """What comes to raw counters, by shown positions; by name what rules must be asked about.

    ``outcomes`` says how many were mapped, and so on, in the order of `OUTCOMES`.
    """

    known: Increments
    names: dict[str, float]
    outcomes: Sequence[int]


class RawLayer:
    """The raw counters. ``columns`` are the ``shown`` ones, or its own if rules give series other names.

    ``limit`` is that of raw counters in columns of its own; those beyond it are one in flushes.
    """

    def __init__(self, shown: SeriesColumns, own: SeriesColumns, limit: Amount, *, mapped: bool) -> None:
        self.shown = shown
        self._own = own
        self._limit = limit
        self.columns = own if mapped else shown
        self._seeds: Sequence[str] = ()
        self._target: Positions = NO_POSITIONS
        self._scale: Doubles = np.empty(0)
        self._outcome: Positions = NO_POSITIONS

    def load(self, told: Sequence[str]) -> None:
        """Go on with columns that were loaded; ``told`` are names of which another release has told the outputs.

        A service whose rules are taken away keeps the names that its outputs know until these have expired. The first
        rules find the names of the shown ones to go on with; where there were raw ones, and all are gone, shown ones
        have names that rules have made.
        """
        if len(self._own):
            self.columns = self._own
        elif not self.is_shared and not self._own.top:
            self._seeds = told or list(self.shown.positions)

    @property
    def is_shared(self) -> bool:
        """Return whether the raw counters are the shown ones."""
        return self.columns is self.shown

    def plan(self, names: Iterable[str], known: Positions) -> SeriesPlan:
        """Return what a commit does to columns of its own, in which something comes to some names and positions."""
        plan = SeriesPlan()
        if self.is_shared:
            return plan
        wanted = list(dict.fromkeys([*names, *self._seeds]))
        positions = self._own.find(wanted)
        new = [wanted[at] for at in np.flatnonzero(positions < 0).tolist()]
        room = self._limit.less(Amount(len(self._own), self._own.size))
        kept = new[: fitting("counters", new, room)]
        others = NO_POSITIONS
        if len(kept) < len(new) and _OVERFLOW not in kept:
            others = self._own.find([_OVERFLOW])
            kept += [_OVERFLOW] * int(others[0] < 0)
        plan.fresh = self._own.room_for(kept)
        came = np.concatenate([known, positions, others])
        plan.positions = distinct(np.concatenate([came[came >= 0], plan.fresh.positions]))
        return plan

    def resolve(self, known: Increments) -> Resolved:
        """Return where what came to raw counters goes."""
        if self.is_shared:
            return Resolved(known, {}, ())
        self._fit()
        positions, amounts = known
        targets = self._target[positions]
        asked = np.flatnonzero(targets == _ASK)
        names = dict(zip(map(self._own.identity, positions[asked].tolist()), amounts[asked].tolist(), strict=True))
        there = targets >= 0
        scaled = amounts[there] * self._scale[positions[there]]
        outcomes = np.bincount(self._outcome[positions[targets != _ASK]], minlength=len(OUTCOMES))
        return Resolved(merged([Increments(targets[there], scaled)]), names, outcomes.tolist())

    def learn(self, targets: Mapping[str, Target]) -> None:
        """Note what became of raw counters that were in a commit by name."""
        self._seeds = ()
        if self.is_shared or not targets:
            return
        self._fit()
        places = self._own.find(targets)
        here = np.flatnonzero(places >= 0)
        found = list(targets.values())
        known = [found[at] for at in here.tolist()]
        at = self.shown.positions.get
        self._target[places[here]] = [_DROPPED if one.identity is None else at(one.identity, _ASK) for one in known]
        self._scale[places[here]] = [one.scale for one in known]
        self._outcome[places[here]] = [OUTCOMES.index(one.outcome) for one in known]

    def unchanged(self, names: Iterable[str]) -> dict[str, Target]:
        """Return what becomes of raw counters without rules, as far as that has to be noted."""
        return {} if self.is_shared else {name: Target(name, 1.0, PLAIN, "unmapped") for name in names}

    def forget(self, gone: Positions, shown: Positions) -> None:
        """Forget the targets of raw counters that are gone, and of those that add to shown ones that are gone."""
        if self.is_shared:
            return
        self._fit()
        self._target[gone] = _ASK
        if len(shown):
            self._target[np.isin(self._target, shown)] = _ASK

    def _fit(self) -> None:
        more = len(self._own.updated) - len(self._target)
        if more > 0:
            self._target = np.concatenate([self._target, np.full(more, _ASK)])
            self._scale = np.concatenate([self._scale, np.ones(more)])
            self._outcome = np.concatenate([self._outcome, np.zeros(more, np.int64)])


def located(
    columns: SeriesColumns, fresh: Fresh, known: Increments, names: Mapping[str, float], falls: Mapping[str, Fall]
) -> Increments:
    """Return by how much raw counters change, some of them known by position, with those that a commit brings.

    What found no room is with the counter for all.
    """
    if not names and not falls:
        return known
    new = dict(zip(fresh.identities, fresh.positions.tolist(), strict=True))
    places = _places(columns, new, names)
    there = places >= 0
    amounts = np.fromiter(names.values(), np.float64, len(names))
    result = merged([known, Increments(places[there], amounts[there])])
    for place, fall in zip(_places(columns, new, falls).tolist(), falls.values(), strict=True):
        at = int(result.positions.searchsorted(place))
        if place >= 0:
            result.amounts[at] = fall.change(float(result.amounts[at]))
    return result


def _places(columns: SeriesColumns, new: Mapping[str, int], names: Collection[str]) -> Positions:
    places = columns.find(names)
    missing = np.flatnonzero(places < 0)
    if len(missing):
        others = new.get(_OVERFLOW, columns.positions.get(_OVERFLOW, -1))
        listed = list(names)
        places[missing] = [new.get(listed[at], others) for at in missing.tolist()]
    return places
