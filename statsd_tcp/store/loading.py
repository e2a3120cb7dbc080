"""The series as a store's file has them: its pages, and on them the rows that came later.

What is damaged costs only itself: a page of numbers the numbers of its series, a page of names the series, a row what
came in one commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import Positions
from statsd_tcp.store.pages import NAMES, NUMBERS, PAGE, PageKey, read_names, read_numbers
from statsd_tcp.store.rows import Part, Row, checked, decode_row
from statsd_tcp.store.series_file import page_key

__all__ = ["Loaded", "load_series"]

# A damaged file may have any type anywhere.
_PAGES = "SELECT id, CAST(row AS INTEGER), CAST(payload AS BLOB) FROM pages ORDER BY id"
_ROWS = "SELECT id, CAST(payload AS BLOB) FROM rows ORDER BY id"

_DAMAGED = (LookupError, ValueError, msgspec.MsgspecError)


class Loaded(NamedTuple):
    """What was found in addition to the series.

    ``row`` is the last row that could be read, None if there is none. ``moment`` is the latest that is known of the
    series' clock, 0.0 if there is none. ``next_row`` is the number of the next one, and
    ``row_bytes`` are the lengths of all by number. ``lacking``: by page, the first row that it lacks, 0 if it cannot be
    read. ``damage``: what could not be read, each in words.
    """

    row: Row | None
    moment: float
    next_row: int
    row_bytes: dict[int, int]
    lacking: dict[PageKey, int]
    damage: list[str]


def load_series(connection: sqlite3.Connection, columns: Sequence[SeriesColumns]) -> Loaded:
    """Read all series of a file into columns, which are empty."""
    loading = _Loading(columns)
    for number, row, payload in connection.execute(_PAGES):
        loading.take_page(number, row, payload)
    for number, payload in connection.execute(_ROWS):
        loading.take_row(number, payload)
    return loading.finish()


class _Loading:
    """A file that is read."""

    def __init__(self, columns: Sequence[SeriesColumns]) -> None:
        self._columns = {each.kind: each for each in columns}
        self._identities: dict[str, list[str]] = {each.kind: [] for each in columns}
        self._rows: dict[PageKey, int] = {}
        self._latest: Row | None = None
        self._last = 0
        self._row_bytes: dict[int, int] = {}
        self._lacking: dict[PageKey, int] = {}
        self._damage: list[str] = []

    def take_page(self, number: int, row: int, payload: bytes) -> None:
        """Take a page."""
        try:
            key = page_key(number)
        except LookupError as error:
            self._damage.append(f"page {number}: {error}")
            return
        columns = self._columns[key.kind]
        try:
            content = checked(payload, number, row)
            if key.what == NUMBERS:
                read_numbers(columns, key.number, content)
            else:
                read_names(columns, self._identities[key.kind], key.number, content)
        except _DAMAGED as error:
            self._damage.append(f"page {key.number} of the {key.what} of kind {key.kind}: {error}")
            self._lacking[key] = 0
        else:
            self._rows[key] = row

    def take_row(self, number: int, payload: bytes) -> None:
        """Take a row, after those before it."""
        if self._last:
            self._miss(self._last + 1, number - 1)
        self._last = number
        self._row_bytes[number] = len(payload)
        try:
            row = decode_row(payload, number)
            for part in row.parts:
                self._take_part(self._columns[part.kind], number, row, part)
        except _DAMAGED as error:
            self._damage.append(f"row {number}: {error}")
        else:
            self._latest = row

    def finish(self) -> Loaded:
        """Complete the columns."""
        for kind, columns in self._columns.items():
            identities = self._identities[kind]
            columns.make_room(len(identities))
            columns.load(identities)
            if len(columns) < np.count_nonzero(columns.ids[: columns.top]):
                self._part_doubles(columns, identities)
                columns.load(identities)
        newest = max(self._rows.values(), default=0)
        self._miss(self._last + 1, newest)
        moment = self._moment()
        for columns in self._columns.values():
            # What lost its numbers with a damaged page has not been idle since the beginning of time.
            columns.date(moment)
        next_row = max(self._last, newest) + 1
        return Loaded(self._latest, moment, next_row, self._row_bytes, self._lacking, self._damage)

    def _moment(self) -> float:
        """Return the latest moment: the last row may be damaged, and a page be later than the rows before it."""
        updated = (float(each.updated[: each.top].max(initial=0.0)) for each in self._columns.values())
        return max(*updated, 0.0 if self._latest is None else self._latest.now)

    def _miss(self, first: int, last: int) -> None:
        if first <= last:
            self._damage.append(f"rows {first} to {last}: they are missing")

    def _part_doubles(self, columns: SeriesColumns, identities: list[str]) -> None:
        """Keep the later of two series with one identity: the row in which the other one went is lost."""
        places = np.flatnonzero(columns.ids[: columns.top])
        in_order = places[np.argsort(columns.ids[places])].tolist()
        latest = {identities[place]: place for place in in_order}
        for place in in_order:
            identity = identities[place]
            if latest[identity] != place:
                columns.ids[place], identities[place] = 0, ""
                self._damage.append(f"series {identity!r} of kind {columns.kind}: it is there twice")
                self._lacking[PageKey(columns.kind, NAMES, place // PAGE)] = 0

    def _take_part(self, columns: SeriesColumns, number: int, row: Row, part: Part) -> None:
        arrays = gone, fresh, positions, emptied = [
            _unpacked(each) for each in (part.gone, part.fresh, part.positions, part.emptied)
        ]
        columns.make_room(max(int(each.max(initial=-1)) for each in arrays) + 1)
        self._name(columns, number, part, fresh)
        self._leave(columns, number, gone)
        for column in (*columns.numbers, columns.updated, columns.lasting):
            column[self._lacked(columns, NUMBERS, number, fresh)] = 0
        if len(emptied):
            columns.numbers[0][self._lacked(columns, NUMBERS, number, emptied)] = 0.0
        if len(positions):
            self._add(columns, number, row.now, positions, part)

    def _name(self, columns: SeriesColumns, number: int, part: Part, fresh: Positions) -> None:
        identities = self._identities[columns.kind]
        identities.extend([""] * (int(fresh.max(initial=-1)) + 1 - len(identities)))
        ids = np.frombuffer(part.ids, np.int64)
        new = set(self._lacked(columns, NAMES, number, fresh).tolist())
        for place, series_id, identity in zip(fresh.tolist(), ids.tolist(), part.identities, strict=True):
            if place in new:
                columns.ids[place], identities[place] = series_id, identity

    def _leave(self, columns: SeriesColumns, number: int, gone: Positions) -> None:
        identities = self._identities[columns.kind]
        for place in self._lacked(columns, NAMES, number, gone).tolist():
            columns.ids[place] = 0
            if place < len(identities):
                identities[place] = ""

    def _add(self, columns: SeriesColumns, number: int, now: float, positions: Positions, part: Part) -> None:
        lacked = self._newer(columns, NUMBERS, number, positions)
        places = positions[lacked]
        numbers = [np.frombuffer(column)[lacked] for column in part.numbers]
        known = columns.updated[places] != 0.0
        columns.put(places, columns.outcome(places, numbers), now)
        columns.lasting[places] = known

    def _lacked(self, columns: SeriesColumns, what: str, number: int, positions: Positions) -> Positions:
        return positions[self._newer(columns, what, number, positions)]

    def _newer(self, columns: SeriesColumns, what: str, number: int, positions: Positions) -> npt.NDArray[np.bool_]:
        """Return at which of these positions the row with that number is newer than the page."""
        pages, which = np.unique(positions // PAGE, return_inverse=True)
        newer = np.ones(len(pages), np.bool_)
        for at, page in enumerate(pages.tolist()):
            key = PageKey(columns.kind, what, page)
            newer[at] = number > self._rows.get(key, 0)
            if newer[at]:
                self._lacking.setdefault(key, number)
        return newer[which]


def _unpacked(packed: bytes) -> Positions:
    return np.frombuffer(packed, "<u4").astype(np.int64)
