"""Some sets of a table of sources as columns, and two such summaries made one: pure.

Each set is a summary of its own part of the stream, see `table`. What holds for one worker's holds for a sum of them:
of each source in a set ``connections - err <= true number <= connections``, and one that is not in it has at most
``least`` (Agarwal and others, "Mergeable summaries", 2012).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statsd_tcp.who.layout import WAYS

__all__ = ["COLUMNS", "ERR", "Summary", "combined", "different", "joined", "nothing", "scaled"]

COLUMNS: Final = ("connections", "err", "lines", "bytes", "bad", "resets", "evicted", "limited")
"""What is known of a source, in this order."""

CONNECTIONS, ERR = 0, 1

Numbers = NDArray[Any]


class Summary(NamedTuple):
    """``n`` sets with eight places each.

    ``sets`` are their numbers, ascending. ``high`` and ``low`` are the two halves of addresses as they are in memory,
    ``listeners`` their indexes + 1, 0 where a place is free: all of n x 8. ``values`` are n x 8 x `COLUMNS`. ``least``
    has for each set how many connections a source may have that is not in it.
    """

    sets: Numbers
    high: Numbers
    low: Numbers
    listeners: Numbers
    values: Numbers
    least: Numbers


def nothing(kind: Any = np.int64) -> Summary:
    """Return a summary without sets; its numbers are of that kind."""
    return _empty(np.zeros(0, np.int64), kind)


def scaled(one: Summary, factor: float) -> Summary:
    """Return a summary in which each number is a part of what it was."""
    return one._replace(values=one.values * factor, least=one.least * factor)


def joined(parts: list[Summary]) -> Summary:
    """Return one summary of several, each of which has higher sets than the one before."""
    if len(parts) == 1:
        return parts[0]
    return Summary(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else nothing()


def combined(one: Summary, other: Summary) -> Summary:
    """Return the summary of both their streams together.

    A source that one of them lacks may have had ``least`` connections there: they are added to its number and to its
    error. Of each set the eight with the most connections stay.
    """
    if not len(one.sets) or not len(other.sets):
        return one if len(one.sets) else other
    sets = different(np.concatenate([one.sets, other.sets]))
    a, b = _spread(one, sets), _spread(other, sets)
    whole = _added(a, b)
    hard = np.flatnonzero(~_are_alike(a, b))
    if len(hard):
        chosen = _chosen(*(Summary(*(column[hard] for column in each)) for each in (a, b)))
        for target, source in zip(whole, chosen, strict=True):
            target[hard] = source
    return whole


def _are_alike(a: Summary, b: Summary) -> Numbers:
    """Return for each set whether both have the same sources at the same places, or one of them has nothing.

    So it is with most sets while there are few sources, which come to all workers; and it is cheap.
    """
    same = (a.listeners == b.listeners) & (a.high == b.high) & (a.low == b.low)
    nothing_in = [~each.listeners.any(axis=1) & (each.least == 0) for each in (a, b)]
    alike: Numbers = same.all(axis=1) | nothing_in[0] | nothing_in[1]
    return alike


def _added(a: Summary, b: Summary) -> Summary:
    """Return the sum of sets that are alike: what only one of them has is 0 in the other."""
    high, low, listeners = (np.maximum(getattr(a, name), getattr(b, name)) for name in ("high", "low", "listeners"))
    return Summary(a.sets.copy(), high, low, listeners, a.values + b.values, a.least + b.least)


def _chosen(a: Summary, b: Summary) -> Summary:
    """Return the sum of any two summaries with the same sets."""
    same = a.high[:, :, None] == b.high[:, None, :]
    same &= a.low[:, :, None] == b.low[:, None, :]
    same &= a.listeners[:, :, None] == b.listeners[:, None, :]
    same &= (a.listeners != 0)[:, :, None]
    in_both, found = same.any(axis=2), same.any(axis=1)
    values = np.take_along_axis(b.values, same.argmax(axis=2)[:, :, None], axis=1)
    mine = a.values + values * in_both[:, :, None]
    theirs = b.values.astype(mine.dtype)
    _add_least(mine, b.least, ~in_both)
    _add_least(theirs, a.least, ~found)
    listeners = np.concatenate([a.listeners, np.where(found, 0, b.listeners)], axis=1)
    every = np.concatenate([mine, theirs], axis=1)
    counts = np.where(listeners != 0, every[:, :, CONNECTIONS], -1)
    order = np.argsort(-counts, axis=1, kind="stable")
    chosen = order[:, :WAYS]
    lost = np.take_along_axis(counts, order[:, WAYS : WAYS + 1], axis=1)[:, 0]
    kept = np.take_along_axis(listeners, chosen, axis=1)
    return Summary(
        a.sets,
        np.take_along_axis(np.concatenate([a.high, b.high], axis=1), chosen, axis=1),
        np.take_along_axis(np.concatenate([a.low, b.low], axis=1), chosen, axis=1),
        kept,
        np.take_along_axis(every, chosen[:, :, None], axis=1) * (kept != 0)[:, :, None],
        np.maximum(a.least + b.least, lost),
    )


def different(numbers: Numbers) -> Numbers:
    """Return the different ones of some numbers, ascending."""
    ascending = np.sort(numbers, axis=None)
    is_first = np.ones(len(ascending), bool)
    is_first[1:] = ascending[1:] != ascending[:-1]
    return ascending[is_first]


def _add_least(values: Numbers, least: Numbers, where: Numbers) -> None:
    more = where * least[:, None]
    values[:, :, CONNECTIONS] += more
    values[:, :, ERR] += more


def _spread(one: Summary, sets: Numbers) -> Summary:
    """Return a summary with empty sets where it has none of ``sets``."""
    if len(one.sets) == len(sets):
        return one
    whole = _empty(sets, one.values.dtype)
    places = np.searchsorted(sets, one.sets)
    for target, source in zip(whole[1:], one[1:], strict=True):
        target[places] = source
    return whole


def _empty(sets: Numbers, kind: Any) -> Summary:
    shape = (len(sets), WAYS)
    return Summary(
        sets,
        np.zeros(shape, np.uint64),
        np.zeros(shape, np.uint64),
        np.zeros(shape, np.uint32),
        np.zeros((*shape, len(COLUMNS)), kind),
        np.zeros(len(sets), kind),
    )
