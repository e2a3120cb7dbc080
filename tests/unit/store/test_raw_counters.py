"""Raw counters: flushes have the names that clients send, the page has those that rules make, and nothing is lost."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.numbered import SaidNames
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.mapping.rules import MappingRules, Rule
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store, StoreError
from tests.unit.store.cases import RULES, RawTestCase, counts, values

FOLDING = MappingRules(
    rules=(
        Rule(match="in.*", name="inside"),
        Rule(match="out.*", name="outside", scale=2.0),
        Rule(match="off.*", drop=True),
    )
)
NAMES = ("in.a", "in.b", "out.a", "off.a", "plain", "other")
COMMITS = st.lists(
    st.fixed_dictionaries(
        {
            "counters": st.dictionaries(st.sampled_from(NAMES), st.integers(0, 100).map(float), max_size=6),
            "falls": st.sets(st.sampled_from(NAMES), max_size=2),
            "recovered": st.booleans(),
            "restart": st.booleans(),
            "seconds": st.integers(1, 12),
        }
    ),
    max_size=10,
)


class SumTests(RawTestCase):
    """Whatever comes when."""

    @given(COMMITS, st.sampled_from([None, FOLDING]))
    def test_nothing_is_lost(self, commits: list[dict[str, Any]], rules: MappingRules | None) -> None:
        """All flushes together have what came under each name, and totals what rules make of the rises."""
        self.setUp()
        store = self.open_mapped(rules)
        came: Counter[str] = Counter()
        rises: Counter[str] = Counter()
        now = 0.0
        for commit in commits:
            counters = commit["counters"]
            falls = {name: Fall(-1.0, 1) for name in commit["falls"] & counters.keys()}
            for name, amount in counters.items():
                came[name] += amount - (name in falls)
                rises[name] += amount
            now += commit["seconds"]
            self.at(now)
            self.commit(store, Interval(counters=dict(counters), falls=falls), recovered=commit["recovered"])
            if commit["restart"]:
                store.close()
                store = self.open_mapped(rules)
        self.at(now + 30)
        self.commit(store)
        self.assertEqual({name: came[name] for name in came}, dict(self.flushed(store)))
        shown: Counter[str] = Counter()
        for name, amount in rises.items():
            kind, dot, _ = name.partition(".")
            if rules is None or not dot:
                shown[name] += amount
            elif kind != "off":
                shown["inside" if kind == "in" else "outside"] += amount * (2 if kind == "out" else 1)
        self.assertEqual(dict(shown), values(store.snapshot.counters))


class RuleTests(RawTestCase):
    """Rules that come and go."""

    def names(self, store: Store, seconds: float) -> dict[str, float]:
        """End the flush, and give its counters."""
        self.at(seconds)
        self.commit(store)
        return dict(self.results(store)[-1].counters)

    def test_idle_ones_after_a_restart(self) -> None:
        """Outputs are told of idle raw counters after a restart too, under the names that clients sent."""
        store = self.open_mapped(FOLDING)
        self.commit(store, Interval(counters={"in.a": 1.0, "plain": 2.0}))
        self.assertEqual({"in.a": 1.0, "plain": 2.0}, self.names(store, 11))
        store.close()
        store = self.open_mapped(FOLDING)
        self.assertEqual({"in.a": 0.0, "plain": 0.0}, self.names(store, 21))

    def test_rules_that_come(self) -> None:
        """With the first rules outputs go on to be told of all counters that there were."""
        store = self.open_mapped(None)
        self.commit(store, Interval(counters={"in.a": 1.0}))
        store.close()
        store = self.open_mapped(FOLDING)
        self.assertEqual({"in.a": 1.0}, self.names(store, 11))
        self.commit(store, Interval(counters={"in.b": 1.0}))
        self.assertEqual({"in.a": 0.0, "in.b": 1.0}, self.names(store, 21))
        self.assertEqual({"in.a": 1.0, "inside": 1.0}, values(store.snapshot.counters))

    def test_rules_that_go(self) -> None:
        """Without them outputs are told of no name that a rule has made."""
        store = self.open_mapped(FOLDING)
        self.commit(store, Interval(counters={"in.a": 1.0}))
        self.assertEqual({"in.a": 1.0}, self.names(store, 11))
        store.close()
        store = self.open_mapped(None)
        self.commit(store, Interval(counters={"in.a": 2.0}))
        self.assertEqual({"in.a": 2.0}, self.names(store, 21))
        self.assertEqual({"inside": 1.0, "in.a": 2.0}, values(store.snapshot.counters))

    def test_a_shown_one_that_is_deleted(self) -> None:
        """What comes after a shown counter was deleted makes it again."""
        store = self.open_mapped(FOLDING)
        self.commit(store, Interval(counters={"in.a": 1.0}))
        store.delete("counters", ["inside"])
        self.assertEqual({}, values(store.snapshot.counters))
        self.commit(store, Interval(counters={"in.a": 2.0}))
        self.assertEqual({"inside": 2.0}, values(store.snapshot.counters))
        self.assertEqual({"in.a": 3.0}, self.names(store, 11))

    def test_all_raw_ones_that_are_deleted(self) -> None:
        """When no raw counter is left, outputs are not told of those that rules have made."""
        store = self.open_mapped(FOLDING)
        self.commit(store, Interval(counters={"in.a": 1.0}))
        store.delete("counters", ["in.a"])
        store.close()
        store = self.open_mapped(FOLDING)
        self.assertEqual({}, self.names(store, 11))
        self.assertEqual({}, self.names(store, 21))
        self.assertEqual({"inside": 1.0}, values(store.snapshot.counters))

    def test_a_raw_one_that_is_deleted(self) -> None:
        """A raw counter that is deleted is not in the flush; its total stays."""
        store = self.open_mapped(FOLDING)
        self.commit(store, Interval(counters={"in.a": 1.0, "in.b": 5.0}))
        self.assertEqual({"in.a", "in.b", "inside"}, set(store.deletable("counters")))
        store.delete("counters", ["in.a"])
        store.close()
        store = self.open_mapped(FOLDING)
        self.assertEqual({"in.b": 5.0}, self.names(store, 11))
        self.assertEqual({"inside": 6.0}, values(store.snapshot.counters))

    def test_the_limit(self) -> None:
        """Raw counters beyond the limit are one in flushes, and add to the totals of their rules."""
        store = self.open_mapped(FOLDING, FlushRules(outputs=("one",), limit=Amount(2, 1 << 20)))
        self.commit(store, Interval(counters={"in.a": 1.0, "in.b": 2.0}))
        self.commit(store, Interval(counters={"in.c": 4.0, "in.d": 8.0, "in.a": 1.0}))
        self.assertEqual({"inside": 16.0}, values(store.snapshot.counters))
        self.assertEqual({"in.a": 2.0, "in.b": 2.0, "statscounter_overflow.c": 12.0}, self.names(store, 11))

    def test_beyond_the_limit_for_long(self) -> None:
        """The counter for those beyond the limit is not idle while something comes to it."""
        limits = FlushRules(outputs=("one",), limit=Amount(1, 1 << 20))
        store = self.open_mapped(FOLDING, limits, ttl=5.0)
        for second in range(1, 21):
            self.at(second)
            self.commit(store, Interval(counters={"in.a": 1.0, "in.b": 2.0}))
            if second == 11:
                store.close()
                store = self.open_mapped(FOLDING, limits, ttl=5.0)
        found = [result.counters for result in self.results(store)]
        self.assertEqual([{"in.a": 10.0, "statscounter_overflow.c": 20.0}] * 2, found)


class LostTests(RawTestCase):
    """What a damaged file has lost."""

    def test_ids(self) -> None:
        """What came to a counter that is lost is not taken for what came to the next new one."""
        store = self.open_mapped(None)
        for name in ("kept", "lost"):
            self.commit(store, Interval(counters={name: 5.0}))
        store.close()
        with closing(sqlite3.connect(self.path)) as other, other:
            other.execute("DELETE FROM rows WHERE id = (SELECT max(id) FROM rows)")
        store = self.open_mapped(None)
        self.commit(store, Interval(counters={"new": 1.0}))
        store.close()
        store = self.open_mapped(None)
        self.at(11)
        self.commit(store)
        self.assertEqual({"kept": 5.0, "new": 1.0}, dict(self.results(store)[-1].counters))


class ExpiryTests(RawTestCase):
    """Counters that go."""

    def test_not_after_a_commit_that_failed(self) -> None:
        """What came to a counter is in its flush, also if a commit that would have ended the flush has failed."""
        store = self.open_mapped(None, ttl=2.0)
        self.commit(store, Interval(counters={"short": 1.0}))
        self.at(11)
        store._connection.execute("CREATE TEMP TRIGGER stop BEFORE INSERT ON slot_parts BEGIN SELECT nope; END")
        self.assertRaises(StoreError, self.commit, store)
        store._connection.execute("DROP TRIGGER stop")
        # The clock was wrong.
        self.clocks.now = self.start + 5.0
        self.commit(store, Interval(counters={"busy": 1.0}))
        self.assertEqual({"short", "busy"}, set(values(store.snapshot.counters)))

    def test_not_in_the_middle_of_a_flush(self) -> None:
        """What came to a counter is in its flush, also if it could have gone before the end."""
        store = Store(self.path, series_ttl=2.0, flushes=RULES, wall=self.clocks.wall, monotonic=self.clocks.monotonic)
        self.addCleanup(store.close)
        self.commit(store, Interval(counters={"short": 1.0}))
        for second in range(1, 10):
            self.at(second)
            self.commit(store, Interval(counters={"busy": 1.0}))
        self.at(11)
        self.commit(store)
        self.assertEqual({"short": 1.0, "busy": 9.0}, dict(self.results(store)[-1].counters))
        for second in range(12, 22):
            self.at(second)
            self.commit(store, Interval(counters={"busy": 1.0}))
        self.assertEqual({"busy": 9.0}, dict(self.results(store)[-1].counters))


class OutcomeTests(RawTestCase):
    """What rules make of counters, as it is counted."""

    def test_each_once(self) -> None:
        """A series of a commit is counted once, by name and by number, also if the commit fails at first."""
        store = self.open_mapped(FOLDING)
        names = SaidNames()
        names.begin(1)
        for failing in (False, True, False):
            news = Interval(numbered=names.numbered({"in.a": 1.0, "off.a": 1.0, "plain": 1.0}))
            batch = CommitBatch(counts=[counts("a")], pieces=[Piece("a", 0, 0, encode(news))])
            if failing:
                store._connection.execute("CREATE TEMP TRIGGER stop BEFORE INSERT ON rows BEGIN SELECT nope; END")
                self.assertRaises(StoreError, store.commit, batch)
                store._connection.execute("DROP TRIGGER stop")
            store.commit(batch)
        self.assertEqual({"mapped": 3, "unmapped": 3, "dropped": 3, "unnamed": 0}, dict(store.snapshot.stats.mapped))
