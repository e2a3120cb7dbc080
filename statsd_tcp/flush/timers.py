"""The timers of the open flush: all their values in columns, exact as long as they are few, in buckets from then on.

What a commit brings waits as it came. It is sorted when there is much of it, and when the numbers are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.aggregate.values import Values
from statsd_tcp.flush.held_timers import NO_TIMERS, HeldTimers
from statsd_tcp.flush.timer_numbers import Fields
from statsd_tcp.series.exact import Doubles, Wholes
from statsd_tcp.series.observations import gathered

__all__ = ["EXACT_IN_ALL", "EXACT_VALUES", "FEW_VALUES", "FlushTimers"]

EXACT_VALUES = 8_192
"""Different values of a timer that are kept exactly in a flush."""

EXACT_IN_ALL = 2_000_000
"""When all timers together have more than this, each may only have `FEW_VALUES`."""

FEW_VALUES = 256

BUCKETED_IN_ALL = 4_000_000
"""When all timers together have more values and buckets than this, 64 MB, each may only have `FEWEST_VALUES`, and as
many buckets: 0.3 kB of memory for each timer."""

FEWEST_VALUES = 16

WAITING = 1 << 22
"""When more values than this wait they are sorted: 50 MB, or 80 if some came several times at once."""


class _Waiting(NamedTuple):
    """What came: each value's timer, the value, and how often it came; None: once."""

    rows: npt.NDArray[np.int32]
    values: Doubles
    counts: Wholes | None


class FlushTimers:
    """The timers of a flush. ``places`` has those that came; one that is taken out of it is forgotten.

    ``approximated`` counts the timers that had too many different values to be kept exactly, and once more those whose
    buckets were too many.
    """

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.approximated = 0
        self._held = NO_TIMERS
        self._waiting: list[_Waiting] = []

    def add(self, news: Mapping[str, Values]) -> None:
        """Add what an interval has."""
        came = gathered(news)
        if not came.identities:
            return
        rows = self._rows(came.identities)
        self._held.events[rows] += came.events()
        self._waiting.append(_Waiting(np.repeat(rows.astype(np.int32), came.lengths), came.values, came.counts))
        if sum(len(each.rows) for each in self._waiting) > WAITING:
            self.settle()

    def settle(self) -> None:
        """Sort what waits, so that what is more than timers may have is in buckets."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        rows = np.concatenate([each.rows for each in waiting], dtype=np.int64)
        # There is no value below zero that is zero.
        values = np.concatenate([each.values for each in waiting]) + 0.0
        counts = None
        if any(each.counts is not None for each in waiting):
            several = [np.ones(len(each.rows), np.int64) if each.counts is None else each.counts for each in waiting]
            counts = np.concatenate(several)
        self._held = self._limited(self._held.plus(rows, values, counts))

    def numbers(self, seconds: float, rules: TimerRules) -> dict[str, Fields]:
        """Compute all timers, by name, of a flush of ``seconds``."""
        self.settle()
        return self._held.numbers({row: name for name, row in self.places.items()}, seconds, rules)

    def together(self, groups: Iterable[Sequence[str]], seconds: float, rules: TimerRules) -> dict[str, Fields]:
        """Work out what those of each group are together, by the group's first name; it is not there if none came."""
        self.settle()
        came = {group[0]: [self.places[name] for name in group if name in self.places] for group in groups}
        came = {name: rows for name, rows in came.items() if rows}
        if not came:
            return {}
        return self._held.joined(list(came.values())).numbers(dict(enumerate(came)), seconds, rules)

    def _rows(self, identities: list[str]) -> Wholes:
        rows = np.fromiter(map(self.places.get, identities, repeat(-1)), np.int64, len(identities))
        new = np.flatnonzero(rows < 0)
        if len(new):
            first = len(self._held.events)
            rows[new] = np.arange(first, first + len(new))
            self.places.update(zip([identities[place] for place in new.tolist()], rows[new].tolist(), strict=True))
            self._held = self._held.longer(first + len(new))
        return rows

    def _limited(self, held: HeldTimers) -> HeldTimers:
        """Put the values of timers that have too many into buckets, and widen these if that is not enough."""
        for least, most in ((0, EXACT_VALUES), (EXACT_IN_ALL, FEW_VALUES), (BUCKETED_IN_ALL, FEWEST_VALUES)):
            chosen = held.with_more_than(most) & held.are_exact()
            if len(held.values.values) >= least and chosen.any():
                self.approximated += int(chosen.sum())
                held = held.coarser(chosen)
        widened = np.zeros(len(held.events), np.bool_)
        while len(held.values.values) >= BUCKETED_IN_ALL:
            chosen = held.with_more_than(FEWEST_VALUES) & ~held.are_exact()
            if not chosen.any():
                break
            widened |= chosen
            held = held.coarser(chosen)
        self.approximated += int(widened.sum())
        return held
