"""The greatest age of connections: how they are told, and what still counts."""

from __future__ import annotations

import random

from statsd_tcp.ingest.confirming import CONFIRMATION, ConfirmingProtocol
from tests.unit.ingest.loopback import Client, IngestTestCase


class AgeTests(IngestTestCase):
    """Connections that may have a greatest age of 40 seconds: each ends after 30 to 40, and an eighth more."""

    def setUp(self) -> None:
        """Have a busy client and a silent one."""
        super().setUp()
        self.factory = self.make_factory(max_age=40.0)
        self.patch(random, "uniform", lambda least, most: least)
        self.busy, self.silent = self.adopt()[0], self.adopt()[0]

    def pass_time(self, seconds: int) -> None:
        """Let time pass, in which one client sends lines."""
        for _ in range(seconds):
            self.busy.send(b"a\n")
            self.reactor.turn()
            self.reactor.advance(1)

    def test_the_end(self) -> None:
        """Both are told; what comes then still counts, and the end of the client is one for its age."""
        self.pass_time(30)
        self.assert_open(self.busy)
        self.pass_time(6)
        self.assertEqual(({}, 36), (self.closed, len(self.tally.lines)))
        self.assertEqual([b"", b""], [self.busy.end(), self.silent.end()])
        self.busy.send(b"b\nc")
        for client in (self.busy, self.silent):
            client.fin()
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(({"max_age": 2}, [b"b", b"c"]), (self.closed, self.tally.lines[-2:]))
        self.assertEqual(({}, 0), (dict(self.tally.rejected), self.occupancy.open))

    def assert_open(self, client: Client) -> None:
        """Check that a client was not told of an end."""
        client.socket.setblocking(False)
        self.assertRaises(BlockingIOError, client.socket.recv, 1)
        client.socket.setblocking(True)

    def test_a_client_that_does_not_listen(self) -> None:
        """One that goes on sending is closed some seconds later, with what has come until then."""
        self.pass_time(44)
        self.assertEqual({}, self.closed)
        self.busy.send(b"b\nc")
        self.reactor.advance(2)
        self.assertEqual(({"max_age": 2}, [b"b"]), (self.closed, self.tally.lines[-1:]))
        self.assertEqual({"truncated": 1}, self.tally.rejected)

    def test_jitter(self) -> None:
        """Each has another time, between three quarters of the age and all of it."""
        asked: list[tuple[float, float]] = []

        def all_of_it(least: float, most: float) -> float:
            asked.append((least, most))
            return most

        self.patch(random, "uniform", all_of_it)
        self.factory = self.make_factory(max_age=40.0)
        late = self.adopt()[0]
        self.reactor.pump([1.0] * 40)
        self.assert_open(late)
        self.reactor.pump([1.0] * 6)
        self.assertEqual((b"", [(0.75, 1.0)]), (late.end(), asked))

    def test_reset(self) -> None:
        """A client that breaks off then is counted so."""
        self.pass_time(36)
        self.silent.reset()
        self.reactor.turn()
        self.assertEqual({"reset": 1}, self.closed)

    def test_not_while_the_journal_is_full(self) -> None:
        """Whose data cannot be read is not closed."""
        self.factory.pause()
        self.reactor.pump([1.0] * 60)
        self.assertEqual({}, self.closed)
        self.factory.resume()
        self.reactor.pump([1.0] * 15)
        self.assertEqual({"max_age": 2}, self.closed)

    def test_confirmed(self) -> None:
        """A connection that is confirmed at its end does not age: it would end without that."""
        self.factory = self.make_factory(max_age=40.0, protocol=ConfirmingProtocol)
        client, _ = self.adopt()
        for _ in range(50):
            client.send(b"a\n")
            self.reactor.turn()
            self.reactor.advance(1)
        client.fin()
        self.reactor.turn()
        self.assertEqual(CONFIRMATION, client.end())

    def test_idle(self) -> None:
        """A client that is idle before is closed as idle."""
        self.factory = self.make_factory(max_age=400.0)
        client = self.adopt()[0]
        self.reactor.pump([5.0] * 16)
        self.assertEqual((1, b""), (self.closed["idle"], client.end()))
