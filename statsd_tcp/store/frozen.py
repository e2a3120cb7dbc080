"""Requests of remote write that wait for their receivers: in the file, in order, byte for byte as they will be sent.

    slot           series that have changed, as requests             receiver
    [======)------> put: one transaction with what the next --------> settle: the first one is taken, or given up
    every seconds   slot goes on from                 first: read it

The tables are made when there is first something to put into them, so that a store without such outputs does not have
them. What an output knows of itself changes together with its requests: ``last``, the time of its last request,
``taken``, that of the last one which a receiver took, 0 for none, and ``newest``, the highest id of a series that it
was told of. ``labels`` (JSON) and ``suffix`` are what makes the names of its series of the lines of the page. Of the
service's own lines, which have no ids, ``remote_own`` has each that was told. Times are in milliseconds since 1970.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from statsd_tcp.store.leaving import Leaving, drop_leaving, leaving_of, note_leaving
from statsd_tcp.store.thinning import thinned

__all__ = ["COUNTS", "ENDED", "LEVEL", "Bounds", "Frozen", "Known", "Queue", "Request", "State"]

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS remote_outputs (
        output TEXT PRIMARY KEY,
        last INTEGER NOT NULL,
        taken INTEGER NOT NULL,
        newest INTEGER NOT NULL,
        labels TEXT NOT NULL,
        suffix TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS remote_own (
        output TEXT NOT NULL,
        head TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('level', 'counts', 'ended')),
        PRIMARY KEY (output, head)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS remote_requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        output TEXT NOT NULL,
        time INTEGER NOT NULL,
        series INTEGER NOT NULL,
        edge INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS remote_queue ON remote_requests (output, id)",
)
_KNOWN: Final = "SELECT last, taken, newest FROM remote_outputs WHERE output = ?"
_OWN: Final = "SELECT head, state FROM remote_own WHERE output = ?"
_PUT_STATE: Final = """INSERT OR REPLACE INTO remote_outputs (output, last, taken, newest, labels, suffix)
    VALUES (?, ?, ?, ?, ?, ?)"""
_PUT_OWN: Final = "INSERT OR REPLACE INTO remote_own (output, head, state) VALUES (?, ?, ?)"
_DROP_OWN: Final = "DELETE FROM remote_own WHERE output = ? AND head = ?"

LEVEL: Final = "level"
COUNTS: Final = "counts"
ENDED: Final = "ended"
"""The states of the service's own lines that were told: one that may fall, one that counts, and one that counted and is
there no more. Should it come again it does not begin with 0."""


class Frozen(NamedTuple):
    """A request that is to be put into the queue: its time, how many series it has, and the bytes.

    ``edge`` says that it has the first or the last sample of series, which no later request repeats.
    """

    time: int
    series: int
    edge: bool
    body: bytes


class Request(NamedTuple):
    """A request that waits: the number by which it is settled, and what it was frozen with."""

    request_id: int
    time: int
    series: int
    edge: int
    body: bytes


class Known(NamedTuple):
    """What an output knows of itself.

    ``own`` are the service's own lines that it was told of, with their states, and ``leaving`` the nodes whose lines it
    has to end.
    """

    last: int = 0
    taken: int = 0
    newest: int = 0
    own: Mapping[str, str] = {}
    leaving: tuple[Leaving, ...] = ()


class Bounds(NamedTuple):
    """How many slots, and how many bytes, may wait for one output."""

    slots: int
    size: int


class State(NamedTuple):
    """What waits for an output: how many requests, and the id of the last one.

    ``thinned`` and ``ahead`` count the samples that were left out since the start, because of the bounds and because
    of a clock that was ahead. ``used`` is the part of the queue that was full when a slot came last, from 0 to 1.
    """

    requests: int
    newest: int
    thinned: int
    ahead: int
    used: float = 0.0


class Queue:
    """The queue of one output. For the store's thread; every change is to be made within a transaction.

    ``labels`` are those of all its series, and ``suffix`` is what the names of counters end in.
    """

    def __init__(self, output: str, bounds: Bounds, labels: Mapping[str, str] | None = None, suffix: str = "") -> None:
        self.output = output
        self._bounds = bounds
        self._names = (msgspec.json.encode(labels or {}, order="sorted").decode(), suffix)
        self._thinned = self._ahead = 0
        self._used = 0.0

    def load(self, connection: sqlite3.Connection, outputs: Collection[str]) -> Known:
        """Return what the output knows; what is there for outputs that are no longer configured is deleted."""
        for statement in _TABLES:
            connection.execute(statement)
        marks = ", ".join("?" * len(outputs))
        for table in ("remote_outputs", "remote_own", "remote_requests"):
            connection.execute(f"DELETE FROM {table} WHERE output NOT IN ({marks})", tuple(outputs))  # noqa: S608
        drop_leaving(connection, outputs)
        return self._known(connection)

    def state(self, connection: sqlite3.Connection) -> State:
        """Return what waits."""
        number, newest = connection.execute(
            "SELECT count(*), coalesce(max(id), 0) FROM remote_requests WHERE output = ?", (self.output,)
        ).fetchone()
        return State(number, newest, self._thinned, self._ahead, self._used)

    def put(self, connection: sqlite3.Connection, before: Known, known: Known, requests: Sequence[Frozen]) -> State:
        """Queue the requests of a slot, and note what the output knows after it; ``before`` is in the file."""
        self._note(connection, known)
        came = [(self.output, *one) for one in known.own.items() - before.own.items()]
        connection.executemany(_PUT_OWN, came)
        connection.executemany(_DROP_OWN, [(self.output, head) for head in before.own.keys() - known.own.keys()])
        note_leaving(connection, self.output, before.leaving, known.leaving)
        connection.executemany(
            "INSERT INTO remote_requests (output, time, series, edge, body) VALUES (?, ?, ?, ?, ?)",
            [(self.output, *request) for request in requests],
        )
        self._thin(connection)
        return self.state(connection)

    def first(self, connection: sqlite3.Connection) -> Request | None:
        """Return the request in front."""
        row = connection.execute(
            "SELECT id, time, series, edge, body FROM remote_requests WHERE output = ? ORDER BY id LIMIT 1",
            (self.output,),
        ).fetchone()
        return None if row is None else Request(*row)

    def settle(self, connection: sqlite3.Connection, request: Request, *, taken: bool) -> State:
        """Take out a request that the receiver has, or that is given up."""
        connection.execute("DELETE FROM remote_requests WHERE id = ?", (request.request_id,))
        if taken:
            connection.execute(
                "UPDATE remote_outputs SET taken = max(taken, ?) WHERE output = ?", (request.time, self.output)
            )
        return self.state(connection)

    def leave_ahead(self, connection: sqlite3.Connection, latest: int) -> Known:
        """Take out what is of a later time than that: the clock was ahead. The output goes on from what is left."""
        found = connection.execute(
            "SELECT coalesce(sum(series), 0) FROM remote_requests WHERE output = ? AND time > ?", (self.output, latest)
        ).fetchone()
        self._ahead += found[0]
        connection.execute("DELETE FROM remote_requests WHERE output = ? AND time > ?", (self.output, latest))
        connection.execute(
            """UPDATE remote_outputs SET last = max(taken, coalesce(
                (SELECT max(time) FROM remote_requests WHERE output = remote_outputs.output), 0)) WHERE output = ?""",
            (self.output,),
        )
        return self._known(connection)

    def _known(self, connection: sqlite3.Connection) -> Known:
        row = connection.execute(_KNOWN, (self.output,)).fetchone()
        own = dict(connection.execute(_OWN, (self.output,)).fetchall())
        known = Known() if row is None else Known(row[0], row[1], row[2], own)
        return known._replace(leaving=leaving_of(connection, self.output))

    def _note(self, connection: sqlite3.Connection, known: Known) -> None:
        # What was taken meanwhile is in the file alone.
        row = connection.execute("SELECT taken FROM remote_outputs WHERE output = ?", (self.output,)).fetchone()
        taken = known.taken if row is None else max(known.taken, row[0])
        connection.execute(_PUT_STATE, (self.output, known.last, taken, known.newest, *self._names))

    def _thin(self, connection: sqlite3.Connection) -> None:
        """Leave out slots while there are too many, but never the request in front, which may be on its way."""
        rows = connection.execute(
            "SELECT id, time, series, edge, length(body) FROM remote_requests WHERE output = ? ORDER BY id",
            (self.output,),
        ).fetchall()
        slots = {row[1] for row in rows if not row[3]}
        size = sum(row[-1] for row in rows)
        self._used = min(1.0, max(len(slots) / self._bounds.slots, size / self._bounds.size))
        if len(slots) <= self._bounds.slots and (size <= self._bounds.size or len(rows) <= 1):
            return
        plain = [(row[1], row[-1]) for row in rows[1:] if not row[3]]
        gone = thinned(plain, len(slots) - self._bounds.slots, size - self._bounds.size)
        ids = [(row[0], row[2]) for row in rows[1:] if not row[3] and row[1] in gone]
        if not ids:
            # There are only edges left: the oldest goes, with each slot that comes.
            ids = [(row[0], row[2]) for row in rows[1:-1][:1]]
        self._thinned += sum(series for _, series in ids)
        connection.executemany("DELETE FROM remote_requests WHERE id = ?", [(each,) for each, _ in ids])
