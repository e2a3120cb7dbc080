"""The store: one SQLite file, one transaction about every second, and what the file says kept in memory.

    batch --Planner.commit--> plan --write--> the file
                               '--Memory.apply, when that is done--> memory --snapshot_of--> snapshot

A `Store` belongs to the thread that opened it. It gives `Snapshot` objects away, which any thread may read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from twisted.logger import Logger

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.flush.queues import Queued
from statsd_tcp.flush.rules import MAX_SERIES, FlushRules
from statsd_tcp.mapping.mapper import OUTCOMES, Mapper
from statsd_tcp.series.clock import SeriesClock
from statsd_tcp.series.owners import SILENCE
from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.deletion import deletable, parts, strip_parts
from statsd_tcp.store.durations import Durations
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.files import DAMAGED
from statsd_tcp.store.identity import Identity, take_identity
from statsd_tcp.store.memory import Memory
from statsd_tcp.store.outcomes import Outcomes
from statsd_tcp.store.picture import snapshot_of, stats_of
from statsd_tcp.store.place import Place
from statsd_tcp.store.planning import Planner
from statsd_tcp.store.search import Kind
from statsd_tcp.store.snapshot import Refusal, Snapshot
from statsd_tcp.store.transaction import Plan, transaction, write

__all__ = ["SERIES_TTL", "Store", "StoreError"]

_T = TypeVar("_T")

SERIES_TTL = 7 * 86400.0
"""Seconds after which a series that is no longer sent is dropped."""


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
        self._memory = Memory(
            SeriesClock(wall, monotonic),
            monotonic,
            series_ttl=series_ttl,
            limit=limit,
            flushes=flushes,
            mapper=mapper,
            counter_suffix=counter_suffix,
            silence=silence,
        )
        self.flushes = self._memory.flushes
        self.sessions = self._memory.sessions
        self._planner = Planner(self._memory, limit, wall)
        self._outcomes = Outcomes(OUTCOMES if mapper is not None else ())
        self._durations = Durations()
        self._last_commit = 0.0
        self._place = Place(path)
        self._connection = self._place.open()
        try:
            with translated(path):
                self.identity = self._identify(node)
                self._load()
        except BaseException:
            self._connection.close()
            raise
        self.snapshot = self._picture()

    @property
    def backup_taken(self) -> float | None:
        """Return when the backup was taken that the file was, in seconds since 1970; None after the first commit."""
        return self._memory.backup_taken

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
        plan = self._planner.commit(batch)
        with self._writing():
            self._write(plan)
        self._memory.apply(plan)
        self._outcomes.note(plan)
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
        return deletable(kind, self._memory.kinds.columns, self.flushes)

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
        self._recall()
        plan = self._planner.deletion(kind, gone)
        with self._writing():
            self._write(plan)
        self._memory.apply(plan)
        # The outcomes count series that were idle. These were not.
        self.snapshot = self._picture()

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
            write(self._connection, plan, self._memory.kinds.columns)
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
        for fault in self._memory.load(self._connection):
            self._place.faults[DAMAGED] += 1
            self._log.error("{path} is damaged: {fault}", path=self._path, fault=fault)

    def _picture(self, refused: tuple[Refusal, ...] = (), left_out: AbstractSet[str] = frozenset()) -> Snapshot:
        stats = stats_of(self._memory, self._outcomes, self._durations, self._last_commit, self._place.faults)
        return snapshot_of(self._memory, stats, self.identity.uuid, refused, left_out)
