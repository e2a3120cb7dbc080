"""The StatsD series in Prometheus' formats."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from statsd_tcp.mapping.shown import Family
from statsd_tcp.series.owners import Owner
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.status.left_out import LeftOut
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition import Exposition
from statsd_tcp.wire.series import series_identity
from tests.unit.web.tables import make_snapshot


def render(snapshot: Snapshot, *, openmetrics: bool = False) -> str:
    """Write a snapshot with a fresh exposition."""
    return Exposition().render(snapshot, openmetrics=openmetrics).decode()


def read_text(text: str) -> list[Metric]:
    """Read the text format. What is typed counter would get ``_total`` from its parser, so nothing is."""
    return list(parse_text(text.replace(" counter\n", " untyped\n")))


def parse_both(snapshot: Snapshot) -> tuple[list[Metric], list[Metric]]:
    """Write and read a snapshot in both formats."""
    exposition = Exposition()
    text = exposition.render(snapshot, openmetrics=False).decode()
    openmetrics = exposition.render(snapshot, openmetrics=True).decode()
    return read_text(text), list(parse_openmetrics(openmetrics + "# EOF\n"))


def samples(families: list[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the numbers by name and labels."""
    found: list[Sample] = [sample for family in families for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}


class FormatTests(SynchronousTestCase):
    """What is written, letter by letter."""

    def test_counters(self) -> None:
        """A counter keeps its name in both formats; in OpenMetrics, where it may not, it is untyped."""
        snapshot = make_snapshot(("c", "hits.page", 5.0), ("c", "hits.page\ncode\n200", 2.5))
        lines = 'hits_page 5.0\nhits_page{code="200"} 2.5\n'
        self.assertEqual(render(snapshot), "# TYPE hits_page counter\n" + lines)
        self.assertEqual(render(snapshot, openmetrics=True), "# TYPE hits_page unknown\n" + lines)

    def test_gauges(self) -> None:
        """A gauge is a gauge in both formats."""
        for openmetrics in (False, True):
            text = render(make_snapshot(("g", "level", -1.5)), openmetrics=openmetrics)
            self.assertEqual(text, "# TYPE level gauge\nlevel -1.5\n")

    def test_timers_are_in_seconds(self) -> None:
        """A timer's sum is in seconds, and its count is whole."""
        text = render(make_snapshot(("ms", "t\na\nb", 1500.0, 3.4)))
        self.assertEqual(text, '# TYPE t summary\nt_sum{a="b"} 1.5\nt_count{a="b"} 3\n')

    def test_distributions_keep_their_unit(self) -> None:
        """A histogram or distribution is a summary of the numbers as they came."""
        self.assertEqual(
            render(make_snapshot(("h", "size", 1500.0, 2.0))),
            "# TYPE size summary\nsize_sum 1500.0\nsize_count 2\n",
        )

    def test_nothing(self) -> None:
        """Without series nothing is written."""
        self.assertEqual(render(make_snapshot()), "")

    def test_a_family_stands_together(self) -> None:
        """Series of one name follow each other under one type line, whatever came between them."""
        snapshot = make_snapshot(("c", "a\nk\n1", 1.0), ("c", "b", 2.0), ("c", "a\nk\n2", 3.0))
        self.assertEqual(
            render(snapshot),
            '# TYPE a counter\na{k="1"} 1.0\na{k="2"} 3.0\n# TYPE b counter\nb 2.0\n',
        )

    def test_many_rows(self) -> None:
        """Rows are written in chunks; none is lost at the seams."""
        series = [(kind, f"{kind}{number}", float(number)) for kind in ("c", "h") for number in range(2500)]
        text = render(make_snapshot(*series))
        self.assertEqual(len(text.splitlines()), 2500 * 2 + 2500 * 3)
        self.assertEqual(samples(read_text(text))[("c2499", ())], 2499.0)


class ConflictTests(SynchronousTestCase):
    """Series that want the same place."""

    def check(self, snapshot: Snapshot, expected: dict[str, float], **conflicts: int) -> None:
        """Compare both formats' names and numbers, and the conflicts that were counted."""
        for families in parse_both(snapshot):
            self.assertEqual({name: value for (name, _), value in samples(families).items()}, expected)
        found = {reason: number for reason, number in Exposition().conflicts(snapshot).items() if number}
        self.assertEqual(found, conflicts)

    def test_one_name_one_type(self) -> None:
        """The first series of a name gives it its type; one of another type is left out."""
        self.check(make_snapshot(("g", "a.b", 1.0), ("c", "a_b\nk\nv", 2.0)), {"a_b": 1.0}, type=1)
        self.check(make_snapshot(("c", "a.b", 1.0), ("g", "a_b\nk\nv", 2.0)), {"a_b": 1.0}, type=1)

    def test_one_name_one_unit(self) -> None:
        """Seconds and plain numbers do not share a summary."""
        snapshot = make_snapshot(("ms", "a.b", 1000.0), ("h", "a_b", 2.0))
        self.check(snapshot, {"a_b_sum": 1.0, "a_b_count": 1.0}, unit=1)

    def test_parts_of_a_summary(self) -> None:
        """A name that is a part of a summary is taken; a summary whose part's name is taken is left out."""
        self.check(make_snapshot(("h", "a", 1.0), ("c", "a.count", 2.0)), {"a_sum": 1.0, "a_count": 1.0}, type=1)
        self.check(make_snapshot(("c", "a.count", 2.0), ("h", "a", 1.0)), {"a_count": 2.0}, type=1)
        self.check(make_snapshot(("h", "a", 1.0), ("h", "a.sum", 2.0)), {"a_sum": 1.0, "a_count": 1.0}, type=1)

    def test_a_suffix_alone_is_no_conflict(self) -> None:
        """Names that end like a part or a counter are fine while there is nothing they could be part of."""
        names = ["a_total", "a_count", "a_sum", "a_bucket", "a_created", "a_info", "a"]
        self.check(make_snapshot(*[("c", name, 1.0) for name in names]), dict.fromkeys(names, 1.0))

    def test_our_own_names(self) -> None:
        """No client can write what looks like the service's own metrics."""
        names = ["statscounter.lines_total", "process.cpu.seconds.total", "process_open_fds"]
        self.check(make_snapshot(*[("c", name, 1.0) for name in names]), {}, reserved=3)

    def test_our_own_names_in_openmetrics(self) -> None:
        """A strict parser finds no clash between a client's names and what one of our counters might have."""
        snapshot = make_snapshot(("g", "process.cpu.seconds.created", 1.0), ("g", "process.cpu", 1.0))
        own = "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.0\n# EOF\n"
        names = [family.name for family in parse_openmetrics(render(snapshot, openmetrics=True) + own)]
        self.assertEqual(names, ["process_cpu", "process_cpu_seconds"])

    def test_counters_of_one_place_add_up(self) -> None:
        """Two counters with the same name and labels after escaping are one line with their sum."""
        self.check(make_snapshot(("c", "z", 1.0), ("c", "a.b", 1.5), ("c", "a_b", 2.0)), {"z": 1.0, "a_b": 3.5})

    def test_summaries_of_one_place_add_up(self) -> None:
        """Two timers with the same name and labels after escaping add up in sum and count."""
        snapshot = make_snapshot(("ms", "b", 0.0), ("ms", "a.b", 1000.0, 2.0), ("ms", "a_b", 500.0, 3.0))
        expected = {"b_sum": 0.0, "b_count": 1.0, "a_b_sum": 1.5, "a_b_count": 5.0}
        self.check(snapshot, expected)

    def test_the_latest_of_two_gauges_counts(self) -> None:
        """Two gauges with the same name and labels cannot be one number: the one that was set last is shown."""
        for first, second, shown in ((5.0, 9.0, 2.0), (9.0, 5.0, 1.0), (-2.0, -1.0, 2.0), (0.0, 0.0, 1.0)):
            self.check(
                make_snapshot(("g", "z", 0.0), ("g", "a.b", 1.0, first), ("g", "a_b", 2.0, second)),
                {"z": 0.0, "a_b": shown},
                duplicate=1,
            )

    def test_each_series_counts_once(self) -> None:
        """A series that finds no place is counted once, however often it is seen, even once it is gone."""
        exposition = Exposition()
        two = make_snapshot(("g", "a.b", 1.0), ("g", "a_b", 2.0))
        three = make_snapshot(("g", "a.b", 1.0), ("g", "a_b", 2.0), ("g", "a/b", 3.0))
        found = [exposition.conflicts(snapshot)["duplicate"] for snapshot in (two, three, two, make_snapshot())]
        self.assertEqual(found, [1, 2, 2, 2])


class OwnerTests(SynchronousTestCase):
    """Names whose owners the store has decided on."""

    def check(self, snapshot: Snapshot, owners: Mapping[str, Family], expected: set[str], **conflicts: int) -> None:
        """Compare the names in both formats, and the conflicts."""
        decided = {name: Owner(family) for name, family in owners.items()}
        snapshot = msgspec.structs.replace(snapshot, owners=decided)
        for families in parse_both(snapshot):
            self.assertEqual({name for name, _ in samples(families)}, expected)
        found = {reason: number for reason, number in Exposition().conflicts(snapshot).items() if number}
        self.assertEqual(found, conflicts)

    def test_the_owner_is_shown(self) -> None:
        """The owner has the name, whichever series came first; the others are left out."""
        snapshot = make_snapshot(("c", "q", 1.0), ("g", "q\nk\nv", 2.0), ("c", "q\nk\nw", 3.0), ("ms", "q", 4.0))
        self.check(snapshot, {"q": Family("q", "g")}, {"q"}, type=3)
        self.check(snapshot, {"q": Family("q", "ms")}, {"q_sum", "q_count"}, type=3)

    def test_units(self) -> None:
        """Of times and distributions it says the unit."""
        owners = dict.fromkeys(["q", "q_sum", "q_count", "q_bucket", "q_created"], Family("q", "h"))
        self.check(make_snapshot(("ms", "q", 1.0), ("h", "q", 1.0)), owners, {"q_sum", "q_count"}, unit=1)

    def test_parts(self) -> None:
        """What owns a part of a timer's name keeps the timer out, and the other way round."""
        snapshot = make_snapshot(("ms", "q", 1.0), ("c", "q.count", 1.0))
        self.check(snapshot, {"q_count": Family("q_count", "c")}, {"q_count"}, type=1)
        snapshot = make_snapshot(("c", "q.count", 1.0), ("ms", "q", 1.0))
        self.check(snapshot, {"q_count": Family("q", "ms")}, {"q_sum", "q_count"}, type=1)

    def test_an_owner_that_is_gone(self) -> None:
        """A name is free for the others only when the store says so."""
        self.check(make_snapshot(("c", "q", 1.0)), {"q": Family("q", "g")}, set(), type=1)

    def test_another_owner(self) -> None:
        """When a name gets another owner it is the next scrape that shows it."""
        exposition = Exposition()
        snapshot = make_snapshot(("c", "q", 1.0), ("g", "q", 2.0))
        for kind, value in (("c", 1.0), ("g", 2.0), ("c", 1.0)):
            owners = {"q": Owner(Family("q", kind))}
            text = exposition.render(msgspec.structs.replace(snapshot, owners=owners), openmetrics=False)
            self.assertTrue(text.endswith(f"\nq {value}\n".encode()), text)

    def test_names(self) -> None:
        """What is left out is named with what is shown, by the names that clients sent, up to a hundred."""
        snapshot = make_snapshot(
            ("c", "q.d", 1.0),
            ("g", "q_d\nk\nv", 1.0),
            ("g", "a.b", 1.0, 7.0),
            ("g", "a_b", 1.0, 9.0),
            ("g", "a/b", 1.0, 8.0),
            ("g", "process_open_fds", 1.0),
            ("ms", "t", 1.0),
            ("h", "t", 1.0),
            ("c", "t.sum", 1.0),
            ("c", "gone", 1.0),
        )
        owners = {"q_d": Owner(Family("q_d", "g")), "gone": Owner(Family("gone", "s"))}
        snapshot = msgspec.structs.replace(snapshot, owners=owners)
        self.assertEqual(
            Exposition().left_out(snapshot),
            [
                LeftOut("type", "c", "q.d", "g", "q_d\nk\nv"),
                LeftOut("duplicate", "g", "a.b", "g", "a_b"),
                LeftOut("duplicate", "g", "a/b", "g", "a_b"),
                LeftOut("reserved", "g", "process_open_fds"),
                LeftOut("unit", "h", "t", "ms", "t"),
                LeftOut("type", "c", "t.sum", "ms", "t"),
                LeftOut("type", "c", "gone"),
            ],
        )
        many = make_snapshot(("c", "q", 1.0), *(("g", f"q\nk\n{number}", 1.0) for number in range(150)))
        exposition = Exposition()
        self.assertEqual((len(exposition.left_out(many)), exposition.conflicts(many)["type"]), (100, 150))


class CacheTests(SynchronousTestCase):
    """The plan that is kept from scrape to scrape."""

    def test_new_numbers_for_the_same_series(self) -> None:
        """The kept plan is filled with each snapshot's own numbers, in both formats."""
        exposition = Exposition()
        for value in (1.0, 2.0):
            for openmetrics in (False, True):
                data = exposition.render(make_snapshot(("c", "a", value)), openmetrics=openmetrics)
                self.assertIn(f"\na {value}\n".encode(), data)

    def test_series_come_and_go(self) -> None:
        """A series that comes, and one that is replaced by another, are written under their own names."""
        exposition = Exposition()
        reused = SeriesTable("c", 2, [7, 0, 3], ["late", "", "early"], [1.0, 0.0, 1.0], [0.0] * 3, empty=1)
        for snapshot, names in (
            (make_snapshot(("c", "a", 1.0)), ["a"]),
            (make_snapshot(("c", "a", 1.0), ("g", "b", 1.0)), ["a", "b"]),
            (make_snapshot(("c", "x", 1.0), ("g", "y", 1.0), epoch=1), ["x", "y"]),
            (make_snapshot(("c", "a", 1.0)), ["a"]),
            (structs.replace(make_snapshot(), counters=reused), ["early", "late"]),
        ):
            text = exposition.render(snapshot, openmetrics=False).decode()
            self.assertEqual([family.name for family in read_text(text)], names)


NAME = st.text(alphabet="ab._-9é", max_size=4) | st.text(max_size=6).map(lambda name: name.replace("\n", ""))
TAG = st.tuples(NAME, st.text(max_size=6).map(lambda value: value.replace("\n", "")))
NUMBER = st.floats(-(2.0**60), 2.0**60)
SERIES = st.tuples(
    st.sampled_from(["c", "g", "ms", "h"]),
    st.builds(series_identity, NAME, st.lists(TAG, max_size=3)),
    NUMBER,
    st.floats(0, 1e9),
)

SHORT = st.sampled_from(["a", "b", "a_b", "_", "a_sum"])
OWNERS = st.dictionaries(SHORT, st.builds(Owner, st.builds(Family, SHORT, st.sampled_from(["c", "g", "ms", "h"]))))


class AnySeriesTests(SynchronousTestCase):
    """No series can spoil a scrape."""

    @given(st.lists(SERIES, max_size=12, unique_by=lambda series: series[:2]), OWNERS)
    def test_whatever_comes_both_formats_can_be_read(
        self, series: list[tuple[str, str, float, float]], owners: dict[str, Owner]
    ) -> None:
        """Any names, tags, numbers and owners give text that both parsers read, with the same numbers."""
        # Counters never fall. A summary's sum may, which Prometheus reads; the parser in Python does not.
        kept = [(kind, name, value if kind == "g" else abs(value), weight) for kind, name, value, weight in series]
        text, openmetrics = parse_both(msgspec.structs.replace(make_snapshot(*kept), owners=owners))
        self.assertEqual(samples(text), samples(openmetrics))
        self.assertLessEqual(len(samples(text)), 2 * len(series))

    @given(st.lists(st.tuples(st.lists(SERIES, max_size=5, unique_by=lambda series: series[:2]), OWNERS), min_size=1))
    def test_what_was_scraped_before_makes_no_difference(
        self, moments: list[tuple[list[tuple[str, str, float, float]], dict[str, Owner]]]
    ) -> None:
        """A snapshot gives the same page and the same names, whatever was scraped before it."""
        exposition = Exposition()
        for epoch, (series, owners) in enumerate(moments):
            snapshot = msgspec.structs.replace(make_snapshot(*series, epoch=epoch), owners=owners)
            page = exposition.render(snapshot, openmetrics=False)
            self.assertEqual(page, Exposition().render(snapshot, openmetrics=False))
            self.assertEqual(exposition.left_out(snapshot), Exposition().left_out(snapshot))

    def test_text_that_is_not_unicode(self) -> None:
        """A lone surrogate, which UTF-8 cannot hold, is replaced and does not end the scrape."""
        self.assertIn('{k="?"} 1.0', render(make_snapshot(("c", "a\nk\n\ud800", 1.0))))

    def test_promtool_reads_it(self) -> None:
        """Prometheus' own tool accepts the text format."""
        promtool = shutil.which("promtool")
        if promtool is None:
            raise SkipTest("promtool is not installed")
        snapshot = make_snapshot(
            ("c", 'hits.page\ncode\n2"0\\0', 5.0),
            ("g", "level", -1e300),
            ("ms", "t", 1.0),
            ("h", "size", 1.0),
        )
        text = render(snapshot).encode()
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        self.assertNotIn(b"error while linting", done.stderr)
        self.assertNotEqual(done.returncode, 1, done.stderr)
