"""What a commit does with intervals and offsets."""

from __future__ import annotations

import sqlite3

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.snapshot import Refusal, TotalKey
from tests.unit.aggregate.model import came
from tests.unit.store.cases import StoreTestCase, counts, total, values


class CommitTests(StoreTestCase):
    """Intervals and offsets."""

    def test_everything_survives_a_reopen(self) -> None:
        """A store that is closed and opened again gives the same totals, series and offsets."""
        store = self.open()
        interval = Interval(
            listeners={"tcp:1": ListenerCounts(100, 4, 1, 0)},
            samples={"c": 2, "ms": 1},
            bad_lines={"malformed_line": 1},
            bad_tags=3,
            events=1,
            service_checks=2,
            counters={"hits": 2.5, "hits\nk\nv": 1.0},
            gauges={"level": [(5, False, 7.0)]},
            times={"t": came({3.0: 2.0})},
            distributions={"d": came({1.5: 1.0})},
        )
        reading = counts("L1", accepted=5, closed_eof=3)
        before = store.commit(CommitBatch(counts=[reading], pieces=[Piece("L1", 0, 64, encode(interval))]))
        store.close()
        after = self.open().snapshot
        self.assertEqual(after.totals(), before.totals())
        self.assertEqual(after.ledgers, before.ledgers)
        for old, new in zip(before.tables(), after.tables(), strict=True):
            self.assertEqual(values(old), values(new))
        self.assertEqual(list(after.times.weights), [2.0])
        self.assertEqual(total(after, "lines", worker=""), 4)
        self.assertEqual(after.settled[TotalKey("service_checks")], 2)

    def test_a_commit_is_on_the_disk_when_it_returns(self) -> None:
        """What a killed process leaves behind, its files as they are, has all that was committed."""
        store = self.open()
        piece = Piece("L1", 0, 8, encode(Interval(counters={"a": 1.0})))
        committed = store.commit(CommitBatch(counts=[counts("L1", accepted=3)], pieces=[piece]))
        self.assertEqual(store._connection.execute("PRAGMA synchronous").fetchone(), (2,))
        for suffix in ("", "-wal"):
            left = self.path.with_name(f"{self.path.name}{suffix}")
            left.with_name(f"left.db{suffix}").write_bytes(left.read_bytes())
        self.path = self.path.with_name("left.db")
        found = self.open().snapshot
        self.assertEqual((found.totals(), values(found.counters)), (committed.totals(), {"a": 1.0}))

    def test_an_interval_counts_once(self) -> None:
        """An interval that is given twice is added once, refused the second time, and the offset is named."""
        store = self.open()
        piece = Piece("L1", 0, 8, encode(Interval(counters={"a": 1.0})))
        first = store.commit(CommitBatch(counts=[counts("L1")], pieces=[piece]))
        second = store.commit(CommitBatch(pieces=[piece]))
        self.assertEqual(first.refused, ())
        self.assertEqual(second.refused, (Refusal("L1", 0, 8, 8),))
        self.assertEqual(values(second.counters), {"a": 1.0})

    def test_intervals_of_one_batch_follow_each_other(self) -> None:
        """In one batch a ledger's intervals may follow each other; one after a gap is refused."""
        store = self.open()
        pieces = [
            Piece("L1", start, end, encode(Interval(counters={"a": 1.0}))) for start, end in [(0, 8), (8, 16), (24, 32)]
        ]
        snapshot = store.commit(CommitBatch(counts=[counts("L1")], pieces=pieces))
        self.assertEqual(values(snapshot.counters), {"a": 2.0})
        self.assertEqual(snapshot.refused, (Refusal("L1", 24, 32, 16),))
        self.assertEqual(snapshot.ledgers["L1"].committed, 16)

    def test_an_unknown_ledger_is_refused(self) -> None:
        """An interval of a ledger whose counts never came is refused."""
        snapshot = self.open().commit(CommitBatch(pieces=[Piece("X", 0, 8, encode(Interval(events=1)))]))
        self.assertEqual(snapshot.refused, (Refusal("X", 0, 8, None),))
        self.assertEqual(snapshot.totals(), {})

    def test_recovered_lines_are_counted_apart(self) -> None:
        """The lines of a replayed interval are also recovered lines."""
        interval = Interval(listeners={"tcp:1": ListenerCounts(10, 2), "tcp:2": ListenerCounts(10, 3)})
        batch = CommitBatch(counts=[counts("L1")], pieces=[Piece("L1", 0, 8, encode(interval), recovered=True)])
        self.assertEqual(self.open().commit(batch).settled[TotalKey("recovered_lines")], 5)

    def test_the_batch_stays_as_it_was(self) -> None:
        """A commit changes nothing in what it was given, so that it can be given again."""
        store = self.open()
        intervals = [Interval(counters={"a": 1.0}, gauges={"g": [(1, True, 2.0)]}) for _ in "12"]
        pieces = [Piece("L1", 8 * number, 8 * number + 8, encode(each)) for number, each in enumerate(intervals)]
        store.commit(CommitBatch(counts=[counts("L1")], pieces=pieces))
        for each in intervals:
            self.assertEqual(each, Interval(counters={"a": 1.0}, gauges={"g": [(1, True, 2.0)]}))

    def test_a_snapshot_never_changes(self) -> None:
        """What a snapshot shows stays the same through later commits, also when series come and go."""
        store = self.open(ttl=100.0)
        batch = CommitBatch(
            counts=[counts("L1", accepted=1)],
            pieces=[Piece("L1", 0, 8, encode(Interval(counters={"a": 1.0})))],
        )
        snapshot = store.commit(batch)
        shown = snapshot.totals(), values(snapshot.counters)
        later = Interval(counters={"a": 1.0, "b": 1.0}, events=1)
        store.commit(CommitBatch(counts=[counts("L1", accepted=9)], pieces=[Piece("L1", 8, 16, encode(later))]))
        self.clocks.advance(200.0)
        store.commit(CommitBatch())
        self.assertEqual((snapshot.totals(), values(snapshot.counters)), shown)

    def test_nothing_new_writes_nothing(self) -> None:
        """A commit of what is known already does not touch the file, but is a commit."""
        store = self.open()
        batch = CommitBatch(counts=[counts("L1", accepted=1)])
        store.commit(batch)
        watcher = sqlite3.connect(self.path)
        self.addCleanup(watcher.close)
        version = watcher.execute("PRAGMA data_version").fetchone()
        snapshot = store.commit(batch)
        self.assertEqual(watcher.execute("PRAGMA data_version").fetchone(), version)
        self.assertEqual(snapshot.stats.commits, 2)

    def test_commits_are_timed(self) -> None:
        """The snapshot tells the number of commits, their durations, and when the last one ended."""
        stats = self.open().commit(CommitBatch()).stats
        self.assertEqual(stats.commits, 1)
        self.assertEqual(stats.last_commit, self.clocks.now)
        self.assertEqual(stats.duration_buckets[-1], (float("inf"), 1))
