"""A store and a plain model of it: whatever comes when, by name and by number, all numbers are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.numbered import SaidNames
from statsd_tcp.flush.rules import LAG, FlushRules
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.mapping.rules import MappingRules, Rule
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store, StoreError
from tests.unit.store.cases import RawTestCase, counts, values

RULES = (
    None,
    MappingRules(rules=(Rule(match="in.*", name="inside"), Rule(match="off.*", drop=True))),
    MappingRules(rules=(Rule(match="in.*", name="plain", scale=2.0), Rule(match="off.*", name="in.a"))),
)
NAMES = ("in.a", "in.b", "off.a", "plain", "other", "more")
LEDGERS = ("x", "y", "z")
"""Those of two workers that live, and of one whose journal is read."""

RECOVERED = "z"

FALL = 7.0

COUNTERS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 100), max_size=5)
STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "pieces": st.lists(st.tuples(st.sampled_from(LEDGERS), COUNTERS), max_size=4),
            "falls": st.sets(st.sampled_from(NAMES), max_size=2),
            "failures": st.lists(st.sampled_from(["rows", "slot_parts", "slot_results", "ledgers"]), max_size=2),
            "before": st.sampled_from(["", "", "", "", "delete", "restart", "rules", "asked"]),
            "rules": st.sampled_from(RULES),
            "gone": st.sets(st.sampled_from([*NAMES, "inside"]), min_size=1, max_size=3),
            "seconds": st.sampled_from([0.0, 1.0, 1.0, 4.0, 11.0, 25.0]),
        }
    ),
    max_size=10,
)


def without_zeros(counters: Mapping[str, float]) -> dict[str, float]:
    """Return what is not zero."""
    return {name: amount for name, amount in counters.items() if amount}


class Model:
    """What a store must say: totals, and the counters of each flush that has ended, without those that were idle."""

    def __init__(self, start: float) -> None:
        self.totals: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.closed: list[dict[str, float]] = []
        self.end = start + 10.0
        self.rules: MappingRules | None = None

    def rise(self, name: str, amount: float) -> None:
        """Add to a total."""
        target = Mapper(self.rules or MappingRules()).target("counter", name)
        if target.identity is not None:
            self.totals[target.identity] += amount * target.scale  # type: ignore[assignment]

    def come(self, counters: Mapping[str, int], falls: AbstractSet[str]) -> None:
        """Take in what came to counters, some of which have gone down too."""
        for name, amount in counters.items():
            self.rise(name, amount)
            self.open[name] += amount - int(FALL) * (name in falls)

    def forget(self, names: AbstractSet[str]) -> None:
        """Take counters out."""
        for name in names:
            self.totals.pop(name, None)
            self.open.pop(name, None)

    def move(self, moment: float) -> None:
        """End the flushes that are over at a moment."""
        while moment >= self.end:
            self.closed.append(without_zeros(self.open))
            self.open = Counter()
            self.end += 10.0


class ModelTests(RawTestCase):
    """The store compared with its model."""

    @given(STEPS, st.sampled_from([1e6, 3.0]), st.sampled_from([1000, 3]))
    def test_whatever_comes(self, steps: list[dict[str, Any]], ttl: float, limit: int) -> None:
        """Totals and all flushes are those of the model, also of what expires; beyond the limit their sums are."""
        self.setUp()
        self.model, self.ttl, self.few = Model(self.start), ttl, limit < len(NAMES)
        self.limits = FlushRules(outputs=("one",), limit=Amount(limit, 1 << 20))
        self.workers, self.token = {name: SaidNames() for name in LEDGERS}, 1
        # A flush that has nothing yet is not in the file.
        first = Piece("x", 0, 8, encode(Interval(counters={"more": 0.0})))
        store = self.open_mapped(None, self.limits, ttl)
        store.commit(CommitBatch(counts=[counts(name) for name in LEDGERS], pieces=[first]))
        for step in steps:
            self.clocks.advance(step["seconds"])
            store = self.prepare(store, step)
            pieces = self.pieces(store, step)
            self.expect(step)
            self.commit_by(store, CommitBatch(pieces=pieces), step["failures"])
            self.check(store)
        ended = [without_zeros(result.counters) for result in self.results(store)]
        for right, found in zip(filter(None, self.model.closed), filter(None, ended), strict=True):
            self.compare(right, found)

    def prepare(self, store: Store, step: dict[str, Any]) -> Store:
        """Do what is to be done before a commit, and give the store."""
        before = step["before"]
        if before == "delete" and not self.few:
            store.strip("counters", step["gone"], store.parts())
            store.delete("counters", step["gone"])
            self.model.forget(step["gone"])
        if before in {"restart", "rules"}:
            store.close()
            # What came before the first rules may expire, where counters live for less than a flush.
            if before == "rules" and self.ttl > FALL:
                self.model.rules = step["rules"]
            store = self.open_mapped(self.model.rules, self.limits, self.ttl)
        self.token += before in {"restart", "rules", "asked"}
        return store

    def pieces(self, store: Store, step: dict[str, Any]) -> list[Piece]:
        """Make the pieces of a commit: one that is recovered says names, the others numbers."""
        offsets = {name: state.committed for name, state in store.snapshot.ledgers.items()}
        found = []
        for name, came in step["pieces"]:
            amounts = {key: float(amount) for key, amount in came.items()}
            news = Interval(events=1, falls={key: Fall(-FALL, 1) for key in step["falls"] & came.keys()})
            if name == RECOVERED:
                news.counters = amounts
            else:
                self.workers[name].begin(self.token)
                news.numbered = self.workers[name].numbered(amounts)
            start, offsets[name] = offsets[name], offsets[name] + 8
            found.append(Piece(name, start, start + 8, encode(news), recovered=name == RECOVERED))
        return found

    def expect(self, step: dict[str, Any]) -> None:
        """Tell the model what comes: what is recovered belongs to the flush that is open, and all else to the next."""
        now = self.clocks.now
        for recovered, moment in ((True, now - LAG), (False, now)):
            for name, came in step["pieces"]:
                if (name == RECOVERED) == recovered:
                    self.model.come(came, step["falls"])
            self.model.move(moment)

    def commit_by(self, store: Store, batch: CommitBatch, failures: list[str]) -> None:
        """Commit a batch, which fails first wherever it is said, if it comes to that."""
        for table in failures:
            store._connection.execute(f"CREATE TEMP TRIGGER stop BEFORE INSERT ON main.{table} BEGIN SELECT nope; END")
            try:
                store.commit(batch)
            except StoreError:
                store._connection.execute("DROP TRIGGER stop")
            else:
                store._connection.execute("DROP TRIGGER stop")
                return
        store.commit(batch)

    def check(self, store: Store) -> None:
        """Compare the totals, of which none expires in a long time to live, and the open flush."""
        if self.ttl > FALL:
            self.compare(self.model.totals, values(store.snapshot.counters))
        assert store.flushes is not None
        self.compare(self.model.open, store.flushes.open_counters())

    def compare(self, right: Mapping[str, float], found: Mapping[str, float]) -> None:
        """Compare counters; beyond the limit only what they are together."""
        if self.few:
            self.assertEqual(sum(right.values()), sum(found.values()))
        else:
            self.assertEqual(without_zeros(right), without_zeros(found))
