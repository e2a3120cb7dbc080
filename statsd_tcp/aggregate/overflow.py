"""More series than there may be: new counters and timers add to one series for all, new gauges and sets are refused.

That way the sums stay true, whatever clients put into names and tags.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from itertools import accumulate, takewhile
from math import fsum
from typing import Any, Final, NamedTuple

import msgspec

from statsd_tcp.aggregate.amounts import LINES_SHOWN, NO_SERIES, Amount, identity_bytes
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.values import Values, joined

__all__ = ["OVERFLOW", "Admitted", "admit", "fitting", "fresh_amount"]

OVERFLOW: Final[Mapping[str, str]] = {
    "counters": "statscounter_overflow.c",
    "times": "statscounter_overflow.ms",
    "distributions": "statscounter_overflow.h",
}
"""By field of an interval: the series to which new ones add."""


class Admitted(NamedTuple):
    """The interval without what found no room, and how many series of it overflowed and were refused.

    ``left_out`` has one of those that ``overflow``, and of those that are ``refused``.
    """

    interval: Interval
    overflowed: int
    refused: int
    left_out: Mapping[str, str]


def fresh_amount(news: Interval, known: Mapping[str, Collection[str]]) -> Amount:
    """Return the amount of an interval's series that are new; ``known`` are identities by the fields of an interval."""
    fresh = [
        Amount.of(field, [identity for identity in getattr(news, field) if identity not in existing])
        for field, existing in known.items()
    ]
    return reduce(Amount.plus, fresh, NO_SERIES)


def admit(news: Interval, known: Mapping[str, Collection[str]], room: Amount) -> Admitted:
    """Leave out of an interval what is new and finds no room, and all that is new after it. The interval is unchanged.

    ``known`` are the identities that exist, by the field of an interval; fields that are not in it are not limited.
    """
    kept: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    overflowed = refused = 0
    for field, existing in known.items():
        series = getattr(news, field)
        target = OVERFLOW.get(field, "")
        fresh = [identity for identity in series if identity not in existing and identity != target]
        beyond = fresh[fitting(field, fresh, room) :]
        room = room.less(Amount.of(field, fresh))
        if not beyond:
            continue
        left = dict(series)
        surplus = [left.pop(identity) for identity in beyond]
        kept[field] = left
        if target:
            overflowed += len(beyond)
            left_out["overflow"] = beyond[-1]
            _pour(left, target, surplus)
            if field == "counters":
                kept["falls"] = _falls(news.falls, beyond, target)
        else:
            refused += len(beyond)
            left_out["refused"] = beyond[-1]
    return Admitted(msgspec.structs.replace(news, **kept), overflowed, refused, left_out)


def fitting(field: str, fresh: list[str], room: Amount) -> int:
    """Return how many of these series, from the first on, find room."""
    if Amount.of(field, fresh).fits(room):
        return len(fresh)
    sizes = accumulate(LINES_SHOWN[field] * identity_bytes(identity) for identity in fresh[: max(room.series, 0)])
    return sum(1 for _ in takewhile(lambda size: size <= room.size, sizes))


def _falls(falls: Mapping[str, Fall], beyond: Sequence[str], target: str) -> dict[str, Fall]:
    """Return the falls with those of the counters that found no room added to the counter for all."""
    left = dict(falls)
    for identity in beyond:
        fall = left.pop(identity, None)
        if fall is not None:
            left[target] = left.get(target, Fall(0.0, 0)).plus(fall)
    return left


def _pour(left: dict[str, Any], target: str, surplus: list[Any]) -> None:
    """Add what found no room to the series for all."""
    if isinstance(surplus[0], Values):
        left[target] = joined([left.get(target, Values()), *surplus])
    else:
        left[target] = fsum([left.get(target, 0.0), *surplus])
