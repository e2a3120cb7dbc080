"""How a commit's news are put to the series: what changes is worked out, and nothing is changed yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.gauges import Change as GaugeChange
from statsd_tcp.aggregate.gauges import apply_changes
from statsd_tcp.aggregate.values import Values
from statsd_tcp.mapping.rules import PLAIN, Treatment
from statsd_tcp.store.series import Change, SeriesColumns, SeriesPlan, Update
from statsd_tcp.store.traits import MILLISECONDS, observed, traits_of

__all__ = ["plan_counters", "plan_gauges", "plan_observations", "plan_sets", "plan_traits"]


def plan_counters(columns: SeriesColumns, news: Mapping[str, float], falls: Mapping[str, Fall]) -> SeriesPlan:
    """Add what counters went up by. A total must not fall: what went down is left out, and each line counted."""
    plan = SeriesPlan({}, [], [])
    for identity, increment in news.items():
        position, old = columns.before(identity)
        _note(plan, position, identity, old.value + increment, 0.0)
    for identity, fall in falls.items():
        plan.negative += fall.lines
        plan.left_out["negative"] = identity
    return plan


def plan_gauges(columns: SeriesColumns, news: Mapping[str, list[GaugeChange]]) -> SeriesPlan:
    """Put the changes of gauges to their values. A gauge's ``weight`` is the tick at which it was last set."""
    plan = SeriesPlan({}, [], [])
    for identity, changes in news.items():
        position, (value, set_at) = columns.before(identity)
        _note(plan, position, identity, *apply_changes(value, set_at, changes))
    return plan


def plan_sets(columns: SeriesColumns, counts: Mapping[str, int] | None) -> SeriesPlan:
    """Put down how many members each set had in a flush that has ended; those to which nothing came had none."""
    plan = SeriesPlan({}, [], [])
    if counts is None:
        return plan
    for identity, count in counts.items():
        _note(plan, columns.positions.get(identity, -1), identity, float(count), 0.0)
    for identity, position in columns.positions.items():
        if identity not in counts and columns.before(identity)[1].value:
            plan.emptied.append(position)
    return plan


def plan_traits(
    columns: SeriesColumns, plan: SeriesPlan, treatments: Mapping[str, Treatment], news: Iterable[str]
) -> SeriesPlan:
    """Note the traits that the series in ``news`` get, as far as they change; histograms have theirs already."""
    if not treatments and not columns.has_traits():
        return plan
    for identity in news:
        if identity not in plan.fresh and identity not in columns.positions:
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
    plan = SeriesPlan({}, [], [])
    unit = MILLISECONDS if columns.kind == "ms" else 1.0
    for identity, values in news.items():
        position, old = columns.before(identity)
        counted = values.counted()
        if not counted.values:
            continue
        total = old.value + fsum(counted.scaled())
        _note(plan, position, identity, total, old.weight + fsum(counted.weights))
        treatment = treatments.get(identity, PLAIN)
        if treatment.buckets is None:
            plan.observed.append((identity, counted, treatment))
        else:
            traits = traits_of(treatment, columns.traits(identity))
            plan.traits[identity] = observed(traits, counted, unit)
    return plan_traits(columns, plan, treatments, news)


def _note(plan: SeriesPlan, position: int, identity: str, value: float, weight: float) -> None:
    if position < 0:
        plan.fresh[identity] = Change(value, weight)
    else:
        plan.updates.append(Update(position, value, weight))
