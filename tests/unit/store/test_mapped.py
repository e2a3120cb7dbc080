"""What the store makes of treatments: histograms, summaries, help texts, times to live, sets; also after a restart."""

from __future__ import annotations

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.mapping.document import read_mapping
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.series.traits import Traits, refit
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.aggregate.model import came
from tests.unit.store.cases import StoreTestCase, counts, values

HISTOGRAM = "mappings: [{match: t.*, name: t, observer_type: histogram, histogram_options: {buckets: %s}}]"


def mapper(text: str) -> Mapper:
    """Make a mapper of a file."""
    return Mapper(read_mapping(text, "m.yml"))


def traits(table: SeriesTable) -> dict[str, Traits]:
    """Return the traits of the series that have some."""
    pairs = zip(table.ids, table.identities, table.values, strict=False)
    return {identity or "": table.traits[each] for each, identity, _ in pairs if each in table.traits}


def windows(snapshot: Snapshot) -> int:
    """Count the summaries that have quantiles."""
    assert snapshot.windows is not None
    return len(snapshot.windows)


class MappedStoreCase(StoreTestCase):
    """A store with a mapping."""

    def mapped(self, text: str, flushes: FlushRules | None = None) -> Store:
        """Open the store with the mapping of a file."""
        clocks = self.clocks
        store = Store(self.path, mapper=mapper(text), flushes=flushes, wall=clocks.wall, monotonic=clocks.monotonic)
        self.addCleanup(store.close)
        return store

    def commit(self, store: Store, news: Interval) -> Snapshot:
        """Commit an interval."""
        return store.commit(CommitBatch(counts=[counts("a")], pieces=[Piece("a", 0, 0, encode(news))]))


class IdentityTests(MappedStoreCase):
    """Under which identity totals are kept."""

    def test_totals_are_kept_under_the_mapped_identity(self) -> None:
        """Raw series that get one name are one durable series."""
        store = self.mapped("mappings: [{match: 'hits.*', name: hits_total, labels: {page: $1}}]")
        self.commit(store, Interval(counters={"hits.a": 1.0, "other": 1.0}))
        store.close()
        store = self.mapped("mappings: [{match: 'hits.*', name: hits_total, labels: {page: $1}}]")
        snapshot = self.commit(store, Interval(counters={"hits.a": 2.0}))
        self.assertEqual(values(snapshot.counters), {"hits_total\npage\na": 3.0, "other": 1.0})
        self.assertEqual(snapshot.stats.mapped, {"mapped": 1, "unmapped": 0, "dropped": 0, "unnamed": 0})
        self.assertEqual(snapshot.stats.rules, 1)

    def test_a_changed_mapping_is_for_what_comes(self) -> None:
        """What was counted under an old name stays there."""
        store = self.mapped("mappings: [{match: a, name: old}]")
        self.commit(store, Interval(counters={"a": 1.0}))
        store = self.mapped("mappings: [{match: a, name: new}]")
        snapshot = self.commit(store, Interval(counters={"a": 2.0}))
        self.assertEqual(values(snapshot.counters), {"old": 1.0, "new": 2.0})

    def test_falling_counters_are_counted(self) -> None:
        """A raw counter that falls cannot hide behind one that gets the same name."""
        store = self.mapped("mappings: [{match: a.*, name: a}]")
        snapshot = self.commit(store, Interval(counters={"a.x": 5.0, "a.y": 0.0}, falls={"a.y": Fall(-3.0, 1)}))
        self.assertEqual((values(snapshot.counters), snapshot.stats.conflicts["negative"]), ({"a": 5.0}, 1))
        self.assertEqual({"negative": "a.y"}, snapshot.stats.left_out)


class HistogramTests(MappedStoreCase):
    """Durable buckets."""

    def test_buckets_add_up_and_outlast_a_restart(self) -> None:
        """Each observation is in the first bucket whose bound it is not above, in seconds; weights count."""
        news = Interval(times={"t.a": came({100.0: 2.0, 100.1: 1.0, 1000.0: 0.5, 9000.0: 1.0})})
        self.commit(self.mapped(HISTOGRAM % "[0.1, 1]"), news)
        store = self.mapped(HISTOGRAM % "[0.1, 1]")
        self.assertEqual(traits(store.snapshot.times), {"t": Traits(bounds=(0.1, 1.0), counts=(2.0, 1.5))})
        snapshot = self.commit(store, news)
        self.assertEqual(traits(snapshot.times)["t"].counts, (4.0, 3.0))
        self.assertEqual((snapshot.times.weights[0], snapshot.times.values[0]), (9.0, 19600.2))

    def test_a_bound_that_is_no_exact_number(self) -> None:
        """A value at a bound belongs to it, also where a thousand times the bound is rounded down."""
        snapshot = self.commit(self.mapped(HISTOGRAM % "[0.57]"), Interval(times={"t.a": came({570.0: 1.0})}))
        self.assertEqual(traits(snapshot.times)["t"].counts, (1.0,))

    def test_distributions_have_no_unit(self) -> None:
        """The buckets of distributions are for the numbers as they came; negative ones are in the first."""
        news = Interval(distributions={"t.a": came({-1.0: 1.0, 0.5: 1.0, 5.0: 1.0})})
        snapshot = self.commit(self.mapped(HISTOGRAM % "[1]"), news)
        self.assertEqual(traits(snapshot.distributions)["t"].counts, (2.0,))
        self.assertEqual((snapshot.distributions.weights[0], snapshot.distributions.values[0]), (3.0, 4.5))
        self.assertEqual(snapshot.stats.conflicts["negative"], 0)

    def test_a_snapshot_never_changes(self) -> None:
        """The buckets that a snapshot has stay as they were."""
        store = self.mapped(HISTOGRAM % "[1]")
        before = self.commit(store, Interval(times={"t.a": came({1.0: 1.0})}))
        self.commit(store, Interval(times={"t.a": came({1.0: 1.0})}))
        self.assertEqual(traits(before.times)["t"].counts, (1.0,))

    def test_other_bounds(self) -> None:
        """After a change no bucket that stays falls, and what is known of the old ones is kept."""
        before = Traits(bounds=(1.0, 2.0, 4.0), counts=(1.0, 10.0, 100.0))
        self.assertEqual(refit(before, (2.0, 3.0, 4.0, 5.0)), (11.0, 0.0, 100.0, 0.0))
        self.assertEqual(refit(before, (0.5, 1.5)), (0.0, 1.0))
        store = self.mapped(HISTOGRAM % "[1, 2]")
        self.commit(store, Interval(times={"t.a": came({500.0: 1.0, 1500.0: 1.0})}))
        store = self.mapped(HISTOGRAM % "[2, 3]")
        second = self.commit(store, Interval(times={"t.a": came({2500.0: 1.0})}))
        self.assertEqual(traits(second.times)["t"], Traits(bounds=(2.0, 3.0), counts=(2.0, 1.0)))

    def test_from_summary_to_histogram_and_back(self) -> None:
        """A summary that becomes a histogram keeps its sum and count; buckets count what comes from then on."""
        store = self.mapped("mappings: [{match: t.*, name: t}]")
        self.commit(store, Interval(times={"t.a": came({500.0: 1.0})}))
        store = self.mapped(HISTOGRAM % "[1]")
        snapshot = self.commit(store, Interval(times={"t.a": came({500.0: 1.0})}))
        self.assertEqual((traits(snapshot.times)["t"].counts, snapshot.times.weights[0]), ((1.0,), 2.0))
        store = self.mapped("mappings: [{match: t.*, name: t}]")
        snapshot = self.commit(store, Interval(times={"t.a": came({500.0: 1.0})}))
        self.assertEqual((traits(snapshot.times), snapshot.times.weights[0]), ({}, 3.0))
        store.close()
        self.assertEqual(traits(self.mapped("").snapshot.times), {})

    def test_a_damaged_row(self) -> None:
        """Buckets that cannot be read are an error of the file."""
        store = self.mapped(HISTOGRAM % "[1]")
        self.commit(store, Interval(times={"t.a": came({500.0: 1.0})}))
        store._connection.execute("UPDATE traits SET counts = x'00'")
        store.close()
        with self.assertRaisesRegex(StoreError, "is damaged: a row cannot be read"):
            self.open()


class SummaryTests(MappedStoreCase):
    """Quantiles."""

    def test_quantiles_of_what_was_committed(self) -> None:
        """A summary has a window, which a histogram has not, in each unit that it came in."""
        store = self.mapped(HISTOGRAM % "[1]")
        snapshot = self.commit(
            store,
            Interval(times={"t.a": came({1.0: 1.0}), "s": came({1.0: 1.0})}, distributions={"s": came({9.0: 1.0})}),
        )
        assert snapshot.windows is not None
        self.assertEqual(len(snapshot.windows), 2)
        series_id = snapshot.times.ids[list(snapshot.times.identities).index("s")]
        self.assertEqual(len(snapshot.windows.read()((series_id,))), 3)

    def test_a_failed_commit_leaves_no_trace(self) -> None:
        """What is given again after an error is observed once."""
        store = self.mapped("")
        store._connection.execute("PRAGMA query_only = 1")
        news = Interval(times={"s": came({1.0: 1.0})}, sets={"u": {"x"}})
        self.assertRaises(StoreError, self.commit, store, news)
        self.assertEqual(windows(store.snapshot), 0)
        store._connection.execute("PRAGMA query_only = 0")
        self.assertEqual(windows(self.commit(store, news)), 1)

    def test_an_expired_series_takes_its_window_along(self) -> None:
        """When a summary goes, so do its quantiles."""
        store = self.mapped("mappings: [{match: s, name: s, ttl: 5s}]")
        snapshot = self.commit(store, Interval(times={"s": came({1.0: 1.0})}))
        self.clocks.advance(7)
        snapshot = self.commit(store, Interval())
        self.assertEqual((len(snapshot.times), windows(snapshot)), (0, 0))


class TraitsTests(MappedStoreCase):
    """Help texts and times to live."""

    def test_help_outlasts_a_restart(self) -> None:
        """The help text is there after a restart before anything comes; it goes when the mapping no longer has one."""
        self.commit(self.mapped("mappings: [{match: a, name: a, help: Text}]"), Interval(counters={"a": 1.0}))
        store = self.mapped("mappings: [{match: a, name: a}]")
        self.assertEqual(traits(store.snapshot.counters), {"a": Traits(help="Text")})
        version = store.snapshot.counters.layout_version
        snapshot = self.commit(store, Interval(counters={"a": 1.0}))
        self.assertEqual(traits(snapshot.counters), {})
        self.assertNotEqual(snapshot.counters.layout_version, version)

    def test_own_time_to_live(self) -> None:
        """A series with a time to live goes soon after it, others stay; a busy one stays too."""
        store = self.mapped("mappings: [{match: s.*, name: s_$1, ttl: 20s}]")
        self.commit(store, Interval(counters={"s.a": 1.0, "s.b": 1.0, "long": 1.0}, gauges={"s.g": [(1, False, 1.0)]}))
        for _ in range(5):
            self.clocks.advance(5)
            snapshot = self.commit(store, Interval(counters={"s.b": 1.0}))
        self.assertEqual(set(values(snapshot.counters)), {"s_b", "long"})
        self.assertEqual((len(snapshot.gauges), snapshot.stats.expired), (0, 2))
        self.assertEqual(traits(snapshot.counters), {"s_b": Traits(ttl=20.0)})

    def test_time_to_live_outlasts_a_restart(self) -> None:
        """What was to go is gone after a restart, with all that was kept of it."""
        before = self.mapped("mappings: [{match: s.*, name: s, ttl: 20s}]")
        self.commit(before, Interval(counters={"s.a": 1.0}))
        self.clocks.advance(10)
        self.commit(before, Interval(counters={"other": 1.0}))
        store = self.mapped("")
        self.clocks.advance(15)
        self.assertEqual(values(self.commit(store, Interval()).counters), {"other": 1.0})
        self.assertEqual(store._connection.execute("SELECT count(*) FROM traits").fetchone(), (0,))


class SetTests(MappedStoreCase):
    """Sets as gauges."""

    def counts(self, store: Store, members: set[str] | None = None) -> dict[str, float]:
        """Commit members of a set, and give what the sets are."""
        return values(self.commit(store, Interval(sets={"u.a": members} if members else {})).sets)

    def test_the_last_flush_counts(self) -> None:
        """A set is how many different members came in the last flush of the clock; none came, none are there."""
        self.clocks.now = 1_700_000_001.0
        store = self.mapped("mappings: [{match: u.*, name: u, help: Users}]")
        self.assertEqual(self.counts(store, {"x", "y"}), {})
        self.assertEqual(self.counts(store, {"y", "z"}), {})
        self.clocks.advance(10)
        self.assertEqual(self.counts(store, {"x"}), {"u": 3.0})
        self.clocks.advance(10)
        self.assertEqual(self.counts(store), {"u": 1.0})
        self.clocks.advance(10)
        self.assertEqual(self.counts(store), {"u": 0.0})
        self.assertEqual(traits(store.snapshot.sets), {"u": Traits(help="Users")})

    def test_a_restart_in_the_middle(self) -> None:
        """The value stays; where output flushes are kept, so do the members of the open one."""
        self.clocks.now = 1_700_000_001.0
        rules = FlushRules(seconds=10, outputs=("graphite",))
        text = "mappings: [{match: u.*, name: u}]"
        self.counts(self.mapped(text, rules), {"x", "y"})
        store = self.mapped(text, rules)
        self.counts(store, {"y", "z"})
        self.clocks.advance(10)
        self.assertEqual(self.counts(store), {"u": 3.0})
        store.close()
        self.assertEqual(values(self.mapped(text).snapshot.sets), {"u": 3.0})
