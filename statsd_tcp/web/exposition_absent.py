"""The series that found no place on the page, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import nsmallest
from typing import NamedTuple

from statsd_tcp.web.exposition_changes import Series

__all__ = ["CONFLICT_REASONS", "MOST_NAMED", "Absent", "AbsentSeries"]

CONFLICT_REASONS = ("type", "unit", "reserved", "duplicate")
"""Why a series is left out of the exposition: its name belongs to another type, or to observations in another
unit, or to the service itself; or it is a gauge whose name and labels another gauge has."""

MOST_NAMED = 100
"""Series that are left out and can be named; the others are only counted."""


class Absent(NamedTuple):
    """Why a series is left out, the name that it waits for, and the name of the family that keeps it out.

    A ``duplicate`` waits for none: it has its place in a line, and only its number is not shown.
    """

    reason: str
    series: Series
    name: str = ""
    other: str = ""


class AbsentSeries:
    """All series that are left out. ``counted`` are by reason the ids of those that ever were."""

    def __init__(self, counted: Mapping[str, set[int]]) -> None:
        self._counted = counted
        self._all: dict[int, Absent] = {}
        self._waiting: dict[str, set[int]] = {}

    def add(self, absent: Absent) -> None:
        """Leave a series out."""
        series_id = absent.series.series_id
        self._counted[absent.reason].add(series_id)
        self._all[series_id] = absent
        if absent.name:
            self._waiting.setdefault(absent.name, set()).add(series_id)

    def forget(self, series: Series) -> bool:
        """Forget that a series is left out, if it is; return whether it had no place."""
        absent = self._all.pop(series.series_id, None)
        if absent is None or not absent.name:
            return False
        waiting = self._waiting[absent.name]
        waiting.discard(series.series_id)
        if not waiting:
            del self._waiting[absent.name]
        return True

    def names(self) -> Collection[str]:
        """Return the names that series wait for."""
        return self._waiting.keys()

    def waiting_for(self, name: str) -> list[Series]:
        """Return the series that wait for a name."""
        return [self._all[each].series for each in self._waiting.get(name, ())]

    def first(self) -> Sequence[Absent]:
        """Return those that came first, as far as they can be named."""
        return [self._all[each] for each in nsmallest(MOST_NAMED, self._all)]
