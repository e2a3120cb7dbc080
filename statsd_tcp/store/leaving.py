"""Nodes that leave: their lines, which an output of ours brings to an end, slot by slot.

    stage       what the slots have                                             goes on
    HELD        of our own values of the same lines only the 0 of new ones      after 15 s
    SAID        0 of each line that counts, next to our own value of that line  when a receiver has taken it
    TAKEN       each of our values of these lines with the 0 next to it         after 10 s
    REPEATED    0 of each line that counts once more                            with the next slot
    ENDED       the mark that a series ends, of all lines                       after 120 s
    LAST        0 of each line that counts for the last time                    with the next slot, which has the marks

Range selectors still give what was before a mark. So the 0 comes first, and the sum over all nodes is the same at any
moment. An engine may take seconds to find a series that is new to it, and no time for others. So those come earlier.
It may also lose what it has taken: VictoriaMetrics the last five seconds if it is killed, any engine half a minute if
its machine fails. All other lines are told again within two minutes, but these would not be: hence the repetitions.
``labels`` are those that the node's own output had, as JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

__all__ = ["Leaving", "Stage", "drop_leaving", "enter_leaving", "leaving_of", "note_leaving"]

_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS remote_leaving (
        output TEXT NOT NULL,
        uuid TEXT NOT NULL,
        labels TEXT NOT NULL,
        stage INTEGER NOT NULL,
        since INTEGER NOT NULL,
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


class Stage(IntEnum):
    """How far the end of a node is; see above."""

    NEW = 0
    HELD = 1
    SAID = 2
    TAKEN = 3
    REPEATED = 4
    ENDED = 5
    LAST = 6
    GONE = 7


class Leaving(NamedTuple):
    """A node that leaves: the UUID of its store, the labels of its series, and its lines, which say whether they count.

    ``since`` is the end of the first slot of the stage, in milliseconds since 1970.
    """

    uuid: str
    labels: Mapping[str, str]
    lines: Mapping[str, bool]
    stage: Stage = Stage.NEW
    since: int = 0


def leaving_of(connection: sqlite3.Connection, output: str) -> tuple[Leaving, ...]:
    """Return the nodes whose lines an output has to end."""
    if not _is_there(connection):
        return ()
    found = []
    for uuid, labels, stage, since in connection.execute(
        "SELECT uuid, labels, stage, since FROM remote_leaving WHERE output = ?", (output,)
    ).fetchall():
        rows = connection.execute(
            "SELECT head, counts FROM remote_leaving_lines WHERE output = ? AND uuid = ?", (output, uuid)
        )
        lines = {head: bool(counts) for head, counts in rows}
        found.append(Leaving(uuid, msgspec.json.decode(labels, type=dict[str, str]), lines, Stage(stage), since))
    return tuple(found)


def enter_leaving(
    connection: sqlite3.Connection, output: str, uuid: str, labels: str, lines: Iterable[tuple[str, bool]]
) -> None:
    """Note that an output has to end the lines of a node, within a transaction.

    If a node with the same labels is leaving, its lines are ended with those of the new one: they are the same series.
    """
    for table in _TABLES:
        connection.execute(table)
    connection.executemany(
        "INSERT INTO remote_leaving_lines (output, uuid, head, counts) VALUES (?, ?, ?, ?)",
        ((output, uuid, head, counts) for head, counts in lines),
    )
    former = connection.execute("SELECT uuid FROM remote_leaving WHERE output = ? AND labels = ?", (output, labels))
    for (other,) in former.fetchall():
        connection.execute(
            "UPDATE OR IGNORE remote_leaving_lines SET uuid = ? WHERE output = ? AND uuid = ?", (uuid, output, other)
        )
        _delete(connection, (output, other))
    connection.execute(
        "INSERT INTO remote_leaving (output, uuid, labels, stage, since) VALUES (?, ?, ?, 0, 0)", (output, uuid, labels)
    )


def note_leaving(
    connection: sqlite3.Connection, output: str, before: Sequence[Leaving], after: Sequence[Leaving]
) -> None:
    """Note how far the ends are after a slot, within a transaction."""
    left = {each.uuid: each for each in after}
    for each in before:
        key, now = (output, each.uuid), left.get(each.uuid)
        if now is None:
            _delete(connection, key)
        else:
            state = (now.stage, now.since, *key)
            connection.execute("UPDATE remote_leaving SET stage = ?, since = ? WHERE output = ? AND uuid = ?", state)


def drop_leaving(connection: sqlite3.Connection, outputs: Collection[str]) -> None:
    """Forget what outputs that are no longer configured had to end."""
    if _is_there(connection):
        marks = ", ".join("?" * len(outputs))
        for table in _NAMES:
            connection.execute(f"DELETE FROM {table} WHERE output NOT IN ({marks})", tuple(outputs))  # noqa: S608


def _delete(connection: sqlite3.Connection, key: tuple[str, str]) -> None:
    for table in _NAMES:
        connection.execute(f"DELETE FROM {table} WHERE output = ? AND uuid = ?", key)  # noqa: S608


def _is_there(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'remote_leaving_lines'").fetchone()
    return found is not None
