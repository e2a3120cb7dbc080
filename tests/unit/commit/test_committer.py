"""The committer: what the workers gathered goes into the store once, whatever fails meanwhile."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.snapshot import ACCEPTED, LINES, Snapshot
from tests.unit.commit.committing import CommitterTestCase, FailingStore


class CommitterTests(CommitterTestCase):
    """What is asked of it, and what it says, while all goes well and while commits fail."""

    def test_follower_fails(self) -> None:
        """One that raises does not keep a commit's snapshot from those behind it, and its error is in the log."""

        def fail(snapshot: Snapshot) -> None:
            raise ZeroDivisionError

        heard: list[Snapshot] = []
        self.committer.after_commit += [fail, heard.append]
        self.assertEqual([self.commit()], heard)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertIn("what follows a commit failed", self.logged)

    def test_the_first_commit_opens_the_store(self) -> None:
        """The store is made when the first commit comes, and there is a picture even of nothing."""
        self.assertIs(None, self.committer.snapshot)
        self.assertFalse(self.path.exists())
        self.commit()
        self.assertTrue(self.path.exists())
        self.assertEqual("", self.committer.failure)

    def test_gathered(self) -> None:
        """What was gathered is in the store after the commit, and its journal may be used again."""
        self.worker.receive(b"a:1|c\na:2|c\n")
        self.committer.add(self.worker.gather())
        self.assertEqual({"a": 3.0}, self.counters())
        self.assertEqual([(self.worker.ledger.ledger_id, self.worker.journal.head)], self.safe)
        self.assertEqual((2, 1), (self.total(LINES), self.total(ACCEPTED, "0")))

    def test_once(self) -> None:
        """What is in the store is not added again by later commits."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        for _ in range(3):
            self.assertEqual({"a": 1.0}, self.counters())

    def test_the_same_twice(self) -> None:
        """An interval that comes twice counts once, and is reported."""
        self.worker.receive(b"a:1|c\n")
        gathered = self.worker.gather()
        self.committer.add(gathered)
        self.committer.add(gathered)
        self.assertEqual({"a": 1.0}, self.counters())
        self.assertEqual(1, len(self.logged))
        self.assertIn("does not fit its ledger", self.logged[0])

    def test_a_failing_store(self) -> None:
        """While commits fail nothing is lost or released; when they work again everything is there, once, in order."""
        self.commit()
        FailingStore.failing = "x.sqlite cannot grow: the disk is full"
        for number in (1, 2, 3):
            self.worker.receive(b"a:%d|c\n" % number)
            self.committer.add(self.worker.gather())
            self.successResultOf(self.committer.commit())
            self.assertEqual("x.sqlite cannot grow: the disk is full", self.committer.failure)
        self.assertEqual([], self.safe)
        FailingStore.failing = ""
        self.assertEqual({"a": 6.0}, self.counters())
        self.assertEqual("", self.committer.failure)
        self.assertEqual([(self.worker.ledger.ledger_id, self.worker.journal.head)], self.safe)

    def test_a_folder_that_another_instance_has(self) -> None:
        """While the state folder is not ours the store is not used; it is said without a traceback, and tried again."""
        self.commit()
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        self.guarded = "--state-dir x is in use by another instance"
        self.successResultOf(self.committer.commit())
        self.assertEqual(self.guarded, self.committer.failure)
        self.assertEqual([], self.flushLoggedErrors())
        refused = self.failureResultOf(self.committer.ask(lambda _: None), StoreError)
        self.assertEqual(self.guarded, str(refused.value))
        self.guarded = ""
        self.assertEqual({"a": 1.0}, self.counters())

    def test_answers_while_a_commit_fails(self) -> None:
        """What comes while a commit is failing is tried again behind what that commit had."""
        self.commit()
        FailingStore.failing = "no"
        self.pool.held = True
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather())
        failing = self.committer.commit()
        self.worker.receive(b"a:2|c\n")
        self.committer.add(self.worker.gather())
        self.pool.release()
        self.successResultOf(failing)
        self.pool.held = False
        FailingStore.failing = ""
        self.assertEqual({"a": 3.0}, self.counters())

    def test_a_failure_is_said_once(self) -> None:
        """A failure that lasts is one line, another one is another, and the end of it is one."""
        for failing in ("one", "one", "one", "two", ""):
            FailingStore.failing = failing
            self.committer.commit()
        self.assertEqual(
            [
                "a commit failed and is tried again every second: one",
                "a commit failed and is tried again every second: two",
                "commits work again",
            ],
            self.logged,
        )

    def test_a_store_that_can_t_be_opened(self) -> None:
        """A store that cannot be opened is a failed commit; it is tried again."""
        self.path.mkdir()
        self.committer.commit()
        self.assertIn(f"{self.path} cannot be opened", self.committer.failure)
        self.assertIs(None, self.committer.snapshot)
        self.path.rmdir()
        self.commit()
        self.assertEqual("", self.committer.failure)

    def test_a_fault_of_ours(self) -> None:
        """What fails in an unforeseen way fails the commit as well, and leaves its trace in the log."""

        def fail(store: Store, batch: CommitBatch) -> Snapshot:
            raise ZeroDivisionError

        self.patch(FailingStore, "commit", fail)
        self.committer.commit()
        self.assertNotEqual("", self.committer.failure)
        self.assertEqual(2, len(self.logged))
        self.assertEqual(1, len(self.flushLoggedErrors()))

    def test_many_questions(self) -> None:
        """A commit waits for one question at most, however many there are."""
        self.commit()
        self.pool.held = True
        order: list[object] = []
        for _ in range(3):
            self.committer.ask(lambda _: "answer").addCallback(order.append)
        self.committer.commit().addCallback(order.append)
        self.pool.release()
        self.pool.held = False
        self.assertEqual(order, ["answer", None, "answer", "answer"])

    def test_several_workers(self) -> None:
        """What several workers gathered is added up."""
        others = [self.make_worker(number) for number in (1, 2)]
        for number, worker in enumerate([self.worker, *others], 1):
            worker.receive(b"a:%d|c\n" % number)
            self.committer.add(worker.gather())
        self.assertEqual({"a": 6.0}, self.counters())
        self.assertEqual(3, len(self.safe))
        self.assertEqual([1, 1, 1], [self.total(ACCEPTED, str(number)) for number in range(3)])

    def test_while_one_runs(self) -> None:
        """Commits that are asked for while one runs become one, which has all that was given until then."""
        self.pool.held = True
        first = self.committer.commit()
        waiting: list[Deferred[None]] = []
        for number in (1, 2):
            self.worker.receive(b"a:%d|c\n" % number)
            self.committer.add(self.worker.gather())
            waiting.append(self.committer.commit())
        self.pool.release()
        for deferred in (first, *waiting):
            self.successResultOf(deferred)
        self.pool.held = False
        self.assertEqual({"a": 3.0}, self.counters())
        assert self.committer.snapshot is not None
        self.assertEqual(3, self.committer.snapshot.stats.commits)

    def test_who_is_told(self) -> None:
        """All that follow the commits get each one's snapshot; what fails there is only logged."""
        seen: list[Snapshot] = []

        def fail(snapshot: Snapshot) -> None:
            raise ZeroDivisionError

        self.committer.after_commit += [seen.append, fail]
        snapshot = self.commit()
        self.assertEqual([snapshot], seen)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.commit()
        self.assertEqual(2, len(seen))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_a_close_that_is_given_up(self) -> None:
        """A close that is no longer waited for is under way until it is over, and not after that."""
        self.successResultOf(self.committer.commit())
        self.pool.held = True
        closing = self.committer.close()
        self.reactor.advance(3.0)
        closing.cancel()
        self.failureResultOf(closing, CancelledError)
        self.assertEqual(3.0, self.committer.underway)
        self.pool.release()
        self.assertIsNone(self.committer.underway)

    def test_a_close_that_fails(self) -> None:
        """A store that cannot be closed is not under way either, and the failure is the caller's."""
        self.successResultOf(self.committer.commit())
        close = FailingStore.close

        def fail(store: FailingStore) -> None:
            close(store)
            raise ZeroDivisionError

        self.patch(FailingStore, "close", fail)
        self.failureResultOf(self.committer.close(), ZeroDivisionError)
        self.assertIsNone(self.committer.underway)

    def test_close_without_a_store(self) -> None:
        """A committer that never committed has nothing to close."""
        self.successResultOf(self.make_committer().close())
