"""Names under which the service may be asked for, and pages of other sites."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.peers import is_loopback
from statsd_tcp.settings.build import build_settings
from statsd_tcp.web.hosts import Hosts
from statsd_tcp.web.site import make_site
from tests.unit.web.fakes import Client, FakeReactor, FakeSources
from tests.unit.web.test_site import SiteTestCase

OWN = ("web1", "web1.example.net")

# What --http-host has, what the client asks for, and whether it may.
CASES = [
    ([], "", True),
    ([], "127.0.0.1", True),
    ([], "10.1.2.3:9102", True),
    ([], "[::1]:9102", True),
    ([], "[fe80::1%eth0]", True),
    ([], "localhost", True),
    ([], "LocalHost.:9102", True),
    ([], "web1:9102", True),
    ([], "WEB1.example.net", True),
    ([], "web2", False),
    ([], "web1.evil.example", False),
    ([], "evil.example:9102", False),
    ([], "127.0.0.1.evil.example", False),
    ([], "0x7f.1", False),
    ([], "2130706433", False),
    ([], "[evil]", False),
    (["stats.example.org"], "stats.example.org:80", True),
    (["stats.example.org"], "a.stats.example.org", False),
    ([".example.org"], "a.b.example.org", True),
    ([".example.org"], "example.org", False),
    ([".example.org"], "badexample.org", False),
    (["*"], "evil.example", True),
]


class HostsTests(SynchronousTestCase):
    """The rule itself."""

    def test_loopback(self) -> None:
        """This machine's addresses are so in each form that a socket may give them in."""
        for host, wanted in (
            ("127.0.0.1", True),
            ("127.8.9.1", True),
            ("::1", True),
            ("::ffff:127.0.0.1", True),
            ("::ffff:192.0.2.1", False),
            ("192.0.2.1", False),
            ("fe80::1", False),
        ):
            self.assertEqual(wanted, is_loopback(host), host)

    def test_cases(self) -> None:
        """Addresses, localhost, the machine's names and those that are allowed; no others."""
        for allowed, host, accepted in CASES:
            with self.subTest(allowed=allowed, host=host):
                self.assertEqual(Hosts(OWN, allowed).accept(host), accepted)


class HostTestCase(SiteTestCase):
    """A test with a site that has its options."""

    def serve(self, **given: list[str]) -> None:
        """Make the site."""
        self.sources = FakeSources()
        settings = build_settings({name.replace("_", "-"): values for name, values in given.items()})
        self.site = make_site(FakeReactor(), self.sources, settings, OWN)


class HostPageTests(HostTestCase):
    """What is answered to a client that asks for a name which is not ours."""

    def test_on_loopback(self) -> None:
        """On loopback no page is, as only a browser would ask so; the line says which names are, and what adds one."""
        self.serve()
        for path in ("/", "/metrics", "/healthz", "/-/ready", "/api/v1/status", "/none"):
            for method in ("GET", "HEAD", "OPTIONS", "POST"):
                code, _, body = self.ask(path, method, Host="evil.example")
                self.assertEqual((path, code), (path, 421))
                if method != "HEAD":
                    self.assertEqual(
                        b"the host asked for is 'evil.example', no address, not localhost, and no name of this machine "
                        b"in its kernel, /etc/hosts or the domains of /etc/resolv.conf: --http-host NAME adds one\n",
                        body,
                    )
        self.assertEqual(self.sources.refusals.counts["host"], 24)
        self.assertEqual(self.ask("/healthz", Host="web1:9102")[0], 200)

    def test_elsewhere(self) -> None:
        """Where others can reach it, what scrapers and probes ask for is there under any name, and nothing else."""
        for interface in ("", ":interface=10.0.0.1"):
            self.serve(http=[f"tcp:9102{interface}"])
            for path in ("/healthz", "/-/healthy", "/readyz", "/-/ready"):
                self.assertEqual(self.ask(path, Host="statscounter.monitoring.svc")[0], 200)
            self.sources.current = None
            self.assertEqual(self.ask("/metrics", Host="statscounter")[0], 503)
            for path in ("/", "/api/v1/status", "/-/reload", "/none"):
                self.assertEqual(self.ask(path, Host="statscounter")[0], 421)

    def test_several(self) -> None:
        """A request with several hosts must not have a foreign one among them."""
        self.serve(http_host=["stats.example.org"])
        self.assertEqual(self.ask("/healthz", Host="stats.example.org")[0], 200)
        code, _, body = self.ask("/healthz", Host="stats.example.org\r\nHost: evil.example")
        self.assertEqual((code, body.partition(b",")[0]), (421, b"the host asked for is 'evil.example'"))

    def test_words(self) -> None:
        """The status has its words, which Twisted does not know."""
        client = Client(self.site)
        client.send("/", Host="evil.example")
        self.assertTrue(client.transport.value().startswith(b"HTTP/1.1 421 Misdirected Request\r\n"))

    def test_long(self) -> None:
        """A host of any length and with any letters makes one short line."""
        self.serve()
        body = self.ask("/healthz", Host="é" + "x" * 10_000)[2]
        self.assertLess(len(body), 300)
        self.assertEqual(body.count(b"\n"), 1)


class OptionTests(SynchronousTestCase):
    """The option's values."""

    def test_values(self) -> None:
        """Names are taken in small letters and without the last point."""
        settings = build_settings({"http-host": ["Stats.Example.ORG.", ".example.org", "*", "a_b"]})
        self.assertEqual(settings.http_host, ("stats.example.org", ".example.org", "*", "a_b"))
        self.assertEqual(build_settings({"http-host": [""]}).http_host, ())

    def test_wrong(self) -> None:
        """What is no name is refused with a line that says what one is."""
        for text in ("http://a", "a:80", "a b", "..", ".", "*.a", "-a", "é"):
            error: Any = self.assertRaises(ValueError, build_settings, {"http-host": [text]})
            self.assertTrue(str(error).startswith(f"--http-host: {text!r} is not a host name without scheme and port"))
