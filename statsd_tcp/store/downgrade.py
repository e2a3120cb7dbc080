"""The way back: a store that release 0.1.0 reads. What `migration` does, the other way round.

    rows, pages     to the table ``series``, a row for each, with dates by the wall clock
    slot_parts      in the words of release 0.1.0, part by part
    slot_series     with a row for each raw counter too
    owners          left out: there the family that came first has a name
    clients         left out: release 0.1.0 takes no batches

All other tables are the same in both. What a total's double cannot hold is left out too; it is never shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from statsd_tcp.aggregate.encoding import VERSION_1, BadIntervalError, decode, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import KnownRow
from statsd_tcp.flush.counters import Places
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import WIDTHS
from statsd_tcp.store.backup import copied
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.loading import load_series
from statsd_tcp.store.schema import OLD_VERSION
from statsd_tcp.words import in_words

__all__ = ["LeftOut", "write_downgrade"]

_SERIES: Final = """CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    value REAL NOT NULL,
    weight REAL NOT NULL,
    updated REAL NOT NULL
)"""

_DROPPED: Final = (
    *("rows", "pages", "owners", "clients", "backup", "identity", "absorbed"),
    *("remote_outputs", "remote_own", "remote_requests", "remote_leaving", "remote_leaving_lines"),
)

_PUT_KNOWN: Final = "INSERT OR REPLACE INTO slot_series (kind, identity, value, seen) VALUES (?, ?, ?, ?)"

_WEIGHT: Final = {"ms": 2, "h": 2}
"""Which of the columns has the weights, by kind. The tick of a gauge's setting means nothing after a start."""

_SeriesRow = tuple[int, str, str, float, float, float]
"""The id, the kind, the identity, the value, the weight, and the wall time of the last change."""


class LeftOut(NamedTuple):
    """What release 0.1.0 will not know: the owners of that many names on the page, and what is damaged, in words."""

    owners: int
    damage: list[str]


def write_downgrade(source: sqlite3.Connection, file: Path) -> LeftOut:
    """Write what ``source`` reads to a new store of release 0.1.0; return what is not in it.

    The file is made as a backup is, see `copied`. Raise `StoreError`.
    """
    with copied(source, file) as copy, closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        columns = [SeriesColumns(kind) for kind in WIDTHS]
        loaded = load_series(connection, columns)
        (owners,) = connection.execute("SELECT count(*) FROM owners").fetchone()
        connection.execute("BEGIN")
        for table in _DROPPED:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(_SERIES)
        ahead = 0.0 if loaded.row is None else loaded.row.ahead
        counters, *_, own = columns
        for each in columns[:-1]:
            connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", _rows(each, ahead))
        raw = own if len(own) else counters
        connection.executemany(_PUT_KNOWN, _known_rows(raw, loaded.moment + ahead))
        _rewrite_parts(connection, file, counters, own)
        connection.execute(f"PRAGMA user_version = {OLD_VERSION}")
        connection.execute("COMMIT")
    return LeftOut(owners, loaded.damage)


def _rows(columns: SeriesColumns, ahead: float) -> Iterator[_SeriesRow]:
    """Return the rows of one kind; the wall clock is ``ahead`` of the clock of the series."""
    places = np.flatnonzero(columns.ids[: columns.top])
    weight = _WEIGHT.get(columns.kind)
    weights = np.zeros(len(places)) if weight is None else columns.numbers[weight][places]
    return zip(
        columns.ids[places].tolist(),
        repeat(columns.kind),
        map(columns.identity, places.tolist()),
        # The double that is nearest to the total and its remainder together.
        columns.numbers[0][places].tolist(),
        weights.tolist(),
        (columns.updated[places] + ahead).tolist(),
        strict=False,
    )


def _known_rows(columns: SeriesColumns, moment: float) -> Iterator[KnownRow]:
    """Return a row for each raw counter, all of which are told to outputs at a moment of the wall clock."""
    return (KnownRow("c", identity, 0.0, int(moment)) for identity in columns.positions)


def _rewrite_parts(connection: sqlite3.Connection, file: Path, *raw: SeriesColumns) -> None:
    """Write counters into the parts by name. Those that came before the first rules are among the shown ones."""
    places = [(columns, Places(columns)) for columns in raw]
    for part, packed in connection.execute("SELECT id, counters FROM slot_parts").fetchall():
        (payload,) = connection.execute("SELECT payload FROM slot_parts WHERE id = ?", (part,)).fetchone()
        # The first part may be empty, and those that release 0.1.0 has written itself may still be there.
        if packed or payload[:1] not in {b"", bytes([VERSION_1])}:
            interval = _decoded(payload, file)
            for columns, here in places:
                positions, amounts = here.unpack(packed)
                for name, amount in zip(map(columns.identity, positions.tolist()), amounts.tolist(), strict=True):
                    interval.counters[name] = interval.counters.get(name, 0.0) + amount
            connection.execute("UPDATE slot_parts SET payload = ? WHERE id = ?", (encode(interval, VERSION_1), part))
    connection.execute("ALTER TABLE slot_parts DROP COLUMN counters")


def _decoded(payload: bytes, file: Path) -> Interval:
    try:
        return decode(payload)
    except BadIntervalError as error:
        raise StoreError(
            f"{file} cannot be made: a part of the open flush cannot be read ({in_words(error)})"
        ) from error
