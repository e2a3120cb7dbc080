"""Verification: what is expected of the server's counts, when they are believed, and what cannot be told."""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.results import Result
from statsd_tcp.commands.load.verify import (
    Counts,
    Expectation,
    Patience,
    Verdict,
    Verifier,
    VerifyError,
    find_label,
    judge,
    page_reader,
)
from tests.unit.commands.servers import free_port, metrics_page, pages


class JudgeTests(SynchronousTestCase):
    """One comparison."""

    def test_table(self) -> None:
        """Exact is the upper end only; what lies between the ends cannot be told; the rest is wrong."""
        table = [
            (10, (10, 10), True, Verdict.EXACT, "every one"),
            (9, (10, 10), True, Verdict.WRONG, "1 lost"),
            (12, (10, 10), True, Verdict.WRONG, "2 more than sent"),
            (10, (8, 10), True, Verdict.EXACT, "every one"),
            (9, (8, 10), True, Verdict.UNKNOWN, "from 8 to 10"),
            (8, (8, 10), True, Verdict.UNKNOWN, "from 8 to 10"),
            (7, (8, 10), True, Verdict.WRONG, "1 lost"),
            (7, (8, 10), False, Verdict.UNKNOWN, "still rising"),
            (11, (8, 10), False, Verdict.WRONG, "1 more than sent"),
            (0, (0, 0), True, Verdict.EXACT, "every one"),
        ]
        for counted, ends, quiet, verdict, words in table:
            finding = judge("lines", counted, Expectation(*ends), quiet=quiet)
            self.assertEqual(verdict, finding.verdict, (counted, ends))
            self.assertIn(words, finding.text)

    def test_statuses(self) -> None:
        """The exit statuses are 0, 1 and 2."""
        self.assertEqual([0, 2, 1], [verdict.status for verdict in Verdict])


class FindLabelTests(SynchronousTestCase):
    """Which listener a port belongs to."""

    def test_table(self) -> None:
        """A name known from the status comes first, then the address's own listener, then the port's."""
        named = {
            "listeners": [
                {"label": "udp:8125", "scheme": "udp", "port": 8125, "addresses": ["127.0.0.1:8125"]},
                {"label": "web", "scheme": "tcp", "port": 8125, "addresses": ["0.0.0.0:8125", "[::]:8125"]},
            ]
        }
        both = {
            "listeners": [
                {"label": "tcp:10.0.0.1:8125", "scheme": "tcp", "port": 8125, "addresses": ["10.0.0.1:8125"]},
                {"label": "inner", "scheme": "tcp", "port": 8125, "addresses": ["127.0.0.1:8125", "[::1]:8125"]},
            ]
        }
        table: list[tuple[str, object, set[str], str | None]] = [
            ("127.0.0.1", None, {"tcp:8125", "tcp:8888"}, "tcp:8125"),
            ("127.0.0.1", None, {"tcp:8125", "tcp:127.0.0.1:8125"}, "tcp:127.0.0.1:8125"),
            ("::1", None, {"tcp:[::1]:8125"}, "tcp:[::1]:8125"),
            ("127.0.0.1", None, {"udp:8125", "tcp:18125"}, None),
            ("127.0.0.1", named, {"web", "udp:8125"}, "web"),
            ("127.0.0.1", both, {"inner", "tcp:10.0.0.1:8125"}, "inner"),
            ("::1", both, {"inner", "tcp:10.0.0.1:8125"}, "inner"),
            ("10.0.0.1", both, {"inner", "tcp:10.0.0.1:8125"}, "tcp:10.0.0.1:8125"),
            ("127.0.0.1", {"listeners": [{"label": 5, "scheme": "tcp", "port": 8125}, "?"]}, set(), None),
            ("127.0.0.1", {"listeners": "?"}, {"tcp:8125"}, "tcp:8125"),
            ("127.0.0.1", [named], set(), None),
            ("127.0.0.1", None, {"ssl:8125", "udp:8125"}, "ssl:8125"),
            ("127.0.0.1", {"listeners": [{"label": "secure", "scheme": "ssl", "port": 8125}]}, {"secure"}, "secure"),
        ]
        for host, status, labels, expected in table:
            self.assertEqual(expected, find_label(host, 8125, status, labels), (host, labels))


class VerifierTests(SynchronousTestCase):
    """Reading until the counts can be believed, on a clock of our own."""

    def setUp(self) -> None:
        """Have a server whose counts are a function of the time."""
        self.clock = Clock()
        self.counts: Callable[[float], Counts | None] = lambda _: Counts(100, 1000)

    def _read(self, path: str) -> str:
        counts = self.counts(self.clock.seconds())
        if path != "/metrics" or counts is None:
            raise VerifyError("no answer")
        return metrics_page(8125, *counts)

    def _verifier(self, *, with_lines: bool = True) -> Verifier:
        patience = Patience(quiet=2.5, deadline=10.0)
        verifier = Verifier(
            self._read, patience, with_lines=with_lines, clock=self.clock.seconds, sleep=self.clock.advance
        )
        verifier.begin("127.0.0.1", [8125])
        return verifier

    def _verdicts(self, verifier: Verifier, result: Result) -> list[Verdict]:
        return [finding.verdict for finding in verifier.compare(result)]

    def test_exact(self) -> None:
        """Connections at once and lines with a later commit are exact, as sums over the workers."""
        verifier = self._verifier()
        run = self.clock.seconds()
        self.counts = lambda now: Counts(107, 1000 if now < run + 1.9 else 1035)
        findings = verifier.compare(Result(certain=7, established=7, certain_lines=35, lines=35))
        self.assertEqual([Verdict.EXACT, Verdict.EXACT], [finding.verdict for finding in findings])
        self.assertEqual([7, 35], [finding.counted for finding in findings])

    def test_several_listeners(self) -> None:
        """A run that goes to several ports is compared with the counts of all of them together."""
        page = metrics_page(8125, 100, 10) + metrics_page(8888, 200, 20)
        more = metrics_page(8125, 107, 45) + metrics_page(8888, 201, 20)
        began = self.clock.seconds()
        patience = Patience(quiet=2.5, deadline=10.0)

        def read(path: str) -> str:
            if path != "/metrics":
                raise VerifyError("no answer")
            return page if self.clock.seconds() < began + 5 else more

        verifier = Verifier(read, patience, with_lines=True, clock=self.clock.seconds, sleep=self.clock.advance)
        verifier.begin("127.0.0.1", [8125, 8888])
        self.clock.advance(5)
        findings = verifier.compare(Result(certain=8, established=8, certain_lines=35, lines=35))
        self.assertEqual([(8, Verdict.EXACT), (35, Verdict.EXACT)], [(one.counted, one.verdict) for one in findings])
        self.assertIn("port 9", str(self.assertRaises(VerifyError, verifier.begin, "127.0.0.1", [8125, 9])))

    def test_lost(self) -> None:
        """What is missing when the deadline comes is lost."""
        verifier = self._verifier()
        self.counts = lambda _: Counts(107, 1034)
        verdicts = self._verdicts(verifier, Result(certain=7, established=7, certain_lines=35, lines=35))
        self.assertEqual([Verdict.EXACT, Verdict.WRONG], verdicts)

    def test_too_many_a_moment_later(self) -> None:
        """A match that goes on rising is not believed."""
        verifier = self._verifier()
        run = self.clock.seconds()
        self.counts = lambda now: Counts(107, 1035 if now < run + 2 else 1036)
        verdicts = self._verdicts(verifier, Result(certain=7, established=7, certain_lines=35, lines=35))
        self.assertEqual([Verdict.EXACT, Verdict.WRONG], verdicts)

    def test_still_rising(self) -> None:
        """Counts that rise to the very end say nothing about what is missing."""
        verifier = self._verifier()
        run = self.clock.seconds()
        self.counts = lambda now: Counts(107, 1000 + int(now - run))
        verdicts = self._verdicts(verifier, Result(certain=7, established=7, certain_lines=35, lines=35))
        self.assertEqual([Verdict.EXACT, Verdict.UNKNOWN], verdicts)

    def test_bare_connections_alone(self) -> None:
        """Without lines only connections are compared."""
        verifier = self._verifier(with_lines=False)
        self.counts = lambda _: Counts(107, 5)
        self.counts = lambda _: Counts(107, 1000)
        self.assertEqual([Verdict.EXACT], self._verdicts(verifier, Result(certain=7, established=7)))

    def test_restart_during_the_run(self) -> None:
        """A server that does not answer for a while is waited for."""
        verifier = self._verifier()
        run = self.clock.seconds()
        self.counts = lambda now: None if run + 1 < now < run + 4 else Counts(107, 1000)
        self.assertEqual([Verdict.EXACT] * 2, self._verdicts(verifier, Result(certain=7, established=7)))

    def test_server_gone(self) -> None:
        """A server that does not come back cannot be compared with."""
        verifier = self._verifier()
        self.counts = lambda _: None
        self.assertRaises(VerifyError, verifier.compare, Result())

    def test_counts_fell(self) -> None:
        """Counts that fell are not those of the same service."""
        verifier = self._verifier()
        self.counts = lambda _: Counts(7, 35)
        error = self.assertRaises(VerifyError, verifier.compare, Result(certain=7, established=7))
        self.assertIn("fell", str(error))

    def test_busy_before(self) -> None:
        """A listener that other clients use has no baseline."""
        self.counts = lambda now: Counts(100 + int(now), 1000)
        error = self.assertRaises(VerifyError, self._verifier)
        self.assertIn("in use by someone else", str(error))

    def test_unknown_listener(self) -> None:
        """A port that the server does not count is named, with those that it does."""
        verifier = Verifier(self._read, Patience(1.0, 2.0), with_lines=False)
        error = self.assertRaises(VerifyError, verifier.begin, "127.0.0.1", [9])
        self.assertIn("port 9 (its listeners: tcp:1, tcp:8125)", str(error))

    def test_not_a_metrics_page(self) -> None:
        """A page that cannot be read as metrics says so."""
        verifier = Verifier(lambda _: "statscounter_lines_total{ oops\n", Patience(1.0, 2.0), with_lines=False)
        self.assertRaises(VerifyError, verifier.begin, "127.0.0.1", [9])


class PageReaderTests(SynchronousTestCase):
    """Reading over HTTP."""

    def test_reads(self) -> None:
        """A page comes back as text."""
        with pages(lambda path: json.dumps({"asked": path})) as url:
            self.assertEqual({"asked": "/metrics"}, json.loads(page_reader(url)("/metrics")))

    def test_failures(self) -> None:
        """A missing page and a missing server are one kind of error, with the address."""
        with pages(lambda _: None) as url:
            self.assertIn(f"{url}/x", str(self.assertRaises(VerifyError, page_reader(url), "/x")))
        with free_port() as port:
            error = self.assertRaises(VerifyError, page_reader(f"http://127.0.0.1:{port}"), "/metrics")
        self.assertIn("Connection refused", str(error))
