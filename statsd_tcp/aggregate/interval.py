"""What was said between two moments, added up: a value that workers make, send, and that is merged.

Merging the intervals of several workers, in any order and grouping, gives what one process would have made
of all their lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.firsts import First
from statsd_tcp.aggregate.gauges import Change, merge_changes
from statsd_tcp.aggregate.numbered import Numbered
from statsd_tcp.aggregate.values import Values

__all__ = ["Interval", "ListenerCounts", "merge"]

_N = TypeVar("_N", int, float)


class ListenerCounts(msgspec.Struct, array_like=True):
    """What one listener received. ``lines`` are the non-empty ones, good and bad."""

    received_bytes: int = 0
    lines: int = 0
    empty_lines: int = 0
    datagrams: int = 0

    def add(self, other: ListenerCounts) -> None:
        """Add what ``other`` counted."""
        self.received_bytes += other.received_bytes
        self.lines += other.lines
        self.empty_lines += other.empty_lines
        self.datagrams += other.datagrams


class Interval(msgspec.Struct, array_like=True):
    """The sum of many lines. Series are known by their identity, see ``wire.series``.

    * ``listeners``: by label, what was received.
    * ``samples`` by kind and ``bad_lines`` by reason: how many; ``bad_tags``, ``events``,
      ``service_checks``: how many.
    * ``counters``: how much each went up, rates applied; ``falls``: how much some of them went down.
    * ``gauges``: the changes to each in the order of time, see ``aggregate.gauges``.
    * ``times`` (``ms``, in milliseconds) and ``distributions`` (``h`` and ``d``): for each series its values.
    * ``sets``: the members of each.

    * ``met``: the series that may be new, in the order in which they came. Few are, when nothing is; a series may be in
      it that came long ago, and one may not be that has expired since.
    * ``numbered``: the ``counters``, which are empty then, on their way from a worker. What fell stands there as well.

    One name may be in ``times`` as well as in ``distributions``, which is a conflict of units. Which of the
    two was first depends on everything that came before, so the store decides;
    only a line that contradicts itself is rejected before.
    """

    listeners: dict[str, ListenerCounts] = {}
    samples: dict[str, int] = {}
    bad_lines: dict[str, int] = {}
    bad_tags: int = 0
    events: int = 0
    service_checks: int = 0
    counters: dict[str, float] = {}
    gauges: dict[str, list[Change]] = {}
    times: dict[str, Values] = {}
    distributions: dict[str, Values] = {}
    sets: dict[str, set[str]] = {}
    falls: dict[str, Fall] = {}
    met: list[First] = []
    numbered: Numbered = Numbered()

    def is_empty(self) -> bool:
        """Return whether nothing at all was counted."""
        return self == _NOTHING

    def add(self, other: Interval) -> None:
        """Add ``other`` to this interval. Nothing that ``other`` holds is shared or changed.

        Counters must have their names: raise `ValueError` if one of the two has them by number.
        """
        if self.numbered.session or other.numbered.session:
            raise ValueError("numbers mean nothing outside their session")
        for label, counts in other.listeners.items():
            self.listeners.setdefault(label, ListenerCounts()).add(counts)
        _add_numbers(self.samples, other.samples)
        _add_numbers(self.bad_lines, other.bad_lines)
        self.bad_tags += other.bad_tags
        self.events += other.events
        self.service_checks += other.service_checks
        _add_numbers(self.counters, other.counters)
        for series, changes in other.gauges.items():
            self.gauges[series] = merge_changes(self.gauges.get(series, []), changes)
        _add_values(self.times, other.times)
        _add_values(self.distributions, other.distributions)
        for series, members in other.sets.items():
            self.sets.setdefault(series, set()).update(members)
        for series, fall in other.falls.items():
            before = self.falls.get(series)
            self.falls[series] = fall if before is None else before.plus(fall)
        if other.met:
            self.met = sorted([*self.met, *other.met])


_NOTHING = Interval()


def merge(intervals: Iterable[Interval]) -> Interval:
    """Return the sum of ``intervals``, which stay as they are."""
    result = Interval()
    for interval in intervals:
        result.add(interval)
    return result


def _add_numbers(totals: dict[str, _N], more: dict[str, _N]) -> None:
    get = totals.get
    for name, number in more.items():
        before = get(name)
        totals[name] = number if before is None else before + number


def _add_values(totals: dict[str, Values], more: dict[str, Values]) -> None:
    for series, values in more.items():
        before = totals.get(series)
        if before is None:
            totals[series] = values.copy()
        else:
            before.extend(values)
