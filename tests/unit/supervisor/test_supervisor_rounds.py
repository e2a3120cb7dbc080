"""The supervisor collects from its workers and commits, every second."""

from __future__ import annotations

import secrets

import msgspec

from statsd_tcp.store.snapshot import LedgerState
from statsd_tcp.workers.channel import Collect, Committed, Ready
from tests.unit.supervisor.fakes import SESSION, heard, say
from tests.unit.supervisor.supervising import SupervisorTestCase
from tests.unit.web.tables import make_snapshot


class RoundTests(SupervisorTestCase):
    """Once a second."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        self.start()
        self.before = self.committer.commits

    @property
    def commits(self) -> int:
        """How many commits there were since the start."""
        return self.committer.commits - self.before

    def test_a_round(self) -> None:
        """Every worker is asked; when all have answered there is one commit of all answers."""
        self.round()
        self.assertEqual(
            [[Collect(SESSION)], [Collect(SESSION)]], [heard(channel) for channel in self.reactor.channels]
        )
        self.answer(0)
        self.assertEqual(0, self.commits)
        self.answer(1, b"y")
        self.assertEqual(1, self.commits)
        self.assertEqual([b"x", b"y"], [one.payload for one in self.committer.added])
        ledgers = [slot.current.ledger.ledger_id for slot in self.supervisor._slots.present if slot.current]
        self.assertEqual(ledgers, [one.ledger_id for one in self.committer.added])

    def test_nothing_received(self) -> None:
        """A worker that received nothing answers as well; there is nothing to keep."""
        self.round()
        self.answer(0, b"")
        self.answer(1, b"")
        self.assertEqual((1, []), (self.commits, self.committer.added))

    def test_unasked(self) -> None:
        """A worker whose journal is full does not wait to be asked, and its lines are committed at once."""
        self.answer(1)
        self.assertEqual((1, 1), (self.commits, len(self.committer.added)))

    def test_a_worker_that_hangs(self) -> None:
        """One that does not answer delays no other, and is not asked twice; when it answers after all that counts."""
        self.round()
        self.drop()
        self.answer(0)
        self.assertEqual(0, self.commits)
        for number in range(1, 4):
            self.round()
            self.assertEqual([[Collect(SESSION)], []], [heard(channel) for channel in self.reactor.channels])
            self.answer(0)
            self.assertEqual(number, self.commits)
        self.answer(1)
        self.assertEqual((4, 5), (self.commits, len(self.committer.added)))
        self.round()
        self.assertEqual(
            [[Collect(SESSION)], [Collect(SESSION)]], [heard(channel) for channel in self.reactor.channels]
        )

    def test_all_hang(self) -> None:
        """When none answers there is still a commit, of the connections that are counted in shared memory."""
        self.round()
        self.round()
        self.assertEqual(1, self.commits)

    def test_a_worker_that_dies_meanwhile(self) -> None:
        """One that dies before it answered is not waited for, and its successor is asked."""
        self.round()
        self.answer(0)
        self.die(1)
        self.assertEqual(1, self.commits)
        say(self.worker(1)[2], Ready())
        self.drop()
        self.round()
        self.assertEqual([Collect(SESSION)], heard(self.worker(1)[2]))

    def test_committed(self) -> None:
        """What is in the store is told once to the worker with that ledger, and to no other."""
        current = self.supervisor._slots.present[1].current
        assert current is not None
        state = LedgerState(current.ledger.ledger_id, 1, "", 8, folded=False, counts={})
        snapshot = msgspec.structs.replace(make_snapshot(), ledgers={state.ledger_id: state})
        for _ in range(2):
            self.supervisor.committed(snapshot)
        self.assertEqual([[], [Committed(8)]], [heard(channel) for channel in self.reactor.channels])

    def test_while_commits_fail(self) -> None:
        """While commits fail no worker is asked for more: it is safer in the journals. The commit is tried again."""
        self.committer.failure = "the disk is full"
        self.round()
        self.assertEqual(([], 1), (heard(self.reactor.channels[0]), self.commits))
        self.committer.failure = ""
        self.round()
        self.assertEqual([Collect(SESSION)], heard(self.reactor.channels[0]))

    def test_not_understood(self) -> None:
        """The worker whose ledger gave what is not understood is asked for another session, and no other one."""
        current = [slot.current for slot in self.supervisor._slots.present]
        self.patch(secrets, "randbelow", lambda _: SESSION)
        self.supervisor.begin_anew(current[1].ledger.ledger_id if current[1] else "")
        self.round()
        self.assertEqual(
            [[Collect(SESSION)], [Collect(SESSION + 1)]], [heard(channel) for channel in self.reactor.channels]
        )

    def test_a_round_that_raises(self) -> None:
        """A fault in a round is logged, and the next round comes nevertheless."""

        def fail() -> None:
            raise ZeroDivisionError

        self.events.each_second = fail
        self.round()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.events.each_second = list
        self.round()
        self.assertEqual([Collect(SESSION)], heard(self.reactor.channels[0]))
