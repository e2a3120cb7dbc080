"""TLS behind a load balancer."""

from __future__ import annotations

from statsd_tcp.ingest.tls_lane import HANDSHAKE_TIMEOUT
from tests.unit.ingest.headers import BAD, GOOD, LOCAL, v2
from tests.unit.ingest.tls_clients import TlsTestCase


class BalancedTlsTests(TlsTestCase):
    """A TLS port behind a balancer, whose header comes before the handshake."""

    keys = {"proxy": "any", "trust": ("127.0.0.0/8",)}

    def forget(self) -> None:
        """Begin with the next case, at rest."""
        self.reactor.pump([0.001] * 200)
        self.tally.lines.clear()
        self.tally.bad_headers.clear()
        for reason in self.closed:
            self.cells[getattr(self.indexes, reason)] = 0

    def test_good(self) -> None:
        """After a good header, whole or in parts, come the handshake and the lines."""
        for name, good in GOOD.items():
            client = self.connect()
            client.send(good.data[:9])
            self.run_reactor()
            client.send(good.data[9:])
            secure = self.secure(client)
            secure.send(b"a:1|c\nb:2|c")
            self.assertFalse(self.attempt(secure.unwrap))
            self.assertEqual({"eof": 1}, self.until_closed(), name)
            self.assertEqual(([b"a:1|c", b"b:2|c"], []), (self.tally.lines, self.tally.bad_headers), name)
            self.forget()

    def test_bad(self) -> None:
        """A bad header, or a handshake without one, ends the connection and is an example."""
        for name, data in (BAD | {"a handshake": b"\x16\x03\x01"}).items():
            client = self.connect()
            client.socket.sendall(data + bytes(100))
            self.assertEqual({"bad_proxy_header": 1}, self.until_closed(), name)
            (example,) = self.tally.bad_headers
            self.assertTrue((data + bytes(100)).startswith(example), name)
            self.forget()

    def test_local(self) -> None:
        """A balancer's own connection is a check, with a handshake or without."""
        for data in LOCAL.values():
            client = self.connect()
            client.send(data)
            client.fin()
            self.assertEqual({"proxy_check": 1}, self.until_closed())
            self.forget()
        client = self.connect()
        client.send(v2(b"", 0, 0x20))
        secure = self.secure(client)
        self.assertFalse(self.attempt(secure.unwrap))
        self.assertEqual({"proxy_check": 1}, self.until_closed())

    def test_none(self) -> None:
        """A connection that ends, or stays, without a header had none."""
        self.connect().fin()
        self.assertEqual({"bad_proxy_header": 1}, self.until_closed())
        self.connect()
        self.run_reactor()
        self.reactor.pump([1.0] * int(HANDSHAKE_TIMEOUT + 2))
        self.assertEqual({"bad_proxy_header": 2}, self.until_closed(2))

    def test_no_handshake(self) -> None:
        """After a good header a failed handshake is an error."""
        client = self.connect()
        client.send(v2() + b"a:1|c\n")
        self.assertEqual({"error": 1}, self.until_closed())

    def test_a_stranger(self) -> None:
        """A peer that is no balancer is turned away."""
        self.lane.stop()
        self.start_lane(dict(self.keys, trust=("10.0.0.0/8",)))
        client = self.connect()
        client.send(v2())
        self.assertEqual({"bad_proxy_header": 1}, self.until_closed())
        self.assertEqual(([b"127.0.0.1 is not in trust="], b""), (self.tally.bad_headers, client.end()))

    def test_source(self) -> None:
        """The source is the one in the header."""
        client = self.connect()
        client.send(v2())
        self.secure(client)
        (one,) = self.factory.kept
        one.find_source()
        self.assertEqual("192.0.2.7", one.source)
