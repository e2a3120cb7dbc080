"""The supervisor stops in order, and within its time."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from statsd_tcp.aggregate.batches import BatchSum, Brought
from statsd_tcp.supervisor.shutdown import LAST_COMMIT, LAST_KILL
from statsd_tcp.workers.channel import Drain, Gathered
from tests.unit.supervisor.fakes import SESSION, heard, say
from tests.unit.supervisor.supervising import DRAIN_TIMEOUT, SupervisorTestCase


class StopTests(SupervisorTestCase):
    """The service stops."""

    def setUp(self) -> None:
        """Start, and begin to stop."""
        super().setUp()
        self.start()
        self.before = self.committer.commits
        self.stopped = self.supervisor.stopService()

    def finish(self, number: int) -> None:
        """Let a worker hand over everything, and end."""
        self.answer(number, last=True)
        self.worker(number)[1].end(0)

    def test_in_order(self) -> None:
        """Workers drain; when all have ended the sockets are closed, and everything is committed once."""
        self.assertEqual([[Drain(SESSION)], [Drain(SESSION)]], [heard(channel) for channel in self.reactor.channels])
        self.assertEqual((False, "draining"), self.supervisor.accepting())
        self.finish(0)
        self.assertNoResult(self.stopped)
        (one,) = self.plan.listeners[0].sockets[0]
        self.assertGreater(one.fileno(), 0)
        self.finish(1)
        self.successResultOf(self.stopped)
        self.assertEqual(-1, one.fileno())
        self.assertEqual((self.before + 1, True), (self.committer.commits, self.committer.closed))
        self.assertEqual(2, len(self.committer.added))
        self.assertEqual([], self.reactor.getDelayedCalls())
        self.assertEqual(2, len(self.children.started))

    def test_batches(self) -> None:
        """What is urgent is committed before all have ended, because clients wait for it; nothing else is."""
        self.answer(0)
        self.assertEqual(self.before, self.committer.commits)
        brought = Brought((BatchSum(bytes(16), 1, "tcp:8125", b""),))
        say(self.reactor.channels[0], Gathered(0, 8, b"", batches=brought))
        self.assertEqual(self.before, self.committer.commits)
        say(self.reactor.channels[0], Gathered(8, 8, b"", urgent=True))
        self.assertEqual(self.before + 1, self.committer.commits)
        self.assertEqual(brought, self.committer.added[-1].batches)
        self.finish(0)
        self.finish(1)
        self.successResultOf(self.stopped)

    def test_no_more_rounds(self) -> None:
        """No worker is asked or replaced any longer."""
        self.drop()
        self.round()
        self.assertEqual([], heard(self.reactor.channels[0]))
        self.die(0)
        self.reactor.advance(1)
        self.assertEqual(2, len(self.children.started))
        self.assertEqual(0, sum(self.supervisor.restarts.values()))

    def test_out_of_time(self) -> None:
        """A worker that does not finish in time is killed; its ledger has what it counted."""
        self.finish(0)
        self.reactor.advance(DRAIN_TIMEOUT)
        process = self.worker(1)[1]
        self.assertEqual(1, process.kills)
        self.assertNoResult(self.stopped)
        ledger = self.supervisor._slots.present[1].current.ledger  # type: ignore[union-attr]
        self.die(1)
        self.successResultOf(self.stopped)
        self.assertTrue(ledger.retired)
        self.assertIn("1 workers did not finish in time and are killed", self.logged)

    def test_workers_that_cannot_be_killed(self) -> None:
        """A stop goes on without workers that do not even end when they are killed."""
        self.reactor.advance(DRAIN_TIMEOUT)
        self.reactor.advance(LAST_KILL)
        self.successResultOf(self.stopped)
        self.assertIn("workers cannot be ended", self.logged[-2])
        self.assertEqual((self.before + 1, True), (self.committer.commits, self.committer.closed))

    def test_a_last_commit_that_hangs(self) -> None:
        """A stop ends though its last commit does not return, and says so."""
        self.patch(self.committer, "finish", lambda seconds: Deferred[None]())
        self.finish(0)
        self.finish(1)
        self.assertNoResult(self.stopped)
        self.reactor.advance(max(DRAIN_TIMEOUT, LAST_COMMIT) - 0.1)
        self.assertNoResult(self.stopped)
        self.reactor.advance(0.1)
        self.successResultOf(self.stopped)
        self.assertIn("the last commit has not returned", self.logged[-1])

    def test_kill(self) -> None:
        """A second signal kills all workers that are left."""
        self.finish(0)
        self.supervisor.kill()
        self.assertEqual(1, self.worker(1)[1].kills)
