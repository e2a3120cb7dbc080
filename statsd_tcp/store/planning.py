"""What a commit changes is worked out before anything is changed: the plan of a batch, and that of a deletion."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from itertools import repeat

import numpy as np

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.interval import Interval, merge
from statsd_tcp.flush.rules import LAG
from statsd_tcp.mapping.mapper import OUTCOMES, Mapped
from statsd_tcp.series.increments import distinct
from statsd_tcp.series.plan import Positions
from statsd_tcp.series.room import Room
from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.clients import FORGOTTEN_AFTER
from statsd_tcp.store.deletion import leave_columns, leave_flushes
from statsd_tcp.store.memory import Memory
from statsd_tcp.store.news import News, flush_news, take_pieces
from statsd_tcp.store.search import Kind
from statsd_tcp.store.snapshot import Refusal
from statsd_tcp.store.transaction import Plan

__all__ = ["Planner"]


class Planner:
    """Plans what is to become of what is in memory, and in the file. ``limit``: how many series there may be."""

    def __init__(self, memory: Memory, limit: Amount, wall: Callable[[], float]) -> None:
        self._memory = memory
        self._kinds = memory.kinds
        self._room = Room(memory.kinds.shown, limit, lambda: memory.sets.open)
        self._wall = wall

    def deletion(self, kind: Kind, gone: Collection[str]) -> Plan:
        """Plan that series are forgotten."""
        memory, flushes = self._memory, self._memory.flushes
        plan = Plan(memory.book.copy(), leave_columns(kind, gone, self._kinds.columns), [], memory.clock.now())
        plan.writes = self._kinds.writes(plan.series, plan.now)
        if flushes is not None and gone:
            plan.flushes = lambda connection: leave_flushes(connection, kind, gone, flushes)
        return plan

    def commit(self, batch: CommitBatch) -> Plan:
        """Plan that a batch is added."""
        memory = self._memory
        book = memory.book.copy()
        for reading in batch.counts:
            book.take_counts(reading)
        refused: list[Refusal] = []
        clients = memory.clients.changes()
        news = take_pieces(batch.pieces, memory.sessions, self._kinds.raw, book, clients, refused)
        for ledger_id in batch.folded:
            book.fold(ledger_id)
        for ledger_id in batch.unlinked:
            book.forget(ledger_id)
        plan = Plan(book, [], refused, memory.clock.now(), memory.expiry.is_due, clients=clients)
        clients.drop_idle(plan.now - FORGOTTEN_AFTER if plan.checked_expiry else None)
        plan.marked = memory.backup_taken is not None
        plan.decision = memory.ownership.decide(plan.now)
        self._plan_series(plan, news or News(Interval()))
        plan.flushes = self._flush_work(plan, news, batch.delivered)
        return plan

    def _plan_series(self, plan: Plan, news: News) -> None:
        raw, come = self._kinds.raw, news.together()
        resolved = raw.resolve(news.known)
        if resolved.names:
            come = merge([come, Interval(counters=resolved.names)])
        mapped = self._mapped(come, resolved.outcomes)
        plan.targets, plan.mapped, plan.said = mapped.counters, mapped.outcomes, news.said
        room = self._room.make(mapped.news, resolved.known.positions, plan.now)
        plan.overflowed, plan.refused_series, plan.left_out = room.overflowed, room.refused, room.left_out
        mapped = mapped._replace(news=room.news)
        plan.sets = self._memory.sets.plan(room.news.sets, mapped.treatments.get("sets", {}), self._set_moment())
        plan.series = self._kinds.plan(mapped, plan.sets, resolved.known, raw.plan(come.counters, news.known.positions))
        self._plan_leaving(plan, room.gone)
        plan.writes = self._kinds.writes(plan.series, plan.now)

    def _plan_leaving(self, plan: Plan, gone: Sequence[Positions]) -> None:
        """Add what is idle to the plans of all kinds, and what is ``gone`` for the room that it takes."""
        memory = self._memory
        if plan.checked_expiry:
            memory.expiry.plan(plan.series, plan.now)
        for positions, changes in zip(gone, plan.series, strict=False):
            # Something may come to one of them after all: what found no room, and the members of an ended flush.
            if len(positions):
                still = np.setdiff1d(positions, changes.positions, assume_unique=True)
                changes.expired = distinct(np.concatenate([changes.expired, still]))
        if memory.flushes is not None:
            counters = self._kinds.raw_plan(plan.series)
            counters.expired = memory.flushes.counters.spared(counters.expired)

    def _mapped(self, news: Interval, outcomes: Sequence[int]) -> Mapped:
        mapper = self._memory.mapper
        if mapper is None:
            return Mapped(news, {}, counters=self._kinds.raw.unchanged(news.counters))
        mapped = mapper.apply(news)
        counted = zip(OUTCOMES, outcomes or repeat(0), strict=False)
        return mapped._replace(outcomes={outcome: mapped.outcomes[outcome] + number for outcome, number in counted})

    def _set_moment(self) -> float:
        """Return the moment of new members of sets: not before the open flush, whatever the clock was set to."""
        moment = self._wall() - LAG
        flush = None if self._memory.flushes is None else self._memory.flushes.open
        return moment if flush is None else max(moment, flush.start)

    def _flush_work(
        self, plan: Plan, news: News | None, delivered: Sequence[tuple[str, int]]
    ) -> Callable[[sqlite3.Connection], None] | None:
        flushes = self._memory.flushes
        if flushes is None:
            return None
        # In this order: if the process stands still in between, it seems to have been there for longer, not for less.
        began, wall = flushes.clock(), self._wall()
        if not (news or delivered or flushes.due(wall)):
            return None
        raw = self._kinds.raw_plan(plan.series)
        living, recovered = flush_news(self._kinds.raw, raw, news or News(Interval()), whole=not plan.overflowed)
        return lambda connection: flushes.write(connection, wall, recovered, living, raw.fresh, delivered, began=began)
