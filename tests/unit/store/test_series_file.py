"""The series in the file are those in memory, to the last bit, whatever came in which commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.series import ids as numbers
from statsd_tcp.series.changes import plan_counters, plan_gauges
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.exact import added
from statsd_tcp.series.plan import WIDTHS, SeriesPlan, positions_of
from statsd_tcp.store import loading, pages, series_file
from statsd_tcp.store.loading import Loaded, load_series
from statsd_tcp.store.rows import Part, Row, decode_row, encode_row
from statsd_tcp.store.schema import SERIES_TABLES
from statsd_tcp.store.series_file import SeriesFile, write_series

SMALL_PAGE = 4

ADDENDS = st.floats(0.0, 2.0**53) | st.sampled_from([1.0, 0.1, 1e-9, 2.0**53])
NAMES = st.sampled_from([f"s{number}" for number in range(14)])
COMMITS = st.lists(
    st.fixed_dictionaries(
        {
            "counters": st.dictionaries(NAMES, ADDENDS, max_size=8),
            "gauges": st.dictionaries(NAMES, st.floats(-1e6, 1e6), max_size=3),
            "gone": st.sets(NAMES, max_size=4),
            "restart": st.booleans(),
        }
    ),
    max_size=12,
)


class Written:
    """Columns, and a file in memory that has what is committed."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for table in SERIES_TABLES:
            self.connection.execute(table)
        self.now, self.next_id = 100.0, 1
        self.load()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def load(self) -> Loaded:
        """Start over with what the file has."""
        self.columns = [SeriesColumns(kind) for kind in WIDTHS]
        self.file = SeriesFile(self.columns)
        loaded = load_series(self.connection, self.columns)
        self.file.take_over(loaded.next_row, loaded.lacking, loaded.row_bytes)
        return loaded

    def commit(self, counters: dict[str, float], gauges: dict[str, float], gone: set[str]) -> None:
        """Commit increments and settings, and have other series go."""
        self.now += 1.0
        plans = [SeriesPlan() for _ in self.columns]
        plans[0] = plan_counters(self.columns[0], counters, {})
        plans[1] = plan_gauges(self.columns[1], {name: [(1, False, value)] for name, value in gauges.items()})
        for columns, plan, news in zip(self.columns, plans, (counters, gauges), strict=False):
            plan.expired = positions_of(
                sorted(columns.positions[name] for name in gone & columns.positions.keys() - news)
            )
        numbers.number(list(zip(WIDTHS, plans, strict=True)), (), self.next_id)
        writes = self.file.plan(plans, self.now, 0.5, self.next_id)
        self.next_id = writes.next_id
        write_series(self.connection, writes)
        self.file.apply(writes)
        for columns, plan in zip(self.columns, plans, strict=True):
            columns.apply(plan, self.now)

    def state(self) -> list[Any]:
        """Return all that is known of the series."""
        return [list(_rows(columns)) for columns in self.columns]

    def rows(self) -> int:
        """Return how many rows the file has."""
        number: int = self.connection.execute("SELECT count(*) FROM rows").fetchone()[0]
        return number


def _rows(columns: SeriesColumns) -> Iterator[tuple[Any, ...]]:
    for identity, at in sorted(columns.positions.items()):
        numbers = [float(column[at]).hex() for column in columns.numbers]
        yield identity, at, int(columns.ids[at]), numbers, float(columns.updated[at]), bool(columns.lasting[at])


class SeriesFileTests(SynchronousTestCase):
    """Files of pages for four series, which are written as soon as there are rows."""

    def setUp(self) -> None:
        """Make the pages small."""
        for module in (pages, loading, series_file):
            self.patch(module, "PAGE", SMALL_PAGE)
        self.patch(series_file, "_FEW_BYTES", 200)
        self.patch(series_file, "_ROW_COST", 0)

    def written(self) -> Written:
        """Make a file, for the time of the test."""
        written = Written()
        self.addCleanup(written.close)
        return written

    @given(COMMITS)
    def test_memory_and_file(self, commits: list[dict[str, Any]]) -> None:
        """After any commits a load gives what is in memory: numbers, dates, ids and places; with restarts between."""
        with closing(Written()) as written:
            for commit in commits:
                written.commit(commit["counters"], commit["gauges"], commit["gone"])
                if commit["restart"]:
                    before = written.state()
                    self.assertEqual([], written.load().damage)
                    self.assertEqual(before, written.state())
            before = written.state()
            loaded = written.load()
            self.assertEqual((before, []), (written.state(), loaded.damage))

    def test_rows_go(self) -> None:
        """The rows never take much more than the columns, also if little comes to each page."""
        written = self.written()
        written.commit({f"a.long.name.of.a.series.{number}": 1.0 for number in range(100)}, {}, set())
        for number in range(500):
            written.commit({f"a.long.name.of.a.series.{number % 100}": 1.0}, {}, set())
        taken = sum(written.file.row_bytes.values())
        self.assertLess(taken, 2 * 100 * (written.columns[0].number_bytes + 40))
        self.assertEqual(len(written.file.row_bytes), written.rows())

    def test_few_pages(self) -> None:
        """However little each commit brings, the pages take at most a few times what the rows do."""
        written = self.written()
        names = [f"s{number}" for number in range(400)]
        written.commit(dict.fromkeys(names, 1.0), {}, set())
        rows = pages_bytes = 0
        for number in range(500):
            written.commit({names[number * 37 % 400]: 1.0}, {}, set())
            rows += list(written.file.row_bytes.values())[-1]
            sizes = "SELECT coalesce(sum(length(payload)), 0) FROM pages WHERE row = ?"
            pages_bytes += written.connection.execute(sizes, (written.file.next_row - 1,)).fetchone()[0]
        self.assertLess(pages_bytes, 5 * rows)

    def test_whole_pages(self) -> None:
        """When something comes to all series of a page it is written, and the row says nothing about them."""
        written = self.written()
        for _ in range(3):
            written.commit(dict.fromkeys("abcdefgh", 1.0), {}, set())
        rows = written.connection.execute("SELECT payload, id FROM rows ORDER BY id").fetchall()
        self.assertEqual([], decode_row(*rows[-1]).parts)

    def test_places_are_taken_again(self) -> None:
        """A series that goes leaves its place to the next one, which begins at zero."""
        written = self.written()
        written.commit({"a": 5.0, "b": 1.0}, {}, set())
        written.commit({}, {}, {"a"})
        written.commit({"c": 2.0}, {}, set())
        self.assertEqual({"b": 1, "c": 0}, written.columns[0].positions)
        self.assertEqual([2.0, 1.0], written.columns[0].numbers[0][:2].tolist())
        before = written.state()
        written.load()
        self.assertEqual(before, written.state())


class DamageTests(SynchronousTestCase):
    """What is damaged costs only itself."""

    def setUp(self) -> None:
        """Have three pages of counters, the names in a page each."""
        for module in (pages, loading, series_file):
            self.patch(module, "PAGE", SMALL_PAGE)
        self.patch(series_file, "_FEW_BYTES", 0)
        self.patch(series_file, "_ROW_COST", 0)
        self.written = Written()
        self.addCleanup(self.written.close)
        for number in range(12):
            self.written.commit({f"s{number:02}": float(number)}, {}, set())
        self.written.file._saved = 1 << 20
        self.written.commit({f"s{number:02}": 100.0 for number in range(12)}, {}, set())

    def keep_rows(self) -> None:
        """Have no more pages written."""
        self.written.file._saved = 0
        self.patch(series_file, "_FEW_BYTES", 1 << 20)
        self.patch(series_file, "_WHOLE", 0)

    def spoil(self, table: str, number: int) -> None:
        """Change a byte of a payload."""
        of_table = f"{table} WHERE id = {number}"
        (payload,) = self.written.connection.execute(f"SELECT payload FROM {of_table}").fetchone()  # noqa: S608
        spoilt = payload[:-1] + bytes([payload[-1] ^ 1])
        self.written.connection.execute(f"UPDATE {table} SET payload = ? WHERE id = {number}", (spoilt,))  # noqa: S608

    def numbers(self) -> dict[str, float]:
        """Return the counters."""
        columns = self.written.columns[0]
        return {name: float(columns.numbers[0][at]) for name, at in sorted(columns.positions.items())}

    def test_numbers(self) -> None:
        """A page of numbers costs the numbers of its series."""
        before = self.numbers()
        self.spoil("pages", 1)
        (fault,) = self.written.load().damage
        self.assertEqual("page 1 of the numbers of kind c: a checksum is wrong", fault)
        lost = dict.fromkeys((f"s{number:02}" for number in range(4, 8)), 0.0)
        self.assertEqual(before | lost, self.numbers())

    def test_names(self) -> None:
        """A page of names costs its series; their places are taken again."""
        self.spoil("pages", 1 << 32)
        (fault,) = self.written.load().damage
        self.assertEqual("page 0 of the names of kind c: a checksum is wrong", fault)
        self.assertEqual({f"s{number:02}" for number in range(4, 12)}, self.numbers().keys())
        self.written.commit({"new": 3.0}, {}, set())
        self.written.load()
        self.assertEqual(3.0, self.numbers()["new"])

    def test_written_again(self) -> None:
        """What was damaged is written again before long, so that it is said only once."""
        self.spoil("pages", 1)
        self.written.load()
        for _ in range(3):
            self.written.commit(dict.fromkeys(self.numbers(), 1.0), {}, set())
        self.assertEqual([], self.written.load().damage)

    def test_a_row(self) -> None:
        """A row costs what came in its commit."""
        self.keep_rows()
        before = self.numbers()
        self.written.commit({"s00": 5.0}, {}, set())
        self.written.commit({"s01": 5.0}, {}, set())
        rows = [row[0] for row in self.written.connection.execute("SELECT id FROM rows ORDER BY id")]
        self.spoil("rows", rows[-2])
        (fault,) = self.written.load().damage
        self.assertEqual(f"row {rows[-2]}: a checksum is wrong", fault)
        self.assertEqual(before | {"s01": before["s01"] + 5.0}, self.numbers())

    def test_keys(self) -> None:
        """A page or row that has come to another place, or says of itself another row, is damaged."""
        for change in (
            "UPDATE pages SET row = row + 1 WHERE id = 1",
            "UPDATE pages SET id = 77 WHERE id = 1",
            "UPDATE rows SET id = 2 WHERE id = (SELECT max(id) FROM rows)",
            "UPDATE pages SET payload = CAST(payload AS TEXT) || 'x' WHERE id = 1",
        ):
            self.setUp()
            self.written.connection.execute(change)
            self.assertIn("a checksum is wrong", self.written.load().damage[0])

    def test_missing_rows(self) -> None:
        """Rows that are not there are damage, and their numbers are not used again."""
        self.keep_rows()
        for number in range(4):
            self.written.commit({f"s{number:02}": 5.0}, {}, set())
        self.written.connection.execute("DELETE FROM rows WHERE id = 15")
        self.assertEqual(["rows 15 to 15: they are missing"], self.written.load().damage)
        self.written.connection.execute("DELETE FROM rows")
        self.assertEqual(["rows 1 to 13: they are missing"], self.written.load().damage)
        self.written.commit({"a": 1.0}, {}, set())
        before = self.written.state()
        self.written.load()
        self.assertEqual(before, self.written.state())

    def test_names_of_several_pages(self) -> None:
        """A row that costs the names of pages has no other commit fail, and their places are taken again."""
        self.keep_rows()
        self.written.commit({f"t{number:02}": 1.0 for number in range(20)}, {}, set())
        self.written.commit({"t19": 1.0}, {}, set())
        self.spoil("rows", 14)
        self.assertEqual(1, len(self.written.load().damage))
        self.patch(series_file, "_FEW_BYTES", 0)
        self.patch(series_file, "_ROW_COST", 0)
        for number in range(20):
            self.written.commit({f"u{number:02}": 1.0}, {}, set())
        self.assertEqual(32, len(self.numbers()))
        before = self.written.state()
        self.written.load()
        self.assertEqual(before, self.written.state())

    def test_gone_and_come_again(self) -> None:
        """If the row is lost in which a series went, and it has come again elsewhere, the later one counts."""
        self.keep_rows()
        self.written.commit({}, {}, {"s03", "s05"})
        self.written.commit({"s03": 1.0}, {}, set())
        self.spoil("rows", 14)
        self.assertEqual("series 's03' of kind c: it is there twice", self.written.load().damage[-1])
        self.assertEqual(1.0, self.numbers()["s03"])
        self.written.commit({}, {}, {"s03"})
        self.assertEqual([], self.written.load().damage[1:])
        self.assertNotIn("s03", self.numbers())

    def test_a_place_that_is_none(self) -> None:
        """A row that says more than there may be is damaged, and no memory is taken for it."""
        payload = encode_row(Row(200.0, 0.0, 99, [Part("c", gone=b"\xff\xff\xff\xff")]), 14)
        self.written.connection.execute("INSERT INTO rows VALUES (14, ?)", (payload,))
        self.assertEqual(["row 14: there is no position 4294967295"], self.written.load().damage)


class ExactTests(SynchronousTestCase):
    """Totals that no addend is lost in."""

    @given(st.lists(ADDENDS, max_size=60))
    def test_sums(self, addends: list[float]) -> None:
        """A total is the true sum to more than a hundred bits, and what is shown is the double nearest to it."""
        totals, remainders = np.zeros(1), np.zeros(1)
        for addend in addends:
            totals, remainders = added(totals, remainders, np.array([addend]))
        true = sum(map(Fraction, addends))
        kept = Fraction(float(totals[0])) + Fraction(float(remainders[0]))
        self.assertLessEqual(abs(kept - true), true / 2**100)
        self.assertEqual(float(kept), float(totals[0]))

    def test_a_large_total(self) -> None:
        """However large a total is, ones that are added to it are not lost."""
        totals, remainders = np.array([2.4e16]), np.zeros(1)
        for _ in range(1001):
            totals, remainders = added(totals, remainders, np.ones(1))
        self.assertEqual(int(2.4e16) + 1001, Fraction(float(totals[0])) + Fraction(float(remainders[0])))
