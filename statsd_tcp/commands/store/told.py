"""All lines that the outputs by remote write of a store have told, so that another node can end them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from statsd_tcp.commands.store.reading import StoreReader
from statsd_tcp.mapping.shown import Family
from statsd_tcp.remote_write.lines import series_lines
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.owners import Owner
from statsd_tcp.series.traits import from_row
from statsd_tcp.store.frozen import LEVEL
from statsd_tcp.store.handover import Line, Told, told_of
from statsd_tcp.store.snapshot import Snapshot, StoreStats
from statsd_tcp.web.exposition_layout import Layouts

__all__ = ["lines_of"]

_NOTHING = StoreStats(commits=0, last_commit=0.0, duration_sum=0.0, duration_buckets=(), expired=0, conflicts={})


def lines_of(reader: StoreReader) -> list[Line]:
    """Return the lines of all outputs."""
    snapshot = _snapshot(reader)
    found = reader.look(told_of)
    return [line for output, told in found.items() for line in _lines(reader, output, told, snapshot)]


def _lines(reader: StoreReader, output: str, told: Told, snapshot: Snapshot) -> Iterator[Line]:
    def own(connection: sqlite3.Connection) -> list[tuple[str, str]]:
        return connection.execute("SELECT head, state FROM remote_own WHERE output = ?", (output,)).fetchall()

    for head, state in reader.look(own):
        yield Line(output, head, state != LEVEL)
    layout = Layouts(told.suffix).of(snapshot.tables(), snapshot.owners)
    for lines in series_lines(layout, snapshot):
        for head in lines.numbers.heads:
            yield Line(output, head, lines.counts)


def _snapshot(reader: StoreReader) -> Snapshot:
    """Return the series as the page has them."""

    def look(connection: sqlite3.Connection) -> tuple[list[tuple[str, str, str, float]], list[SeriesColumns]]:
        traits = dict(map(from_row, connection.execute("SELECT id, ttl, help, bounds, counts FROM traits")))
        for columns in reader.columns:
            columns.load_traits(traits)
        owners = connection.execute("SELECT name, family, kind, since FROM owners").fetchall()
        return owners, reader.columns

    owners, columns = reader.look(look)
    counters, gauges, times, distributions, sets = (each.table() for each in columns)
    return Snapshot(
        settled={},
        ledgers={},
        counters=counters,
        gauges=gauges,
        times=times,
        distributions=distributions,
        sets=sets,
        stats=_NOTHING,
        owners={name: Owner(Family(family, kind), since) for name, family, kind, since in owners},
    )
