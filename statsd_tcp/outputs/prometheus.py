"""The StatsD series of a snapshot as Prometheus reads them: the text format and OpenMetrics.

prometheus_client writes a counter's name with ``_total`` only, and a name must not change with what the
scraper accepts. Here a counter keeps its own name: it is typed ``counter`` in the text format, and
``unknown`` in OpenMetrics, where a counter would have to end in ``_total``. Timers (``ms``) are summaries in
seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import add
from threading import Lock

from statsd_tcp.outputs.prometheus_layout import CONFLICT_REASONS, Layout, Rows, lay_out
from statsd_tcp.store.snapshot import SeriesTable, Snapshot

__all__ = ["Exposition"]

_MILLISECONDS = 1000.0

# Only a type line can end like that: every other line ends with a number.
_COUNTER, _UNKNOWN = b" counter\n", b" unknown\n"

_CHUNK = 1000
"""Rows that are written in one go: no other thread runs meanwhile, for about half a millisecond."""


class Exposition:
    """Writes snapshots. Keeps the plan of the last one, which stays good until a series comes or goes.

    Any thread may use it, and several at once.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._members: tuple[tuple[int, int], ...] = ()
        self._layout = Layout((), {})
        self._left_out: dict[str, set[int]] = {reason: set() for reason in CONFLICT_REASONS}

    def conflicts(self, snapshot: Snapshot) -> dict[str, int]:
        """Give by reason how many series found no place up to this snapshot, each counted once."""
        self._layout_for(snapshot.tables())
        return {reason: len(ids) for reason, ids in self._left_out.items()}

    def render(self, snapshot: Snapshot, *, openmetrics: bool) -> bytes:
        """Write the snapshot's series in the one or the other format, without OpenMetrics' last line."""
        tables = snapshot.tables()
        layout = self._layout_for(tables)
        parts: list[bytes] = []
        for rows, table in zip(layout.rows, tables, strict=True):
            parts.extend(_render_rows(rows, table))
        text = b"".join(parts)
        return text.replace(_COUNTER, _UNKNOWN) if openmetrics else text

    def _layout_for(self, tables: Sequence[SeriesTable]) -> Layout:
        members = tuple((table.epoch, len(table)) for table in tables)
        with self._lock:
            if members != self._members:
                self._layout = lay_out(tables)
                self._members = members
                for reason, ids in self._layout.left_out.items():
                    self._left_out[reason].update(ids)
            return self._layout


def _render_rows(rows: Rows, table: SeriesTable) -> Iterator[bytes]:
    values = _numbers(rows, table.values)
    if rows.type != "summary":
        return _lines(rows.heads, values)
    if rows.kind == "ms":
        values = [value / _MILLISECONDS for value in values]
    # A sampled observation weighs 1/rate, but a count must be whole.
    counts = [round(weight) for weight in _numbers(rows, table.weights)]
    return _pairs_of_lines(rows, values, counts)


def _numbers(rows: Rows, column: Sequence[float]) -> list[float]:
    numbers = [column[position] for position in rows.positions]
    for row, position in rows.merged:
        numbers[row] += column[position]
    return numbers


def _lines(heads: Sequence[str], values: Sequence[float]) -> Iterator[bytes]:
    for start in range(0, len(heads), _CHUNK):
        end = start + _CHUNK
        lines = map(add, heads[start:end], map(repr, values[start:end]))
        yield _encode("\n".join(lines))


def _pairs_of_lines(rows: Rows, sums: Sequence[float], counts: Sequence[int]) -> Iterator[bytes]:
    for start in range(0, len(sums), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        four = zip(rows.heads[chunk], sums[chunk], rows.count_heads[chunk], counts[chunk], strict=True)
        yield _encode("\n".join([f"{head}{total!r}\n{count_head}{count}" for head, total, count_head, count in four]))


def _encode(lines: str) -> bytes:
    # What came in is UTF-8; if anything else ever got this far, it must not take the scrape down.
    return lines.encode("utf-8", "replace") + b"\n"
