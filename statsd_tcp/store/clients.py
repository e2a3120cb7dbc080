"""Clients that send batches: the number of the last batch of each that the store has.

    CREATE TABLE clients (id, seq, heard)

A batch whose number is not greater is in the store already, and is left out. So it does not matter how often a batch
comes, nor by which journal, as long as the batches of a client come in order in each.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from statsd_tcp.wire.batches import BatchKey

__all__ = ["CLIENTS_TABLE", "FORGOTTEN_AFTER", "MOST_CLIENTS", "ClientChanges", "Clients"]

CLIENTS_TABLE: Final = """CREATE TABLE IF NOT EXISTS clients (
    id BLOB PRIMARY KEY,
    seq INTEGER NOT NULL,
    heard REAL NOT NULL
) WITHOUT ROWID"""
"""``heard``: when the last batch came, by the clock of the series."""

FORGOTTEN_AFTER: Final = 7 * 86400.0
"""Seconds without a batch after which a client is forgotten. None sends a batch again that is older than a day."""

MOST_CLIENTS: Final = 100_000
"""Clients that are remembered, some 20 MB. Beyond that the one goes that was silent for the longest time."""

_PUT: Final = """INSERT INTO clients (id, seq, heard) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, heard = excluded.heard"""
_DROP: Final = "DELETE FROM clients WHERE id = ?"


class _Known(NamedTuple):
    """A client's last batch: its number, and when it came."""

    sequence: int
    heard: float


class ClientChanges:
    """What one commit changes. The clients stay as they are until it is applied."""

    def __init__(self, known: dict[bytes, _Known], most: int) -> None:
        self._known = known
        self._most = most
        self.put: dict[bytes, int] = {}
        self.dropped: list[bytes] = []

    def is_new(self, batch: BatchKey) -> bool:
        """Return whether a batch is to be added, which is then its client's last one."""
        known = self._known.get(batch.client)
        last = self.put.get(batch.client, 0 if known is None else known.sequence)
        if batch.sequence <= last:
            return False
        self.put[batch.client] = batch.sequence
        return True

    def drop_idle(self, since: float | None) -> None:
        """Forget those that were not heard ``since`` a moment, if one is given, and those that are too many."""
        new = sum(client not in self._known for client in self.put)
        excess = len(self._known) + new - self._most
        for client, known in self._known.items():
            if len(self.dropped) >= excess and (since is None or known.heard >= since):
                return
            if client not in self.put:
                self.dropped.append(client)

    def __bool__(self) -> bool:
        """Return whether anything changes."""
        return bool(self.put or self.dropped)

    def write(self, connection: sqlite3.Connection, now: float) -> None:
        """Write it within a transaction."""
        connection.executemany(_PUT, ((client, sequence, now) for client, sequence in self.put.items()))
        connection.executemany(_DROP, ((client,) for client in self.dropped))


class Clients:
    """The clients in memory, those that were silent for the longest time first."""

    def __init__(self, most: int = MOST_CLIENTS) -> None:
        self._most = most
        self._known: dict[bytes, _Known] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._known)

    def load(self, connection: sqlite3.Connection) -> None:
        """Read them from a file."""
        rows = connection.execute("SELECT id, seq, heard FROM clients ORDER BY heard")
        self._known = {client: _Known(sequence, heard) for client, sequence, heard in rows}

    def changes(self) -> ClientChanges:
        """Return what a commit may change."""
        return ClientChanges(self._known, self._most)

    def apply(self, changes: ClientChanges, now: float) -> None:
        """Take over what a commit has changed."""
        for client in changes.dropped:
            del self._known[client]
        for client, sequence in changes.put.items():
            self._known.pop(client, None)
            self._known[client] = _Known(sequence, now)
