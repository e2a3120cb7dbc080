"""The store's own counts in memory: what is known of each ledger, and the totals that no ledger holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from statsd_tcp.aggregate.batches import BatchSum
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.ledger.layout import CellName, LedgerCounts
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.snapshot import (
    ACCEPTED,
    BAD_LINES,
    BAD_TAGS,
    BATCHES,
    BATCHES_REFUSED,
    CLOSED,
    DATAGRAMS,
    EMPTY_LINES,
    EVENTS,
    KILLED,
    LINES,
    RECEIVED_BYTES,
    RECOVERED_LINES,
    REFUSED,
    REPEATED,
    SAMPLES,
    SERVICE_CHECKS,
    STORED,
    LedgerState,
    Refusal,
    TotalKey,
    add_counts,
    larger,
)

__all__ = ["Book", "LedgerRow", "TotalRow"]

_LIVE, _FOLDED = "live", "folded"


class LedgerRow(NamedTuple):
    """A row of the table ``ledgers``."""

    ledger_id: str
    worker: int
    boot_id: str
    committed: int
    state: str
    counts: str


class TotalRow(NamedTuple):
    """A row of the table ``totals``."""

    metric: str
    labels: str
    value: int


class Book:
    """Ledgers and settled totals. A commit works on a copy, and puts it in place when SQLite has the changes.

    ``ledgers`` and ``settled`` are no longer changed once a snapshot has them.
    """

    def __init__(self, ledgers: dict[str, LedgerState], settled: dict[TotalKey, int]) -> None:
        self.ledgers = ledgers
        self.settled = settled
        self._touched_ledgers: set[str] = set()
        self._touched_totals: set[TotalKey] = set()

    def copy(self) -> Book:
        """Return a book of the same contents, to change."""
        return Book(dict(self.ledgers), dict(self.settled))

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Book:
        """Read the book in a file; raises `LookupError` and msgspec's errors for rows that make no sense."""
        book = cls({}, {})
        for ledger in connection.execute("SELECT id, worker, boot_id, committed, state, counts FROM ledgers"):
            book._load_ledger(LedgerRow(*ledger))
        for total in connection.execute("SELECT metric, labels, value FROM totals"):
            book._load_total(TotalRow(*total))
        return book

    def _load_ledger(self, row: LedgerRow) -> None:
        cells = msgspec.json.decode(row.counts, type=list[tuple[str, str, str, int]])
        counts = {CellName(*name): value for *name, value in cells}
        folded = row.state == _FOLDED
        self.ledgers[row.ledger_id] = LedgerState(*row[:4], folded, counts)

    def _load_total(self, row: TotalRow) -> None:
        labels = msgspec.json.decode(row.labels, type=dict[str, str])
        self.settled[TotalKey(row.metric, **labels)] = row.value

    def take_counts(self, reading: LedgerCounts) -> None:
        """Note a ledger's cells; a cell never falls, whatever a power loss has left in the file."""
        state = self.ledgers.get(reading.ledger_id)
        if state is None:
            state = LedgerState(reading.ledger_id, reading.worker, reading.boot_id, 0, False, {})
            self._put(msgspec.structs.replace(state, counts=larger({}, reading.values)))
        elif not state.folded:
            counts = larger(state.counts, reading.values)
            if counts != state.counts:
                self._put(msgspec.structs.replace(state, counts=counts))

    def take_interval(self, piece: Piece, interval: Interval) -> Refusal | None:
        """Add an interval's counts and move the ledger's offset, or refuse it if it does not begin there."""
        state = self.ledgers.get(piece.ledger_id)
        committed = None if state is None else state.committed
        if state is None or piece.start != committed or piece.end < piece.start:
            return Refusal(piece.ledger_id, piece.start, piece.end, committed)
        if piece.end != piece.start:
            self._put(msgspec.structs.replace(state, committed=piece.end))
        self.add_interval(interval, recovered=piece.recovered)
        return None

    def add_interval(self, interval: Interval, *, recovered: bool) -> None:
        """Add what an interval counts; ``recovered``: it was read of a journal, for a writer that died."""
        for key, count in _interval_totals(interval):
            self._add(key, count)
        if recovered:
            self._add(TotalKey(RECOVERED_LINES), sum(each.lines for each in interval.listeners.values()))

    def take_batch(self, batch: BatchSum, *, is_new: bool) -> None:
        """Count a batch as one that ``is_new``, or as a repetition."""
        self._add(TotalKey(BATCHES, batch.listener, detail=STORED if is_new else REPEATED), 1)

    def take_refused(self, refused: Iterable[tuple[str, str, int]]) -> None:
        """Count batches that workers have refused: by listener and reason, how many."""
        for listener, reason, number in refused:
            self._add(TotalKey(BATCHES, listener, detail=REFUSED), number)
            self._add(TotalKey(BATCHES_REFUSED, detail=reason), number)

    def fold(self, ledger_id: str) -> None:
        """Settle the counts of a dead worker's ledger, once: what was open in it was closed by its death."""
        state = self.ledgers.get(ledger_id)
        if state is None or state.folded:
            return
        final: dict[TotalKey, int] = {}
        add_counts(final, state.worker, _with_killed(state))
        for key, value in final.items():
            self._add(key, value)
        self._put(msgspec.structs.replace(state, folded=True, counts={}))

    def forget(self, ledger_id: str) -> None:
        """Drop a folded ledger, whose file is gone."""
        state = self.ledgers.get(ledger_id)
        if state is not None and state.folded:
            del self.ledgers[ledger_id]
            self._touched_ledgers.add(ledger_id)

    def add(self, other: Book) -> None:
        """Add the totals of another store. Of ledgers that are not folded there, what it has is settled."""
        settled = other.copy()
        for ledger_id in other.ledgers:
            settled.fold(ledger_id)
        for key, value in settled.settled.items():
            self._add(key, value)

    def changed(self) -> bool:
        """Return whether this copy differs from what it was made of."""
        return bool(self._touched_ledgers or self._touched_totals)

    def ledger_rows(self) -> list[LedgerRow]:
        """Return the rows of the ledgers that changed."""
        touched = (self.ledgers[name] for name in self._touched_ledgers if name in self.ledgers)
        return [_ledger_row(state) for state in touched]

    def dropped_ledgers(self) -> list[str]:
        """Return the ids of the ledgers whose row goes."""
        return [name for name in self._touched_ledgers if name not in self.ledgers]

    def total_rows(self) -> list[TotalRow]:
        """Return the rows of the totals that changed."""
        return [_total_row(key, self.settled[key]) for key in self._touched_totals]

    def _put(self, state: LedgerState) -> None:
        self.ledgers[state.ledger_id] = state
        self._touched_ledgers.add(state.ledger_id)

    def _add(self, key: TotalKey, count: int) -> None:
        if count:
            self.settled[key] = self.settled.get(key, 0) + count
            self._touched_totals.add(key)


def _with_killed(state: LedgerState) -> dict[CellName, int]:
    counts = dict(state.counts)
    for listener, still_open in _open_connections(state).items():
        # What is missing was closed by the death. After a power loss the cells on the disk may be of
        # different moments, with more closed than accepted: what was closed had been accepted.
        name = CellName(CLOSED, listener, KILLED) if still_open > 0 else CellName(ACCEPTED, listener)
        counts[name] = counts.get(name, 0) + abs(still_open)
    return counts


def _open_connections(state: LedgerState) -> dict[str, int]:
    signs = {ACCEPTED: 1, CLOSED: -1}
    result: dict[str, int] = {}
    for name, value in state.counts.items():
        result[name.listener] = result.get(name.listener, 0) + signs.get(name.metric, 0) * value
    return {listener: still_open for listener, still_open in result.items() if still_open}


def _interval_totals(interval: Interval) -> Iterator[tuple[TotalKey, int]]:
    for label, counts in interval.listeners.items():
        yield TotalKey(RECEIVED_BYTES, label), counts.received_bytes
        yield TotalKey(LINES, label), counts.lines
        yield TotalKey(EMPTY_LINES, label), counts.empty_lines
        yield TotalKey(DATAGRAMS, label), counts.datagrams
    for kind, count in interval.samples.items():
        yield TotalKey(SAMPLES, detail=kind), count
    for reason, count in interval.bad_lines.items():
        yield TotalKey(BAD_LINES, detail=reason), count
    yield TotalKey(BAD_TAGS), interval.bad_tags
    yield TotalKey(EVENTS), interval.events
    yield TotalKey(SERVICE_CHECKS), interval.service_checks


def _ledger_row(state: LedgerState) -> LedgerRow:
    cells = [[*name, value] for name, value in state.counts.items()]
    counts = msgspec.json.encode(cells).decode()
    status = _FOLDED if state.folded else _LIVE
    return LedgerRow(state.ledger_id, state.worker, state.boot_id, state.committed, status, counts)


def _total_row(key: TotalKey, value: int) -> TotalRow:
    labels = {name: label for name, label in zip(key._fields[1:], key[1:], strict=True) if label}
    return TotalRow(key.metric, msgspec.json.encode(labels).decode(), value)
