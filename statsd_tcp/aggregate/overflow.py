"""More series than there may be: new counters and timers add to one series for all, new gauges and sets are refused.

That way the sums stay true, whatever clients put into names and tags.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import fsum
from typing import Any, Final, NamedTuple

import msgspec

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.values import Values, joined

__all__ = ["OVERFLOW", "Admitted", "admit", "count_fresh"]

OVERFLOW: Final[Mapping[str, str]] = {
    "counters": "statscounter_overflow.c",
    "times": "statscounter_overflow.ms",
    "distributions": "statscounter_overflow.h",
}
"""By field of an interval: the series to which new ones add."""


class Admitted(NamedTuple):
    """The interval without what found no room, and how many series of it overflowed and were refused."""

    interval: Interval
    overflowed: int
    refused: int


def count_fresh(news: Interval, known: Mapping[str, Collection[str]]) -> int:
    """Count the series of an interval that aren't known; ``known`` are identities by the fields of an interval."""
    return sum(sum(identity not in existing for identity in getattr(news, field)) for field, existing in known.items())


def admit(news: Interval, known: Mapping[str, Collection[str]], room: int) -> Admitted:
    """Leave out of an interval what is new beyond the first ``room``. It stays as it is itself.

    ``known`` are the identities that exist, by the field of an interval; fields that aren't in it are not limited.
    """
    kept: dict[str, Any] = {}
    overflowed = refused = 0
    for field, existing in known.items():
        series = getattr(news, field)
        target = OVERFLOW.get(field, "")
        fresh = [identity for identity in series if identity not in existing and identity != target]
        beyond = fresh[max(room, 0) :]
        room -= len(fresh)
        if not beyond:
            continue
        left = dict(series)
        surplus = [left.pop(identity) for identity in beyond]
        kept[field] = left
        if target:
            overflowed += len(beyond)
            _pour(left, target, surplus)
        else:
            refused += len(beyond)
    return Admitted(msgspec.structs.replace(news, **kept), overflowed, refused)


def _pour(left: dict[str, Any], target: str, surplus: list[Any]) -> None:
    """Add what found no room to the series for all."""
    if isinstance(surplus[0], Values):
        left[target] = joined([left.get(target, Values()), *surplus])
    else:
        left[target] = fsum([left.get(target, 0.0), *surplus])
