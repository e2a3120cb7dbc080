"""Stores that were handed over to ours are added to it, at the start, before anything else is committed.

    absorb/UUID.sqlite --one transaction: totals, series, the UUID, what outputs have to end--> totals.sqlite
      '--deleted, when that is on the disk. A UUID that is there already is not added again.

Nothing of it is part of a flush.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from twisted.logger import Logger

from statsd_tcp.series.clock import SeriesClock
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import WIDTHS, SeriesPlan
from statsd_tcp.series.traits import from_row
from statsd_tcp.state.private_files import sync
from statsd_tcp.store.book import Book
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.handover import ABSORB, ABSORBED, Absorbed, Line, Told, absorbed_of, shared_outputs, told_of
from statsd_tcp.store.identity import Identity, identity_of
from statsd_tcp.store.kinds import Kinds
from statsd_tcp.store.leaving import enter_leaving
from statsd_tcp.store.loading import load_series
from statsd_tcp.store.place import Place
from statsd_tcp.store.schema import check_whole
from statsd_tcp.store.transaction import Plan, write

__all__ = ["Absorption"]

_PUT_REQUEST: Final = "INSERT INTO remote_requests (output, time, series, edge, body) VALUES (?, ?, ?, ?, ?)"
_REQUESTS: Final = "SELECT output, time, series, edge, body FROM remote_requests ORDER BY id"

_ASIDE: Final = ".failed"


class _Heritage(NamedTuple):
    """What was handed over: from whom, how, to whom, the series and totals; what outputs told, and still have."""

    identity: Identity
    kind: str
    heir: str
    columns: list[SeriesColumns]
    book: Book
    told: dict[str, Told]
    lines: list[Line]
    requests: list[tuple[str, int, int, int, bytes]]
    absorbed: list[Absorbed]


class Absorption:
    """Adds what waits in ``folder`` to the store at ``path``, which no one has open. Raises `StoreError`."""

    _log = Logger()

    def __init__(
        self,
        path: Path,
        folder: Path,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._folder = folder
        self._wall = wall
        self._monotonic = monotonic

    def run(self) -> None:
        """Add everything; what cannot be read is set aside."""
        if not self._folder.is_dir():
            return
        for file in sorted(self._folder.glob("*.sqlite")):
            try:
                heritage = _read(file)
                self._check(heritage, file)
            except StoreError as error:
                file.rename(f"{file}{_ASIDE}")
                self._log.error(
                    "{error}; it is not added, and set aside as {file}{aside}",
                    error=str(error),
                    file=file,
                    aside=_ASIDE,
                )
            else:
                self._take(heritage)
                self._drop(file)

    def _check(self, heritage: _Heritage, file: Path) -> None:
        """Raise `StoreError` for what was handed over to another store than the one that is here."""
        with (
            translated(file),
            closing(sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True)) as connection,
        ):
            ours = identity_of(connection)
        if ours is None or ours.uuid != heritage.heir:
            raise StoreError(f"{file} was handed over to the store {heritage.heir}, which is not here")

    def _take(self, heritage: _Heritage) -> None:
        with closing(Place(self._path).open()) as connection, translated(self._path):
            if heritage.identity.uuid in {each.uuid for each in absorbed_of(connection)}:
                return
            self._add(connection, heritage)
        what = "is added" if heritage.kind == ABSORB else "is not added"
        self._log.info(
            "the node {node} has left ({kind}): what its store {uuid} had {what}",
            node=heritage.identity.node,
            kind=heritage.kind,
            uuid=heritage.identity.uuid,
            what=what,
        )

    def _add(self, connection: sqlite3.Connection, heritage: _Heritage) -> None:
        """Write all of it in one transaction."""
        clock = SeriesClock(self._wall, self._monotonic)
        kinds = Kinds(clock, self._monotonic)
        for fault in kinds.load(connection):
            self._log.error("{path} is damaged: {fault}", path=self._path, fault=fault)
        book = Book.load(connection).copy()
        series = [SeriesPlan() for _ in WIDTHS]
        if heritage.kind == ABSORB:
            book.add(heritage.book)
            series = kinds.plan_addition(heritage.columns)
        plan = Plan(book, series, [], clock.now())
        plan.writes = kinds.writes(series, plan.now)
        plan.also = lambda connection: self._note(connection, heritage)
        write(connection, plan, kinds.columns)

    def _note(self, connection: sqlite3.Connection, heritage: _Heritage) -> None:
        connection.execute(ABSORBED)
        who = heritage.identity
        # What was handed over to that store is in this one then.
        rows = [*heritage.absorbed, Absorbed(who.uuid, who.node, heritage.kind, self._wall())]
        connection.executemany("INSERT OR IGNORE INTO absorbed (uuid, node, kind, moment) VALUES (?, ?, ?, ?)", rows)
        shared = shared_outputs(told_of(connection), heritage.told)
        for output in shared:
            told = heritage.told[output]
            lines = [(line.head, line.counts) for line in heritage.lines if line.output == output]
            enter_leaving(connection, output, who.uuid, told.labels, lines)
            # The last samples must be later than whatever the node has sent.
            connection.execute("UPDATE remote_outputs SET last = max(last, ?) WHERE output = ?", (told.last, output))
        if shared:
            connection.executemany(_PUT_REQUEST, [row for row in heritage.requests if row[0] in shared])

    def _drop(self, file: Path) -> None:
        with translated(file):
            file.unlink()
            sync(self._folder)


def _read(file: Path) -> _Heritage:
    """Read a store that was handed over; raises `StoreError`."""
    with (
        translated(file),
        closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)) as connection,
    ):
        check_whole(connection, file)
        identity = identity_of(connection)
        row = connection.execute("SELECT kind, heir FROM handover").fetchone()
        if identity is None or row is None:
            raise StoreError(f"{file} is not a store that was handed over")
        columns = [SeriesColumns(kind) for kind in WIDTHS]
        loaded = load_series(connection, columns)
        if loaded.damage:
            raise StoreError(f"{file} is damaged: {loaded.damage[0]}")
        traits = dict(map(from_row, connection.execute("SELECT id, ttl, help, bounds, counts FROM traits")))
        for each in columns:
            each.load_traits(traits)
        told = told_of(connection)
        requests = connection.execute(_REQUESTS).fetchall() if told else []
        lines = [Line(*line) for line in connection.execute("SELECT output, head, counts FROM handover_lines")]
        absorbed = absorbed_of(connection)
        return _Heritage(identity, row[0], row[1], columns, Book.load(connection), told, lines, requests, absorbed)
