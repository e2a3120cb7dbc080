"""The series of all kinds: their columns, what the file has of them, and the windows of summaries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.flush.counters import last_id
from statsd_tcp.flush.rules import MAX_SERIES
from statsd_tcp.mapping.mapper import Mapped
from statsd_tcp.series.addition import plan_addition
from statsd_tcp.series.changes import plan_counters, plan_gauges, plan_observations, plan_sets, plan_traits
from statsd_tcp.series.clock import SeriesClock
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.ids import number
from statsd_tcp.series.increments import Increments
from statsd_tcp.series.plan import RAW, WIDTHS, SeriesPlan
from statsd_tcp.series.raw import RawLayer
from statsd_tcp.series.sets import SetsPlan
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.series.traits import from_row
from statsd_tcp.series.windows import Windows
from statsd_tcp.store.loading import load_series
from statsd_tcp.store.series_file import SeriesFile, Writes

__all__ = ["SERIES_KINDS", "Kinds"]

SERIES_KINDS = tuple(kind for kind in WIDTHS if kind != RAW)
"""The kinds of series, by their types on the wire; ``h`` stands for ``d`` too, which means the same."""

_FAR = float(1 << 40)
"""Later than any wall time, in seconds."""

_LEAST_STEP = 60.0
"""Seconds that the wall clock is set by, or that went by without a process, from which on they are written down."""


class Kinds:
    """All series: those that are ``shown``, and the ``raw`` counters.

    ``mapped``: raw counters are not the shown ones; ``limit`` is that of raw ones. ``windows`` are the quantiles of
    summaries, in memory only.
    """

    def __init__(
        self,
        clock: SeriesClock,
        monotonic: Callable[[], float],
        limit: Amount = MAX_SERIES,
        *,
        mapped: bool = False,
    ) -> None:
        self._clock = clock
        self.shown = [SeriesColumns(kind) for kind in SERIES_KINDS]
        own = SeriesColumns(RAW)
        self.columns = [*self.shown, own]
        self.raw = RawLayer(self.shown[0], own, limit, mapped=mapped)
        self.windows = Windows(monotonic)
        self._file = SeriesFile(self.columns)
        self._next_id = 1
        self._ahead = 0.0

    def load(self, connection: sqlite3.Connection) -> list[str]:
        """Read everything, and have the clock go on; return in words what is damaged."""
        loaded = load_series(connection, self.columns)
        self._file.take_over(loaded.next_row, loaded.lacking, loaded.row_bytes)
        if loaded.row is not None:
            self._ahead, self._next_id = loaded.row.ahead, loaded.row.next_id
        if loaded.moment:
            self._clock.go_on(loaded.moment)
        told = connection.execute("SELECT identity FROM slot_series WHERE kind = 'c'").fetchall()
        self.raw.load([identity for (identity,) in told])
        traits = dict(map(from_row, connection.execute("SELECT id, ttl, help, bounds, counts FROM traits")))
        # If a row is lost nothing else may know of the last ids: what belongs to them must not become that of others.
        parts = connection.execute("SELECT counters FROM slot_parts")
        self._next_id = max(self._next_id, max(traits, default=0) + 1, last_id(packed for (packed,) in parts) + 1)
        for columns in self.columns:
            columns.load_traits(traits)
            columns.date(self._clock.now())
            self._next_id = max(self._next_id, int(columns.ids.max()) + 1)
            if columns.kind == "g":
                # Ticks mean nothing after the next boot. What stands for them is below zero, in their order.
                columns.numbers[1][:] = columns.updated - _FAR
        return loaded.damage

    def tables(self) -> Sequence[SeriesTable]:
        """Return the series of each kind as they are now."""
        return [columns.table() for columns in self.shown]

    def plan(self, mapped: Mapped, sets_plan: SetsPlan, known: Increments, raw: SeriesPlan) -> list[SeriesPlan]:
        """Work out what a commit does to the series of each kind.

        ``known`` is what comes to counters whose positions are known, ``raw`` what happens to raw ones with columns of
        their own.
        """
        news = mapped.news
        counters, gauges, times, distributions, sets = self.shown
        for_counters, for_gauges, for_times, for_distributions = (
            mapped.treatments.get(field, {}) for field in ("counters", "gauges", "times", "distributions")
        )
        planned = plan_counters(counters, news.counters, news.falls, known)
        if mapped.fallen:
            planned.left_out["negative"] = mapped.fallen
        counted = sets_plan.counts or {}
        plans = [
            plan_traits(counters, planned, for_counters, news.counters),
            plan_traits(gauges, plan_gauges(gauges, news.gauges), for_gauges, news.gauges),
            plan_observations(times, news.times, for_times),
            plan_observations(distributions, news.distributions, for_distributions),
            plan_traits(sets, plan_sets(sets, sets_plan.counts), sets_plan.treatments, counted),
            raw,
        ]
        number(list(zip(WIDTHS, plans, strict=True)), news.met, self._next_id)
        return plans

    def plan_addition(self, others: Sequence[SeriesColumns]) -> list[SeriesPlan]:
        """Work out what it does to the series of each kind to add those of another store."""
        plans = [plan_addition(*each) for each in zip(self.columns, others, strict=True)]
        number(list(zip(WIDTHS, plans, strict=True)), (), self._next_id)
        return plans

    def raw_plan(self, plans: Sequence[SeriesPlan]) -> SeriesPlan:
        """Return what happens to the raw counters, of the plans of all kinds."""
        return plans[0] if self.raw.is_shared else plans[-1]

    def writes(self, plans: Sequence[SeriesPlan], now: float) -> Writes | None:
        """Return what has to be written about the series; None if there is nothing."""
        ahead = self._clock.ahead(now)
        # Dates in the file are by the clock of the series, and how far the wall clock is ahead of it.
        is_later = self._next_id > 1 and abs(ahead - self._ahead) > _LEAST_STEP
        if is_later or not all(changes.is_empty() for changes in plans):
            return self._file.plan(plans, now, ahead, self._next_id)
        return None

    def apply(self, plans: Sequence[SeriesPlan], writes: Writes | None, now: float) -> None:
        """Do what is planned, and written by now."""
        if writes is not None:
            self._file.apply(writes)
            self._next_id, self._ahead = writes.next_id, writes.ahead
        self.raw.forget(plans[-1].expired, plans[0].expired)
        for columns, changes in zip(self.columns, plans, strict=True):
            self.windows.forget(columns.ids[changes.expired])
            columns.apply(changes, now)
            for treatment, positions, came in changes.observed:
                self.windows.observe(columns.ids[positions], came, treatment)
