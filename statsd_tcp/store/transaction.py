"""A commit worked out: what it changes, and how that is written to SQLite in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from statsd_tcp.mapping.mapper import Target
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.owners import Decision
from statsd_tcp.series.plan import SeriesPlan
from statsd_tcp.series.sets import SetsPlan
from statsd_tcp.series.traits import PLAIN_TRAITS, TraitsRow, to_row
from statsd_tcp.store.backup import unmark
from statsd_tcp.store.book import Book
from statsd_tcp.store.clients import ClientChanges
from statsd_tcp.store.series_file import Writes, write_series
from statsd_tcp.store.session import Said
from statsd_tcp.store.snapshot import Refusal

__all__ = ["Plan", "transaction", "write"]

_PUT_LEDGER = """INSERT INTO ledgers (id, worker, boot_id, committed, state, counts) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET committed = excluded.committed, state = excluded.state, counts =
    excluded.counts"""
_DROP_LEDGER = "DELETE FROM ledgers WHERE id = ?"
_PUT_TOTAL = """INSERT INTO totals (metric, labels, value) VALUES (?, ?, ?)
    ON CONFLICT (metric, labels) DO UPDATE SET value = excluded.value"""
_PUT_TRAITS = """INSERT INTO traits (id, ttl, help, bounds, counts) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET ttl = excluded.ttl, help = excluded.help, bounds = excluded.bounds,
    counts = excluded.counts"""
_DROP_TRAITS = "DELETE FROM traits WHERE id = ?"
_PUT_OWNER = "INSERT OR REPLACE INTO owners (name, family, kind, since) VALUES (?, ?, ?, ?)"
_DROP_OWNER = "DELETE FROM owners WHERE name = ?"


class Plan(msgspec.Struct):
    """What one commit does. Nothing is changed yet while there is only the plan.

    ``series`` are the changes to each kind's columns, and ``writes`` what has to be written about them; ``now`` is the
    moment of what changes, by the clock of the series. ``flushes``, if there is something to do about them, is called
    inside the transaction, and so is ``also``. ``left_out`` are series that found no room. ``sets`` are their members,
    which are in memory only. ``decision`` says who owns the names on the page, if that was looked at. ``marked`` says
    that the file has the mark of a backup, which goes. ``targets`` says what became of raw counters that came by name,
    and ``said`` are the numbers that stand for them. ``mapped``: how many series were looked up, by what became of
    them. ``clients``: whose batches are new.
    """

    book: Book
    series: list[SeriesPlan]
    refused: list[Refusal]
    now: float
    checked_expiry: bool = False
    writes: Writes | None = None
    flushes: Callable[[sqlite3.Connection], None] | None = None
    overflowed: int = 0
    refused_series: int = 0
    left_out: Mapping[str, str] = {}
    sets: SetsPlan | None = None
    decision: Decision | None = None
    marked: bool = False
    targets: Mapping[str, Target] = {}
    mapped: Mapping[str, int] = {}
    said: Sequence[Said] = ()
    also: Callable[[sqlite3.Connection], None] | None = None
    clients: ClientChanges | None = None

    def is_empty(self) -> bool:
        """Return whether there is nothing to write."""
        decided = self.decision is not None and self.decision.is_new()
        idle = self.flushes is None and self.also is None and self.writes is None
        return idle and not (self.book.changed() or self.marked or self.clients or decided)


def write(connection: sqlite3.Connection, plan: Plan, columns: Sequence[SeriesColumns]) -> None:
    """Write all of a plan or, if SQLite raises, nothing."""
    if plan.is_empty():
        return
    with transaction(connection):
        if plan.marked:
            unmark(connection)
        _write_book(connection, plan.book)
        if plan.clients:
            plan.clients.write(connection, plan.now)
        if plan.writes is not None:
            write_series(connection, plan.writes)
        connection.executemany(_PUT_TRAITS, _traits_rows(plan, columns))
        connection.executemany(_DROP_TRAITS, _expired_rows(plan, columns))
        connection.executemany(_DROP_TRAITS, _plain_rows(plan, columns))
        if plan.decision is not None:
            connection.executemany(_DROP_OWNER, [(name,) for name in plan.decision.freed])
            connection.executemany(_PUT_OWNER, plan.decision.rows())
        if plan.flushes is not None:
            plan.flushes(connection)
        if plan.also is not None:
            plan.also(connection)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all that is written within it or, if anything raises, nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, as a full disk, SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _write_book(connection: sqlite3.Connection, book: Book) -> None:
    connection.executemany(_PUT_LEDGER, book.ledger_rows())
    connection.executemany(_DROP_LEDGER, [(ledger_id,) for ledger_id in book.dropped_ledgers()])
    connection.executemany(_PUT_TOTAL, book.total_rows())


def _traits_rows(plan: Plan, columns: Sequence[SeriesColumns]) -> Iterator[TraitsRow]:
    for column, changes in zip(columns, plan.series, strict=True):
        if changes.traits:
            new = dict(zip(changes.fresh.identities, changes.fresh.ids.tolist(), strict=True))
            for identity, traits in changes.traits.items():
                if traits != PLAIN_TRAITS:
                    yield to_row(new.get(identity) or _id_of(column, identity), traits)


def _plain_rows(plan: Plan, columns: Sequence[SeriesColumns]) -> Iterator[tuple[int]]:
    for column, changes in zip(columns, plan.series, strict=True):
        for identity, traits in changes.traits.items():
            if traits == PLAIN_TRAITS:
                yield (_id_of(column, identity),)


def _expired_rows(plan: Plan, columns: Sequence[SeriesColumns]) -> Iterator[tuple[int]]:
    for column, changes in zip(columns, plan.series, strict=True):
        for series_id in column.ids[changes.expired].tolist():
            yield (series_id,)


def _id_of(column: SeriesColumns, identity: str) -> int:
    return int(column.ids[column.positions[identity]])
