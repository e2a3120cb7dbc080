"""What an output does about each answer."""

from __future__ import annotations

from statsd_tcp.remote_write.answers import Answer
from statsd_tcp.remote_write.encoding import EMPTY
from tests.unit.remote_write.outputs import OutputTestCase


class ConversationTests(OutputTestCase):
    """`Conversation`."""

    def test_unknown_end(self) -> None:
        """What is refused when it may have arrived before has arrived: it is settled, and counted as repeated."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(0, "reset")
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(400, "duplicate sample")
        self.wait(2)
        self.assertEqual(self.output.facts().queued, 0)
        self.assertEqual(self.output.remote_facts().repeated, 1)

    def test_no_connection(self) -> None:
        """What is refused after attempts without a connection has not arrived: it is not counted as repeated."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(0, "refused", unsent=True)
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(400, "too old")
        self.wait(2)
        facts = self.output.remote_facts()
        self.assertEqual((facts.repeated, facts.skipped["batch"], facts.delivered), (0, 1, 0.0))

    def test_wait(self) -> None:
        """A receiver that has too much gets the request again when it said."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(429, wait=30.0)
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(204)
        self.wait(29)
        self.assertEqual(len(self.receiver.bodies), 1)
        self.wait(1)
        self.assertEqual(self.output.facts().sent, 1)

    def test_held(self) -> None:
        """A receiver that does not know us gets the request again each minute; nothing is dropped."""
        self.receiver.answer = lambda body: Answer(401, "no such token")
        self.commit(("c", "a", 1.0))
        self.wait(120)
        self.assertEqual(len(self.receiver.bodies), 3)
        self.assertEqual(self.output.facts().error, "the answer is 401 (no such token)")
        self.receiver.answer = lambda body: Answer(204)
        self.wait(60)
        self.assertEqual((self.output.facts().sent, self.output.facts().queued), (1, 0))

    def test_outage_of_the_receiver(self) -> None:
        """While even a request without series fails with 5xx, ours waits and is not suspected."""
        self.receiver.answer = lambda body: Answer(500)
        self.commit(("c", "a", 1.0))
        self.wait(600)
        self.assertEqual(len(self.receiver.bodies), 3)
        self.receiver.answer = lambda body: Answer(204)
        self.wait(61)
        self.assertEqual((self.output.facts().sent, self.output.remote_facts().skipped["poison"]), (1, 0))
