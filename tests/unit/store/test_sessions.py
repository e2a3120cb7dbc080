"""Sessions of workers: what numbers stand for, whatever is lost, said again or started over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import BadIntervalError, UnknownSessionError, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.numbered import Numbered, SaidNames
from statsd_tcp.mapping.rules import MappingRules, Rule
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store, StoreError
from statsd_tcp.store.sessions import Sessions
from tests.unit.aggregate.test_numbered import rises, said
from tests.unit.store.cases import RawTestCase, counts, values


def piece(numbered: Numbered, ledger_id: str = "a") -> Piece:
    """Return a piece in which a worker says that."""
    return Piece(ledger_id, 0, 8, encode(Interval(events=1, numbered=numbered)))


class SessionsTests(SynchronousTestCase):
    """The store's side."""

    def setUp(self) -> None:
        """Know nothing."""
        self.sessions = Sessions()

    def counters(self, one: Piece) -> dict[str, float]:
        """Return the counters of a piece by name."""
        opened = self.sessions.opened(one)
        assert opened.interval is not None
        self.assertEqual(1, opened.interval.events)
        if opened.session is None:
            return opened.interval.counters
        known, named, _ = opened.session.take(opened.interval.numbered, SeriesColumns("c"))
        self.assertEqual(0, len(known.positions))
        return named

    def test_names(self) -> None:
        """Numbers stand for the names that were said first, in this message or another."""
        self.assertEqual({"b": 1.0, "a": 2.0}, self.counters(piece(said(9, 0, ["a", "b"], 1, 0))))
        self.assertEqual({"c": 1.0, "a": 2.0}, self.counters(piece(said(9, 2, ["c"], 2, 0))))
        self.assertEqual({"b": 1.0}, self.counters(piece(said(9, 3, [], 1))))

    def test_by_name(self) -> None:
        """What is said by name needs no session."""
        by_name = Piece("a", 0, 8, encode(Interval(events=1, counters=rises("a"))))
        self.assertEqual({"a": 1.0}, self.counters(by_name))

    def test_workers(self) -> None:
        """Each worker has its own session, also with the same number."""
        for name in ("a", "b"):
            self.counters(piece(said(9, 0, [name], 0), name))
        self.assertEqual({"b": 1.0}, self.counters(piece(said(9, 1, [], 0), "b")))

    def test_unknown(self) -> None:
        """Nothing is known of a session that did not begin here, or that was forgotten."""
        self.assertRaises(UnknownSessionError, self.sessions.opened, piece(said(9, 1, ["b"], 1)))
        self.sessions.opened(piece(said(9, 0, ["a"], 0)))
        self.sessions.forget("a")
        self.assertRaises(UnknownSessionError, self.sessions.opened, piece(said(9, 1, ["b"], 1)))

    def test_missing(self) -> None:
        """What lacks names that were said before it, or has numbers of none, or one twice, makes no sense."""
        self.sessions.opened(piece(said(9, 0, ["a"], 0)))
        for bad in (said(9, 2, [], 0), said(8, 1, [], 0), said(9, 1, ["b"], 2), said(9, 1, ["b"], 1, 1)):
            error = self.assertRaises(BadIntervalError, self.sessions.opened, piece(bad))
            self.assertNotIsInstance(error, UnknownSessionError)
        self.assertRaises(BadIntervalError, self.sessions.opened, Piece("a", 0, 8, b"rubbish"))

    def test_falls(self) -> None:
        """What went down must be among the counters, by number or by name."""
        self.sessions.opened(piece(said(9, 0, ["a", "b"], 0, 1)))
        falls = {"b": Fall(-1.0, 1)}
        for right, wrong in (
            (Interval(numbered=said(9, 2, [], 1), falls=falls), Interval(numbered=said(9, 2, [], 0), falls=falls)),
            (Interval(counters=rises("b"), falls=falls), Interval(counters=rises("a"), falls=falls)),
        ):
            self.sessions.opened(Piece("a", 0, 8, encode(right)))
            self.assertRaises(BadIntervalError, self.sessions.opened, Piece("a", 0, 8, encode(wrong)))

    def test_waiting(self) -> None:
        """A piece that has to wait keeps its session, whatever begins meanwhile, and what it says is not kept."""
        first = self.sessions.opened(piece(said(9, 0, ["a"], 0))).closed()
        self.sessions.opened(piece(said(8, 0, ["b"], 0)))
        self.assertIsNone(first.interval)
        self.assertEqual({"a": 1.0}, self.counters(first))
        self.assertEqual({"b": 1.0}, self.counters(piece(said(8, 1, [], 0))))

    @given(
        st.lists(
            st.tuples(
                st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 9).map(float), max_size=8),
                st.sampled_from(["", "", "", "lost", "again", "asked", "forgotten"]),
            ),
            max_size=30,
        ),
        st.integers(3, 12),
    )
    def test_the_same_by_name(self, messages: list[tuple[dict[str, float], str]], most: int) -> None:
        """Whatever is lost, said twice or started over: what is understood is what a worker that says names would say.

        What is not understood is asked for again, and what is lost is what was not understood or did not come.
        """
        self.setUp()
        worker, token = SaidNames(most), 1
        expected, total, missing = Counter[str](), Counter[str](), Counter[str]()
        for counters, what in messages:
            token += what == "asked"
            worker.begin(token)
            said_now = piece(worker.numbered(counters))
            expected.update(counters)
            if what == "lost":
                missing.update(counters)
                continue
            if what == "forgotten":
                self.sessions.forget("a")
            if what == "again":
                try:
                    self.sessions.opened(said_now)
                except BadIntervalError:
                    pass
            try:
                total.update(self.counters(said_now))
            except BadIntervalError:
                self.sessions.forget("a")
                missing.update(counters)
                token += 1
        self.assertEqual(expected, total + missing)


class StoreTests(RawTestCase):
    """A store that is told numbers."""

    def say(self, store: Store, numbered: Numbered, folded: Sequence[str] = ()) -> dict[str, float]:
        """Commit what a worker says by number; return the counters."""
        start = store.snapshot.ledgers["a"].committed if store.snapshot.ledgers else 0
        news = Piece("a", start, start + 8, encode(Interval(numbered=numbered)))
        return values(store.commit(CommitBatch(counts=[counts("a")], pieces=[news], folded=folded)).counters)

    def test_added_up(self) -> None:
        """What is said by number is in the totals under its name."""
        store = self.open()
        self.say(store, said(9, 0, ["a", "b"], 0, 1))
        self.assertEqual({"a": 3.0, "b": 3.0}, self.say(store, said(9, 2, [], 1, 0)))

    def test_a_place_that_another_series_took(self) -> None:
        """A number stands for its name, also after the series was deleted and another one is where it was."""
        store = self.open()
        self.say(store, said(9, 0, ["a", "b"], 0, 1))
        self.assertEqual({"a": 3.0, "b": 3.0}, self.say(store, said(9, 2, [], 1, 0)))
        store.delete("counters", ["a"])
        self.assertEqual({"b": 3.0, "c": 1.0}, self.say(store, said(9, 2, ["c"], 2)))
        self.assertEqual({"a": 1.0, "b": 3.0, "c": 3.0}, self.say(store, said(9, 3, [], 0, 2)))
        self.assertEqual({"a": 2.0, "b": 3.0, "c": 5.0}, self.say(store, said(9, 3, [], 0, 2)))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["x", "y"]),
                st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9).map(float), max_size=5),
                st.sampled_from(["", "", "", "delete", "fail", "restart"]),
            ),
            max_size=15,
        ),
        st.booleans(),
    )
    def test_whatever_happens(self, messages: list[tuple[str, dict[str, float], str]], mapped: bool) -> None:
        """Totals are the sums by name, whatever is deleted, fails or is opened again, with rules and without."""
        self.setUp()
        rules = MappingRules(rules=(Rule(match="a", name="b"), Rule(match="f", name="f", scale=2.0)))
        store = self.open_mapped(rules if mapped else None)
        workers = {"x": SaidNames(), "y": SaidNames()}
        expected, token = Counter[str](), 1
        for worker, counters, what in messages:
            if what == "delete":
                store.delete("counters", ["b", "c"])
                del expected["b"], expected["c"]
            if what == "restart":
                store.close()
                store, token = self.open_mapped(rules if mapped else None), token + 1
            workers[worker].begin(token)
            news = Interval(numbered=workers[worker].numbered(counters))
            batch = CommitBatch(counts=[counts("x"), counts("y")], pieces=[Piece(worker, 0, 0, encode(news))])
            if what == "fail":
                store._connection.execute("CREATE TEMP TRIGGER stop BEFORE INSERT ON rows BEGIN SELECT nope; END")
            try:
                store.commit(batch)
            except StoreError:
                store._connection.execute("DROP TRIGGER stop")
                store.commit(batch)
            store._connection.execute("DROP TRIGGER IF EXISTS stop")
            for name, amount in counters.items():
                target = "b" if mapped and name == "a" else name
                expected[target] += int(amount) * (2 if mapped and name == "f" else 1)
        self.assertEqual(dict(expected), values(store.snapshot.counters))

    def test_folded(self) -> None:
        """The session of a worker that has ended is forgotten."""
        store = self.open()
        self.say(store, said(9, 0, ["a"], 0), folded=["a"])
        self.assertRaises(UnknownSessionError, store.sessions.opened, piece(said(9, 1, [], 0)))
