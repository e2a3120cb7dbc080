"""Scrapes that are not read, or are too many: what they may hold, and for how long."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.answer import LONGEST_PAUSE
from statsd_tcp.web.exposition import Exposition
from statsd_tcp.web.rendering import Rendering, Renderings
from statsd_tcp.web.scrape import LONG_ENOUGH, MOST_SCRAPES
from tests.unit.web.fakes import Client, Transport
from tests.unit.web.tables import make_snapshot
from tests.unit.web.test_site import SiteTestCase

MANY = make_snapshot(*(("c", f"some.name.{number}", 1.0) for number in range(10_000)))


class NarrowTransport(Transport):
    """A transport that asks for a pause as real ones do, with each write beyond what it keeps."""

    def write(self, data: bytes) -> None:
        """Keep it."""
        super().write(data)
        if len(self.value()) > 1 << 16 and self.producer is not None:
            self.producer.pauseProducing()


class SlowClient(Client):
    """A client that reads when the test says so."""

    transport_class = NarrowTransport

    def read(self) -> bytes:
        """Read what is under way, and have the next of it written."""
        received: bytes = self.transport.value()
        self.transport.clear()
        if self.transport.producer is not None:
            self.transport.producer.resumeProducing()
        return received


class ScrapesTestCase(SiteTestCase):
    """A service with many series."""

    def setUp(self) -> None:
        """Show them."""
        super().setUp()
        self.sources.current = MANY

    def scrape(self) -> SlowClient:
        """Begin a scrape, and have it written."""
        client = SlowClient(self.site)
        client.send("/metrics")
        self.reactor.pool.release()
        return client

    def refused(self, reason: str) -> int:
        """Return how often something was refused."""
        return self.sources.refusals.counts[reason]


class SlowReaderTests(ScrapesTestCase):
    """One scrape."""

    def test_in_pieces(self) -> None:
        """Only what a client reads is written, a piece at a time; in the end it has all."""
        client = self.scrape()
        received = bytearray()
        while piece := client.read():
            self.assertLessEqual(len(piece), 1 << 17)
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: %d\r\n" % len(body), head + b"\r\n")
        self.assertEqual(body.count(b"\nsome_name_"), 10_000)
        self.assertTrue(client.transport.disconnecting)

    def test_never_read(self) -> None:
        """Who reads nothing for a while is cut off, counted, and nothing is kept for him."""
        client = self.scrape()
        self.reactor.advance(LONGEST_PAUSE - 1)
        self.assertFalse(client.transport.aborted)
        self.reactor.advance(1)
        self.assertTrue(client.transport.aborted)
        client.hang_up()
        self.assertEqual((self.refused("unread"), self.reactor.getDelayedCalls()), (1, []))

    def test_read_slowly(self) -> None:
        """Who goes on reading, however slowly, is not cut off while there is room."""
        client = self.scrape()
        for _ in range(5):
            self.reactor.advance(LONGEST_PAUSE - 1)
            self.assertTrue(client.read())
        self.assertFalse(client.transport.aborted)

    def test_head(self) -> None:
        """HEAD tells the form of what GET would give, without any work for it."""
        code, headers, body = self.ask("/metrics", "HEAD", Accept_Encoding="gzip")
        self.assertEqual((code, headers["content-encoding"], body), (200, "gzip", b""))
        self.assertEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertNotIn("content-length", headers)
        for _ in range(MOST_SCRAPES):
            self.scrape()
        self.assertEqual(self.ask("/metrics", "HEAD")[0], 200)


class ManyScrapesTests(ScrapesTestCase):
    """Several at a time."""

    def test_too_many(self) -> None:
        """Beyond a few a scrape is told to come again, at once; when one has ended there is room."""
        clients = [self.scrape() for _ in range(MOST_SCRAPES)]
        code, headers, body = self.ask("/metrics")
        self.assertEqual((code, headers["retry-after"]), (503, "1"))
        self.assertEqual(body, b"4 scrapes are under way: try again\n")
        self.assertEqual(self.refused("scrapes"), 1)
        while clients[0].read():
            pass
        self.assertEqual(self.ask("/metrics")[0], 200)

    def test_hung_up(self) -> None:
        """Who hangs up keeps his place until the thread is done with what he asked for, and no longer."""
        for _ in range(MOST_SCRAPES):
            client = Client(self.site)
            client.send("/metrics")
            client.hang_up()
        self.assertEqual(self.ask("/metrics")[0], 503)
        self.assertEqual(self.ask("/metrics")[0], 200)

    def test_long_enough(self) -> None:
        """A new scrape takes the place of the longest one, if that has taken as long as a scrape may anywhere."""
        clients = []
        for _ in range(MOST_SCRAPES):
            clients.append(self.scrape())
            self.reactor.advance(1)
        for client in clients:
            client.read()
        self.assertEqual(self.ask("/metrics")[0], 503)
        self.reactor.advance(LONG_ENOUGH - MOST_SCRAPES)
        self.assertEqual(self.ask("/metrics")[0], 200)
        self.assertEqual([client.transport.aborted for client in clients], [True, False, False, False])
        self.assertEqual(self.refused("unread"), 1)

    def test_not_written_yet(self) -> None:
        """A scrape that still waits for its thread is not cut off: it is not the client who takes so long."""
        for _ in range(MOST_SCRAPES):
            Client(self.site).send("/metrics")
        self.reactor.advance(2 * LONG_ENOUGH)
        client = Client(self.site)
        client.send("/metrics")
        self.assertEqual(client.answer()[0], 503)

    def test_shared(self) -> None:
        """The series of one snapshot are written once for all who are sent them; our own numbers are of each moment."""
        written: list[Snapshot] = []
        pieces = Exposition.pieces

        def note(exposition: Exposition, snapshot: Snapshot, **options: bool) -> Any:
            written.append(snapshot)
            return pieces(exposition, snapshot, **options)

        self.patch(Exposition, "pieces", note)
        clients = [self.scrape() for _ in range(3)]
        self.assertEqual(written, [MANY])
        self.sources.current = make_snapshot(("c", "other", 1.0))
        clients.append(self.scrape())
        self.assertEqual(len(written), 2)
        for client in clients:
            while client.read():
                pass
        self.ask("/metrics")
        self.assertEqual(len(written), 3)


class RenderingsTests(SiteTestCase):
    """What is shared."""

    def test_let_go(self) -> None:
        """A rendering is there as long as one of its bodies is under way, and its form is its own."""
        renderings = Renderings(Exposition())
        first = renderings.get(MANY, openmetrics=False, compressed=False)
        self.assertIs(first, renderings.get(MANY, openmetrics=False, compressed=False))
        for form in ((True, False), (False, True)):
            other = renderings.get(MANY, openmetrics=form[0], compressed=form[1])
            self.assertIsNot(first, other)
        body, kept = first.body(b"end"), weakref.ref(first)
        del first, other
        gc.collect()
        self.assertIsNotNone(kept())
        self.assertEqual(b"".join(body)[-3:], b"end")
        self.assertIsNone(kept())

    def test_size(self) -> None:
        """The size and the pieces agree."""
        for compressed in (False, True):
            rendering = Rendering(MANY, [b"a" * 1000, b"b"], compressed=compressed)
            last = rendering.last(b"c")
            self.assertEqual(rendering.size + len(last), len(b"".join(rendering.body(last))))
