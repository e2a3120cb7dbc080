"""Deletions as the console has them done: one pass for all patterns, and commits in between."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.commit.committer import Committer
from statsd_tcp.console import service_view
from statsd_tcp.console.service_view import StoredFlush
from statsd_tcp.store import deletion
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from tests.unit.store.cases import FlushTestCase, values

NAMES = [f"a.{number}" for number in range(7)]


class FakeCommitter:
    """Asks a store in the thread of the test. ``between`` is called before each question."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.between: Callable[[int], None] = lambda _: None
        self.asked = self.committed = 0

    def ask(self, question: Callable[[Store], Any]) -> Deferred[Any]:
        """Ask."""
        self.asked += 1
        self.between(self.asked)
        return maybeDeferred(question, self.store)

    def commit(self) -> Deferred[None]:
        """Count."""
        self.committed += 1
        return succeed(None)


class HeldCommitter:
    """Asks when the test says so."""

    def __init__(self) -> None:
        self.questions: list[tuple[Callable[[Any], Any], Deferred[Any]]] = []

    def ask(self, question: Callable[[Any], Any]) -> Deferred[Any]:
        """Keep the question."""
        self.questions.append((question, Deferred()))
        return self.questions[-1][1]


class SharedTests(SynchronousTestCase):
    """Several clients that ask for the same series."""

    def setUp(self) -> None:
        """Have what is asked for be a number that rises."""
        self.committer = HeldCommitter()
        self.flush = StoredFlush(cast("Committer", self.committer), TimerRules())
        numbers = count()
        self.patch(service_view, "open_series", lambda *_: [("a", next(numbers))])

    def test_shared(self) -> None:
        """All who ask before the store is looked at get one reply, and who asks later gets another."""
        first, second, third = (self.flush.series("counters") for _ in range(3))
        other = self.flush.series("gauges")
        self.assertEqual(len(self.committer.questions), 2)
        (question, answer), (other_question, other_answer) = self.committer.questions
        reply = question(None)
        later = self.flush.series("counters")
        answer.callback(reply)
        for waiting in (first, second, third):
            self.assertIs(self.successResultOf(waiting), reply)
        other_answer.callback(other_question(None))
        self.assertIn(b"1", self.successResultOf(other))
        self.assertNoResult(later)
        question, answer = self.committer.questions[-1]
        answer.callback(question(None))
        self.assertIn(b"2", self.successResultOf(later))

    def test_not_asked(self) -> None:
        """A question that cannot be put is told to all, and is put again to a store that is there."""
        waiting = [self.flush.series("counters") for _ in range(2)]
        self.committer.questions[0][1].errback(StoreError("the store is not open yet"))
        for each in waiting:
            self.failureResultOf(each, StoreError)
        self.flush.series("counters")
        self.assertEqual(len(self.committer.questions), 2)


class StoredFlushTests(FlushTestCase):
    """A store with seven counters in a folder, and one next to it."""

    def setUp(self) -> None:
        """Fill it, and have little done at a time."""
        super().setUp()
        self.at(1)
        self.store = self.open_with()
        self.commit(self.store, Interval(counters=dict.fromkeys([*NAMES, "b"], 1.0)))
        self.committer = FakeCommitter(self.store)
        self.flush = StoredFlush(cast("Committer", self.committer), TimerRules())
        for module, name, size in ((service_view, "SEARCHED", 3), (service_view, "DELETED", 2)):
            self.patch(module, name, size)
        self.patch(deletion, "_STRIPPED", 1)

    def delete(self, *patterns: str) -> str:
        """Delete, and give the reply."""
        return self.successResultOf(self.flush.delete("counters", patterns))

    def test_in_parts(self) -> None:
        """Looking, rewriting the flush and forgetting go on in parts; the reply and the store know nothing of that."""
        self.assertEqual(
            self.delete("a.3", "a.*", "b.*"),
            "deleted: a.3\n"
            + "".join(f"deleted: {name}\n" for name in NAMES if name != "a.3")
            + "metric b.* not found\nEND\n\n",
        )
        # All series, three times three of them, the flush's parts and the one, four times two of them, the reply.
        self.assertEqual((self.committer.asked, self.committer.committed), (1 + 3 + 2 + 4 + 1, 1))
        self.assertEqual(values(self.store.snapshot.counters), {"b": 1.0})
        self.at(10)
        self.commit(self.store)
        self.assertEqual(self.results(self.store)[-1].counters, {"b": 1.0})

    def test_not_found(self) -> None:
        """What is not there costs one pass and nothing else."""
        self.assertEqual(self.delete("c.*", "d"), "metric c.* not found\nmetric d not found\nEND\n\n")
        self.assertEqual(self.committer.asked, 1 + 3 + 1 + 1)

    def test_commits_in_between(self) -> None:
        """What is committed between two parts is neither lost nor in their way, whenever it comes."""

        def commit(_: int) -> None:
            self.commit(self.store, Interval(counters={"b": 1.0, "new": 1.0}))

        self.committer.between = commit
        self.delete("a.*")
        total = 1.0 * self.committer.asked
        self.assertEqual(values(self.store.snapshot.counters), {"b": 1 + total, "new": total})
        self.store.close()
        self.store = self.open_with()
        self.at(10)
        self.commit(self.store)
        self.assertEqual(self.results(self.store)[-1].counters, {"b": 1 + total, "new": total})

    def test_ends_in_between(self) -> None:
        """An error in the middle is told; what was not forgotten by then can be deleted again."""

        def fail(asked: int) -> None:
            if asked == 1 + 3 + 2 + 2:
                raise StoreError("the disk is full")

        self.committer.between = fail
        self.failureResultOf(self.flush.delete("counters", ["a.*"]), StoreError)
        self.assertEqual(len(values(self.store.snapshot.counters)), 6)
        self.committer.between = lambda _: None
        self.assertEqual(self.delete("a.*").count("deleted: "), 5)
        self.assertEqual(values(self.store.snapshot.counters), {"b": 1.0})

    def test_series_for_everybody(self) -> None:
        """Ten parts do for any number of series: each copies all that stay."""
        self.patch(service_view, "MOST_PARTS", 2)
        self.delete("a.*")
        self.assertEqual(self.committer.asked, 1 + 3 + 2 + 3 + 1)
