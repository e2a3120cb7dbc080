"""Works out how a commit changes the series, without changing them yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.gauges import Change as GaugeChange
from statsd_tcp.aggregate.gauges import apply_changes
from statsd_tcp.aggregate.values import Values
from statsd_tcp.mapping.rules import PLAIN, Treatment
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.exact import Doubles
from statsd_tcp.series.increments import NOTHING, Increments, merged
from statsd_tcp.series.observations import gathered
from statsd_tcp.series.plan import Fresh, Positions, SeriesPlan
from statsd_tcp.series.traits import MILLISECONDS, observed, traits_of

__all__ = ["placed", "plan_counters", "plan_gauges", "plan_observations", "plan_sets", "plan_traits"]


def plan_counters(
    columns: SeriesColumns, news: Mapping[str, float], falls: Mapping[str, Fall], known: Increments = NOTHING
) -> SeriesPlan:
    """Add what counters went up by, those whose position is ``known`` and those that are named.

    A total must not fall: what went down is left out, and each line counted.
    """
    plan = SeriesPlan()
    for identity, fall in falls.items():
        plan.negative += fall.lines
        plan.left_out["negative"] = identity
    came = known
    if news:
        positions, plan.fresh = _places(columns, list(news))
        came = merged([known, Increments(positions, np.fromiter(news.values(), np.float64, len(news)))])
    return _put(columns, plan, came.positions, came.amounts)


def plan_gauges(columns: SeriesColumns, news: Mapping[str, list[GaugeChange]]) -> SeriesPlan:
    """Put the changes of gauges to their values."""
    positions = columns.find(news)
    values, set_at = (np.where(positions < 0, 0.0, column[positions]).tolist() for column in columns.numbers)
    after = list(map(apply_changes, values, set_at, news.values()))
    return placed(columns, SeriesPlan(), list(news), *_columns(after, 2))


def plan_sets(columns: SeriesColumns, counts: Mapping[str, int] | None) -> SeriesPlan:
    """Put down how many members each set had in a flush that has ended; those to which nothing came had none."""
    if counts is None:
        return SeriesPlan()
    plan = placed(columns, SeriesPlan(), list(counts), np.fromiter(counts.values(), np.float64, len(counts)))
    occupied = np.flatnonzero(columns.numbers[0][: columns.top] * (columns.ids[: columns.top] != 0))
    plan.emptied = np.setdiff1d(occupied, plan.positions, assume_unique=True)
    return plan


def plan_traits(
    columns: SeriesColumns, plan: SeriesPlan, treatments: Mapping[str, Treatment], news: Iterable[str]
) -> SeriesPlan:
    """Note the traits that the series in ``news`` get, as far as they change; histograms have theirs already."""
    if not treatments and not columns.has_traits():
        return plan
    new = set(plan.fresh.identities)
    for identity in news:
        if identity not in new and identity not in columns.positions:
            continue
        before = columns.traits(identity)
        fresh = plan.traits.get(identity)
        if fresh is None:
            fresh = traits_of(treatments.get(identity, PLAIN), before)
        if fresh == before:
            plan.traits.pop(identity, None)
        else:
            plan.traits[identity] = fresh
    return plan


def plan_observations(
    columns: SeriesColumns,
    news: Mapping[str, Values],
    treatments: Mapping[str, Treatment],
) -> SeriesPlan:
    """Add observations to sums and counts, and to the buckets of histograms.

    A sum may fall, by values below zero; a count never does.
    """
    plan = SeriesPlan()
    unit = MILLISECONDS if columns.kind == "ms" else 1.0
    came = gathered(news)
    positions, plan.fresh = _places(columns, came.identities)
    for treatment, chosen in came.by_treatment(treatments):
        some = came.of(chosen)
        if treatment.buckets is None:
            plan.observed.append((treatment, positions[chosen], some))
            continue
        for identity, counts in zip(some.identities, some.in_buckets(treatment.buckets, unit).tolist(), strict=True):
            plan.traits[identity] = observed(traits_of(treatment, columns.traits(identity)), counts)
    return plan_traits(columns, _put(columns, plan, positions, *came.sums()), treatments, news)


def placed(columns: SeriesColumns, plan: SeriesPlan, identities: list[str], *numbers: Doubles) -> SeriesPlan:
    """Find the places of what came, and work out the numbers there."""
    positions, plan.fresh = _places(columns, identities)
    return _put(columns, plan, positions, *numbers)


def _put(columns: SeriesColumns, plan: SeriesPlan, positions: Positions, *numbers: Doubles) -> SeriesPlan:
    """Work out the numbers at some places, the fresh ones of the plan among them."""
    if not (positions[:-1] < positions[1:]).all():
        order = positions.argsort()
        positions, numbers = positions[order], tuple(column[order] for column in numbers)
    new = positions.searchsorted(plan.fresh.positions) if plan.fresh.identities else None
    plan.positions, plan.numbers = positions, numbers
    plan.after = columns.outcome(positions, numbers, new)
    return plan


def _places(columns: SeriesColumns, identities: list[str]) -> tuple[Positions, Fresh]:
    """Return the positions of some series, each of which is there once, and those of them that are new."""
    positions = columns.find(identities)
    if not len(positions) or positions.min() >= 0:
        return positions, Fresh()
    new = np.flatnonzero(positions < 0)
    fresh = columns.room_for([identities[at] for at in new.tolist()])
    positions[new] = fresh.positions
    return positions, fresh


def _columns(rows: Sequence[tuple[float, ...]], width: int) -> Sequence[Doubles]:
    return tuple(np.array(rows, np.float64).reshape(-1, width).T.copy())
