"""Names in Graphite, against what etsy's server sends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.collisions import Collision
from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.outputs.graphite_names import OwnNumbers, points
from statsd_tcp.outputs.graphite_paths import clean
from statsd_tcp.settings.graphite import NameRules
from statsd_tcp.wire.series import series_identity

TAGGED = series_identity("hits", [("code", "200"), ("bare", "")])

FLUSH = FlushResult(
    start=1000,
    seconds=10,
    counters={"hits": 25.0, TAGGED: 5.0},
    gauges={"level": -2.5},
    sets={"users": 3},
    timers={"time": {"count": 4.0, "mean_90": 7.5, "histogram.bin_10": 2.0}},
    lines=40,
    bad_lines=3,
    datagrams=20,
    calculation=0.0123,
)
OWN = OwnNumbers(last_exception=1, last_flush=2, flush_time=3, flush_length=4, calculation_time=5, lag=6)

# What the etsy server sends for the same data with its default settings (its tags are in the client's order).
LEGACY = {
    "stats.hits": 2.5,
    "stats_counts.hits": 25.0,
    "stats.hits;bare=true;code=200": 0.5,
    "stats_counts.hits;bare=true;code=200": 5.0,
    "stats.statsd.bad_lines_seen": 0.3,
    "stats_counts.statsd.bad_lines_seen": 3.0,
    "stats.statsd.packets_received": 2.0,
    "stats_counts.statsd.packets_received": 20.0,
    "stats.statsd.metrics_received": 4.0,
    "stats_counts.statsd.metrics_received": 40.0,
    "stats.timers.time.count": 4.0,
    "stats.timers.time.mean_90": 7.5,
    "stats.timers.time.histogram.bin_10": 2.0,
    "stats.gauges.level": -2.5,
    "stats.gauges.statsd.timestamp_lag": 6,
    "stats.sets.users.count": 3,
    "statsd.numStats": 9,
    "stats.statsd.graphiteStats.calculationtime": 5,
    "stats.statsd.graphiteStats.last_exception": 1,
    "stats.statsd.graphiteStats.last_flush": 2,
    "stats.statsd.graphiteStats.flush_time": 3,
    "stats.statsd.graphiteStats.flush_length": 4,
    "stats.statsd.processing_time": 12,
}


def paths(**rules: object) -> dict[str, float]:
    """Return all points of the flush."""
    return dict(points(FLUSH, NameRules(**rules), OWN))  # type: ignore[arg-type]


class NamespaceTests(SynchronousTestCase):
    """The two name spaces."""

    def test_legacy(self) -> None:
        """The default names are etsy's default names."""
        self.assertEqual(paths(), LEGACY)

    def test_new(self) -> None:
        """In the new name space each kind has its prefix, and a counter's rate and count stand below it."""
        found = paths(legacy=False)
        expected = {
            "stats.counters.hits.rate": 2.5,
            "stats.counters.hits.count": 25.0,
            "stats.counters.hits.rate;bare=true;code=200": 0.5,
            "stats.counters.statsd.bad_lines_seen.count": 3.0,
            "stats.timers.time.count": 4.0,
            "stats.gauges.level": -2.5,
            "stats.sets.users.count": 3,
            "stats.statsd.numStats": 9,
            "stats.statsd.graphiteStats.flush_time": 3,
            "stats.statsd.processing_time": 12,
        }
        self.assertEqual({path: found.get(path) for path in expected}, expected)
        self.assertEqual(len(found), len(LEGACY))

    def test_prefixes(self) -> None:
        """Every prefix can be another one, or none."""
        found = paths(legacy=False, prefix="", counters="c", timers="", gauges="g.x", sets="s", stats="own")
        expected = "c.hits.rate time.count g.x.level s.users.count own.numStats c.own.bad_lines_seen.rate"
        for path in expected.split():
            self.assertIn(path, found)

    def test_the_suffix(self) -> None:
        """The suffix stands at the end of all names, before the tags."""
        for legacy, names in (
            (True, ("stats.hits.eu", "stats_counts.hits.eu;bare=true;code=200", "statsd.numStats.eu")),
            (
                False,
                ("stats.counters.hits.rate.eu", "stats.timers.time.histogram.bin_10.eu", "stats.statsd.numStats.eu"),
            ),
        ):
            found = paths(legacy=legacy, suffix="eu")
            for name in names:
                self.assertIn(name, found)
            for path in found:
                self.assertTrue(path.partition(";")[0].endswith(".eu"), path)

    def test_node(self) -> None:
        """The node is a tag of all paths, in its place among those of clients; theirs of that name gets a prefix."""
        found = paths(suffix="eu", node="a;b")
        self.assertEqual(len(found), len(paths()))
        self.assertTrue(all("node=a_b" in path.split(";")[1:] for path in found))
        for path in (
            "stats.hits.eu;node=a_b",
            "stats.hits.eu;bare=true;code=200;node=a_b",
            "stats.statsd.graphiteStats.flush_time.eu;node=a_b",
        ):
            self.assertIn(path, found)
        flush = FlushResult(start=1000, seconds=10, counters={"x\nnode\nc\nz\n1": 1.0})
        self.assertIn("stats.x;exported_node=c;node=a;z=1", dict(points(flush, NameRules(node="a"), OWN)))

    def test_rates_only(self) -> None:
        """Counters may be sent as rates only."""
        found = paths(counts=False)
        self.assertIn("stats.hits", found)
        self.assertNotIn("stats_counts.hits", found)


class SameNameTests(SynchronousTestCase):
    """Series and the service's own numbers at one path."""

    def test_alike(self) -> None:
        """What series are together that cannot be told apart stands at their path, once."""
        flush = FlushResult(
            start=1000,
            seconds=10,
            counters={"a/b": 2.0, "x": 1.0, "a-b": 3.0},
            timers={"a b": {"sum": 1.0}, "a  b": {"sum": 2.0}},
            alike=(Collision("counters", ("a-b", "a/b"), 5.0), Collision("timers", ("a b", "a  b"), {"sum": 3.0})),
        )
        found = list(points(flush, NameRules(), OWN))
        self.assertEqual(len(found), len(dict(found)))
        expected = {"stats_counts.a-b": 5.0, "stats.a-b": 0.5, "stats_counts.x": 1.0, "stats.timers.a_b.sum": 3.0}
        self.assertEqual({path: dict(found).get(path) for path in expected}, expected)
        self.assertEqual(dict(found)["statsd.numStats"], 3 + 4)

    def test_own_counters(self) -> None:
        """A counter with the name of one of the service's own adds to it."""
        flush = FlushResult(start=1000, seconds=10, counters={"statsd.bad_lines_seen": 4.0}, bad_lines=3)
        found = [
            value for path, value in points(flush, NameRules(), OWN) if path.endswith("counts.statsd.bad_lines_seen")
        ]
        self.assertEqual(found, [7.0])


class CleanTests(SynchronousTestCase):
    """What stays of odd names."""

    def test_table(self) -> None:
        """Blanks become one underscore, slashes dashes, and everything else that is odd goes."""
        cases = {
            "a.b-c_d9": "a.b-c_d9",
            "a b": "a_b",
            "a \t b": "a_b",
            "a/b//c": "a-b--c",
            "über": "ber",
            "a{b}(c)": "abc",
            "k=v": "k=v",
            "": "",
        }
        for raw, expected in cases.items():
            self.assertEqual(clean(raw), expected, raw)

    @given(st.text(max_size=20), st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3))
    def test_no_name_breaks_a_line(self, name: str, tags: dict[str, str]) -> None:
        """Whatever is in a name or a tag, its path has no blank, and as many tags as it should."""
        without = {key.replace("\n", ""): value.replace("\n", "") for key, value in tags.items()}
        identity = series_identity(name.replace("\n", ""), list(without.items()))
        flush = FlushResult(start=0, seconds=10, gauges={identity: 1.0})
        found = [path for path, _ in points(flush, NameRules(), OWN) if path.startswith("stats.gauges.")]
        self.assertEqual(found[0].split(), [found[0]])
        if without:
            self.assertEqual(found[0].count(";"), len(without))
