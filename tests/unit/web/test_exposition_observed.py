"""Summaries, histograms, sets and help texts in Prometheus' formats; the option for counters."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.rules import PLAIN, Treatment
from statsd_tcp.series.observations import gathered
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.series.traits import Traits
from statsd_tcp.series.windows import Windows
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition import Exposition
from tests.unit.aggregate.model import came
from tests.unit.web.tables import make_snapshot

HISTOGRAM = Traits(bounds=(0.1, 1.0), counts=(1.0, 2.0))


def equip(
    snapshot: Snapshot,
    traits: Mapping[int, Traits] | None = None,
    observed: Mapping[int, Mapping[float, float]] | None = None,
    treatment: Treatment = PLAIN,
    layout_version: int = 1,
) -> Snapshot:
    """Return a snapshot's series, by id, traits, and windows with values."""
    windows = Windows(lambda: 1000.0)
    came_to = {str(series_id): came(values) for series_id, values in (observed or {}).items()}
    windows.observe(np.array(list(observed or {}), np.int64), gathered(came_to), treatment)

    def fitted(table: SeriesTable) -> SeriesTable:
        own = {each: traits[each] for each in table.ids if each in traits} if traits else {}
        return msgspec.structs.replace(table, traits=own, layout_version=layout_version)

    tables = {
        name: fitted(getattr(snapshot, name)) for name in ("counters", "gauges", "times", "distributions", "sets")
    }
    return msgspec.structs.replace(snapshot, windows=windows, **tables)


def render(snapshot: Snapshot, *, openmetrics: bool = False, counter_suffix: str = "") -> str:
    """Write a snapshot with a fresh exposition; both parsers must take it."""
    exposition = Exposition(counter_suffix)
    text = exposition.render(snapshot, openmetrics=openmetrics).decode()
    if openmetrics:
        list(parse_openmetrics(text + "# EOF\n"))
    else:
        list(parse_text(text))
    return text


class SummaryTests(SynchronousTestCase):
    """Quantiles."""

    def test_quantiles_come_first(self) -> None:
        """A summary's quantiles are in seconds for times, under its labels; then come its sum and count."""
        snapshot = equip(make_snapshot(("ms", "t\na\nb", 1500.0, 3.0)), observed={1: {0.0: 1.0}})
        lines = "".join(f't{{a="b",quantile="{quantile}"}} 0.0\n' for quantile in (0.5, 0.9, 0.99))
        expected = f'# TYPE t summary\n{lines}t_sum{{a="b"}} 1.5\nt_count{{a="b"}} 3\n'
        for openmetrics in (False, True):
            self.assertEqual(render(snapshot, openmetrics=openmetrics), expected)

    def test_without_news_there_are_none(self) -> None:
        """A summary to which nothing came lately has only its sum and count; its neighbour has quantiles."""
        snapshot = equip(
            make_snapshot(("h", "a", 1.0), ("h", "b", 1.0)),
            observed={2: {0.0: 1.0}},
            treatment=Treatment(quantiles=(1.0,)),
        )
        self.assertEqual(
            render(snapshot),
            '# TYPE a summary\na_sum 1.0\na_count 1\n# TYPE b summary\nb{quantile="1.0"} 0.0\nb_sum 1.0\nb_count 1\n',
        )

    def test_two_series_of_one_place(self) -> None:
        """Series that add up to one row have the quantiles of all their values."""
        snapshot = equip(
            make_snapshot(("h", "a.b", 1.0), ("h", "a_b", 1.0)),
            observed={1: {0.0: 9.0}, 2: {100.0: 1.0}},
            treatment=Treatment(quantiles=(0.5, 1.0)),
        )
        lines = render(snapshot).splitlines()
        self.assertEqual(lines[1], 'a_b{quantile="0.5"} 0.0')
        self.assertTrue(
            lines[2].startswith('a_b{quantile="1.0"} 100.') or lines[2].startswith('a_b{quantile="1.0"} 99.')
        )
        self.assertEqual(lines[3:], ["a_b_sum 2.0", "a_b_count 2"])


class HistogramTests(SynchronousTestCase):
    """Buckets."""

    def test_buckets_add_up(self) -> None:
        """Each bucket counts all up to its bound; the last one is the count."""
        snapshot = equip(make_snapshot(("ms", "t\na\nb", 9500.0, 4.0)), {1: HISTOGRAM})
        expected = (
            '# TYPE t histogram\nt_bucket{a="b",le="0.1"} 1\nt_bucket{a="b",le="1.0"} 3\nt_bucket{a="b",le="+Inf"} 4\n'
            't_sum{a="b"} 9.5\nt_count{a="b"} 4\n'
        )
        for openmetrics in (False, True):
            self.assertEqual(render(snapshot, openmetrics=openmetrics), expected)

    def test_rounding_never_breaks_the_order(self) -> None:
        """Counts are whole, and no bucket is above the count."""
        traits = Traits(bounds=(1.0, 2.0, 3.0), counts=(0.5, 0.25, 1.0))
        text = render(equip(make_snapshot(("h", "t", 1.0, 1.4)), {1: traits}))
        counts = [int(line.rpartition(" ")[2]) for line in text.splitlines() if "_bucket" in line]
        self.assertEqual(counts, [0, 1, 1, 1])

    def test_summaries_and_histograms_of_one_name(self) -> None:
        """A family with a histogram is one; what came as a summary shows the bucket of all."""
        snapshot = equip(
            make_snapshot(("h", "t\na\n1", 1.0, 7.0), ("h", "t\na\n2", 9.0, 4.0)), {2: HISTOGRAM}, {1: {1.0: 7.0}}
        )
        lines = render(snapshot).splitlines()
        self.assertEqual(lines[:2], ["# TYPE t histogram", 't_bucket{a="1",le="+Inf"} 7'])
        self.assertIn('t_bucket{a="2",le="1.0"} 3', lines)
        self.assertNotIn("quantile", "".join(lines))

    def test_two_histograms_of_one_place(self) -> None:
        """Histograms that add up to one row have the bounds of the first."""
        other = Traits(bounds=(0.05, 0.5), counts=(10.0, 20.0))
        snapshot = equip(make_snapshot(("h", "a.b", 1.0, 4.0), ("h", "a_b", 1.0, 40.0)), {1: HISTOGRAM, 2: other})
        lines = [line for line in render(snapshot).splitlines() if "_bucket" in line]
        self.assertEqual(lines, ['a_b_bucket{le="0.1"} 11', 'a_b_bucket{le="1.0"} 33', 'a_b_bucket{le="+Inf"} 44'])

    def test_a_change_shows_at_once(self) -> None:
        """The plan of the exposition follows when a summary becomes a histogram."""
        exposition = Exposition()
        before = equip(make_snapshot(("h", "t", 1.0)))
        self.assertIn(b"summary", exposition.render(before, openmetrics=False))
        after = equip(make_snapshot(("h", "t", 1.0)), {1: HISTOGRAM}, layout_version=2)
        self.assertIn(b"histogram", exposition.render(after, openmetrics=False))


class FamilyTests(SynchronousTestCase):
    """What is said of families."""

    def test_help(self) -> None:
        """The first help text of a family's series is its own, escaped as each format wants it."""
        snapshot = equip(
            make_snapshot(("g", "g\na\n1", 1.0), ("g", "g\na\n2", 2.0)), {2: Traits(help='Says "hi"\\\n counter')}
        )
        rows = 'g{a="1"} 1.0\ng{a="2"} 2.0\n'
        self.assertEqual(render(snapshot), '# TYPE g gauge\n# HELP g Says "hi"\\\\\\n counter\n' + rows)
        self.assertEqual(
            render(snapshot, openmetrics=True), '# TYPE g gauge\n# HELP g Says \\"hi\\"\\\\\\n counter\n' + rows
        )

    def test_counters_that_end_as_openmetrics_wants_it(self) -> None:
        """A counter whose name ends in _total is one in OpenMetrics too, unless the rest of its name is taken."""
        snapshot = equip(
            make_snapshot(("c", "a_total", 1.0), ("c", "b_total", 2.0), ("g", "b", 3.0), ("c", "c", 4.0)),
            {1: Traits(help="A"), 4: Traits(help="C")},
        )
        self.assertEqual(
            render(snapshot, openmetrics=True),
            "# TYPE a counter\n# HELP a A\na_total 1.0\n# TYPE b_total unknown\nb_total 2.0\n"
            "# TYPE c unknown\n# HELP c C\nc 4.0\n# TYPE b gauge\nb 3.0\n",
        )
        self.assertIn("# TYPE b_total counter\n", render(snapshot))

    def test_counter_suffix(self) -> None:
        """With the option every counter ends in _total, in both formats; nothing else does."""
        snapshot = make_snapshot(("c", "a", 1.0), ("c", "b.total", 2.0), ("g", "g", 3.0))
        self.assertEqual(
            render(snapshot, counter_suffix="_total"),
            "# TYPE a_total counter\na_total 1.0\n# TYPE b_total counter\nb_total 2.0\n# TYPE g gauge\ng 3.0\n",
        )
        self.assertEqual(
            render(snapshot, openmetrics=True, counter_suffix="_total"),
            "# TYPE a counter\na_total 1.0\n# TYPE b counter\nb_total 2.0\n# TYPE g gauge\ng 3.0\n",
        )

    def test_sets_are_gauges(self) -> None:
        """A set is a gauge; of a set and a gauge of one name the first that came has it."""
        sets = SeriesTable("s", 0, [3, 4], ["u", "g"], [5.0, 6.0], [0.0, 0.0])
        snapshot = msgspec.structs.replace(make_snapshot(("g", "g", 1.0)), sets=sets)
        self.assertEqual(render(snapshot), "# TYPE g gauge\ng 1.0\n# TYPE u gauge\nu 5.0\n")
        self.assertEqual(Exposition().conflicts(snapshot)["type"], 1)


_NAMES = st.text(alphabet='ab_."\\', min_size=1, max_size=6) | st.sampled_from(["a_total", "a_sum", "a_bucket", "a"])


class AnySeriesTests(SynchronousTestCase):
    """Nothing can spoil a scrape."""

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["c", "g", "ms", "h"]),
                _NAMES,
                st.sampled_from(["", "\nle\nx", "\nquantile\n1", '\nk\n"']),
                st.none() | st.text(max_size=8),
                st.booleans(),
                st.booleans(),
            ),
            max_size=10,
            unique_by=lambda each: each[:3],
        ),
        st.sampled_from(["", "_total"]),
    )
    def test_both_formats_can_be_read(
        self, series: list[tuple[str, str, str, str | None, bool, bool]], suffix: str
    ) -> None:
        """Whatever series there are, with whatever traits, strict parsers read both formats."""
        snapshot = make_snapshot(*[(kind, name + tags, 2.0, 3.0) for kind, name, tags, *_ in series])
        traits, observed = {}, {}
        for series_id, (kind, _, _, said, histogram, window) in enumerate(series, 1):
            is_histogram = histogram and kind in {"ms", "h"}
            traits[series_id] = msgspec.structs.replace(HISTOGRAM if is_histogram else Traits(), help=said or "")
            if window:
                observed[series_id] = {1.0: 3.0}
        equipped = equip(snapshot, traits, observed)
        for openmetrics in (False, True):
            render(equipped, openmetrics=openmetrics, counter_suffix=suffix)
