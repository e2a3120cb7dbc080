"""The StatsD series of a snapshot as Prometheus reads them: the text format and OpenMetrics.

prometheus_client writes a counter's name with ``_total`` only, and a name must not change with what the
scraper accepts. Here a counter keeps its own name: it is typed ``counter`` in the text format, and in OpenMetrics too
if its name ends in ``_total``, as it must there; otherwise it is ``unknown``. Timers (``ms``) are in seconds. The
quantiles of a summary are there as long as something came to it lately.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import add
from threading import Lock

from statsd_tcp.status.left_out import LeftOut
from statsd_tcp.store.owners import Owner
from statsd_tcp.store.snapshot import SeriesTable, Snapshot
from statsd_tcp.store.traits import MILLISECONDS, PLAIN_TRAITS, Traits, refit
from statsd_tcp.store.windows import Quantile
from statsd_tcp.web.exposition_layout import CONFLICT_REASONS, Conflict, Layout, lay_out
from statsd_tcp.web.exposition_rows import GaugeRows, ObservedRows, PlainRows, Rows

__all__ = ["Exposition"]

# A family's first lines. Its help may say anything, but stands on its own line.
_COUNTER = re.compile(rb"^# TYPE (\S+) counter\n(?:# HELP \S+ (.*)\n)?", re.MULTILINE)
_HELP = re.compile(rb"^# HELP .*$", re.MULTILINE)

_CHUNK = 1000
"""Rows that are written in one go: no other thread runs meanwhile, for about half a millisecond."""

_Quantiles = Callable[[Sequence[int]], Sequence[Quantile]]
"""Gives the quantiles of series by their ids."""


class Exposition:
    """Writes snapshots. Keeps the plan of the last one, which stays good until a series comes or goes.

    It also does until a name gets another owner. ``counter_suffix`` is put behind the names of counters that don't end
    in it. Any thread may use it, and several at once.
    """

    def __init__(self, counter_suffix: str = "") -> None:
        self._suffix = counter_suffix
        self._lock = Lock()
        self._members: tuple[tuple[int, int, int], ...] = ()
        self._owners: Mapping[str, Owner] = {}
        self._layout = Layout((), {}, (), frozenset(), quoted=False)
        self._left_out: dict[str, set[int]] = {reason: set() for reason in CONFLICT_REASONS}

    def conflicts(self, snapshot: Snapshot) -> dict[str, int]:
        """Give by reason how many series found no place up to this snapshot, each counted once."""
        self._layout_for(snapshot)
        return {reason: len(ids) for reason, ids in self._left_out.items()}

    def left_out(self, snapshot: Snapshot) -> list[LeftOut]:
        """Give the first series that found no place in this snapshot, and for whom."""
        tables = snapshot.tables()
        layout = self._layout_for(snapshot)
        latest = [_latest(rows, table) for rows, table in zip(layout.rows, tables, strict=True)]
        return [_named(conflict, tables, latest) for conflict in layout.conflicts]

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> bytes:
        """Write the snapshot's series in the one or the other format, without OpenMetrics' last line."""
        return b"".join(self.pieces(snapshot, openmetrics=openmetrics))

    def pieces(self, snapshot: Snapshot, *, openmetrics: bool) -> Iterator[bytes]:
        """Write the same in pieces of a few hundred kilobytes, each of whole lines."""
        tables = snapshot.tables()
        layout = self._layout_for(snapshot)
        quantiles = _none if snapshot.windows is None else snapshot.windows.quantiles
        for rows, table in zip(layout.rows, tables, strict=True):
            for text in _render_rows(rows, table, quantiles):
                yield _as_openmetrics(text, layout) if openmetrics else text

    def _layout_for(self, snapshot: Snapshot) -> Layout:
        tables, owners = snapshot.tables(), snapshot.owners
        members = tuple((table.epoch, table.layout_version, len(table)) for table in tables)
        with self._lock:
            if members != self._members or (owners is not self._owners and owners != self._owners):
                self._layout = lay_out(tables, self._suffix, owners)
                self._members, self._owners = members, owners
                for reason, ids in self._layout.left_out.items():
                    self._left_out[reason].update(ids)
            return self._layout


def _none(_: Sequence[int]) -> Sequence[Quantile]:
    return ()


def _latest(rows: Rows, table: SeriesTable) -> dict[int, int]:
    """Give the position of the gauge that is shown, by that of the first one, where there are several."""
    if not isinstance(rows, GaugeRows) or not rows.merged:
        return {}
    latest = rows.latest(table.weights)
    return {rows.positions[row]: latest[row] for row, _ in rows.merged}


def _named(conflict: Conflict, tables: Sequence[SeriesTable], latest: Sequence[Mapping[int, int]]) -> LeftOut:
    reason, loser, holder = conflict
    if reason == "duplicate" and holder is not None:
        shown = holder._replace(position=latest[holder.number][holder.position])
        loser, holder = holder if loser == shown else loser, shown
    kind, series = tables[loser.number].kind, tables[loser.number].identities[loser.position]
    if holder is None:
        return LeftOut(reason, kind, series)
    return LeftOut(reason, kind, series, tables[holder.number].kind, tables[holder.number].identities[holder.position])


def _as_openmetrics(text: bytes, layout: Layout) -> bytes:
    """Say of the counters' families what OpenMetrics can know."""

    def opening(found: re.Match[bytes]) -> bytes:
        name, said = found[1], found[2]
        kind = b"unknown"
        if name.decode() in layout.totals:
            name, kind = name.removesuffix(b"_total"), b"counter"
        said = b"" if said is None else b"# HELP %b %b\n" % (name, said)
        return b"# TYPE %b %b\n%b" % (name, kind, said)

    text = _COUNTER.sub(opening, text)
    return _HELP.sub(lambda found: found[0].replace(b'"', rb"\""), text) if layout.quoted else text


def _render_rows(rows: Rows, table: SeriesTable, quantiles: _Quantiles) -> Iterator[bytes]:
    if isinstance(rows, PlainRows):
        return _lines(rows.heads, rows.shown(table))
    if isinstance(rows, ObservedRows):
        return _observed_lines(rows, table, quantiles)
    raise TypeError(rows)


def _lines(heads: Sequence[str], values: Sequence[float]) -> Iterator[bytes]:
    for start in range(0, len(heads), _CHUNK):
        end = start + _CHUNK
        lines = map(add, heads[start:end], map(repr, values[start:end]))
        yield _encode("\n".join(lines))


def _observed_lines(rows: ObservedRows, table: SeriesTable, quantiles: _Quantiles) -> Iterator[bytes]:
    unit = MILLISECONDS if rows.kind == "ms" else 1.0
    sums = [value / unit for value in rows.numbers(table.values)]
    # A sampled observation weighs 1/rate, but a count must be whole.
    counts = [round(weight) for weight in rows.numbers(table.weights)]
    several = rows.all_positions()
    ids, traits = table.ids, table.traits
    for start in range(0, len(sums), _CHUNK):
        lines = []
        for row in range(start, min(start + _CHUNK, len(sums))):
            members = [ids[position] for position in several.get(row) or (rows.positions[row],)]
            part, count = rows.parts[row], counts[row]
            if rows.histograms[row]:
                known = [traits.get(member, PLAIN_TRAITS) for member in members]
                shown = "".join([f'{part}{bound!r}"}} {upto}\n' for bound, upto in _buckets(known, count)])
                shown += f'{part}+Inf"}} {count}\n'
            else:
                shown = "".join([f'{part}{label}"}} {value / unit!r}\n' for label, value in quantiles(members)])
            lines.append(
                f"{rows.openings[row]}{shown}{rows.sum_heads[row]}{sums[row]!r}\n{rows.count_heads[row]}{count}"
            )
        yield _encode("\n".join(lines))


def _buckets(members: Sequence[Traits], count: int) -> Iterator[tuple[float, int]]:
    """Give each bound with the number of observations up to it. Of several series the first one's bounds count."""
    bounds = next((traits.bounds for traits in members if traits.bounds), ())
    fitted = [traits.counts if traits.bounds == bounds else refit(traits, bounds) for traits in members]
    counts = fitted[0] if len(fitted) == 1 else [sum(each) for each in zip(*fitted, strict=True)]
    for bound, upto in zip(bounds, accumulate(counts), strict=True):
        # Rounded weights must not add up to more than all of them.
        yield bound, min(round(upto), count)


def _encode(lines: str) -> bytes:
    # What came in is UTF-8; if anything else ever got this far, it must not take the scrape down.
    return lines.encode("utf-8", "replace") + b"\n"
