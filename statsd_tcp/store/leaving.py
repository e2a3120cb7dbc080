"""Nodes that leave: their lines, which an output of ours brings to an end, in three slots.

    slot 1    of our own values of the same lines only the 0 of those that are new to the output           begun
    slot 2    0 of each line that counts, in one request with our own value of the same line               said
    slot 3    the mark that a series ends, of all lines                                                    gone

Range selectors still give what was before a mark. So the 0 comes first, and the sum over all nodes is the same at any
moment. An engine may take seconds to find a series that is new to it, and no time for others. So those come earlier.
``labels`` are those that the node's own output had, as JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

__all__ = ["Leaving", "drop_leaving", "enter_leaving", "leaving_of", "note_leaving"]

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS remote_leaving (
        output TEXT NOT NULL,
        uuid TEXT NOT NULL,
        labels TEXT NOT NULL,
        begun INTEGER NOT NULL,
        said INTEGER NOT NULL,
        PRIMARY KEY (output, uuid)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS remote_leaving_lines (
        output TEXT NOT NULL,
        uuid TEXT NOT NULL,
        head TEXT NOT NULL,
        counts INTEGER NOT NULL,
        PRIMARY KEY (output, uuid, head)
    ) WITHOUT ROWID""",
)
_NAMES: Final = ("remote_leaving", "remote_leaving_lines")


class Leaving(NamedTuple):
    """A node that leaves: the UUID of its store, the labels of its series, and its lines, which say whether they count.

    ``begun`` is the end of the first slot in milliseconds since 1970, 0 before it; ``said``: the 0 is.
    """

    uuid: str
    labels: Mapping[str, str]
    lines: Mapping[str, bool]
    begun: int = 0
    said: bool = False


def leaving_of(connection: sqlite3.Connection, output: str) -> tuple[Leaving, ...]:
    """Return the nodes whose lines an output has to end."""
    if not _is_there(connection):
        return ()
    found = []
    for uuid, labels, begun, said in connection.execute(
        "SELECT uuid, labels, begun, said FROM remote_leaving WHERE output = ?", (output,)
    ).fetchall():
        rows = connection.execute(
            "SELECT head, counts FROM remote_leaving_lines WHERE output = ? AND uuid = ?", (output, uuid)
        )
        lines = {head: bool(counts) for head, counts in rows}
        found.append(Leaving(uuid, msgspec.json.decode(labels, type=dict[str, str]), lines, begun, bool(said)))
    return tuple(found)


def enter_leaving(
    connection: sqlite3.Connection, output: str, uuid: str, labels: str, lines: Iterable[tuple[str, bool]]
) -> None:
    """Note that an output has to end the lines of a node, within a transaction."""
    for table in _TABLES:
        connection.execute(table)
    connection.execute(
        "INSERT INTO remote_leaving (output, uuid, labels, begun, said) VALUES (?, ?, ?, 0, 0)", (output, uuid, labels)
    )
    connection.executemany(
        "INSERT INTO remote_leaving_lines (output, uuid, head, counts) VALUES (?, ?, ?, ?)",
        ((output, uuid, head, counts) for head, counts in lines),
    )


def note_leaving(
    connection: sqlite3.Connection, output: str, before: Sequence[Leaving], after: Sequence[Leaving]
) -> None:
    """Note how far the ends are after a slot, within a transaction."""
    left = {each.uuid: each for each in after}
    for each in before:
        key, now = (output, each.uuid), left.get(each.uuid)
        if now is None:
            for table in _NAMES:
                connection.execute(f"DELETE FROM {table} WHERE output = ? AND uuid = ?", key)  # noqa: S608
        else:
            state = (now.begun, now.said, *key)
            connection.execute("UPDATE remote_leaving SET begun = ?, said = ? WHERE output = ? AND uuid = ?", state)


def drop_leaving(connection: sqlite3.Connection, outputs: Collection[str]) -> None:
    """Forget what outputs that are no longer configured had to end."""
    if _is_there(connection):
        marks = ", ".join("?" * len(outputs))
        for table in _NAMES:
            connection.execute(f"DELETE FROM {table} WHERE output NOT IN ({marks})", tuple(outputs))  # noqa: S608


def _is_there(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'remote_leaving_lines'").fetchone()
    return found is not None
