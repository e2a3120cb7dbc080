"""The store: one SQLite file, one transaction about every second, and what the file says kept in memory.

A `Store` belongs to the thread that opened it. It gives `Snapshot` objects away, which any thread may read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TypeVar

import numpy as np
from twisted.logger import Logger

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.interval import Interval, merge
from statsd_tcp.aggregate.members import Members
from statsd_tcp.flush.flushes import Flushes
from statsd_tcp.flush.queues import Queued
from statsd_tcp.flush.rules import LAG, MAX_SERIES, FlushRules
from statsd_tcp.mapping.mapper import OUTCOMES, Mapped, Mapper
from statsd_tcp.series.clock import SeriesClock
from statsd_tcp.series.expiry import Expiry
from statsd_tcp.series.increments import distinct
from statsd_tcp.series.owners import SILENCE
from statsd_tcp.series.ownership import Ownership
from statsd_tcp.series.room import Room
from statsd_tcp.series.sets import SetFlush
from statsd_tcp.store.backup import taken_at
from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.book import Book
from statsd_tcp.store.clients import FORGOTTEN_AFTER, Clients
from statsd_tcp.store.deletion import deletable, leave_columns, leave_flushes, parts, strip_parts
from statsd_tcp.store.durations import Durations
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.files import DAMAGED
from statsd_tcp.store.identity import Identity, take_identity
from statsd_tcp.store.kinds import Kinds
from statsd_tcp.store.news import News, flush_news, take_pieces
from statsd_tcp.store.outcomes import Outcomes
from statsd_tcp.store.place import Place
from statsd_tcp.store.search import Kind
from statsd_tcp.store.sessions import Sessions
from statsd_tcp.store.snapshot import Refusal, Snapshot, StoreStats
from statsd_tcp.store.transaction import Plan, transaction, write

__all__ = ["SERIES_TTL", "Store", "StoreError"]

_T = TypeVar("_T")

SERIES_TTL = 7 * 86400.0
"""Seconds after which a series that is no longer sent is dropped."""

_SET_SECONDS = 10
"""The length of the flushes in which the members of sets are counted, if output flushes have none."""


class Store:
    """The durable totals in the file at ``path``, which is made if there is none.

    ``series_ttl`` is in seconds, ``limit`` how many series there may be; ``flushes`` says how output flushes are made,
    None makes none; ``mapper`` gives series their names, None leaves them as they are. Counters on the page end in
    ``counter_suffix``, and a name there may go to another family after ``silence`` seconds. ``node`` is the name of the
    node that has it, "" for the one that it is known by. ``wall`` and ``monotonic`` are the clocks, in seconds. Raises
    `StoreError` if the file cannot be opened, is damaged, or is not ours.
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
        node: str = "",
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._wall = wall
        self._monotonic = monotonic
        self._clock = SeriesClock(wall, monotonic)
        self._book = Book({}, {})
        self._clients = Clients()
        self._kinds = Kinds(self._clock, monotonic, limit, mapped=mapper is not None)
        self._expiry = Expiry(self._kinds.columns, series_ttl, monotonic)
        self._ownership = Ownership(self._kinds.shown, counter_suffix, silence, monotonic)
        self._durations = Durations()
        self._last_commit = 0.0
        self._outcomes = Outcomes(OUTCOMES if mapper is not None else ())
        self.flushes = None if flushes is None else Flushes(flushes, monotonic, self._kinds.raw)
        self._mapper = mapper
        self._sets = SetFlush(_SET_SECONDS if flushes is None else flushes.seconds)
        self._room = Room(self._kinds.shown, limit, lambda: self._sets.open)
        self.sessions = Sessions()
        """What workers say by number."""
        self.backup_taken: float | None = None
        """When the backup was taken that the file was, in seconds since 1970; None after the first commit."""
        self._place = Place(path)
        self._connection = self._place.open()
        try:
            with translated(path):
                self.identity = self._identify(node)
                self._load()
        except BaseException:
            self._connection.close()
            raise
        self.snapshot = self._picture(())

    def close(self) -> None:
        """Close the file. What was committed is in it."""
        self._connection.close()

    def commit(self, batch: CommitBatch) -> Snapshot:
        """Add the batch in one transaction, and return the snapshot after it.

        All or nothing: after a `StoreError` neither the file nor the memory has any of it, and the same batch
        can be given again. An interval that does not begin at its ledger's offset is left out and named in
        ``refused``.
        """
        began = self._monotonic()
        self._recall()
        plan = self._plan(batch)
        with self._writing():
            self._write(plan)
        self._apply(plan)
        left_out = frozenset(piece.ledger_id for piece in batch.pieces if not piece.whole)
        for ledger_id in batch.folded:
            self.sessions.forget(ledger_id)
        self._last_commit = self._wall()
        self._durations.note(self._monotonic() - began)
        self.snapshot = self._picture(tuple(plan.refused), left_out)
        return self.snapshot

    def after(self, output: str, flush_id: int) -> Queued | None:
        """Read the first flush after that one which waits for an output; raises `StoreError`."""
        if self.flushes is None:
            return None
        with translated(self._path):
            return self.flushes.after(self._connection, output, flush_id)

    def change(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do something in a transaction of its own, with tables that commits do not touch; raises `StoreError`."""
        with self._writing(), transaction(self._connection):
            return work(self._connection)

    def look(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Read something from such tables; raises `StoreError`."""
        with translated(self._path):
            return work(self._connection)

    def deletable(self, kind: Kind) -> list[str]:
        """Return all series of a kind, here and in the open flush, each once; raises `StoreError`."""
        if self.flushes is not None:
            with translated(self._path):
                self.flushes.recall(self._connection)
        return deletable(kind, self._kinds.columns, self.flushes)

    def parts(self) -> range:
        """Return the ids of the parts that the open flush has in the file; raises `StoreError`."""
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
            plan = Plan(self._book.copy(), leave_columns(kind, gone, self._kinds.columns), [], self._clock.now())
            plan.writes = self._kinds.writes(plan.series, plan.now)
            if flushes is not None and gone:
                plan.flushes = lambda connection: leave_flushes(connection, kind, gone, flushes)
            self._write(plan)
        self._apply(plan)
        # These were not idle.
        self._outcomes.expired -= sum(len(changes.expired) for changes in plan.series)
        self.snapshot = self._picture(())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Put the files in order, and note what the writing makes of them; raises `StoreError`."""
        self._connection = self._place.keep(self._connection)
        with translated(self._path):
            yield
        self._place.note()

    def _recall(self) -> None:
        """Load the flushes from the file into memory, by which a commit is planned; raises `StoreError`."""
        flushes = self.flushes
        if flushes is not None and flushes.is_forgotten:
            with self._writing():
                flushes.recall(self._connection)

    def _write(self, plan: Plan) -> None:
        try:
            write(self._connection, plan, self._kinds.columns)
        except BaseException:
            if self.flushes is not None:
                self.flushes.forget()
            raise

    def _identify(self, node: str) -> Identity:
        with transaction(self._connection):
            identity, before = take_identity(self._connection, node)
        if identity.node != before:
            self._log.info(
                "the node of {path} was called {before}, and is called {node} now",
                path=self._path,
                before=before,
                node=identity.node,
            )
        return identity

    def _load(self) -> None:
        self.backup_taken = taken_at(self._connection)
        self._book = Book.load(self._connection)
        self._clients.load(self._connection)
        for fault in self._kinds.load(self._connection):
            self._place.faults[DAMAGED] += 1
            self._log.error("{path} is damaged: {fault}", path=self._path, fault=fault)
        self._ownership.load(self._connection)
        if self.flushes is not None:
            self.flushes.load(self._connection)
            self._begin_sets(self.flushes)

    def _begin_sets(self, flushes: Flushes) -> None:
        if flushes.open is not None:
            self._sets.begin(flushes.open.start, self._mapped_sets(flushes.open.sets))

    def _mapped_sets(self, sets: Mapping[str, Members]) -> Iterator[tuple[str, Members]]:
        for identity, members in sets.items():
            target = identity if self._mapper is None else self._mapper.target("gauge", identity).identity
            if target is not None:
                yield target, members

    def _plan(self, batch: CommitBatch) -> Plan:
        book = self._book.copy()
        for reading in batch.counts:
            book.take_counts(reading)
        refused: list[Refusal] = []
        clients = self._clients.changes()
        news = take_pieces(batch.pieces, self.sessions, self._kinds.raw, book, clients, refused)
        for ledger_id in batch.folded:
            book.fold(ledger_id)
        for ledger_id in batch.unlinked:
            book.forget(ledger_id)
        plan = Plan(book, [], refused, self._clock.now(), self._expiry.is_due, clients=clients)
        clients.drop_idle(plan.now - FORGOTTEN_AFTER if plan.checked_expiry else None)
        plan.marked = self.backup_taken is not None
        plan.decision = self._ownership.decide(plan.now)
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
        plan.sets = self._sets.plan(room.news.sets, mapped.treatments.get("sets", {}), self._set_moment())
        plan.series = self._kinds.plan(mapped, plan.sets, resolved.known, raw.plan(come.counters, news.known.positions))
        if plan.checked_expiry:
            self._expiry.plan(plan.series, plan.now)
        for positions, changes in zip(room.gone, plan.series, strict=False):
            # Something may come to one of them after all: what found no room, and the members of an ended flush.
            if len(positions):
                gone = np.setdiff1d(positions, changes.positions, assume_unique=True)
                changes.expired = distinct(np.concatenate([changes.expired, gone]))
        if self.flushes is not None:
            counters = self._kinds.raw_plan(plan.series)
            counters.expired = self.flushes.counters.spared(counters.expired)
        plan.writes = self._kinds.writes(plan.series, plan.now)

    def _set_moment(self) -> float:
        """Return the moment of new members of sets: not before the open flush, whatever the clock was set to."""
        moment = self._wall() - LAG
        flush = None if self.flushes is None else self.flushes.open
        return moment if flush is None else max(moment, flush.start)

    def _flush_work(
        self, plan: Plan, news: News | None, delivered: Sequence[tuple[str, int]]
    ) -> Callable[[sqlite3.Connection], None] | None:
        flushes, wall = self.flushes, self._wall()
        if flushes is None or not (news or delivered or flushes.due(wall)):
            return None
        raw = self._kinds.raw_plan(plan.series)
        living, recovered = flush_news(self._kinds.raw, raw, news or News(Interval()), whole=not plan.overflowed)
        return lambda connection: flushes.write(connection, wall, recovered, living, raw.fresh, delivered)

    def _mapped(self, news: Interval, outcomes: Sequence[int]) -> Mapped:
        if self._mapper is None:
            return Mapped(news, {}, counters=self._kinds.raw.unchanged(news.counters))
        mapped = self._mapper.apply(news)
        counted = zip(OUTCOMES, outcomes or repeat(0), strict=False)
        return mapped._replace(outcomes={outcome: mapped.outcomes[outcome] + number for outcome, number in counted})

    def _apply(self, plan: Plan) -> None:
        self._book = plan.book
        if plan.clients is not None:
            self._clients.apply(plan.clients, plan.now)
        if plan.marked:
            self.backup_taken = None
        self._kinds.apply(plan.series, plan.writes, plan.now)
        self._kinds.raw.learn(plan.targets)
        for said in plan.said:
            said.session.place(said.numbers, self._kinds.raw.columns)
        if plan.decision is not None:
            self._ownership.apply(plan.decision)
        if plan.sets is not None:
            self._sets.apply(plan.sets)
        self._outcomes.note(plan)
        if plan.checked_expiry:
            self._kinds.windows.sweep()
            self._expiry.looked()
        self._expiry.hasten(plan.series)

    def _picture(self, refused: tuple[Refusal, ...], left_out: AbstractSet[str] = frozenset()) -> Snapshot:
        counters, gauges, times, distributions, sets = self._kinds.tables()
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
            windows=self._kinds.windows,
            owners=self._ownership.owners,
            store=self.identity.uuid,
            left_out=left_out,
            clients=len(self._clients),
        )

    def _stats(self) -> StoreStats:
        last = self._ownership.last
        return StoreStats(
            commits=self._durations.count,
            last_commit=self._last_commit,
            duration_sum=self._durations.total,
            duration_buckets=self._durations.buckets(),
            expired=self._outcomes.expired,
            conflicts=dict(self._outcomes.conflicts),
            dropped=dict(self._outcomes.dropped),
            left_out=dict(self._outcomes.left_out),
            mapped=dict(self._outcomes.mapped),
            rules=0 if self._mapper is None else self._mapper.size,
            without_quantiles=self._kinds.windows.refused,
            sets_approximated=self._sets.approximated,
            faults=dict(self._place.faults),
            takeovers=self._ownership.takeovers,
            taken_over=() if last is None else (last.winner.identity, last.loser.identity),
        )
