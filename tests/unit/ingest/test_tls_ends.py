"""TLS connections that are old, and those that end with their worker."""

from __future__ import annotations

import socket
import ssl

from tests.unit.ingest.loopback import (
    wait_for,
)
from tests.unit.ingest.tls_clients import TlsTestCase


class TlsAgeTests(TlsTestCase):
    """The greatest age of connections with TLS."""

    max_age = 40.0

    def test_closed(self) -> None:
        """What has come is read, and the client is told that it was the end."""
        client = self.secure(self.connect())
        self.reactor.pump([1.0] * 30)
        client.send(b"a\n")
        self.await_records(1)
        self.assertEqual({}, self.closed)
        self.reactor.pump([1.0] * 16)
        self.assertEqual(({"max_age": 1}, [b"a"]), (self.until_closed(), self.tally.lines))
        received: list[bytes] = []
        wait_for(lambda: self.attempt(lambda: received.append(client.recv(10))))
        self.assertEqual([b""], received)


class TlsEndTests(TlsTestCase):
    """The end of the service."""

    def drain(self) -> None:
        """Have everything read, and ended."""
        self.lane.stop()
        self.factory.drain()
        self.intake.settle()

    def test_what_has_come(self) -> None:
        """What has come is read and decrypted; then the connection is closed."""
        client = self.secure(self.connect())
        client.send(b"a\nb")
        self.await_records(1)
        self.drain()
        self.assertEqual({"shutdown": 1}, self.until_closed())
        self.assertEqual(([b"a"], {"truncated": 1}), (self.tally.lines, dict(self.tally.rejected)))

    def test_clients_that_have_ended(self) -> None:
        """Who has ended already is counted for that."""
        client = self.secure(self.connect())
        # Otherwise the end waits for an answer to the data.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.send(b"a\nb")
        self.assertFalse(self.attempt_once(client))
        self.await_records(2)
        self.drain()
        self.assertEqual({"eof": 1}, self.until_closed())
        self.assertEqual([b"a", b"b"], self.tally.lines)

    def attempt_once(self, client: ssl.SSLSocket) -> bool:
        """Announce the end, without letting the server see it."""
        try:
            client.unwrap()
        except ssl.SSLWantReadError:
            return False
        return True

    def test_new_keys(self) -> None:
        """What has come after a new key is read as well."""
        self.change_keys(2, b"a\n")
        self.drain()
        self.assertEqual({"shutdown": 1}, self.until_closed())
        self.assertEqual([b"a"], self.tally.lines)

    def test_handshakes(self) -> None:
        """A handshake that is not through is broken off."""
        self.connect()
        self.run_reactor()
        self.drain()
        self.assertEqual({"shutdown": 1}, self.until_closed())
        self.assertEqual([], self.reactor.getDelayedCalls())
