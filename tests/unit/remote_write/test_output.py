"""An output by remote write: from commits to a receiver, and what it says of itself."""

from __future__ import annotations

from twisted.logger import capturedLogs

from statsd_tcp.remote_write.answers import Answer
from tests.unit.remote_write.messages import read
from tests.unit.remote_write.outputs import START, OutputTestCase


class OutputTests(OutputTestCase):
    """`RemoteWrite`."""

    def test_sent(self) -> None:
        """What a commit has is with the receiver, once, and nothing waits."""
        self.commit(("c", "a", 1.0), ("g", "b", 2.0))
        self.assertEqual(self.sent(), [["a", "b"]])
        facts = self.output.facts()
        self.assertEqual((facts.sent, facts.queued, facts.failed, facts.error), (1, 0, 0, ""))
        self.assertEqual(self.output.remote_facts().delivered, START + 110)
        self.assertIsNone(self.output.underway)

    def test_away(self) -> None:
        """While there is no receiver requests wait, in order; pauses grow; it is said once, and so is its end."""
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(0, "Connection refused")
        with capturedLogs() as logs:
            for number in range(2, 10):
                self.commit(("c", "a", float(number)))
            attempts = len(self.receiver.bodies)
            self.assertLess(attempts, 10)
            self.assertEqual(len(set(self.receiver.bodies[1:])), 1)
            self.assertEqual(self.output.facts().error, "Connection refused")
            self.assertGreater(self.output.underway or 0, 60)
            self.receiver.answer = lambda body: Answer(204)
            self.wait(60)
        values = [read(body)[0][1][0][0] for body in self.receiver.bodies[attempts:]]
        self.assertEqual(values, [float(number) for number in range(2, 10)])
        self.assertEqual(len([event for event in logs if event.get("text") == "Connection refused"]), 1)
        self.assertEqual(self.output.facts().error, "")

    def test_store_fails(self) -> None:
        """What could not be put into the store is told with the next slot."""
        self.commit(("c", "a", 1.0))
        self.broken = True
        self.commit(("c", "a", 2.0))
        self.broken = False
        self.commit(("c", "a", 2.0))
        self.assertEqual(read(self.receiver.bodies[-1])[0][1][0][0], 2.0)

    def test_stop(self) -> None:
        """A stop does not wait for an answer, and is no failure."""
        self.receiver.answer = lambda body: None
        with capturedLogs() as logs:
            self.commit(("c", "a", 1.0))
            stopped = self.output.stopService()
        self.successResultOf(stopped)
        self.assertEqual(logs, [])
        pending = self.receiver.pending
        assert pending
        self.assertTrue(pending.called)
