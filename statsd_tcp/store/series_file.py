"""The series in the store's file: a row for what each commit brings, and pages that make old rows superfluous.

    rows     .. 41 42 43 44 45 46
    pages    a: 46, b: 43, c: 44 and nothing came since    44 to 46 are still needed, for b

A page of numbers to a quarter of whose series something comes is written whole, and the row lacks it. In addition to
them each commit writes those that have not been written for the longest time, so that the rows never take more than the
columns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import numpy as np

from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import WIDTHS, Positions, SeriesPlan
from statsd_tcp.store.pages import NAMES, NUMBERS, PAGE, PageKey, pages_of, top_after, write_names, write_numbers
from statsd_tcp.store.rows import Part, Row, encode_row, sealed

__all__ = ["SeriesFile", "Writes", "page_id", "page_key", "write_series"]

_PUT_ROW = "INSERT INTO rows (id, payload) VALUES (?, ?)"
_DROP_ROWS = "DELETE FROM rows WHERE id < ?"
_PUT_PAGE = """INSERT INTO pages (id, row, payload) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET row = excluded.row, payload = excluded.payload"""

_KINDS: Final = tuple(WIDTHS)
_WHATS: Final = (NUMBERS, NAMES)
_NUMBER_BITS: Final = 32

_WHOLE: Final = 4
"""A page is written whole if at least one in this many of its series changes."""

_ROW_SERIES: Final = 1 << 16
"""The most new series of one row: SQLite takes no more than a gigabyte in one, and a name has 8 KiB at the most."""

_FEW_BYTES: Final = 1 << 20
"""Rows that together take no more are not worth a page."""

_ROW_COST: Final = 256
"""A row costs as much as this many bytes, however short it is: it is read by itself when the file is opened."""

_MOST_BYTES: Final = 1 << 24
"""The most bytes of pages that are written in addition to what a commit brings."""


class Writes(NamedTuple):
    """What a commit writes: rows, the first of them with that id, pages, and the first rows that pages lack then.

    ``next_id``: the first id that no series has then. ``ahead``: how far the wall clock is ahead of the clock of the
    series. ``saved``: the bytes of pages that were allowed and are left for later.
    """

    first: int
    next_id: int
    ahead: float
    rows: Sequence[bytes]
    pages: Mapping[PageKey, bytes]
    lacking: Mapping[PageKey, int]
    saved: int = 0

    @property
    def last(self) -> int:
        """The id of the last row."""
        return self.first + len(self.rows) - 1


class SeriesFile:
    """What the file has of each page. ``lacking``: by page, the first row with something for it that it lacks."""

    def __init__(self, columns: Sequence[SeriesColumns]) -> None:
        self._columns = {each.kind: each for each in columns}
        self.next_row = 1
        self.lacking: dict[PageKey, int] = {}
        self.row_bytes: dict[int, int] = {}
        self._saved = 0

    def take_over(self, next_row: int, lacking: Mapping[PageKey, int], row_bytes: Mapping[int, int]) -> None:
        """Start from what a file has: the first rows that pages lack, and the lengths of all rows by number."""
        self.next_row, self.lacking, self.row_bytes = next_row, dict(lacking), dict(row_bytes)

    def plan(self, plans: Sequence[SeriesPlan], now: float, ahead: float, first_id: int) -> Writes:
        """Work out what has to be written for the plans of all kinds; new series have the ids from ``first_id`` on."""
        next_id = first_id + sum(len(plan.fresh.identities) for plan in plans)
        planned = dict(zip(self._columns, plans, strict=True))
        whole = {PageKey(kind, NUMBERS, number) for kind, plan in planned.items() for number in self._whole(kind, plan)}
        parts = [part for kind, plan in planned.items() for part in _parts(kind, plan, whole)]
        contents = [*([part] for part in parts[:-1]), parts[-1:]]
        rows = [
            encode_row(Row(now, ahead, next_id, content), number)
            for number, content in enumerate(contents, self.next_row)
        ]
        lacking = dict(self.lacking)
        for key in _touched(planned):
            lacking.setdefault(key, self.next_row)
        pages: dict[PageKey, bytes] = {}
        left = self._saved + self._allowance(list(map(len, rows)))
        for key in [*sorted(whole), *sorted(lacking.keys() - whole, key=lacking.__getitem__)]:
            if key not in whole:
                # What is damaged is written at once.
                if left < self._size(key) and lacking[key] > 0:
                    break
                left -= self._size(key)
            pages[key] = self._page(key, planned[key.kind], now)
            del lacking[key]
        return Writes(self.next_row, next_id, ahead, rows, pages, lacking, max(left, 0))

    def apply(self, writes: Writes) -> None:
        """Note that it is written."""
        self.next_row = writes.last + 1
        self.lacking, self._saved = dict(writes.lacking), writes.saved
        self.row_bytes.update(enumerate(map(len, writes.rows), writes.first))
        first = _needed_from(writes)
        for number in list(takewhile(lambda number: number < first, self.row_bytes)):
            del self.row_bytes[number]

    def _whole(self, kind: str, plan: SeriesPlan) -> list[int]:
        columns = self._columns[kind]
        if not len(plan.positions):
            return []
        came = np.bincount(plan.positions // PAGE)
        there = np.minimum(top_after(columns, plan) - np.arange(len(came)) * PAGE, PAGE)
        result: list[int] = np.flatnonzero(came * _WHOLE >= there).tolist()
        return result

    def _page(self, key: PageKey, plan: SeriesPlan, now: float) -> bytes:
        columns = self._columns[key.kind]
        if key.what == NUMBERS:
            return write_numbers(columns, key.number, plan, now)
        return write_names(columns, key.number, plan)

    def _size(self, key: PageKey) -> int:
        """Return about how long a page is."""
        columns = self._columns[key.kind]
        series = min(PAGE, max(columns.top - PAGE * key.number, 1))
        if key.what == NUMBERS:
            return series * columns.number_bytes
        return series * (16 + columns.size // max(len(columns), 1))

    def _allowance(self, sizes: Sequence[int]) -> int:
        """Return how many bytes of pages to write for rows of these sizes: the more, the more rows there are."""
        fresh = sum(max(size, _ROW_COST) for size in sizes)
        total = sum(max(size, _ROW_COST) for size in self.row_bytes.values()) + fresh
        if total <= _FEW_BYTES:
            return 0
        columns = sum(each.top * each.number_bytes + each.size for each in self._columns.values())
        return min(_MOST_BYTES, 2 * fresh * total // max(columns, 1))


def write_series(connection: sqlite3.Connection, writes: Writes) -> None:
    """Write what was planned, within a transaction."""
    connection.executemany(_PUT_ROW, enumerate(writes.rows, writes.first))
    pages = (
        (page_id(key), writes.last, sealed(content, page_id(key), writes.last)) for key, content in writes.pages.items()
    )
    connection.executemany(_PUT_PAGE, pages)
    connection.execute(_DROP_ROWS, (_needed_from(writes),))


def page_id(key: PageKey) -> int:
    """Return a page's key in the file."""
    return (_KINDS.index(key.kind) * len(_WHATS) + _WHATS.index(key.what)) << _NUMBER_BITS | key.number


def page_key(number: int) -> PageKey:
    """Return the page with that key in the file; raises `LookupError` if there is none such."""
    kind, what = divmod(number >> _NUMBER_BITS, len(_WHATS))
    return PageKey(_KINDS[kind], _WHATS[what], number & (1 << _NUMBER_BITS) - 1)


def _needed_from(writes: Writes) -> int:
    """Return the first row that is needed. The last one always is: it has the moment."""
    return min([writes.last, *writes.lacking.values()])


def _touched(planned: Mapping[str, SeriesPlan]) -> Iterator[PageKey]:
    for kind, plan in planned.items():
        for number in pages_of(np.concatenate([plan.positions, plan.emptied])):
            yield PageKey(kind, NUMBERS, number)
        for number in pages_of(np.concatenate([plan.fresh.positions, plan.expired])):
            yield PageKey(kind, NAMES, number)


def _parts(kind: str, plan: SeriesPlan, whole: set[PageKey]) -> Iterator[Part]:
    """Yield what happened to the series of one kind, in parts of not too many new ones."""
    pages = [key.number for key in whole if key.kind == kind]
    in_row = np.ones(len(plan.positions), np.bool_)
    if pages:
        is_whole = np.zeros(1 + int(plan.positions[-1]) // PAGE, np.bool_)
        is_whole[pages] = True
        in_row = ~is_whole[plan.positions // PAGE]
    part = Part(
        kind, gone=_packed(plan.expired), positions=_packed(plan.positions[in_row]), emptied=_packed(plan.emptied)
    )
    part.numbers = [numbers[in_row].tobytes() for numbers in plan.numbers] if part.positions else []
    fresh = plan.fresh
    for start in range(0, len(fresh.identities), _ROW_SERIES):
        some = slice(start, start + _ROW_SERIES)
        new = (_packed(fresh.positions[some]), fresh.ids[some].tobytes(), fresh.identities[some])
        yield Part(kind, b"", *new)
    if not part.is_empty():
        yield part


def _packed(positions: Positions) -> bytes:
    return positions.astype("<u4").tobytes()
