"""``statscounter compare``: which numbers differ, and for which reasons."""

from __future__ import annotations

import math
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.compare.exposition import NotExposition, read_page
from statsd_tcp.commands.compare.judge import Row, Verdict, judge, same
from statsd_tcp.commands.compare.likely import Evidence
from statsd_tcp.commands.compare.readings import COUNT, COUNTER, GAUGE, SUM, Key, Span, There, went_up, widened
from statsd_tcp.commands.compare.reasons import ETSY, EXPORTER
from tests.documents import line_of, rows_of_lines

_SEEN = Evidence()


def exactly(value: float) -> Span:
    """Return a number that nothing moved."""
    return Span(value, value, value)


def compared(
    here: dict[Key, float],
    there: dict[Key, float | None],
    seen: Evidence = _SEEN,
    moved: tuple[Key, ...] = (),
    *,
    shows_sets: bool = True,
) -> list[Row]:
    """Compare numbers that nothing moved."""
    spans = {key: exactly(value) for key, value in here.items()}
    return judge(spans, There(there, {}, 0, 0, shows_sets=shows_sets), seen, moved)


class PageTests(SynchronousTestCase):
    """Prometheus' text format."""

    def test_series(self) -> None:
        """Counters, gauges, and sums and counts are read; buckets, quantiles and the server's own are not series."""
        page = read_page(
            "# HELP hits of the page\n# TYPE hits counter\n"
            'hits{host="a\\"b\\n",k="x y"} 3\nhits 4.0 1700000000\n\n'
            "# TYPE level gauge\nlevel NaN\n"
            '# TYPE time summary\ntime{quantile="0.5"} 2\ntime_sum 5\ntime_count 2\n'
            '# TYPE size histogram\nsize_bucket{le="+Inf"} 2\nsize_sum 7\nsize_count 2\n'
            "# TYPE my_count counter\nmy_count 9\nbare 1\n"
            "# TYPE statscounter_lines_total counter\n"
            'statscounter_lines_total{listener="a"} 2\nstatscounter_lines_total{listener="b"} 3\n'
            "statscounter_overflow_c 8\ngo_threads 5\n"
        )  # fmt: skip
        self.assertTrue(math.isnan(page.series.pop(Key(GAUGE, "level"))))
        self.assertEqual(
            page.series,
            {
                Key(COUNTER, "hits", (("host", 'a"b\n'), ("k", "x y"))): 3,
                Key(COUNTER, "hits"): 4,
                Key(SUM, "time"): 5,
                Key(COUNT, "time"): 2,
                Key(SUM, "size"): 7,
                Key(COUNT, "size"): 2,
                Key(COUNTER, "my_count"): 9,
                Key(GAUGE, "bare"): 1,
                Key(GAUGE, "statscounter_overflow_c"): 8,
            },
        )
        self.assertEqual(page.total("statscounter_lines_total"), 5)
        self.assertEqual(page.total("statscounter_lines_total", listener="b"), 3)
        self.assertEqual(page.by("statscounter_lines_total", "listener"), {"a": 2, "b": 3})

    def test_others(self) -> None:
        """A line that is none of the format is refused, with its number."""
        for text in ("a 1\n<html>", "a 1\nb", 'a 1\nb{c="} 2', "a 1\nb x"):
            with self.subTest(text), self.assertRaisesRegex(NotExposition, "^line 2 is no sample"):
                read_page(text)


class SpanTests(SynchronousTestCase):
    """Numbers that move while they are read."""

    def test_went_up(self) -> None:
        """A total may have gone up by as much as lies between any of the readings at both ends."""
        key = Key(COUNTER, "a")
        before, after = ({key: 10.0}, {key: 12.0}), ({key: 20.0}, {key: 25.0})
        self.assertEqual(went_up(before, after), {key: Span(13, 8, 15)})
        self.assertEqual(went_up(({}, {}), ({}, {key: 2.0})), {key: Span(2, 0, 2)})

    def test_same(self) -> None:
        """A number is the same within its bounds, and what rounding makes of it."""
        for span, value, expected in [
            (exactly(0.3), 0.1 + 0.2, True),
            (exactly(1), 1.0001, False),
            (Span(13, 8, 15), 8, True),
            (Span(13, 8, 15), 15.5, False),
            (exactly(math.nan), math.nan, True),
            (exactly(math.nan), 1, False),
            (exactly(math.inf), math.inf, True),
        ]:
            with self.subTest(span=span, value=value):
                self.assertEqual(same(span, value), expected)

    def test_widened(self) -> None:
        """What the other server may have missed lowers totals, once it is to be expected that it has missed any."""
        counter, count, total, gauge = Key(COUNTER, "a"), Key(COUNT, "t"), Key(SUM, "t"), Key(GAUGE, "g")
        spans = {counter: exactly(100), count: exactly(4), total: exactly(2), gauge: exactly(5)}
        self.assertEqual(widened(spans, 0.01), spans)
        found = {key: span.least for key, span in widened(spans, 0.04).items()}
        self.assertEqual(found[gauge], 5)
        self.assertApproximates(found[counter], 100 - 12 - 6 - 1, 1e-9)
        self.assertApproximates(found[count], 4 - 0.48 - 1.2 - 1, 1e-9)
        self.assertApproximates(found[total], 2 - 0.24 - 0.6 - 0.5, 1e-9)


class JudgeTests(SynchronousTestCase):
    """The rows."""

    def test_verdicts(self) -> None:
        """Each number is the same, differs, or is on one side only; what did not go up on one side is left out."""
        a, b, c, d = (Key(COUNTER, name) for name in "abcd")
        rows = compared({a: 1, b: 2, c: 3, d: 0}, {a: 1, b: 5, Key(COUNTER, "e"): 4, Key(COUNTER, "f"): 0})
        self.assertEqual(
            rows,
            [
                Row(Verdict.DIFFER, COUNTER, "b", 2, 5, ("unknown",)),
                Row(Verdict.ONLY_HERE, COUNTER, "c", 3, None, ("unknown",)),
                Row(Verdict.ONLY_THERE, COUNTER, "e", None, 4, ("unknown",)),
                Row(Verdict.SAME, COUNTER, "a", 1, 1),
            ],
        )

    def test_nearest(self) -> None:
        """Of a number that moved, the one that differs least is shown."""
        key = Key(COUNTER, "a")
        (row,) = judge({key: Span(13, 8, 15)}, There({key: 20}, {}, 0, 0), _SEEN)
        self.assertEqual((row.here, row.there), (15, 20))

    def test_other_names(self) -> None:
        """Series under another name are found: by odd characters, tags, the counters' suffix, and the types h and d."""
        for here, there, expected in [
            (Key(COUNTER, "odd_name_"), Key(COUNTER, "oddname"), (Verdict.RENAMED, "names")),
            (Key(COUNTER, "a", (("k", "v"),)), Key(COUNTER, "ak_v"), (Verdict.RENAMED, "names")),
            (Key(COUNTER, "a", (("u", "/x/y"),)), Key(COUNTER, "a", (("u", "-x-y"),)), (Verdict.RENAMED, "names")),
            (Key(COUNTER, "a", (("bare", "true"),)), Key(COUNTER, "a"), (Verdict.RENAMED, "names")),
            (Key(COUNTER, "a_total"), Key(COUNTER, "a"), (Verdict.RENAMED, "suffix")),
            (Key(COUNTER, "a"), Key(COUNTER, "a_total"), (Verdict.RENAMED, "suffix")),
            (Key(SUM, "a"), Key(COUNTER, "a"), (Verdict.DIFFER, "h-and-d")),
            (Key(GAUGE, "a"), Key(COUNTER, "a"), (Verdict.ONLY_HERE, "quiet")),
        ]:  # fmt: skip
            with self.subTest(here=here, there=there):
                row = compared({here: 2}, {there: 2})[0]
                self.assertEqual((row.verdict, row.reasons[0]), expected)

    def test_distributions(self) -> None:
        """A timer that is a counter there is one row: its sum next to the counter."""
        rows = compared({Key(SUM, "a"): 5, Key(COUNT, "a"): 2}, {Key(COUNTER, "a"): 5})
        self.assertEqual(rows, [Row(Verdict.DIFFER, COUNTER, "a", 5, 5, ("h-and-d",))])

    def test_ambiguous(self) -> None:
        """Names are paired only where there is one on each side."""
        rows = compared({Key(COUNTER, "a_b"): 1, Key(COUNTER, "ab"): 1}, {Key(COUNTER, "a__b"): 1})
        self.assertEqual({row.verdict for row in rows}, {Verdict.ONLY_HERE, Verdict.ONLY_THERE})

    def test_untold(self) -> None:
        """What the other server does not tell differs from nothing: cut off sums, restless gauges, sets."""
        untold = {Key(SUM, "t"): 5.0, Key(GAUGE, "g"): 1.0}
        rows = compared({**untold, Key(GAUGE, "s"): 2}, dict.fromkeys(untold), Evidence(sets=1), shows_sets=False)
        self.assertEqual(
            {(row.verdict, row.name, *row.reasons) for row in rows},
            {
                (Verdict.UNTOLD, "t", "long-timers"),
                (Verdict.UNTOLD, "g", "restless"),
                (Verdict.UNTOLD, "s", "sets"),
            },
        )
        self.assertFalse(any(row.verdict.is_difference for row in rows))

    def test_more_gauges_than_sets(self) -> None:
        """More gauges that only we have than there are sets are not all sets, and are differences."""
        gauges = {Key(GAUGE, "a"): 1.0, Key(GAUGE, "b"): 2.0}
        rows = compared(gauges, {}, Evidence(sets=1), tuple(gauges), shows_sets=False)
        self.assertEqual([(row.verdict, row.reasons) for row in rows], [(Verdict.ONLY_HERE, ("sets",))] * 2)


class ReasonTests(SynchronousTestCase):
    """The likely reasons."""

    def test_evidence(self) -> None:
        """A reason is named where something speaks for it, and where it makes the difference that there is."""
        counter, gauge, count = (Key(what, "a") for what in (COUNTER, GAUGE, COUNT))
        for key, here, there, seen, expected in [
            (counter, 6, 3, Evidence(bad_there=2, packed=True), ("packed", "bad-there")),
            (counter, 3, 6, Evidence(bad_there=2, packed=True), ("unknown",)),
            (counter, 6, 3, Evidence(negative=True), ("negative",)),
            (counter, None, -3, _SEEN, ("negative",)),
            (count, 10, 1, Evidence(sampled=True), ("sampled",)),
            (counter, 10, 1, Evidence(sampled=True), ("unknown",)),
            (counter, None, 16, Evidence({"malformed_value": 1}), ("numbers",)),
            (counter, None, 16, Evidence({"invalid_sample_rate": 1}), ("rates",)),
            (counter, None, 16, Evidence({"unknown_type": 1, "malformed_value": 0}), ("unknown-type",)),
            (counter, None, 16, Evidence({"not_utf8": 1}), ("bad-here",)),
            (counter, None, 16, Evidence(two_types=1), ("two-types",)),
            (counter, None, 16, Evidence(mapping=True), ("mapping",)),
            (counter, 1, 2, Evidence(lines_differ=True), ("lines",)),
            (gauge, 2, 3, _SEEN, ("relative",)),
            (gauge, 2, None, Evidence(sets=1), ("sets", "quiet")),
            (gauge, None, 2, _SEEN, ("quiet",)),
        ]:  # fmt: skip
            with self.subTest(key=key, here=here, there=there, seen=seen):
                ours = {} if here is None else {key: float(here)}
                theirs: dict[Key, float | None] = {} if there is None else {key: float(there)}
                (row,) = compared(ours, theirs, seen)
                self.assertEqual(row.reasons, expected)
        (row,) = compared({}, {Key(COUNTER, "process_x"): 1})
        self.assertEqual(row.reasons, ("taken",))

    def test_pages(self) -> None:
        """Each page explains all the reasons of its server by their names, and its tables have the reasons' lines."""
        for origin in (ETSY, EXPORTER):
            with self.subTest(origin.name):
                page = Path(__file__).parents[3] / origin.page
                self.assertEqual(explained(page), [reason.name for reason in origin.reasons])
                lines = {line_of(row).decode(errors="replace") for row in rows_of_lines(page)}
                self.assertEqual({reason.line for reason in origin.reasons} - lines, {""})


def explained(page: Path) -> list[str]:
    """Return the names in the table of reasons of a page."""
    section = page.read_text().partition("### The reasons\n")[2].partition("\n#")[0]
    rows = [line.split("|")[1].strip().strip("`") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]
