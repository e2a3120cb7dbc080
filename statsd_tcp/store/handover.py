"""A store that is handed over to that of another node: marked, copied, and prepared for it.

totals.sqlite of the node that leaves    identity.heir: no service starts with it again
  |
  | copied, with what the heir has to know
  v
absorb/UUID.sqlite of the heir           until its next start, which adds it in one transaction: see absorption

handover          kind ('absorb' or 'retire'), heir
handover_lines    of each output: its lines, and whether they count
absorbed          in the heir's store: what was handed over to it, once
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "ABSORB",
    "ABSORBED",
    "FOLDER",
    "RETIRE",
    "Absorbed",
    "Line",
    "Told",
    "absorbed_of",
    "mark",
    "prepare",
    "told_of",
]

ABSORB: Final = "absorb"
RETIRE: Final = "retire"

FOLDER: Final = "absorb"
"""Where what was handed over waits, in the state folder of the heir."""

ABSORBED: Final = """CREATE TABLE IF NOT EXISTS absorbed (
    uuid TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    moment REAL NOT NULL
) WITHOUT ROWID"""

_TABLES: Final = (
    "DROP TABLE IF EXISTS handover",
    "DROP TABLE IF EXISTS handover_lines",
    "CREATE TABLE handover (kind TEXT NOT NULL, heir TEXT NOT NULL)",
    "CREATE TABLE handover_lines (output TEXT NOT NULL, head TEXT NOT NULL, counts INTEGER NOT NULL)",
)


class Absorbed(NamedTuple):
    """A store that was handed over to this one: its UUID, its node, how, and when, in seconds since 1970."""

    uuid: str
    node: str
    kind: str
    moment: float


class Told(NamedTuple):
    """What an output by remote write has told: the time of its last request in milliseconds, and how it names lines."""

    last: int
    labels: str
    suffix: str


class Line(NamedTuple):
    """A line that an output has told, and whether it counts."""

    output: str
    head: str
    counts: bool


def absorbed_of(connection: sqlite3.Connection) -> list[Absorbed]:
    """Return what was handed over to a store."""
    if not _is_there(connection, "absorbed"):
        return []
    return [
        Absorbed(*row) for row in connection.execute("SELECT uuid, node, kind, moment FROM absorbed ORDER BY moment")
    ]


def told_of(connection: sqlite3.Connection) -> dict[str, Told]:
    """Return the outputs by remote write of a store, by their names."""
    if not _is_there(connection, "remote_outputs"):
        return {}
    rows = connection.execute("SELECT output, last, labels, suffix FROM remote_outputs")
    return {output: Told(*rest) for output, *rest in rows}


def mark(path: Path, heir: str) -> None:
    """Note in a store to whom it is handed over. No service starts with it again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("UPDATE identity SET heir = ?", (heir,))


def prepare(copy: Path, kind: str, heir: str, lines: Iterable[Line]) -> None:
    """Write into a copy of such a store what the heir has to know."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO handover (kind, heir) VALUES (?, ?)", (kind, heir))
        connection.executemany("INSERT INTO handover_lines (output, head, counts) VALUES (?, ?, ?)", lines)
        connection.execute("COMMIT")


def shared_outputs(ours: Mapping[str, Told], theirs: Mapping[str, Told]) -> list[str]:
    """Return the outputs of a store that is handed over whose lines the heir ends: it has them, with other labels."""
    return [name for name, told in theirs.items() if name in ours and ours[name].labels != told.labels]


def _is_there(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
