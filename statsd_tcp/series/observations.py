"""What came to the timers or distributions of one commit: all values in one array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from statsd_tcp.aggregate.values import NUMBER_BYTES, Values, packed, packed_counts
from statsd_tcp.mapping.rules import PLAIN, Treatment
from statsd_tcp.series.exact import Doubles, Wholes

__all__ = ["Observations", "gathered"]

_ONCE: Final = packed_counts((1,))
_FULL: Final = packed((1.0,))

Mask = npt.NDArray[np.bool_]


class Observations(NamedTuple):
    """The values of some series, one series after the other.

    ``lengths``: how many each has, at least one. ``counts``: how often each of the values came, and ``rates``: how many
    events each time stands for; None: one.
    """

    identities: list[str]
    lengths: Wholes
    values: Doubles
    counts: Wholes | None
    rates: Doubles | None

    @property
    def weights(self) -> Doubles | None:
        """How many events each value stands for; None: one."""
        if self.counts is None:
            return self.rates
        return self.counts.astype(np.float64) if self.rates is None else self.counts * self.rates

    def of(self, chosen: Mask) -> Observations:
        """Return those of some of the series."""
        if chosen.all():
            return self
        every = np.repeat(chosen, self.lengths)
        names = [self.identities[place] for place in np.flatnonzero(chosen).tolist()]
        counts = None if self.counts is None else self.counts[every]
        rates = None if self.rates is None else self.rates[every]
        return Observations(names, self.lengths[chosen], self.values[every], counts, rates)

    def sums(self) -> tuple[Doubles, Doubles]:
        """Return the sum of each series' values, and that of their weights, exactly rounded."""
        weights = self.weights
        scaled = self.values if weights is None else self.values * weights
        return _exact_sums(scaled, self.lengths), self.events()

    def events(self) -> Doubles:
        """Return how many events each series' values stand for, exactly rounded."""
        weights = self.weights
        return self.lengths.astype(np.float64) if weights is None else _exact_sums(weights, self.lengths)

    def in_buckets(self, bounds: Sequence[float], unit: float) -> Doubles:
        """Return a row for each series: the weight up to each bound, and not to the one before.

        ``unit`` of the values is one of the bounds' unit.
        """
        width = len(bounds) + 1
        places = np.asarray(bounds, np.float64).searchsorted(self.values / unit)
        places += np.repeat(np.arange(0, len(self.lengths) * width, width), self.lengths)
        found = np.bincount(places, self.weights, len(self.lengths) * width)
        return found.reshape(-1, width)[:, :-1].astype(np.float64)

    def by_treatment(self, treatments: Mapping[str, Treatment]) -> Iterator[tuple[Treatment, Mask]]:
        """Yield each treatment with the series that have it."""
        if not treatments:
            yield PLAIN, np.ones(len(self.identities), np.bool_)
            return
        # Of one rule all series have the same one, and to compare them takes long.
        known: dict[int, tuple[Treatment, list[int]]] = {}
        for place, identity in enumerate(self.identities):
            treatment = treatments.get(identity, PLAIN)
            known.setdefault(id(treatment), (treatment, []))[1].append(place)
        for treatment, places in known.values():
            chosen = np.zeros(len(self.identities), np.bool_)
            chosen[places] = True
            yield treatment, chosen


def gathered(news: Mapping[str, Values]) -> Observations:
    """Put the values of all series together; those without any are left out."""
    several = list(news.values())
    columns = [each.values for each in several]
    sizes = np.fromiter(map(len, columns), np.int64, len(several))
    counts: Wholes | None = None
    rates: Doubles | None = None
    # Most have neither: to join nothing is the fastest way to see it.
    if b"".join([each.counts for each in several]):
        counts = _numbers([each.counts or _ONCE * len(each) for each in several], "<i8")
    if b"".join([each.rates for each in several]):
        rates = _numbers([each.rates or _FULL * len(each) for each in several], "<f8")
    came = Observations(list(news), sizes // NUMBER_BYTES, _numbers(columns, "<f8"), counts, rates)
    return came.of(sizes > 0)


def _numbers(parts: Sequence[bytes | bytearray], form: str) -> npt.NDArray[Any]:
    return np.frombuffer(b"".join(parts), form)


def _exact_sums(numbers: Doubles, lengths: Wholes) -> Doubles:
    """Add up what belongs to each series; of most it is one number."""
    ends = lengths.cumsum()
    starts = ends - lengths
    sums = numbers[starts]
    several = np.flatnonzero(lengths > 1)
    every = np.ascontiguousarray(numbers, np.float64).data
    slices = zip(starts[several].tolist(), ends[several].tolist(), strict=True)
    sums[several] = [fsum(every[start:end]) for start, end in slices]
    return sums
