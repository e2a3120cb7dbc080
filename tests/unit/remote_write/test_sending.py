"""When a request is sent."""

from __future__ import annotations

from statsd_tcp.remote_write.answers import Answer
from statsd_tcp.remote_write.encoding import EMPTY
from tests.unit.remote_write.messages import read
from tests.unit.remote_write.outputs import OutputTestCase
from tests.unit.web.tables import make_snapshot


class RequestSenderTests(OutputTestCase):
    """`RequestSender`."""

    def test_clock_asked_first(self) -> None:
        """Before anything else is sent, a request without series asks the receiver for the time."""
        self.commit(("c", "a", 1.0))
        self.commit(("c", "a", 2.0))
        self.assertEqual(self.receiver.probes, 1)

    def test_clock_ahead(self) -> None:
        """A clock that is ahead sends nothing; when it is right again what it made is dropped, and it goes on."""
        self.commit(("c", "a", 1.0))
        self.wrong = 10 * 365 * 86400.0
        self.commit(("c", "a", 2.0))
        self.wait(30)
        self.assertEqual(len(self.receiver.bodies), 1)
        self.assertIn("ahead of the receiver's", self.output.facts().error)
        self.wrong = 0.0
        self.commit(("c", "a", 2.0))
        self.commit(("c", "a", 4.0))
        self.wait(20)
        self.assertEqual([read(body)[0][1][0][0] for body in self.receiver.bodies], [1.0, 2.0, 4.0])
        self.assertEqual(self.output.remote_facts().skipped["clock"], 1)
        self.assertEqual(self.output.facts().error, "")

    def test_after_a_restart(self) -> None:
        """The request in front may have been sent by the process before: it comes again byte for byte."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else None
        self.commit(("c", "a", 1.0))
        self.output.stopService()
        self.assertTrue(self.receiver.closed)
        self.output = self.make()
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(409, "again")
        self.output.committed(make_snapshot())
        self.assertEqual(self.receiver.bodies[0], self.receiver.bodies[1])
        self.assertEqual(self.output.remote_facts().repeated, 1)

    def test_the_store_fails_when_it_is_taken(self) -> None:
        """A request that is taken while the store fails comes again. If it is refused then, the receiver has it."""

        def take_once(body: bytes) -> Answer:
            self.broken = body != EMPTY
            return Answer(204)

        self.receiver.answer = take_once
        self.commit(("c", "a", 1.0), ("c", "b", 1.0))
        self.receiver.answer = lambda body: Answer(400, "again")
        self.broken = False
        self.wait(3)
        self.assertEqual(self.sent(), [["a", "b"], ["a", "b"]])
        facts, remote = self.output.facts(), self.output.remote_facts()
        self.assertEqual((facts.sent, facts.dropped, facts.queued), (1, 0, 0))
        self.assertEqual((remote.repeated, remote.refused, remote.skipped["batch"]), (2, 0, 0))
