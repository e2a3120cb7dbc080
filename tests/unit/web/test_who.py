"""The page `/api/v1/who`, and where else sources are shown."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.status.who_table import BY
from statsd_tcp.web.site import make_site
from tests.unit.status.test_moments import reading
from tests.unit.web.fakes import Client, FakeReactor, FakeSources
from tests.unit.who.boards import note, small_board

PATH = "/api/v1/who"
HERE = IPv4Address("TCP", "127.0.0.1", 40000)
NEAR = IPv4Address("TCP", "10.1.2.3", 40000)
FAR = IPv4Address("TCP", "192.0.2.1", 40000)
WHY = b"sources are shown over loopback, and to the networks of --who-to\n"


class WhoTestCase(SynchronousTestCase):
    """A test with a site, and two sources at one of its listeners."""

    def setUp(self) -> None:
        """Make the site."""
        board = small_board(64)
        memory = board.make()
        self.addCleanup(memory.close)
        note(memory, "10.0.0.1", 0, 3, lines=30, nbytes=7)
        note(memory, "10.0.0.2", 0, 5, lines=10, nbytes=9, bad=1)
        note(memory, "10.0.0.3", 1, 4)
        self.reactor = FakeReactor()
        self.sources = FakeSources(board, ("10.0.0.0/8",))
        self.site = make_site(self.reactor, self.sources, build_settings({}), ())

    def client(self, address: IPv4Address = HERE) -> Client:
        """Let a client come from an address."""
        client = Client(self.site)
        client.transport.peerAddr = address
        return client

    def ask(self, path: str = PATH, address: IPv4Address = HERE, method: str = "GET") -> tuple[int, Any, bytes]:
        """Ask for a page, and give the whole answer."""
        client = self.client(address)
        client.send(path, method)
        while self.sources.who_clock.getDelayedCalls():
            self.sources.who_clock.advance(0)
        return client.answer()


class PageTests(WhoTestCase):
    """Answers."""

    def told(self, query: str = "") -> list[str]:
        """Return the sources that the page has, in their order."""
        code, headers, body = self.ask(PATH + query)
        self.assertEqual((200, "application/json"), (code, headers["content-type"]))
        return [one["source"] for one in json.loads(body)["sources"]]

    def test_answer(self) -> None:
        """The answer says which version it has, whose it is, how sources spread, and what each has brought."""
        _, headers, body = self.ask()
        said = json.loads(body)
        self.assertEqual((1, "web<1>", "connections"), (said["version"], said["node"], said["by"]))
        self.assertEqual("no-store", headers["cache-control"])
        self.assertEqual({"listener": "tcp:8125", "sources": 2, "share": 0.625}, said["listeners"][0])
        first = said["sources"][0]
        self.assertEqual(5.0, first.pop("per_second")["connections"])
        self.assertEqual(
            {
                "source": "10.0.0.2",
                "name": "",
                "listener": "tcp:8125",
                "connections": 5,
                "err": 0,
                "lines": 10,
                "bytes": 9,
                "bad": 1,
                "resets": 0,
                "evicted": 0,
                "limited": 0,
            },
            first,
        )

    def test_queries(self) -> None:
        """How many, by what, and of which listener."""
        for query, wanted in (
            ("", ["2", "3", "1"]),
            ("?top=1", ["2"]),
            ("?by=lines", ["1", "2"]),
            ("?by=bytes&top=1", ["2"]),
            ("?by=bad", ["2"]),
            ("?listener=tcp:8888", ["3"]),
            ("?unknown=1", ["2", "3", "1"]),
        ):
            with self.subTest(query):
                self.assertEqual([f"10.0.0.{last}" for last in wanted], self.told(query))

    def test_wrong_queries(self) -> None:
        """What cannot be answered is refused with one line."""
        for query, why in (
            ("?top=0", "top= is not a whole number from 1 to 1000"),
            ("?top=1001", "top= is not a whole number from 1 to 1000"),
            ("?top=-1", "top= is not a whole number from 1 to 1000"),
            (f"?top={'9' * 5000}", "top= is not a whole number from 1 to 1000"),
            ("?top=", "top= is not a whole number from 1 to 1000"),
            ("?by=age", f"by= is not one of {', '.join(BY)}"),
            ("?listener=tcp:8215", f"listener= is not one of {', '.join(self.sources.who.labels)}"),
        ):
            with self.subTest(query[:20]):
                self.assertEqual((400, f"{why}\n".encode()), self.ask(PATH + query)[::2])

    def test_head(self) -> None:
        """The length is told without the body."""
        for _ in range(2):
            code, headers, body = self.ask(method="HEAD")
            self.assertEqual((200, b""), (code, body))
            self.assertGreater(int(headers["content-length"]), 100)

    def test_gone_meanwhile(self) -> None:
        """A client that has hung up while it waited is left alone."""
        client = self.client()
        client.send(PATH)
        client.hang_up()
        while self.sources.who_clock.getDelayedCalls():
            self.sources.who_clock.advance(0)
        self.assertEqual([], self.flushLoggedErrors())

    def test_not_counted(self) -> None:
        """Without --who there are none."""
        self.site = make_site(self.reactor, FakeSources(), build_settings({}), ())
        self.assertEqual((404, b"sources are not counted: --who says when they are\n"), self.ask()[::2])


class AccessTests(WhoTestCase):
    """Who may see sources: on none of the pages do others."""

    def test_may_see(self) -> None:
        """Clients on this machine, and those of the networks that are named."""
        for address in (HERE, NEAR):
            self.assertEqual(200, self.ask(address=address)[0])

    def test_may_not(self) -> None:
        """Others are told which option lets them, and are counted."""
        self.assertEqual((403, WHY), self.ask(address=FAR)[::2])
        self.assertEqual(1, self.sources.refusals.counts["sources"])

    def test_page_for_people(self) -> None:
        """The page for people has them for those who may see them, and for others the option."""
        self.ask()
        self.assertIn(b"<td>10.0.0.2</td>", self.ask("/")[2])
        self.assertIn(b'href="/api/v1/who"', self.ask("/")[2])
        self.assertIn(b"<td>10.0.0.2</td>", self.ask("/", NEAR)[2])
        _, _, body = self.ask("/", FAR)
        self.assertNotIn(b"10.0.0.", body)
        self.assertIn(b"--who-to", body)

    def test_other_pages(self) -> None:
        """The status and the metrics have none, for any client."""
        self.ask()
        for path in ("/api/v1/status", "/metrics"):
            client = self.client()
            client.send(path)
            self.reactor.pool.release()
            self.assertNotIn(b"10.0.0.", client.answer()[2])

    def test_stream(self) -> None:
        """The stream has them for those who may see them: the past at first, and what is new."""
        self.ask()
        clients = [self.client(address) for address in (HERE, FAR)]
        for client in clients:
            client.send_raw(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(3):
            self.reactor.advance(1)
            self.sources.who_clock.advance(1)
            self.sources.moments.note(reading(self.reactor.seconds(), {}))
            self.sources.who.check()
            while self.sources.who_clock.getDelayedCalls():
                self.sources.who_clock.advance(0)
        here, far = (client.transport.value() for client in clients)
        for event in (b"source-past", b"source-moment", b"sources"):
            self.assertIn(b"event: %b\n" % event, here)
            self.assertNotIn(b"event: %b\n" % event, far)
        self.assertLess(here.index(b"event: source-past"), here.index(b"event: past"))
        self.assertIn(b"10.0.0.2", here)
        self.assertNotIn(b"10.0.0.", far)
        self.assertIn(b"event: moment", far)
