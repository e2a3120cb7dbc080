"""What is kept of a series in addition to its numbers: how it is treated, as far as that must outlast the process.

Most series have no traits. A histogram has its buckets here; its sum and count are its numbers, as a summary's are.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import add
from typing import Final

import msgspec

from statsd_tcp.mapping.rules import Treatment

__all__ = [
    "MILLISECONDS",
    "PLAIN_TRAITS",
    "Traits",
    "TraitsRow",
    "from_row",
    "observed",
    "refit",
    "to_row",
    "traits_of",
]

MILLISECONDS: Final = 1000.0
"""Values of times are in milliseconds; this many of them are one unit of their buckets."""


class Traits(msgspec.Struct, frozen=True):
    """The traits of a series.

    ``ttl``: seconds after which it goes, 0 for the store's own limit. ``help``: a text for people. ``bounds``: a
    histogram's upper bounds, None for what is none; ``counts``: the weight of what fell into each of its buckets, and
    not into one before. What is above the last bound is in the series' weight only.
    """

    ttl: float = 0.0
    help: str = ""
    bounds: tuple[float, ...] | None = None
    counts: tuple[float, ...] = ()


PLAIN_TRAITS: Final = Traits()

TraitsRow = tuple[int, float, str, bytes | None, bytes | None]
"""A row of the table ``traits``: the series' id, then the fields of `Traits`."""


def traits_of(treatment: Treatment, before: Traits) -> Traits:
    """Return the traits that a treatment asks for, with a histogram's counts as they were before."""
    if treatment.buckets is None:
        return Traits(treatment.ttl, treatment.help)
    counts = before.counts if before.bounds == treatment.buckets else refit(before, treatment.buckets)
    return Traits(treatment.ttl, treatment.help, treatment.buckets, counts)


def refit(traits: Traits, bounds: Sequence[float]) -> tuple[float, ...]:
    """Return a histogram's counts for other bounds.

    What is known of an observation is only that it is not above its old bound. So it is counted at the first new bound
    that is not below that one: at the bounds that stay no count changes, and none is ever too high.
    """
    counts = [0.0] * len(bounds)
    for bound, count in zip(traits.bounds or (), traits.counts, strict=True):
        place = bisect_left(bounds, bound)
        if place < len(counts):
            counts[place] += count
    return tuple(counts)


def observed(traits: Traits, counts: Iterable[float]) -> Traits:
    """Add to a histogram what fell into each of its buckets."""
    return msgspec.structs.replace(traits, counts=tuple(map(add, traits.counts, counts)))


def to_row(series_id: int, traits: Traits) -> TraitsRow:
    """Write traits as a row."""
    bounds = None if traits.bounds is None else _packed(traits.bounds)
    return series_id, traits.ttl, traits.help, bounds, None if bounds is None else _packed(traits.counts)


def from_row(row: TraitsRow) -> tuple[int, Traits]:
    """Read a row; raises `LookupError` for one that cannot be."""
    series_id, ttl, text, bounds, counts = row
    if bounds is None or counts is None:
        return series_id, Traits(ttl, text)
    if len(bounds) != len(counts) or len(bounds) % 8:
        raise LookupError(f"traits of series {series_id}")
    return series_id, Traits(ttl, text, _unpacked(bounds), _unpacked(counts))


def _packed(numbers: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _unpacked(packed: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(packed) // 8}d", packed)
