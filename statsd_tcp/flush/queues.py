"""The flushes that wait for their outputs: in the file, in order, bounded; the oldest go first."""

from __future__ import annotations

import sqlite3
import zlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from twisted.internet.defer import Deferred
from zope.interface import Interface

from statsd_tcp.aggregate.flushes import FlushResult

__all__ = ["QUEUE_BYTES", "IQueue", "Queued", "Queues", "Waiting"]

QUEUE_BYTES = 1 << 30
"""So much may wait for one output on the disk, however few flushes it is."""

LARGEST = 1 << 28
"""A compressed result that is larger cannot be kept: SQLite takes no more than a gigabyte in one row."""

# The names of fields repeat themselves in every timer: a tenth of the size for a hundredth of a second a megabyte.
_LEVEL = 1

_decoder = msgspec.msgpack.Decoder(FlushResult)


class Queued(NamedTuple):
    """A flush that waits: the number by which it is acknowledged, and the result."""

    flush_id: int
    result: FlushResult


class Waiting(NamedTuple):
    """What waits for one output: how many flushes, the newest one's number (0: none), and how many were dropped.

    ``used`` is the part of the queue that is full, from 0 to 1: of the flushes or of the bytes, whichever is more.
    """

    flushes: int
    newest: int
    dropped: int
    used: float = 0.0


class IQueue(Interface):
    """Where flushes wait."""

    def after(output: str, flush_id: int) -> Deferred[Queued | None]:  # noqa: N805 - an interface's methods have no self
        """Read the first flush after that one."""

    def acknowledge(output: str, flush_id: int) -> None:  # noqa: N805
        """Note that a flush is written; it is removed with the next commit."""


class Queues:
    """One queue for each output. The sizes are in memory too; `load` reads them.

    ``longest`` is the number of flushes that may wait for one output.
    """

    def __init__(self, outputs: Sequence[str], longest: int, most_bytes: int = QUEUE_BYTES) -> None:
        self._longest = longest
        self._most_bytes = most_bytes
        self._queues: dict[str, deque[tuple[int, int]]] = {output: deque() for output in outputs}
        self._dropped = dict.fromkeys(outputs, 0)

    def load(self, connection: sqlite3.Connection) -> None:
        """Read what waits; what waits for an output that is no longer configured is deleted with the next `put`."""
        for queue in self._queues.values():
            queue.clear()
        rows = "SELECT output, slot, length(payload) FROM slot_queue JOIN slot_results ON id = slot ORDER BY slot"
        for output, flush_id, size in connection.execute(rows):
            if output in self._queues:
                self._queues[output].append((flush_id, size))

    def waiting(self) -> Mapping[str, Waiting]:
        """Return what waits for each output."""
        return {
            output: Waiting(len(queue), queue[-1][0] if queue else 0, self._dropped[output], self._used(queue))
            for output, queue in self._queues.items()
        }

    def put(self, connection: sqlite3.Connection, result: FlushResult) -> None:
        """Queue a result for every output."""
        payload = zlib.compress(msgspec.msgpack.encode(result), _LEVEL)
        if len(payload) > LARGEST:
            for output in self._queues:
                self._dropped[output] += 1
            return
        flush_id = connection.execute("INSERT INTO slot_results (payload) VALUES (?)", (payload,)).lastrowid or 0
        for output, queue in self._queues.items():
            connection.execute("INSERT INTO slot_queue (output, slot) VALUES (?, ?)", (output, flush_id))
            queue.append((flush_id, len(payload)))
            self._shorten(connection, output, queue)
        marks = ", ".join("?" * len(self._queues))
        connection.execute(f"DELETE FROM slot_queue WHERE output NOT IN ({marks})", tuple(self._queues))  # noqa: S608
        self._sweep(connection)

    def acknowledge(self, connection: sqlite3.Connection, delivered: Iterable[tuple[str, int]]) -> None:
        """Take out what outputs have written: pairs of an output and the number of a flush."""
        for output, flush_id in delivered:
            connection.execute("DELETE FROM slot_queue WHERE output = ? AND slot = ?", (output, flush_id))
            queue = self._queues.get(output, deque())
            if queue and queue[0][0] == flush_id:
                queue.popleft()
        self._sweep(connection)

    def after(self, connection: sqlite3.Connection, output: str, flush_id: int) -> Queued | None:
        """Read the first flush after that one which waits for an output."""
        row = connection.execute(
            "SELECT id, payload FROM slot_queue JOIN slot_results ON id = slot"
            " WHERE output = ? AND slot > ? ORDER BY slot LIMIT 1",
            (output, flush_id),
        ).fetchone()
        return None if row is None else Queued(row[0], _decoded(row[1]))

    def _used(self, queue: deque[tuple[int, int]]) -> float:
        return min(1.0, max(len(queue) / self._longest, sum(size for _, size in queue) / self._most_bytes))

    def _shorten(self, connection: sqlite3.Connection, output: str, queue: deque[tuple[int, int]]) -> None:
        size = sum(each for _, each in queue)
        while len(queue) > self._longest or (size > self._most_bytes and len(queue) > 1):
            oldest, bytes_less = queue.popleft()
            size -= bytes_less
            self._dropped[output] += 1
            connection.execute("DELETE FROM slot_queue WHERE output = ? AND slot = ?", (output, oldest))

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Delete the results that no output waits for."""
        connection.execute("DELETE FROM slot_results WHERE id NOT IN (SELECT slot FROM slot_queue)")


def _decoded(payload: bytes) -> FlushResult:
    try:
        return _decoder.decode(zlib.decompress(payload))
    except zlib.error as error:
        # An error of the file, as the others that are found when it is read.
        raise LookupError(f"slot_results: {error}") from error
