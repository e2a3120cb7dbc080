"""The values of many timers in shared columns: those of each in their order, each different one once, with its count.

starts   0         2            5   6
values   1.0  3.5  0.5  2.0  9.0  7.0
counts   4    1    1    1    2    1
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from statsd_tcp.series.exact import Doubles, Wholes

__all__ = ["NO_VALUES", "Tallied", "blocks", "collapsed", "tallied"]

_BLOCK: Final = 1 << 17
"""Values that are worked on at once, a megabyte."""

_DIGIT: Final = 16
"""Numbers of up to this many bits are sorted by counting."""


class Tallied(NamedTuple):
    """Where the values of each timer start, and where the last ones end; the values, and how often each came."""

    starts: Wholes
    values: Doubles
    counts: Wholes

    def rows(self) -> Wholes:
        """Return the number of each value's timer."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


NO_VALUES: Final = Tallied(np.zeros(1, np.int64), np.empty(0), np.empty(0, np.int64))


def tallied(rows: Wholes, values: Doubles, counts: Wholes | None, number: int) -> Tallied:
    """Sort values, each with the row of its timer and how often it came (None: once); there are ``number`` timers."""
    order = _order(rows)
    rows, values = rows[order], values[order]
    counts = None if counts is None else counts[order]
    for _, places in blocks(_starts(rows, number)):
        block = values[places]
        if counts is None:
            block.sort(axis=1)
            values[places] = block
        elif places.shape[1] > 1:
            within = block.argsort(axis=1)
            values[places] = np.take_along_axis(block, within, axis=1)
            counts[places] = np.take_along_axis(counts[places], within, axis=1)
    return collapsed(rows, values, counts, number)


def collapsed(rows: Wholes, values: Doubles, counts: Wholes | None, number: int) -> Tallied:
    """Make one of those neighbours that are equal; the values of each timer must be in their order."""
    firsts = np.flatnonzero((np.diff(values, prepend=np.nan) != 0.0) | (np.diff(rows, prepend=-1) != 0))
    if counts is None:
        counts = np.diff(firsts, append=len(values))
    elif len(firsts):
        counts = np.add.reduceat(counts, firsts)
    return Tallied(_starts(rows[firsts], number), values[firsts], counts)


def blocks(starts: Wholes) -> Iterator[tuple[Wholes, Wholes]]:
    """Yield the timers that have equally many values, a few at a time, and a row of places for each."""
    lengths = np.diff(starts)
    order = lengths.argsort(kind="stable")
    end = 0
    for length, alike in zip(*(each.tolist() for each in np.unique(lengths, return_counts=True)), strict=True):
        first, end, step = end, end + alike, max(1, _BLOCK // max(1, length))
        for begin in range(first, end if length else first, step):
            rows = order[begin : min(end, begin + step)]
            yield rows, starts[rows][:, np.newaxis] + np.arange(length)


def _starts(rows: Wholes, number: int) -> Wholes:
    return np.append(0, np.bincount(rows, minlength=number).cumsum())


def _order(rows: Wholes) -> Wholes:
    """Return the order of numbers, which stays as it is for equal ones."""
    order = rows.astype(np.uint16).argsort(kind="stable")
    if rows.max(initial=0) >> _DIGIT:
        order = order[(rows[order] >> _DIGIT).astype(np.uint16).argsort(kind="stable")]
    return order
