"""The totals of another store's series, added to those of ours: what that does to the series of one kind.

Kinds whose numbers are not added up, gauges and sets, are not taken over. Remainders are not either: they are what the
doubles of the other store cannot show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from statsd_tcp.series.changes import placed
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import SUMS, SeriesPlan
from statsd_tcp.series.traits import PLAIN_TRAITS, Traits, observed, refit

__all__ = ["plan_addition"]


def plan_addition(columns: SeriesColumns, other: SeriesColumns) -> SeriesPlan:
    """Work out what comes to ``columns``; new series come in the order in which they came to the other store."""
    if columns.kind not in SUMS:
        return SeriesPlan()
    places = np.flatnonzero(other.ids[: other.top])
    places = places[np.argsort(other.ids[places])]
    identities = list(map(other.identity, places.tolist()))
    plan = placed(columns, SeriesPlan(), identities, *(column[places] for column in other.numbers[::2]))
    if other.has_traits():
        plan.traits.update(_traits(columns, other, identities))
    return plan


def _traits(columns: SeriesColumns, other: SeriesColumns, identities: Sequence[str]) -> Iterator[tuple[str, Traits]]:
    for identity in identities:
        came = other.traits(identity)
        before = columns.traits(identity) if identity in columns.positions else came
        if before is came and came != PLAIN_TRAITS:
            yield identity, came
        elif before.bounds is not None and came.bounds is not None:
            counts = came.counts if came.bounds == before.bounds else refit(came, before.bounds)
            yield identity, observed(before, counts)
