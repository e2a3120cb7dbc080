"""Series that are deleted: how they leave the columns and the open output flush.

It goes on in parts, between which commits have their turn: all series are looked at, the open flush in the file is
rewritten, and then the series are forgotten. If it ends before that, some are still there and can be deleted again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.flush.flushes import Flushes
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import RAW, SeriesPlan, positions_of
from statsd_tcp.store.search import Kind

__all__ = ["deletable", "leave_columns", "leave_flushes", "parts", "strip_parts"]

_NEXT_PART = "SELECT id, payload FROM slot_parts WHERE id >= ? AND id < ? AND payload != x'' ORDER BY id LIMIT 1"

_STRIPPED = 1 << 20
"""Bytes of the open flush that are rewritten in one go: a tenth of a second."""


class _Places(NamedTuple):
    """Where series of a kind are: the kinds of the columns, that of the known series, the fields of intervals."""

    columns: Sequence[str]
    known: str
    fields: Sequence[str]


_PLACES: Mapping[Kind, _Places] = {
    "counters": _Places(("c", RAW), "c", ("counters", "falls")),
    "gauges": _Places(("g",), "g", ("gauges",)),
    "timers": _Places(("ms", "h"), "ms", ("times", "distributions")),
}


def deletable(kind: Kind, columns: Sequence[SeriesColumns], flushes: Flushes | None) -> list[str]:
    """Return all series of a kind, wherever they are, each once."""
    places = _PLACES[kind]
    everywhere: list[Iterable[str]] = [each.positions for each in columns if each.kind in places.columns]
    if flushes is not None and kind == "counters":
        everywhere.append(flushes.counters.named)
    elif flushes is not None:
        everywhere.append(flushes.known.identities(places.known))
        if flushes.open is not None:
            everywhere.append(_in_flush(flushes, kind))
    return list(set[str]().union(*everywhere))


def leave_columns(kind: Kind, gone: Collection[str], columns: Sequence[SeriesColumns]) -> list[SeriesPlan]:
    """Plan for all columns that these series leave those of their kind."""
    return [
        SeriesPlan(expired=positions_of(sorted(filter(_is_known, each.find(gone).tolist()))))
        if each.kind in _PLACES[kind].columns
        else SeriesPlan()
        for each in columns
    ]


def _is_known(position: int) -> bool:
    return position >= 0


def leave_flushes(connection: sqlite3.Connection, kind: Kind, gone: Collection[str], flushes: Flushes) -> None:
    """Take these series out of what is known for the outputs, in the file too, and out of the open flush in memory."""
    if kind == "counters":
        flushes.counters.drop(gone)
        return
    places = _PLACES[kind]
    for identity in gone:
        if flushes.known.forget(places.known, identity):
            # Not when the flush is closed: until then it may be there again.
            flushes.known.gone.pop()
            connection.execute("DELETE FROM slot_series WHERE kind = ? AND identity = ?", (places.known, identity))
    if flushes.open is not None:
        here = _in_flush(flushes, kind)
        for identity in gone:
            here.pop(identity, None)


def parts(connection: sqlite3.Connection) -> range:
    """Return the ids of the parts of the open flush that are in the file now, starting with the first possible one."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM slot_parts").fetchone()
    return range(1, last + 1)


def strip_parts(connection: sqlite3.Connection, kind: Kind, gone: AbstractSet[str], ids: range) -> range:
    """Take series out of the first of these parts of the open flush in the file; return which are left."""
    room = _STRIPPED
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        while room > 0:
            row = connection.execute(_NEXT_PART, (ids.start, ids.stop)).fetchone()
            if row is None:
                return range(0)
            part, payload = row
            _strip_part(connection, kind, gone, part, payload)
            ids = range(part + 1, ids.stop)
            room -= len(payload)
    return ids


def _in_flush(flushes: Flushes, kind: Kind) -> dict[str, object]:
    found: dict[str, object] = getattr(flushes.open, kind)
    return found


def _strip_part(connection: sqlite3.Connection, kind: Kind, gone: AbstractSet[str], part: int, payload: bytes) -> None:
    interval = decode(payload)
    found = False
    for field in _PLACES[kind].fields:
        series = getattr(interval, field)
        for identity in series.keys() & gone:
            del series[identity]
            found = True
    if found:
        connection.execute("UPDATE slot_parts SET payload = ? WHERE id = ?", (encode(interval), part))
