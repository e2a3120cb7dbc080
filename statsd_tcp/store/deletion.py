"""Series that are deleted by their names: which they are, and how they leave the open output flush."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.store.flushes import Flushes
from statsd_tcp.store.series import SeriesColumns, SeriesPlan
from statsd_tcp.wire.notation import matching

__all__ = ["DELETABLE", "Deletion", "Kind", "find", "leave_columns", "leave_flushes"]

Kind = Literal["counters", "gauges", "timers"]

DELETABLE: tuple[Kind, ...] = ("counters", "gauges", "timers")


class _Places(NamedTuple):
    """Where series of a kind are: the kinds of the columns, that of the known series, the fields of intervals."""

    columns: Sequence[str]
    known: str
    fields: Sequence[str]


_PLACES: Mapping[Kind, _Places] = {
    "counters": _Places(("c",), "c", ("counters",)),
    "gauges": _Places(("g",), "g", ("gauges",)),
    "timers": _Places(("ms", "h"), "ms", ("times", "distributions", "unseen_times", "unseen_distributions")),
}


class Deletion(NamedTuple):
    """What was found for a pattern: the identities of the series, none if there was nothing."""

    pattern: str
    identities: Sequence[str]


def find(
    kind: Kind, patterns: Sequence[str], columns: Sequence[SeriesColumns], flushes: Flushes | None
) -> list[Deletion]:
    """Find the series for each pattern (see `matching`); one that several mean is the first one's."""
    places = _PLACES[kind]
    everywhere: list[Collection[str]] = [each.positions for each in columns if each.kind in places.columns]
    if flushes is not None:
        everywhere.append(flushes.known.identities(places.known))
        if flushes.open is not None:
            everywhere.append(_in_flush(flushes, kind))
    seen: set[str] = set()
    result = []
    for pattern in patterns:
        found = set[str]().union(*(matching(pattern, identities) for identities in everywhere)) - seen
        seen |= found
        result.append(Deletion(pattern, sorted(found)))
    return result


def leave_columns(kind: Kind, gone: Collection[str], columns: Sequence[SeriesColumns]) -> list[SeriesPlan]:
    """Plan for all columns that these series leave those of their kind."""
    return [
        SeriesPlan({}, [], sorted(each.positions[identity] for identity in gone if identity in each.positions))
        if each.kind in _PLACES[kind].columns
        else SeriesPlan({}, [], [])
        for each in columns
    ]


def leave_flushes(connection: sqlite3.Connection, kind: Kind, gone: Collection[str], flushes: Flushes) -> None:
    """Take these series out of what is known for the outputs, and out of the open flush, in the file and in memory."""
    places = _PLACES[kind]
    for identity in gone:
        if flushes.known.forget(places.known, identity):
            # Not when the flush is closed: until then it may be there again.
            flushes.known.gone.remove((places.known, identity))
            connection.execute("DELETE FROM slot_series WHERE kind = ? AND identity = ?", (places.known, identity))
    if flushes.open is not None:
        here = _in_flush(flushes, kind)
        for identity in gone:
            here.pop(identity, None)
        _strip_parts(connection, places.fields, gone)


def _in_flush(flushes: Flushes, kind: Kind) -> dict[str, object]:
    found: dict[str, object] = getattr(flushes.open, kind)
    return found


def _strip_parts(connection: sqlite3.Connection, fields: Sequence[str], gone: Collection[str]) -> None:
    rows = connection.execute("SELECT id, payload FROM slot_parts WHERE length(payload) > 0").fetchall()
    for part, payload in rows:
        interval = decode(payload)
        for field in fields:
            series = getattr(interval, field)
            for identity in gone:
                series.pop(identity, None)
        connection.execute("UPDATE slot_parts SET payload = ? WHERE id = ?", (encode(interval), part))
