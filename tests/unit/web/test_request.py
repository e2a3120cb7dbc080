"""Requests that bring too much, or what is no text, and clients that idle."""

from __future__ import annotations

import tempfile
from typing import Any

from twisted.logger import capturedLogs

from statsd_tcp.settings.build import build_settings
from statsd_tcp.web.request import LONGEST_BODY
from statsd_tcp.web.site import make_site
from tests.unit.web.fakes import Client
from tests.unit.web.test_site import SiteTestCase

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
TOO_LONG = b"HTTP/1.1 413 Request Entity Too Large\r\n"


class RequestTestCase(SiteTestCase):
    """A test that sends bytes."""

    def setUp(self) -> None:
        """Forbid temporary files."""
        super().setUp()

        def refuse(*arguments: Any, **options: Any) -> None:
            raise AssertionError("a body goes into a file")

        self.patch(tempfile, "TemporaryFile", refuse)

    def sent(self, *pieces: bytes) -> Client:
        """Send pieces on a new connection."""
        client = Client(self.site)
        client.send_raw(*pieces)
        return client


class BodyTests(RequestTestCase):
    """What comes behind the header."""

    def test_short(self) -> None:
        """A body up to the limit is thrown away, however it comes, and the connection serves the next request."""
        body = b"x" * LONGEST_BODY
        for framed in (
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
            b"Content-Length: %d\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n%b" % (len(body), body),
        ):
            client = self.sent(HEAD, framed)
            self.assertTrue(client.transport.value().startswith(OK))
            client.transport.clear()
            client.send_raw(HEAD + b"\r\n")
            self.assertTrue(client.transport.value().startswith(OK))

    def test_announced(self) -> None:
        """A body that is announced as too long is refused before it comes, also to a client that waits for that."""
        for more in (b"", b"Expect: 100-continue\r\n"):
            client = self.sent(HEAD, b"%bContent-Length: %d\r\n\r\n" % (more, LONGEST_BODY + 1))
            answer = client.transport.value()
            self.assertTrue(answer.startswith(TOO_LONG))
            self.assertTrue(answer.endswith(b"\r\n\r\nno page takes more than 65536 bytes with a request\n"))
            self.assertTrue(client.transport.ended)

    def test_endless(self) -> None:
        """A body in pieces is refused at the limit, whatever its last piece ends with."""
        chunk = b"8000\r\n%b\r\n" % (b"x" * 0x8000)
        client = self.sent(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk)
        self.assertEqual(client.transport.value(), b"")
        client.send_raw(b"1\r\nx\r\n0\r\n\r\n" + HEAD + b"\r\n")
        self.assertTrue(client.transport.value().startswith(TOO_LONG))
        self.assertEqual(client.transport.value().count(b"HTTP/1.1"), 1)

    def test_refused_client_goes_on(self) -> None:
        """What a refused client still sends is not read, and soon the connection is cut."""
        client = self.sent(HEAD, b"Content-Length: 1000000\r\n\r\n")
        client.transport.clear()
        client.send_raw(b"x" * 1_000_000, HEAD + b"\r\n")
        self.assertEqual(client.transport.value(), b"")
        self.assertFalse(client.transport.aborted)
        self.reactor.advance(3)
        self.assertTrue(client.transport.aborted)

    def test_counted(self) -> None:
        """Refusals are counted, and the log says it once."""
        with capturedLogs() as logs:
            for _ in range(3):
                self.sent(HEAD, b"Content-Length: 1000000\r\n\r\n")
        self.assertEqual(self.sources.refusals.counts["body"], 3)
        self.assertEqual(len(logs), 1)


class HeaderTests(RequestTestCase):
    """Header fields that are not what they should be."""

    def test_no_text(self) -> None:
        """A field whose value is no text is answered with 400 on every path, and without a traceback."""
        for name in (b"Accept", b"Accept-Encoding", b"Host", b"Origin", b"X-Any"):
            for path in (b"/metrics", b"/healthz", b"/", b"/none"):
                client = self.sent(b"GET %b HTTP/1.1\r\n%b: a\xff\r\n\r\n" % (path, name))
                code, _, body = client.answer()
                self.assertEqual((code, body), (400, b"a header field is no text\n"))
        self.assertEqual(self.sources.refusals.counts["header"], 20)

    def test_text_in_halves(self) -> None:
        """Values that are text only together are none."""
        client = self.sent(b"GET /metrics HTTP/1.1\r\nHost: \xc3\r\nHost: \xa9\r\n\r\n")
        self.assertEqual(client.answer()[0], 400)

    def test_text(self) -> None:
        """A field may have any text as its value."""
        self.assertEqual(self.sent(HEAD, "X-Any: é\r\n\r\n".encode()).answer()[0], 200)

    def test_length_of_many_digits(self) -> None:
        """A length that Python does not read is refused as any other that is none."""
        for digits in (b"9" * 5000, b"x", b"-1"):
            client = self.sent(HEAD, b"Content-Length: %b\r\n\r\n" % digits)
            self.assertTrue(client.transport.value().startswith(b"HTTP/1.1 400 "))
            self.assertTrue(client.transport.ended or client.transport.disconnecting)


class WholeUrlTests(RequestTestCase):
    """A request with the whole URL, as proxies and some checks send it."""

    def asked(self, url: bytes, host: bytes = b"localhost") -> tuple[int, bytes]:
        """Ask for a URL, and return the status and the body."""
        code, _, body = self.sent(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (url, host)).answer()
        return code, body

    def test_path(self) -> None:
        """The page is that of its path."""
        for url in (b"http://localhost/readyz", b"HTTPS://127.0.0.1:9102/-/ready?x=/", b"http://[::1]:9102/readyz/"):
            self.assertEqual(self.asked(url), (200, b"ok\n"), url)
        for url in (b"http://localhost", b"http://localhost/", b"http://localhost?x=y"):
            self.assertIn(b"<html", self.asked(url)[1], url)
        for url in (
            b"http://localhost/readyz/x",
            b"http://localhost//readyz",
            b"http:///readyz",
            b"ftp://localhost/readyz",
        ):
            self.assertEqual(self.asked(url)[0], 404, url)

    def test_host(self) -> None:
        """The host is that of the URL, whatever the field says."""
        self.assertEqual(self.asked(b"http://localhost/", b"evil.example")[0], 200)
        for url in (b"http://evil.example/", b"http://localhost@evil.example/", b"http://evil.example?localhost/"):
            self.assertEqual(self.asked(url)[0], 421, url)


class IdleTests(RequestTestCase):
    """Connections on which nothing happens."""

    def test_idle(self) -> None:
        """A client that idles is sent off without a log line, and cut off if it does not go."""
        client = self.sent(HEAD + b"\r\n")
        with capturedLogs() as logs:
            self.reactor.advance(61)
            self.assertTrue(client.transport.disconnecting)
            self.assertFalse(client.transport.aborted)
            self.reactor.advance(16)
        self.assertTrue(client.transport.aborted)
        self.assertEqual(logs, [])


class EarlyTests(RequestTestCase):
    """Requests that come before the answer to the one before them."""

    def answers(self, client: Client) -> int:
        """Count the answers since the last time."""
        text: bytes = client.transport.value()
        client.transport.clear()
        return text.count(OK)

    def test_in_turn(self) -> None:
        """A client that sends many at once is answered one by one, after others had their turn, and all in the end."""
        client, other = self.sent((HEAD + b"\r\n") * 3), self.sent(HEAD + b"\r\n")
        self.assertEqual((self.answers(client), self.answers(other)), (1, 1))
        client.send_raw(HEAD)
        self.reactor.advance(0)
        self.assertEqual(self.answers(client), 2)
        client.send_raw(b"\r\n")
        self.assertEqual(self.answers(client), 1)

    def test_not_read(self) -> None:
        """A client that does not read its answers gets no further ones, and is closed as one that idles."""
        client = self.sent((HEAD + b"\r\n") * 3)
        client.protocol.pauseProducing()
        self.reactor.advance(0)
        self.assertEqual(self.answers(client), 1)
        client.protocol.resumeProducing()
        self.assertEqual(self.answers(client), 1)
        client.protocol.pauseProducing()
        self.reactor.advance(61)
        self.assertTrue(client.transport.disconnecting)

    def test_gone(self) -> None:
        """Nothing is answered to a client that is gone."""
        client = self.sent((HEAD + b"\r\n") * 3)
        client.hang_up()
        self.reactor.advance(0)
        self.assertEqual(self.answers(client), 1)

    def test_endless(self) -> None:
        """A client that sends and sends is not read from during an answer, also when it does not read that."""
        for reads in (True, False):
            client = self.sent(b"GET /metrics HTTP/1.1\r\n\r\n")
            if not reads:
                client.protocol.pauseProducing()
            client.send_raw(b"x" * 10_000)
            self.assertEqual(client.transport.producerState, "producing")
            client.send_raw(b"x" * 10_000)
            self.assertEqual(client.transport.producerState, "paused")
            client.hang_up()


class MethodTests(RequestTestCase):
    """What load balancers and orchestrators send to see whether a server is there."""

    def test_options(self) -> None:
        """OPTIONS tells what a page takes, also without a Host and in the older version of the protocol."""
        for path, allowed in ((b"/", "GET, HEAD, OPTIONS"), (b"/metrics", "GET, HEAD, OPTIONS")):
            for version in (b"1.0", b"1.1"):
                code, headers, body = self.sent(b"OPTIONS %b HTTP/%b\r\n\r\n" % (path, version)).answer()
                self.assertEqual((code, headers["allow"], body), (200, allowed.lower(), b""))
        self.assertEqual(self.sent(b"OPTIONS * HTTP/1.1\r\n\r\n").answer()[0], 200)

    def test_old_version(self) -> None:
        """GET and HEAD of HTTP/1.0 are answered, with the length, and the connection ends."""
        for method, body in ((b"GET", b"ok\n"), (b"HEAD", b"")):
            client = self.sent(method + b" /readyz HTTP/1.0\r\n\r\n")
            code, headers, found = client.answer()
            self.assertEqual((code, headers["content-length"], found), (200, "3", body))
            self.assertTrue(client.transport.disconnecting)


class ConnectionsTests(RequestTestCase):
    """Connections that are too many."""

    def setUp(self) -> None:
        """Serve three at a time."""
        super().setUp()
        self.site = make_site(self.reactor, self.sources, build_settings({"http-connections": ["3"]}), ())

    def test_longest_idle(self) -> None:
        """A new connection ends the one that has idled longest; who has asked for something is no idler."""
        waiting, first, second = (self.sent() for _ in range(3))
        waiting.send_raw(b"GET /metrics HTTP/1.1\r\n\r\n")
        first.send_raw(HEAD + b"\r\n")
        new = self.sent(HEAD + b"\r\n")
        self.assertEqual(self.parted(waiting, first, second, new), [False, False, True, False])
        self.sent()
        self.assertEqual(self.parted(waiting, first, second, new), [False, True, True, False])
        self.reactor.pool.release()
        self.sent()
        self.assertEqual(self.parted(waiting, first, second, new), [True, True, True, False])
        self.assertEqual(self.sources.refusals.counts["connections"], 3)

    def test_gone(self) -> None:
        """Who has gone leaves room."""
        for _ in range(5):
            self.sent(HEAD + b"\r\n").hang_up()
        self.assertEqual(self.sources.refusals.counts["connections"], 0)

    def parted(self, *clients: Client) -> list[bool]:
        """Return which connections had to go."""
        return [client.transport.parted for client in clients]
