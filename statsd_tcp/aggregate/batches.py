"""Batches added up, each for itself: the store takes each of them once, or knows it already."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import ListenerCounts
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.batches import BatchKey

__all__ = ["BatchSum", "BatchTally", "Brought", "Judged"]

_SILENT = ListenerCounts()


class BatchSum(msgspec.Struct, frozen=True, array_like=True):
    """A batch added up: whose it is, its number, its listener's label, and an encoded interval of its lines alone.

    What was received of it is not in the interval: that is counted, whether the batch is or not.
    """

    client: bytes
    sequence: int
    listener: str
    payload: bytes

    @property
    def key(self) -> BatchKey:
        """Return which batch it is."""
        return BatchKey(self.client, self.sequence)


class Brought(msgspec.Struct, frozen=True, array_like=True):
    """What came of batches since the last answer: their sums, and how many a listener refused for which reason."""

    sums: tuple[BatchSum, ...] = ()
    refused: tuple[tuple[str, str, int], ...] = ()

    def __bool__(self) -> bool:
        """Return whether there is anything."""
        return bool(self.sums or self.refused)


class Judged(NamedTuple):
    """A batch added up, and how many of its lines are good and bad. Empty lines are neither."""

    sum: BatchSum
    good: int
    bad: int


class BatchTally:
    """Adds batches up with a tally that nothing else uses."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.examples = tally.examples

    def judge(self, listener: int, key: BatchKey, lines: bytes, tick: int) -> Judged:
        """Add up a batch of a listener, given by its index. ``tick`` must not go back from call to call."""
        self._tally.add(listener, lines, tick)
        interval = self._tally.take()
        interval.listeners = {label: counts for label, counts in interval.listeners.items() if counts != _SILENT}
        # A batch has a line, if only an empty one.
        ((label, counts),) = interval.listeners.items()
        bad = sum(interval.bad_lines.values())
        return Judged(BatchSum(*key, label, encode(interval)), counts.lines - bad, bad)
