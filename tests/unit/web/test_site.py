"""The HTTP server: paths, methods, formats."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from twisted.internet.error import ConnectionDone
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

import statsd_tcp
from statsd_tcp.settings.build import build_settings
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.site import make_site
from tests.patience import PATIENCE
from tests.unit.web.fakes import Client, FakeReactor, FakeSources, make_own

SERIES = '# TYPE hits_page counter\nhits_page{k="é"} 5.0\n# TYPE t summary\nt_sum 1.5\nt_count 2\n'

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class SiteTestCase(SynchronousTestCase):
    """A test with a site and a service behind it."""

    def setUp(self) -> None:
        """Make the site."""
        self.reactor = FakeReactor()
        self.sources = FakeSources()
        self.site = make_site(self.reactor, self.sources, build_settings({}), ())

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a request on a new connection, and give the whole answer."""
        client = Client(self.site)
        client.send(path, method, **headers)
        self.reactor.pool.release()
        return client.answer()


class PagesTests(SiteTestCase):
    """The small pages."""

    def test_index(self) -> None:
        """The first page links the others."""
        code, headers, body = self.ask("/")
        self.assertEqual((code, headers["content-type"]), (200, "text/html; charset=utf-8"))
        for path in (b"/metrics", b"/healthz", b"/readyz", b"/api/v1/status"):
            self.assertIn(b'href="%s"' % path, body)
        self.assertNotIn(b"/api/v1/who", body)

    def test_for_people(self) -> None:
        """The first page shows what there is to be seen, and nothing that comes from outside as markup."""
        body = self.ask("/")[2].decode()
        for text in (
            "it works, and every listener accepts",
            "<h1>statscounter on web&lt;1&gt;</h1>",
            "version 0.1.0, up for 1 d 2 h; 12,346 connections/s, 7 lines/s",
            "so far 9,000 lines, 12 of them bad; 345 series",
            "<td>queues overflow</td><td>sysctl -w x=1</td>",
            "<td>tcp:8125</td><td>0.0.0.0:8125</td><td>1,500</td><td>2</td><td></td><td></td><td>3 of 4,096</td>",
            "<td>udp:8125</td><td>0.0.0.0:8125</td><td></td><td></td><td>6</td><td>5</td><td></td><td>4</td>",
            "<td>0</td><td>4711</td><td>ready, gets no new connections</td><td>3.2 s ago</td><td>40 MiB</td>",
            "<td>1</td><td></td><td>waiting</td><td></td><td></td><td></td>",
            "<td>malformed_value</td><td>tcp:8125</td><td>&lt;script&gt;x:y|c ...</td><td>3 s ago</td>",
            "<td>type</td><td>&lt;b&gt;q</td><td>c</td><td>q;a=b</td><td>g</td>",
            "<td>3</td><td>40</td><td>5</td><td>2</td><td></td><td>nobody &lt;b&gt;listens&lt;/b&gt;</td>",
        ):
            self.assertIn(text, body)

    def test_for_people_when_all_is_not_well(self) -> None:
        """The first page says each thing that is wrong, once."""
        self.sources.state, self.sources.readiness = (False, "worker 1 keeps dying"), (False, "draining")
        self.sources.commit_error = "the disk is full"
        body = self.ask("/")[2].decode()
        for text in ("not well: worker 1 keeps dying", "not ready: draining", "commits fail: the disk is full"):
            self.assertEqual(1, body.count(text), text)
        self.sources.readiness = (False, "commits fail: the disk is full")
        self.assertEqual(1, self.ask("/")[2].count(b"the disk is full"))

    def test_health_and_readiness(self) -> None:
        """Each is 200 and ok, or 503 and the reason, under both of its names."""
        for path in ("/healthz", "/-/healthy", "/readyz", "/-/ready"):
            with self.subTest(path=path):
                self.sources.state = self.sources.readiness = (True, "")
                self.assertEqual(self.ask(path)[::2], (200, b"ok\n"))
                self.sources.state = self.sources.readiness = (False, "no worker for tcp:8125")
                self.assertEqual(self.ask(path)[::2], (503, b"no worker for tcp:8125\n"))

    def test_health_is_not_readiness(self) -> None:
        """A service that drains is healthy and not ready."""
        self.sources.readiness = (False, "draining")
        self.assertEqual((self.ask("/healthz")[0], self.ask("/readyz")[0]), (200, 503))

    def test_status(self) -> None:
        """The status is JSON with the version of its form."""
        code, headers, body = self.ask("/api/v1/status")
        self.assertEqual((code, headers["content-type"]), (200, "application/json"))
        self.assertEqual(json.loads(body), {"version": 1, **self.sources.status()})

    def test_unknown_paths(self) -> None:
        """Anything else is 404, also below and next to the pages."""
        for path in (
            "/nothing",
            "/metrics/x",
            "/metrics//",
            "/api",
            "/api/v1",
            "/-",
            "/-/",
            "/../etc",
            "/api/v2/status",
        ):
            with self.subTest(path=path):
                self.assertEqual(self.ask(path)[0], 404)

    def test_wrong_methods(self) -> None:
        """A page that is only read says so to any other method."""
        for path in ("/", "/metrics", "/healthz", "/-/ready", "/api/v1/status"):
            for method in ("POST", "PUT", "DELETE", "BREW"):
                with self.subTest(path=path, method=method):
                    code, headers, _ = self.ask(path, method)
                    self.assertEqual(code, 405)
                    self.assertIn("get", headers["allow"])

    def test_head(self) -> None:
        """HEAD gives the headers of GET and no body."""
        for path in ("/", "/healthz", "/api/v1/status"):
            with self.subTest(path=path):
                code, headers, body = self.ask(path, "HEAD")
                self.assertEqual((code, body), (200, b""))
                self.assertGreater(int(headers["content-length"]), 0)

    def test_no_access_log(self) -> None:
        """Answering writes no line into any log, whatever was asked for."""
        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)
        seen = _Seen()
        globalLogPublisher.addObserver(seen)
        self.addCleanup(globalLogPublisher.removeObserver, seen)
        for path in ("/metrics", "/healthz", "/nothing"):
            for method in ("GET", "HEAD", "POST"):
                self.ask(path, method)
        self.assertEqual(seen.events, [])


@implementer(ILogObserver)
class _Seen:
    """An observer that keeps what was logged."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)


class MetricsTests(SiteTestCase):
    """The page `/metrics`."""

    def test_text(self) -> None:
        """Without a wish the text format comes: the series, then the service's own metrics, all readable."""
        code, headers, body = self.ask("/metrics")
        text = body.decode()
        self.assertEqual((code, headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        self.assertEqual(headers["content-length"], str(len(body)))
        self.assertTrue(text.startswith(SERIES))
        names = [family.name for family in parse_text(text)]
        self.assertIn("statscounter_connections", names)
        self.assertIn("process_open_fds", names)
        self.assertEqual(len(names), len(set(names)))

    def test_openmetrics(self) -> None:
        """A scraper that asks for OpenMetrics gets it whole, with one end mark."""
        code, headers, body = self.ask("/metrics", Accept=OPENMETRICS)
        text = body.decode()
        self.assertEqual(code, 200)
        self.assertIn("application/openmetrics-text", headers["content-type"])
        self.assertEqual(text.count("# EOF\n"), 1)
        self.assertTrue(text.endswith("\n# EOF\n"))
        self.assertIn("hits_page", [family.name for family in parse_openmetrics(text)])

    def test_names_are_the_same_in_both_formats(self) -> None:
        """No series changes its name with what the scraper accepts."""
        lines = []
        for accept in ("text/plain", OPENMETRICS):
            body = self.ask("/metrics", Accept=accept)[2].decode()
            lines.append({line.rpartition(" ")[0] for line in body.splitlines() if not line.startswith("#")})
        self.assertEqual(lines[0], lines[1])

    def test_gzip(self) -> None:
        """Who accepts gzip gets the same body compressed."""
        _, plain, expected = self.ask("/metrics")
        _, headers, body = self.ask("/metrics", Accept_Encoding="br, gzip;q=1.0")
        self.assertEqual(headers["content-encoding"], "gzip")
        self.assertNotIn("content-encoding", plain)
        self.assertEqual(headers["content-length"], str(len(body)))
        # Not all readers know that there may be several members.
        whole = zlib.decompressobj(wbits=31)
        names = [_names(text) for text in (whole.decompress(body), gzip.decompress(body), expected)]
        self.assertEqual((names[0], names[1], whole.eof, whole.unused_data), (names[2], names[2], True, b""))

    def test_before_the_store_is_open(self) -> None:
        """Before the first snapshot there are no metrics to give: 503."""
        self.sources.current = None
        code, _, body = self.ask("/metrics")
        self.assertEqual((code, body), (503, b"starting: the store is not open yet\n"))

    def test_one_scrape_is_one_snapshot(self) -> None:
        """What is committed while a scrape is written is not in it."""
        client = Client(self.site)
        client.send("/metrics")
        self.sources.current = None
        self.reactor.pool.release()
        self.assertEqual(client.answer()[0], 200)

    def test_a_scraper_that_hangs_up(self) -> None:
        """When the connection is lost before the scrape is written, nothing is written and nothing breaks."""
        client = Client(self.site)
        client.send("/metrics")
        client.protocol.connectionLost(Failure(ConnectionDone()))
        self.reactor.pool.release()
        self.assertEqual(client.transport.value(), b"")

    def test_a_scrape_that_fails(self) -> None:
        """An error while writing is one log entry with its traceback, and a 500 for the scraper."""

        class Unreadable(FakeSources):
            def own_metrics(self, snapshot: Snapshot) -> OwnMetrics:
                totals: Any = None
                return msgspec.structs.replace(make_own(), totals=totals)

        client = Client(make_site(self.reactor, Unreadable(), build_settings({}), ()))
        client.send("/metrics")
        self.reactor.pool.release()
        self.assertEqual(client.answer()[0], 500)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


def _names(text: bytes) -> list[bytes]:
    return [line.rpartition(b" ")[0] for line in text.splitlines()]


class ImportTests(SynchronousTestCase):
    """What importing does."""

    def test_no_reactor(self) -> None:
        """Importing the site installs no reactor."""
        # Trial runs in a folder of its own, and the package need not be installed.
        root = Path(statsd_tcp.__file__).parent.parent
        script = "import sys, statsd_tcp.web.site; sys.exit('twisted.internet.reactor' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", script], check=False, cwd=root, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0)
