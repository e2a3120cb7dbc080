"""Batches over TLS."""

from __future__ import annotations

import ssl
from functools import partial
from typing import Any

from statsd_tcp.aggregate.batches import BatchTally
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.protocol import MakeProtocol
from statsd_tcp.ingest.tls_lane import StoringTlsProtocol
from tests.unit.ingest.batches import batch, hello
from tests.unit.ingest.loopback import (
    wait_for,
)
from tests.unit.ingest.tls_clients import TlsTestCase


class BatchTests(TlsTestCase):
    """Batches over TLS."""

    def make_protocol(self) -> MakeProtocol:
        """Take batches."""
        tally = BatchTally(tally_for([("tcp:1", "etsy")]))
        self.batches = BatchIntake(self.intake, tally, ["tcp:1"], list)
        self.batches.be("node")
        return partial(StoringTlsProtocol, self.batches)

    def is_taken(self) -> bool:
        """Let the server read, and return whether a batch is under way."""
        self.run_reactor(1)
        return self.batches.are_under_way

    def heard(self, client: ssl.SSLSocket) -> bytes:
        """Read until the end that TLS announces."""
        parts: list[bytes] = []

        def ended() -> bool:
            try:
                parts.append(client.recv(4096))
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                self.run_reactor(1)
            return parts[-1:] == [b""]

        wait_for(ended)
        return b"".join(parts)

    def test_drain(self) -> None:
        """At the end of the service what has come is confirmed before the end is announced."""
        client = self.secure(self.connect())
        client.send(hello() + batch(1))
        wait_for(self.is_taken)
        self.factory.drain()
        self.run_reactor()
        self.assertEqual({}, self.closed)
        self.batches.committed(self.journal.head, whole=True)
        self.assertEqual(b"!node node\n!stored 1 2 0\n", self.heard(client))
        self.assertEqual({"shutdown": 1}, self.until_closed())

    def test_refused(self) -> None:
        """What is no batch is refused, and the end announced."""
        client = self.secure(self.connect())
        client.send(b"!hello 3\n")
        self.assertEqual(b"!refused 0 version\n", self.heard(client))
        self.assertEqual({"error": 1}, self.until_closed())

    def test_age(self) -> None:
        """One that is too old is told of what is under way, too."""
        client = self.secure(self.connect())
        client.send(hello() + batch(1))
        wait_for(self.is_taken)
        (connection,) = self.factory.kept
        connection.part_for_age(0)
        self.batches.committed(self.journal.head, whole=True)
        self.assertEqual(b"!node node\n!stored 1 2 0\n", self.heard(client))
        self.assertEqual({"max_age": 1}, self.until_closed())

    def test_answers_are_not_read(self) -> None:
        """A client that does not read its answers is cut off; what waits to be written goes out in parts until then."""
        client = self.secure(self.connect())
        client.send(hello())
        self.run_reactor()
        (one,) = self.factory.kept
        transport: Any = one.transport
        sent = 0
        while not one.is_ending:
            transport.write(b"!" * 60_000)
            sent += 60_000
            self.run_reactor(2)
        self.assertLess(1 << 16, sent)
        self.assertEqual({"error": 1}, self.until_closed())
