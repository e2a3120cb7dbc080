"""What the file says, in memory: commits are planned by it, and then it takes over what is in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.members import Members
from statsd_tcp.flush.flushes import Flushes
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.series.clock import SeriesClock
from statsd_tcp.series.expiry import Expiry
from statsd_tcp.series.ownership import Ownership
from statsd_tcp.series.sets import SetFlush
from statsd_tcp.store.backup import taken_at
from statsd_tcp.store.book import Book
from statsd_tcp.store.clients import Clients
from statsd_tcp.store.kinds import Kinds
from statsd_tcp.store.sessions import Sessions
from statsd_tcp.store.transaction import Plan

__all__ = ["Memory"]

_SET_SECONDS = 10
"""The length of the flushes in which the members of sets are counted, if output flushes have none."""


class Memory:
    """The book, the series of all kinds and what belongs to them. `Store` says what the arguments are.

    ``sessions`` are what workers say by number. ``backup_taken`` is when the backup was taken that the file was, in
    seconds since 1970, and None after the first commit.
    """

    def __init__(
        self,
        clock: SeriesClock,
        monotonic: Callable[[], float],
        *,
        series_ttl: float,
        limit: Amount,
        flushes: FlushRules | None,
        mapper: Mapper | None,
        counter_suffix: str,
        silence: float,
    ) -> None:
        self.clock = clock
        self.mapper = mapper
        self.book = Book({}, {})
        self.clients = Clients()
        self.kinds = Kinds(clock, monotonic, limit, mapped=mapper is not None)
        self.expiry = Expiry(self.kinds.columns, series_ttl, monotonic)
        self.ownership = Ownership(self.kinds.shown, counter_suffix, silence, monotonic)
        self.flushes = None if flushes is None else Flushes(flushes, monotonic, self.kinds.raw)
        self.sets = SetFlush(_SET_SECONDS if flushes is None else flushes.seconds)
        self.sessions = Sessions()
        self.backup_taken: float | None = None

    def load(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Read everything, when all of it is asked for, and yield in words what is damaged."""
        self.backup_taken = taken_at(connection)
        self.book = Book.load(connection)
        self.clients.load(connection)
        yield from self.kinds.load(connection)
        self.ownership.load(connection)
        if self.flushes is not None:
            self.flushes.load(connection)
            self._begin_sets(self.flushes)

    def apply(self, plan: Plan) -> None:
        """Do what is planned, and written by now."""
        self.book = plan.book
        if plan.clients is not None:
            self.clients.apply(plan.clients, plan.now)
        if plan.marked:
            self.backup_taken = None
        self.kinds.apply(plan.series, plan.writes, plan.now)
        self.kinds.raw.learn(plan.targets)
        for said in plan.said:
            said.session.place(said.numbers, self.kinds.raw.columns)
        if plan.decision is not None:
            self.ownership.apply(plan.decision)
        if plan.sets is not None:
            self.sets.apply(plan.sets)
        if plan.checked_expiry:
            self.kinds.windows.sweep()
            self.expiry.looked()
        self.expiry.hasten(plan.series)

    def _begin_sets(self, flushes: Flushes) -> None:
        if flushes.open is not None:
            self.sets.begin(flushes.open.start, self._mapped_sets(flushes.open.sets))

    def _mapped_sets(self, sets: Mapping[str, Members]) -> Iterator[tuple[str, Members]]:
        for identity, members in sets.items():
            target = identity if self.mapper is None else self.mapper.target("gauge", identity).identity
            if target is not None:
                yield target, members
