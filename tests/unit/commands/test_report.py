"""The report: its figures, its remarks and its exit status."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from ipaddress import ip_network

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.options import LoadOptions
from statsd_tcp.commands.load.proxy import Proxy, ProxyVersion
from statsd_tcp.commands.load.report import Report
from statsd_tcp.commands.load.results import Latencies, Outcome, Result
from statsd_tcp.commands.load.shapes import read_mix
from statsd_tcp.commands.load.verify import Expectation, judge
from statsd_tcp.commands.load.workload import Mode
from tests.unit.commands.servers import share


def options(mode: Mode = Mode.CONNECT, verify: str | None = None, rate: float | None = None) -> LoadOptions:
    """Make the options of a run."""
    work = share(8125, mode=mode, rate=rate).work
    return LoadOptions("tcp:127.0.0.1:8125", work, processes=2, verify=verify, verify_timeout=1.0, json=False)


def result() -> Result:
    """Make the result of ten good connections in two seconds."""
    latencies = Latencies()
    latencies.fresh.extend([0.001] * 9 + [0.5])
    return Result(
        begun=10, completed=10, established=10, certain=10, began=5.0, ended=7.0, cpu=1.0, latencies=latencies.encode()
    )


def text(report: Report) -> str:
    """Print a report into a string."""
    out = io.StringIO()
    report.print_table(Console(file=out, width=100))
    return out.getvalue()


class StatusTests(SynchronousTestCase):
    """The exit status."""

    def test_without_verification(self) -> None:
        """0 if all completed, 1 if some did not, 2 if the generator itself failed."""
        good, reset, own = result(), result(), result()
        reset.failures[Outcome.RESET] = 1
        own.errors["EMFILE"] = own.failures[Outcome.ERROR] = 1
        self.assertEqual([0, 1, 2], [Report(options(), each).status for each in (good, reset, own)])

    def test_with_verification(self) -> None:
        """The worst finding decides, whatever became of the connections: wrong before unknown before exact."""
        exact = judge("connections", 9, Expectation(9, 9))
        unknown = judge("lines", 8, Expectation(7, 9))
        wrong = judge("lines", 6, Expectation(7, 9))
        failed = result()
        failed.failures[Outcome.RESET] = 1
        for findings, status in (([exact], 0), ([exact, unknown], 2), ([unknown, wrong], 1)):
            self.assertEqual(status, Report(options(verify="http://x"), failed, findings).status)

    def test_trouble(self) -> None:
        """Counts that could not be read cannot be told."""
        self.assertEqual(2, Report(options(verify="http://x"), result(), [], ["no answer"]).status)


class RemarksTests(SynchronousTestCase):
    """What the figures do not show by themselves."""

    def test_none(self) -> None:
        """A good run needs no remark."""
        self.assertEqual([], Report(options(), result()).remarks())

    def test_each(self) -> None:
        """Lag, a full concurrency, own failures and a busy generator are said clearly."""
        behind, held, own, busy = result(), result(), result(), result()
        behind.behind, behind.worst_lag = 3, 0.25
        held.held_back = 4
        own.errors["EADDRNOTAVAIL"] = own.failures[Outcome.ERROR] = 5
        busy.cpu = 3.9
        for each, words in (
            (behind, "did not hold the schedule: 3 connections"),
            (behind, "250 ms"),
            (held, "4 connections began more than 10 ms late, because as many as --concurrency"),
            (own, "own failures, not the server's: 5 EADDRNOTAVAIL"),
            (busy, "98% busy"),
        ):
            (remark,) = Report(options(), each).remarks()
            self.assertIn(words, remark)

    def test_busy_is_fine_at_a_given_rate(self) -> None:
        """A generator that held its rate was not too slow."""
        busy = replace(result(), cpu=3.9)
        self.assertEqual([], Report(options(rate=5.0), busy).remarks())


class OutputTests(SynchronousTestCase):
    """The two forms."""

    def test_json(self) -> None:
        """The JSON form has every figure under its name."""
        finding = judge("connections", 9, Expectation(10, 10))
        plain = json.loads(Report(options(verify="http://x"), result(), [finding]).as_json())
        self.assertEqual(
            {
                "begun": 10, "completed": 10, "refused": 0, "reset": 0, "timed_out": 0, "cut_short": 0,
                "unconfirmed": 0, "error": 0, "errors": {}, "established": 10, "seen_accepted": 10, "per_second": 5.0,
            },
            plain["connections"],
        )  # fmt: skip
        self.assertEqual((1, "not exact"), (plain["status"], plain["verify"][0]["verdict"]))
        self.assertEqual((0.25, True), (plain["generator"]["busy"], plain["schedule"]["held"]))
        self.assertApproximates(1.0, plain["latency_ms"]["p50"], 0.002)
        self.assertApproximates(500.0, plain["latency_ms"]["p100"], 0.5)

    def test_json_without_verification(self) -> None:
        """What was not asked for is null."""
        self.assertIsNone(json.loads(Report(options(), result()).as_json())["verify"])

    def test_table(self) -> None:
        """People read the outcomes, the rate, the latencies and the verdict."""
        finding = judge("connections", 9, Expectation(8, 10))
        shown = text(Report(options(verify="http://x"), result(), [finding]))
        for words in (
            "5/s in 2.00 s",
            "refused",
            "latency median",
            "latency max",
            "8 to 10 expected",
            "could not tell",
        ):
            self.assertIn(words, shown)
        for words in ("lines", "unconfirmed"):
            self.assertNotIn(words, shown)

    def test_confirmed_table(self) -> None:
        """Where a confirmation is expected they also read how many had none."""
        given = options()
        shown = text(Report(replace(given, workload=replace(given.workload, confirm=True)), result()))
        self.assertIn("unconfirmed", shown)
        self.assertIn("confirmed", shown.splitlines()[0])

    def test_mix(self) -> None:
        """Of a mix, people and programs read what became of each kind."""
        given = options(Mode.MIX)
        mix = read_mix("bare 2\nline 1\nline 1 port=1", "mix")
        proxy = Proxy(ProxyVersion.V2, ip_network("198.18.0.0/15"))
        given = replace(given, workload=replace(given.workload, mix=mix, proxy=proxy))
        mixed = replace(result(), begun_of=Counter(bare=7, line=3), completed_of=Counter(bare=6, line=3))
        shown = text(Report(given, mixed))
        self.assertIn("mix, as fast as possible, PROXY v2", shown)
        self.assertRegex(shown, r" bare +7 +6 completed")
        plain = json.loads(Report(given, mixed).as_json())
        self.assertEqual("v2", plain["proxy"])
        kinds = [{"kind": "bare", "begun": 7, "completed": 6}, {"kind": "line", "begun": 3, "completed": 3}]
        self.assertEqual(kinds, plain["mix"])

    def test_histogram(self) -> None:
        """The latencies are drawn too, in eighty columns, and their buckets are in the JSON."""
        out = io.StringIO()
        Report(options(), result()).print_table(Console(file=out, width=80))
        self.assertRegex(out.getvalue(), r"\n +1 to 2 ms +\S+ +90\.0% +9\n")
        self.assertLessEqual(max(map(len, out.getvalue().splitlines())), 80)
        buckets = json.loads(Report(options(), result()).as_json())["latency_buckets_ms"]
        self.assertEqual(
            [{"from": 1, "to": 2, "count": 9}, {"from": 500, "to": 1000, "count": 1}], [buckets[0], buckets[-1]]
        )

    def test_kept_table(self) -> None:
        """For kept connections it is lines per second and the time of a send."""
        kept = replace(result(), lines=50, sends=10)
        shown = text(Report(options(Mode.KEPT), kept))
        self.assertIn("25/s", shown)
        self.assertIn("send p99.9", shown)

    def test_nothing_completed(self) -> None:
        """Without a completed connection there is no latency to show."""
        empty = Result(begun=1, began=1.0, ended=2.0, errors={"EHOSTUNREACH": 1})
        empty.failures[Outcome.ERROR] = 1
        shown = text(Report(options(), empty))
        self.assertNotIn("latency", shown)
        self.assertIn("EHOSTUNREACH", shown)
