"""The store: one SQLite file, one transaction about every second, and what the file says kept in memory.

A `Store` belongs to the thread that opened it. It gives `Snapshot` objects away, which any thread may read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from twisted.logger import Logger

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.aggregate.interval import Interval, merge
from statsd_tcp.aggregate.members import Members
from statsd_tcp.mapping.mapper import Mapped, Mapper
from statsd_tcp.mapping.shown import Family
from statsd_tcp.store.backup import taken_at
from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.book import Book
from statsd_tcp.store.changes import plan_counters, plan_gauges, plan_observations, plan_sets, plan_traits
from statsd_tcp.store.contests import Contests
from statsd_tcp.store.deletion import deletable, leave_columns, leave_flushes, parts, strip_parts
from statsd_tcp.store.durations import Durations
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.files import DAMAGED
from statsd_tcp.store.flushes import LAG, MAX_SERIES, Flushes, FlushRules
from statsd_tcp.store.loading import load_series
from statsd_tcp.store.numbers import number
from statsd_tcp.store.owners import SILENCE, Decision, Owner, Takeover, decide
from statsd_tcp.store.place import Place
from statsd_tcp.store.queues import Queued
from statsd_tcp.store.room import Room
from statsd_tcp.store.search import Kind
from statsd_tcp.store.series import WIDTHS, SeriesColumns, SeriesPlan
from statsd_tcp.store.series_file import SeriesFile, Writes
from statsd_tcp.store.sets import SetFlush, SetsPlan
from statsd_tcp.store.snapshot import Refusal, Snapshot, StoreStats
from statsd_tcp.store.traits import from_row
from statsd_tcp.store.transaction import Plan, write
from statsd_tcp.store.windows import Observations, Windows

__all__ = ["CONFLICT_REASONS", "SERIES_KINDS", "SERIES_TTL", "Store", "StoreError"]

SERIES_TTL = 7 * 86400.0
"""Seconds after which a series that nobody sends any more is dropped."""

SERIES_KINDS = tuple(WIDTHS)
"""The kinds of series, by their types on the wire; ``h`` stands for ``d`` too, which means the same."""

CONFLICT_REASONS = ("negative",)
"""Why the store leaves something out: see `StoreStats`."""

DROP_REASONS = ("overflow", "refused")
"""What became of what came for series beyond the limit: see `StoreStats`."""

_EXPIRY_PERIOD = 60.0

_LOOK_PERIOD = 60.0
"""Seconds between two looks at who owns the names on the page."""

_LOOKED_AT = 10_000
"""Series whose names are looked at in one commit: about 30 milliseconds."""

_STEPS = 10
"""Series with a time to live of their own are looked at so often in the shortest of those times; owners of names on the
page, in the silence after which they may lose it."""

_FAR = float(1 << 40)
"""Later than any wall time, in seconds."""

_KIND_NAMES = {"c": "counter", "g": "gauge", "ms": "timer (ms)", "h": "distribution (h, d)", "s": "set"}

_LEAST_STEP = 60.0
"""Seconds that the wall clock is set by, or that went by without a process, from which on they are written down."""

_SET_SECONDS = 10
"""The length of the flushes in which the members of sets are counted, if output flushes have none."""


class Store:
    """The durable totals in the file at ``path``, which is made if there is none.

    ``series_ttl`` is in seconds, ``limit`` how many series there may be; ``flushes`` says how output flushes are
    made, None makes none; ``mapper`` gives series their names, None leaves them as they are. Counters on the page
    end in ``counter_suffix``, and a name there may go to another family after ``silence`` seconds. ``wall`` and
    ``monotonic`` are the clocks, in seconds. Raises `StoreError` if the file can't be opened, is damaged, or isn't
    ours.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        *,
        series_ttl: float = SERIES_TTL,
        limit: Amount = MAX_SERIES,
        flushes: FlushRules | None = None,
        mapper: Mapper | None = None,
        counter_suffix: str = "",
        silence: float = SILENCE,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._ttl = series_ttl
        self._wall = wall
        self._monotonic = monotonic
        self._book = Book({}, {})
        self._columns = [SeriesColumns(kind) for kind in SERIES_KINDS]
        self._series = SeriesFile(self._columns)
        self._next_id = 1
        self._newest = self._ahead = 0.0
        self._durations = Durations()
        self._last_commit = 0.0
        self._expired = 0
        self._conflicts = dict.fromkeys(CONFLICT_REASONS, 0)
        self._dropped = dict.fromkeys(DROP_REASONS, 0)
        self._left_out: dict[str, str] = {}
        self._silence = silence
        # Replaced, never changed: snapshots have it.
        self._owners: Mapping[str, Owner] = {}
        self._takeovers = 0
        self._last_takeover: Takeover | None = None
        self._room = Room(self._columns, limit)
        self.flushes = None if flushes is None else Flushes(flushes, monotonic)
        self._mapper = mapper
        self._sets = SetFlush(_SET_SECONDS if flushes is None else flushes.seconds)
        self._windows = Windows(monotonic)
        self.backup_taken: float | None = None
        """When the backup was taken that the file was, in seconds since 1970; None after the first commit."""
        self._place = Place(path)
        self._connection = self._place.open()
        try:
            with translated(path):
                self._load()
        except BaseException:
            self._connection.close()
            raise
        self._start_clock()
        self._contests = Contests(self._columns, counter_suffix, self._owners)
        self._next_look = 0.0
        self.snapshot = self._picture(())

    def close(self) -> None:
        """Close the file. What was committed is in it."""
        self._connection.close()

    def commit(self, batch: CommitBatch) -> Snapshot:
        """Add the batch in one transaction, and give the picture after it.

        All or nothing: after a `StoreError` neither the file nor the memory has any of it, and the same batch
        can be given again. An interval that doesn't begin at its ledger's offset is left out and named in
        ``refused``.
        """
        began = self._monotonic()
        plan = self._plan(batch)
        with self._writing():
            writes = self._write(plan)
        self._apply(plan, writes)
        self._last_commit = self._wall()
        self._durations.note(self._monotonic() - began)
        self.snapshot = self._picture(tuple(plan.refused))
        return self.snapshot

    def after(self, output: str, flush_id: int) -> Queued | None:
        """Read the first flush behind that one which waits for an output; raises `StoreError`."""
        if self.flushes is None:
            return None
        with translated(self._path):
            return self.flushes.after(self._connection, output, flush_id)

    def deletable(self, kind: Kind) -> list[str]:
        """Give all series of a kind, here and in the open flush, each once; raises `StoreError`."""
        if self.flushes is not None:
            with translated(self._path):
                self.flushes.recall(self._connection)
        return deletable(kind, self._columns, self.flushes)

    def parts(self) -> range:
        """Give the ids of the parts that the open flush has in the file; raises `StoreError`."""
        with translated(self._path):
            return parts(self._connection)

    def strip(self, kind: Kind, gone: AbstractSet[str], ids: range) -> range:
        """Take series out of the first of these parts, and return which are left; raises `StoreError`."""
        with self._writing():
            return strip_parts(self._connection, kind, gone, ids)

    def delete(self, kind: Kind, gone: Collection[str]) -> None:
        """Forget series, which `strip` has taken out of the file, in one transaction; raises `StoreError`."""
        flushes = self.flushes
        with self._writing():
            if flushes is not None:
                flushes.recall(self._connection)
            plan = Plan(self._book.copy(), leave_columns(kind, gone, self._columns), [], self._now(), False)
            if flushes is not None and gone:
                plan.flushes = lambda connection: leave_flushes(connection, kind, gone, flushes)
            writes = self._write(plan)
        self._apply(plan, writes)
        # These were not idle.
        self._expired -= sum(len(changes.expired) for changes in plan.series)
        self.snapshot = self._picture(())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Have the files as they must be, and see what the writing makes of them; raises `StoreError`."""
        self._connection = self._place.keep(self._connection)
        with translated(self._path):
            yield
        self._place.note()

    def _write(self, plan: Plan) -> Writes | None:
        writes = None
        ahead = self._wall() - plan.now
        # Dates in the file are by the clock of the series, and how far the wall clock is ahead of it.
        if plan.changes_series() or (self._next_id > 1 and abs(ahead - self._ahead) > _LEAST_STEP):
            writes = self._series.plan(plan.series, plan.now, ahead, self._next_id)
        try:
            write(self._connection, plan, self._columns, self._series, writes)
            return writes
        except BaseException:
            if self.flushes is not None:
                self.flushes.forget()
            raise

    def _load(self) -> None:
        self.backup_taken = taken_at(self._connection)
        self._book = Book.load(self._connection)
        self._load_series()
        traits = dict(map(from_row, self._connection.execute("SELECT id, ttl, help, bounds, counts FROM traits")))
        for columns in self._columns:
            columns.load_traits(traits)
        owners = self._connection.execute("SELECT name, family, kind, since FROM owners")
        self._owners = {name: Owner(Family(family, kind), since) for name, family, kind, since in owners}
        if self.flushes is not None:
            self.flushes.load(self._connection)
            self._begin_sets(self.flushes)

    def _load_series(self) -> None:
        loaded = load_series(self._connection, self._columns)
        self._series.take_over(loaded.lacking, loaded.row_bytes)
        for fault in loaded.damage:
            self._log.error("{path} is damaged: {fault}", path=self._path, fault=fault)
        self._place.faults[DAMAGED] += len(loaded.damage)
        if loaded.row is not None:
            self._newest, self._ahead, self._next_id = loaded.row.now, loaded.row.ahead, loaded.row.next_id
        for columns in self._columns:
            self._next_id = max(self._next_id, int(columns.ids.max()) + 1)
            if columns.kind == "g":
                # Ticks mean nothing after the next boot. What stands for them is below zero, in their order.
                columns.numbers[1][:] = columns.updated - _FAR

    def _begin_sets(self, flushes: Flushes) -> None:
        if flushes.open is not None:
            self._sets.begin(flushes.open.start, self._mapped_sets(flushes.open.sets))

    def _mapped_sets(self, sets: Mapping[str, Members]) -> Iterator[tuple[str, Members]]:
        for identity, members in sets.items():
            target = identity if self._mapper is None else self._mapper.target("gauge", identity).identity
            if target is not None:
                yield target, members

    def _start_clock(self) -> None:
        """Go on where the clock of the series stood; it began at some wall time.

        A downtime, or a wall clock that is wrong now or was wrong then, must not expire anything.
        """
        self._epoch = (self._newest or self._wall()) - self._monotonic()
        self._next_expiry = self._monotonic()

    def _now(self) -> float:
        return self._epoch + self._monotonic()

    def _plan(self, batch: CommitBatch) -> Plan:
        book = self._book.copy()
        for reading in batch.counts:
            book.take_counts(reading)
        refused: list[Refusal] = []
        living: list[Interval] = []
        recovered: list[Interval] = []
        for piece in batch.pieces:
            interval = decode(piece.payload)
            refusal = book.take_interval(piece, interval)
            if refusal is not None:
                refused.append(refusal)
            elif piece.recovered:
                recovered.append(interval)
            else:
                living.append(interval)
        for ledger_id in batch.folded:
            book.fold(ledger_id)
        for ledger_id in batch.unlinked:
            book.forget(ledger_id)
        due = self._monotonic() >= self._next_expiry
        now = self._now()
        mapped = self._mapped(_merged([*recovered, *living]))
        room = self._room.make(mapped.news, now)
        mapped = mapped._replace(news=room.news)
        sets = self._sets.plan(room.news.sets, mapped.treatments.get("sets", {}), self._set_moment())
        series = self._plan_series(mapped, sets)
        plan = Plan(book, series, refused, now, due, self._flush_work(living, recovered, batch.delivered))
        plan.overflowed, plan.refused_series, plan.sets = room.overflowed, room.refused, sets
        plan.left_out = room.left_out
        plan.marked = self.backup_taken is not None
        plan.decision = self._decide(now)
        if due:
            self._plan_expiry(plan)
        for positions, changes in zip(room.gone, plan.series, strict=True):
            changes.expired = np.union1d(changes.expired, positions)
        return plan

    def _decide(self, now: float) -> Decision | None:
        """Find out who owns the names on the page, once in a while; None in between."""
        if self._monotonic() < self._next_look or not self._contests.look(_LOOKED_AT):
            return None
        return decide(self._contests.candidates(), self._owners, now, self._silence)

    def _set_moment(self) -> float:
        """Return the moment to which news of sets belong: not before the open flush, whatever the clock was set to."""
        moment = self._wall() - LAG
        flush = None if self.flushes is None else self.flushes.open
        return moment if flush is None else max(moment, flush.start)

    def _flush_work(
        self, living: Sequence[Interval], recovered: list[Interval], delivered: Sequence[tuple[str, int]]
    ) -> Callable[[sqlite3.Connection], None] | None:
        flushes, wall = self.flushes, self._wall()
        if flushes is None or not (living or recovered or delivered or flushes.due(wall)):
            return None
        news = _merged(living)
        return lambda connection: flushes.write(connection, wall, recovered, news, delivered)

    def _mapped(self, news: Interval) -> Mapped:
        return Mapped(news, {}) if self._mapper is None else self._mapper.apply(news)

    def _plan_series(self, mapped: Mapped, sets_plan: SetsPlan) -> list[SeriesPlan]:
        news = mapped.news
        counters, gauges, times, distributions, sets = self._columns
        for_counters, for_gauges, for_times, for_distributions = (
            mapped.treatments.get(field, {}) for field in ("counters", "gauges", "times", "distributions")
        )
        planned = plan_counters(counters, news.counters, news.falls)
        if mapped.fallen:
            planned.left_out["negative"] = mapped.fallen
        counted = sets_plan.counts or {}
        plans = [
            plan_traits(counters, planned, for_counters, news.counters),
            plan_traits(gauges, plan_gauges(gauges, news.gauges), for_gauges, news.gauges),
            plan_observations(times, news.times, for_times),
            plan_observations(distributions, news.distributions, for_distributions),
            plan_traits(sets, plan_sets(sets, sets_plan.counts), sets_plan.treatments, counted),
        ]
        number(list(zip(SERIES_KINDS, plans, strict=True)), news.met, self._next_id)
        return plans

    def _plan_expiry(self, plan: Plan) -> None:
        cut = plan.now - self._ttl
        for columns, changes in zip(self._columns, plan.series, strict=True):
            idle = columns.idle_since(cut, changes.positions)
            changes.expired = np.union1d(idle, columns.lapsed(plan.now, changes.positions))

    def _apply(self, plan: Plan, writes: Writes | None) -> None:
        self._book = plan.book
        if plan.marked:
            self.backup_taken = None
        if writes is not None:
            self._series.apply(writes)
            self._next_id, self._ahead = writes.next_id, writes.ahead
        for columns, changes in zip(self._columns, plan.series, strict=True):
            self._windows.forget(columns.ids[changes.expired].tolist())
            columns.apply(changes, plan.now)
            self._expired += len(changes.expired)
            self._conflicts["negative"] += changes.negative
            self._left_out.update(changes.left_out)
            self._windows.observe(
                Observations(int(columns.ids[columns.positions[identity]]), counted, treatment)
                for identity, counted, treatment in changes.observed
            )
        if plan.decision is not None:
            self._own(plan.decision)
        if plan.sets is not None:
            self._sets.apply(plan.sets)
        self._dropped["overflow"] += plan.overflowed
        self._dropped["refused"] += plan.refused_series
        self._left_out.update(plan.left_out)
        if plan.checked_expiry:
            self._windows.sweep()
            self._next_expiry = self._monotonic() + _period(_EXPIRY_PERIOD, self._shortest_ttl())
        for changes in plan.series:
            for traits in changes.traits.values():
                if traits.ttl:
                    self._next_expiry = min(self._next_expiry, self._monotonic() + _period(_EXPIRY_PERIOD, traits.ttl))

    def _own(self, decision: Decision) -> None:
        """Have names on the page belong to others from now on."""
        if decision.owners != self._owners:
            self._owners = decision.owners
        if not self._contests.settle(decision.candidates, decision.owners):
            self._next_look = self._monotonic() + _period(_LOOK_PERIOD, self._silence)
        self._takeovers += len(decision.takeovers)
        for takeover in decision.takeovers[-1:]:
            self._last_takeover = takeover
            self._log.warn(
                "names on /metrics that changed type or unit: {number}; {name} is a {winner} now, was a {loser}",
                number=len(decision.takeovers),
                name=takeover.name,
                winner=_KIND_NAMES[takeover.winner.family.kind],
                loser=_KIND_NAMES[takeover.loser.family.kind],
            )

    def _shortest_ttl(self) -> float:
        return min(columns.shortest_ttl(self._ttl) for columns in self._columns)

    def _picture(self, refused: tuple[Refusal, ...]) -> Snapshot:
        counters, gauges, times, distributions, sets = (columns.table() for columns in self._columns)
        return Snapshot(
            settled=self._book.settled,
            ledgers=self._book.ledgers,
            counters=counters,
            gauges=gauges,
            times=times,
            distributions=distributions,
            stats=self._stats(),
            refused=refused,
            flushes=None if self.flushes is None else self.flushes.state(),
            sets=sets,
            windows=self._windows,
            owners=self._owners,
        )

    def _stats(self) -> StoreStats:
        last = self._last_takeover
        return StoreStats(
            commits=self._durations.count,
            last_commit=self._last_commit,
            duration_sum=self._durations.total,
            duration_buckets=self._durations.buckets(),
            expired=self._expired,
            conflicts=dict(self._conflicts),
            dropped=dict(self._dropped),
            left_out=dict(self._left_out),
            mapped={} if self._mapper is None else dict(self._mapper.outcomes),
            rules=0 if self._mapper is None else self._mapper.size,
            without_quantiles=self._windows.refused,
            sets_approximated=self._sets.approximated,
            faults=dict(self._place.faults),
            takeovers=self._takeovers,
            taken_over=() if last is None else (last.winner.identity, last.loser.identity),
        )


def _merged(intervals: Sequence[Interval]) -> Interval:
    return intervals[0] if len(intervals) == 1 else merge(intervals)


def _period(usual: float, shortest: float) -> float:
    """Return how often to look for what takes that long: in steps of a tenth of it, if that is less than usual."""
    return min(usual, max(1.0, shortest / _STEPS))
