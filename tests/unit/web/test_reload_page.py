"""The page for reloads: who may ask, and what is answered when."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.unit.web.fakes import Client
from tests.unit.web.test_hosts import HostTestCase


class ReloadPageTests(HostTestCase):
    """The page."""

    def setUp(self) -> None:
        """Serve on loopback."""
        super().setUp()
        self.serve()

    def post(self, address: str = "127.0.0.1", **headers: str) -> Client:
        """Ask for a reload."""
        client = Client(self.site, address)
        client.send("/-/reload", "POST", **headers)
        return client

    def test_passed(self) -> None:
        """The answer is 200 when the rehearsal has passed, and it is on its way when the connection has ended."""
        for method in ("POST", "PUT"):
            client = Client(self.site)
            client.send("/-/reload", method)
            self.assertEqual(client.transport.value(), b"")
            sent: list[Any] = []
            self.sources.asked.pop()("").addCallback(sent.append)
            self.assertEqual(client.answer()[::2], (200, b"the rehearsal has passed: the next image takes over\n"))
            self.assertTrue(client.transport.disconnecting)
            self.assertEqual(sent, [])
            client.protocol.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(sent, [None])

    def test_connection_is_closed(self) -> None:
        """A client that would keep its connection is told that it ends, or the answer might wait in it."""
        client = Client(self.site)
        client.send_raw(b"PUT /-/reload HTTP/1.1\r\n\r\n")
        self.sources.asked.pop()("")
        _, headers, _ = client.answer()
        self.assertEqual(headers["connection"], "close")
        self.assertTrue(client.transport.disconnecting)

    def test_refused(self) -> None:
        """The answer is 500 with the line that says why when it is refused."""
        client = self.post()
        self.sources.asked.pop()("it is refused: --workers: '0' is wrong")
        self.assertEqual(client.answer()[::2], (500, b"it is refused: --workers: '0' is wrong\n"))

    def test_too_soon(self) -> None:
        """Who asks while a reload is under way is told when to ask again."""
        self.sources.rested = False
        code, headers, _ = self.post().answer()
        self.assertEqual((code, headers["retry-after"]), (429, "2"))
        self.assertEqual(self.sources.refusals.counts["too_soon"], 1)

    def test_gone(self) -> None:
        """Who has hung up by then is not answered, and holds nothing up."""
        client = self.post()
        client.protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(self.sources.asked.pop()(""))
        self.assertEqual(client.transport.value(), b"")

    def test_methods(self) -> None:
        """Other methods are told which there are."""
        for method, code in (("GET", 405), ("HEAD", 405), ("DELETE", 405), ("OPTIONS", 200)):
            found, headers, _ = self.ask("/-/reload", method)
            self.assertEqual((found, headers["allow"]), (code, "post, put, options"))
        self.assertEqual(self.sources.asked, [])

    def test_other_sites(self) -> None:
        """A page of another site may not ask, whatever the browser says to tell that; one of ours may."""
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:3000", "Host": "localhost:9102"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
        ):
            self.assertEqual(self.post(**headers).answer()[0], 403, headers)
        self.assertEqual((len(self.sources.asked), self.sources.refusals.counts["origin"]), (0, 5))
        self.post(Origin="http://localhost:9102", Host="LOCALHOST:9102", Sec_Fetch_Site="same-origin")
        self.assertEqual(len(self.sources.asked), 1)

    def test_other_machines(self) -> None:
        """Another machine may ask only if the option says so; the answer names it."""
        self.serve(http=["tcp:9102"])
        code, _, body = self.post("10.1.2.3").answer()
        self.assertEqual((code, body), (403, b"other machines may ask for it with --http-lifecycle only\n"))
        self.assertEqual(self.sources.refusals.counts["remote"], 1)
        for address in ("127.0.0.2", "::1"):
            self.post(address)
        self.assertEqual(len(self.sources.asked), 2)
        self.serve(http=["tcp:9102"], http_lifecycle=["yes"])
        self.post("10.1.2.3")
        self.assertEqual(len(self.sources.asked), 1)
