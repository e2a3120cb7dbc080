"""What is different between the series of two snapshots; of what is equal whole pieces are compared at once."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress, count, zip_longest
from operator import is_not
from typing import NamedTuple

from statsd_tcp.series.table import SeriesTable
from statsd_tcp.series.traits import PLAIN_TRAITS, Traits

__all__ = ["PLAINLY", "Columns", "Said", "Series", "SeriesFields", "come_and_gone", "said_of", "said_otherwise"]

_PIECES = (4096, 64)
"""Ids that are compared at once; where they differ they are compared in smaller pieces."""


class Series(NamedTuple):
    """A series: its id, the number of its table, and its position there."""

    series_id: int
    number: int
    position: int


SeriesFields = tuple[int, int, int]
"""A series, where there are many: the collector of garbage forgets plain tuples of numbers."""


class Said(NamedTuple):
    """What a series says of its family."""

    help: str
    histogram: bool


PLAINLY = Said("", histogram=False)


class Columns(NamedTuple):
    """Those columns of a table by which its series are laid out."""

    kind: str
    ids: array[int]
    identities: Sequence[str]
    traits: Mapping[int, Traits]
    layout_version: int

    @classmethod
    def of(cls, table: SeriesTable) -> Columns:
        """Return the columns of a table."""
        ids = table.ids if isinstance(table.ids, array) else array("q", table.ids)
        return cls(table.kind, ids, table.identities, table.traits, table.layout_version)


def come_and_gone(number: int, before: Columns, now: Columns) -> tuple[list[SeriesFields], list[SeriesFields]]:
    """Return the series that the one has and the other has not; ``number`` is that of the table."""
    come: list[SeriesFields] = []
    gone: list[SeriesFields] = []
    if before.ids is not now.ids:
        for position in _different(before.ids, now.ids):
            for ids, found in ((before.ids, gone), (now.ids, come)):
                series_id = ids[position] if position < len(ids) else 0
                # An empty position has the id 0.
                if series_id:
                    found.append((series_id, number, position))
    return come, gone


def said_of(columns: Columns, series_id: int) -> Said:
    """Return what a series says of its family."""
    traits = columns.traits.get(series_id, PLAIN_TRAITS)
    return Said(traits.help, traits.bounds is not None)


def said_otherwise(number: int, before: Columns, now: Columns) -> Iterator[Series]:
    """Return the series that both have, and that say something else of their family."""
    if before.layout_version == now.layout_version:
        return
    others = compress(now.traits, map(is_not, now.traits.values(), map(before.traits.get, now.traits)))
    candidates = chain(others, before.traits.keys() - now.traits.keys())
    ids = {each for each in candidates if said_of(before, each) != said_of(now, each)}
    for position in compress(count(), map(ids.__contains__, now.ids)) if ids else ():
        series_id = now.ids[position]
        if position < len(before.ids) and before.ids[position] == series_id:
            yield Series(series_id, number, position)


def _different(one: array[int], other: array[int]) -> Iterator[int]:
    """Return the positions at which two columns differ."""
    most, few = _PIECES
    longer = max(len(one), len(other))
    for start in range(0, longer, most):
        if one[start : start + most] != other[start : start + most]:
            for begin in range(start, min(start + most, longer), few):
                pair = one[begin : begin + few], other[begin : begin + few]
                if pair[0] != pair[1]:
                    for position, (before, now) in enumerate(zip_longest(*pair, fillvalue=0), begin):
                        if before != now:
                            yield position
