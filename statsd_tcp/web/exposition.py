"""The StatsD series of a snapshot as Prometheus reads them: the text format and OpenMetrics.

prometheus_client writes a counter's name with ``_total`` only, and a name must not change with what the
scraper accepts. Here a counter keeps its own name: it is typed ``counter`` in the text format, and in OpenMetrics too
if its name ends in ``_total``, as it must there; otherwise it is ``unknown``. Timers (``ms``) are in seconds. The
quantiles of a summary are there as long as something came to it lately.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from threading import Lock

from statsd_tcp.series.quantiles import Quantile
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.status.left_out import LeftOut
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition_changes import Series
from statsd_tcp.web.exposition_families import Conflict
from statsd_tcp.web.exposition_layout import Layout, Layouts
from statsd_tcp.web.exposition_rows import WRITERS, latest_of
from statsd_tcp.web.exposition_totals import TOTAL

__all__ = ["Exposition"]

# A family's first lines. Its help may say anything, but stands on its own line.
_COUNTER = re.compile(rb"^# TYPE (\S+) counter\n(?:# HELP \S+ (.*)\n)?", re.MULTILINE)
_HELP = re.compile(rb"^# HELP .*$", re.MULTILINE)

_TOTAL = TOTAL.encode()


class Exposition:
    """Writes snapshots. Keeps the plan of the last one, from which that of the next one is made.

    ``counter_suffix`` is appended to the names of counters that do not end in it. Any thread may use it, and several at
    once.
    """

    def __init__(self, counter_suffix: str = "") -> None:
        self._lock = Lock()
        self._layouts = Layouts(counter_suffix)

    def conflicts(self, snapshot: Snapshot) -> dict[str, int]:
        """Return by reason how many series found no place up to this snapshot, each counted once."""
        self._layout_for(snapshot)
        return self._layouts.left_out()

    def left_out(self, snapshot: Snapshot) -> list[LeftOut]:
        """Return the first series that found no place in this snapshot, and for whom."""
        tables = snapshot.tables()
        return [_named(conflict, tables) for conflict in self._layout_for(snapshot).conflicts]

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> bytes:
        """Write the snapshot's series in the one or the other format, without OpenMetrics' last line."""
        return b"".join(self.pieces(snapshot, openmetrics=openmetrics))

    def pieces(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[bytes]:
        """Write the same in pieces of a few hundred kilobytes, each of whole lines."""
        layout = self._layout_for(snapshot)
        quantiles = _none if snapshot.windows is None else snapshot.windows.read()
        for blocks, table in zip(layout.blocks, snapshot.tables(), strict=True):
            for block in blocks:
                text = _encode(WRITERS[table.kind].lines(block, table, quantiles))
                yield _as_openmetrics(text, layout) if openmetrics else text

    def _layout_for(self, snapshot: Snapshot) -> Layout:
        with self._lock:
            return self._layouts.of(snapshot.tables(), snapshot.owners)


def _none(_: Sequence[int]) -> Sequence[Quantile]:
    return ()


def _named(conflict: Conflict, tables: Sequence[SeriesTable]) -> LeftOut:
    reason, loser, holders = conflict
    if not holders:
        return LeftOut(reason, *_identity(loser, tables))
    latest = latest_of([each.position for each in holders], tables[holders[0].number].weights)
    holder = next(each for each in holders if each.position == latest)
    # Of a shared line all but the first lose, unless one of them is shown: then it is the first.
    loser = holders[0] if holder == loser else loser
    return LeftOut(reason, *_identity(loser, tables), *_identity(holder, tables))


def _identity(series: Series, tables: Sequence[SeriesTable]) -> tuple[str, str]:
    table = tables[series.number]
    return table.kind, table.identities[series.position]


def _as_openmetrics(text: bytes, layout: Layout) -> bytes:
    """Declare the counters' families as far as OpenMetrics can know them."""

    def opening(found: re.Match[bytes]) -> bytes:
        name, said = found[1], found[2]
        kind = b"unknown"
        if name.endswith(_TOTAL) and name.decode() not in layout.ambiguous:
            name, kind = name.removesuffix(_TOTAL), b"counter"
        said = b"" if said is None else b"# HELP %b %b\n" % (name, said)
        return b"# TYPE %b %b\n%b" % (name, kind, said)

    text = _COUNTER.sub(opening, text)
    return _HELP.sub(lambda found: found[0].replace(b'"', rb"\""), text) if layout.quoted else text


def _encode(lines: Sequence[str]) -> bytes:
    # What came in is UTF-8; if anything else ever got this far, it must not take the scrape down.
    return "\n".join(lines).encode("utf-8", "replace") + b"\n"
