"""Compares the numbers of two servers, and says where they differ and for which likely reasons. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from statsd_tcp.commands.compare.likely import Case, Evidence, likely
from statsd_tcp.commands.compare.pairing import pairs
from statsd_tcp.commands.compare.readings import COUNT, GAUGE, Key, Span, There

__all__ = ["Row", "Verdict", "judge", "nearest", "same", "text_of"]

_CLOSE = 1e-9
"""How far apart two numbers may be that were added up in another order, for each of their size."""


class Verdict(StrEnum):
    """What a comparison came to."""

    DIFFER = "differ"
    ONLY_HERE = "only here"
    ONLY_THERE = "only there"
    RENAMED = "other name"
    UNTOLD = "cannot tell"
    SAME = "same"

    @property
    def is_difference(self) -> bool:
        """Return whether something differs."""
        return self not in (Verdict.SAME, Verdict.UNTOLD)


class Row(NamedTuple):
    """One number on both sides, None where a side does not have it; ``reasons`` are names of `Reason`."""

    verdict: Verdict
    what: str
    name: str
    here: float | None
    there: float | None
    reasons: tuple[str, ...] = ()


def judge(here: Mapping[Key, Span], there: There, seen: Evidence, moved: Collection[Key] = ()) -> list[Row]:
    """Compare all numbers. A total that one side does not have, and that did not go up on the other, is left out.

    ``moved`` are the gauges that were changed meanwhile, on either side.
    """
    numbers = there.numbers
    ours = {key for key, span in here.items() if key not in numbers and (key.what == GAUGE or span.most or span.least)}
    theirs = {key for key, value in numbers.items() if key not in here and (key.what == GAUGE or value != 0)}
    rows = [_same_name(key, here[key], there, seen) for key in here.keys() & numbers.keys()]
    for own, their, reason in pairs(ours, theirs):
        rows.append(_other_name(own, here[own], their, there, reason, seen))
        ours.discard(own)
        theirs.discard(their)
        if reason == "h-and-d":
            # A counter has no number of observations.
            ours.discard(own._replace(what=COUNT))
    # A set is a gauge on our page. Where there are no more such gauges than sets, these are the sets.
    hidden = not there.shows_sets and sum(key.what == GAUGE for key in ours) <= seen.sets
    for key in ours:
        verdict = Verdict.UNTOLD if hidden and key.what == GAUGE else Verdict.ONLY_HERE
        case = Case(key, here[key].shown, None, key in moved)
        reasons = ("sets",) if verdict is Verdict.UNTOLD else likely(case, seen)
        rows.append(Row(verdict, key.what, text_of(key), case.here, None, reasons))
    for key in theirs:
        case = Case(key, None, numbers[key], key in moved)
        rows.append(Row(Verdict.ONLY_THERE, key.what, _their_name(key, there), None, case.there, likely(case, seen)))
    order = list(Verdict)
    return sorted(rows, key=lambda row: (order.index(row.verdict), row.name, row.what))


def same(span: Span, value: float) -> bool:
    """Return whether a number is the same as one that is known up to what came while it was read."""
    if value == span.shown or math.isnan(value) or math.isnan(span.shown):
        return value == span.shown or math.isnan(value) == math.isnan(span.shown)
    slack = _CLOSE * max(abs(value), abs(span.shown))
    return span.least - slack <= value <= span.most + slack


def nearest(span: Span, value: float) -> float:
    """Return the number here that differs least from the one there, of those that it may be."""
    return min(max(span.least, value), span.most)


def text_of(key: Key) -> str:
    """Write a series as Prometheus does."""
    labels = ",".join(f'{name}="{value}"' for name, value in key.labels)
    return f"{key.name}{{{labels}}}" if labels else key.name


def _same_name(key: Key, span: Span, there: There, seen: Evidence) -> Row:
    value, name = there.numbers[key], _their_name(key, there)
    if value is None:
        reason = "restless" if key.what == GAUGE else "long-timers"
        return Row(Verdict.UNTOLD, key.what, name, span.shown, None, (reason,))
    if same(span, value):
        return Row(Verdict.SAME, key.what, name, value, value)
    ours = nearest(span, value)
    return Row(Verdict.DIFFER, key.what, name, ours, value, likely(Case(key, ours, value), seen))


def _other_name(own: Key, span: Span, their: Key, there: There, reason: str, seen: Evidence) -> Row:
    value, name = there.numbers[their], _their_name(their, there)
    if own.name != their.name or own.labels != their.labels:
        name = f"{name}, here {text_of(own)}"
    if value is None:
        return Row(Verdict.UNTOLD, own.what, name, span.shown, None, ("long-timers",))
    ours = nearest(span, value)
    if own.what != their.what:
        return Row(Verdict.DIFFER, their.what, name, ours, value, (reason,))
    if same(span, value):
        return Row(Verdict.RENAMED, own.what, name, value, value, (reason,))
    return Row(Verdict.DIFFER, own.what, name, ours, value, (reason, *likely(Case(own, ours, value), seen)))


def _their_name(key: Key, there: There) -> str:
    return there.names.get(key) or text_of(key)
