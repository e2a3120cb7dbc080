"""``statscounter compare``: the interval, the report, and what it says when a server cannot be read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from threading import Event

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.compare.exporter import Exporter, Restarted
from statsd_tcp.commands.compare.here import Here, NoCommits
from statsd_tcp.commands.compare.judge import Row, Verdict
from statsd_tcp.commands.compare.measure import Measured, measure
from statsd_tcp.commands.compare.readings import COUNT, COUNTER, GAUGE, Key, There
from statsd_tcp.commands.compare.reasons import ETSY
from statsd_tcp.commands.compare.report import as_json, as_text
from statsd_tcp.commands.main import main
from tests.patience import PATIENCE
from tests.unit.commands.servers import pages, read_to_the_end, serving

_KINDS = {COUNT: ("summary", "_count")}
"""The type of a family of which a number is only a part, and the end of the name of that."""

_SETTLED = 3
"""Readings of our page after which the first end of the interval is known."""


def written(series: Mapping[Key, float], *more: str) -> str:
    """Write a page: with the series, and these lines."""
    lines = []
    for key, value in series.items():
        kind, end = _KINDS.get(key.what, (key.what, ""))
        lines += [f"# TYPE {key.name} {kind}", f"{key.name}{end} {value}"]
    return "\n".join([*lines, *more]) + "\n"


class Service:
    """A service that commits whenever its page is read."""

    def __init__(self) -> None:
        self.series: dict[Key, float] = {}
        self.own: dict[str, float] = {"statscounter_lines_total": 0}
        self.reasons: dict[tuple[str, str, str], float] = {}
        self.commits = 0
        self.is_settled = Event()

    def page(self) -> str:
        """Return its page."""
        self.commits += 1
        lines = [f"{name} {value}" for name, value in self.own.items()]
        lines += [f'{name}{{{label}="{each}"}} {value}' for (name, label, each), value in self.reasons.items()]
        if self.commits >= _SETTLED:
            self.is_settled.set()
        return written(self.series, *lines, f"statscounter_commits_total {self.commits}")


class Beside:
    """The other server: what comes to both comes while it is waited for."""

    unseen = 0.0

    def __init__(self, service: Service, there: There, arrive: Callable[[], None]) -> None:
        self._service, self._there, self._arrive = service, there, arrive
        self.rounds: list[dict[Key, float]] = []

    def await_moment(self) -> None:
        """Any will do."""

    def begin(self) -> None:
        """There is nothing at the beginning."""

    def wait(self, seconds: float) -> None:
        """Let all come once our page has been read."""
        assert self._service.is_settled.wait(PATIENCE), seconds
        self._arrive()

    def end(self) -> There:
        """Return what was made up."""
        return self._there

    def gauges(self) -> Mapping[Key, float]:
        """Return the gauges of the next round."""
        return self.rounds.pop(0)


class MeasureTests(SynchronousTestCase):
    """An interval."""

    def setUp(self) -> None:
        """Make a service whose clock goes on only while it is waited for."""
        self.service = Service()
        self.clock = Clock()
        self.here = Here(self.service.page, self.clock.seconds, self.clock.advance)

    def measured(self, there: There, arrive: Callable[[], None], *rounds: dict[Key, float]) -> Measured:
        """Compare what comes here while the other one is waited for with ``there``."""
        other = Beside(self.service, there, arrive)
        other.rounds += rounds
        return measure(self.here, other, 1, self.clock.seconds)

    def test_totals(self) -> None:
        """Totals go up from what they were; gauges are what they are at the end."""
        old, new, gauge = Key(COUNTER, "old"), Key(COUNTER, "new"), Key(GAUGE, "g")
        self.service.series = {old: 100, gauge: 1}

        def arrive() -> None:
            self.service.series = {old: 105, new: 2, gauge: 7}
            self.service.own["statscounter_lines_total"] = 8

        measured = self.measured(There({old: 5, new: 2, gauge: 7}, {}, 8, 0), arrive)
        self.assertEqual({row.verdict for row in measured.rows}, {Verdict.SAME})
        self.assertEqual((len(measured.rows), measured.lines_here, measured.lines_there), (3, 8, 8))

    def test_evidence(self) -> None:
        """What speaks for a reason is what came over the interval."""
        counter, timer = Key(COUNTER, "a"), Key(COUNT, "t")
        bad = "statscounter_bad_lines_total", "reason", "unknown_type"
        timers = "statscounter_samples_total", "type", "ms"
        self.service.reasons = {bad: 5, timers: 1}
        self.service.series = {timer: 1}

        def arrive() -> None:
            self.service.reasons = {bad: 6, timers: 2}
            self.service.series = {timer: 11}
            self.service.own["statscounter_lines_total"] = 2

        measured = self.measured(There({counter: 4, timer: 1}, {}, 2, 0), arrive)
        self.assertEqual(
            measured.rows,
            [
                Row(Verdict.DIFFER, COUNT, "t", 10, 1, ("sampled",)),
                Row(Verdict.ONLY_THERE, COUNTER, "a", None, 4, ("unknown-type",)),
            ],
        )

    def test_gauges_again(self) -> None:
        """A gauge that differs is read again, because it may have been changed between both readings."""
        gauge = Key(GAUGE, "g")
        self.service.series = {gauge: 7}
        measured = self.measured(There({gauge: 6}, {}, 0, 0), lambda: None, {gauge: 7})
        self.assertEqual([row.verdict for row in measured.rows], [Verdict.SAME])

    def test_wrong_gauge(self) -> None:
        """A gauge that still differs after three readings does."""
        gauge = Key(GAUGE, "g")
        self.service.series = {gauge: 7}
        measured = self.measured(There({gauge: 6}, {}, 0, 0), lambda: None, {gauge: 6}, {gauge: 6})
        self.assertEqual([row.verdict for row in measured.rows], [Verdict.DIFFER])

    def test_no_commits(self) -> None:
        """A service whose commits stand still is said to, after a while."""
        here = Here(lambda: "statscounter_commits_total 7\n", self.clock.seconds, self.clock.advance)
        self.assertRaises(NoCommits, here.settled)
        self.assertTrue(10 < self.clock.seconds() < 20)


class ExporterTests(SynchronousTestCase):
    """statsd_exporter's page, read twice."""

    def read_twice(self, first: str, second: str) -> There:
        """Return what came between two pages."""
        exporter = Exporter([first, second].__iter__().__next__, Clock().advance)
        exporter.await_moment()
        exporter.begin()
        exporter.wait(1)
        return exporter.end()

    def test_between(self) -> None:
        """Totals are what came in between, gauges the last ones, with lines and those that it could not use."""
        counter, gauge, lines = Key(COUNTER, "a"), Key(GAUGE, "g"), "statsd_exporter_lines_total"
        errors = 'statsd_exporter_sample_errors_total{reason="malformed_component"}'
        there = self.read_twice(
            written({counter: 2, gauge: 3}, f"{lines} 5", f"{errors} 1"),
            written({counter: 6, gauge: 4}, f"{lines} 9", f"{errors} 3"),
        )
        self.assertEqual(there[:4], ({counter: 4, gauge: 4}, {}, 4, 2))
        self.assertIn("unknown_type", there.bad_alike)

    def test_restarted(self) -> None:
        """An exporter that was started again meanwhile is no basis."""
        lines = "statsd_exporter_lines_total"
        self.assertRaises(Restarted, self.read_twice, f"{lines} 5\n", f"{lines} 1\n")


class ReportTests(SynchronousTestCase):
    """The result."""

    rows = [
        Row(Verdict.DIFFER, COUNTER, "page.hits", 1234.5, 1200, ("packed", "bad-there")),
        Row(Verdict.ONLY_THERE, COUNTER, "x", None, 4, ("unknown-type",)),
        Row(Verdict.SAME, COUNTER, "y", 1, 1),
    ]
    measured = Measured(rows, 100, 101, 0.012, 60)

    def test_text(self) -> None:
        """People get a table of what differs, a count of what does not, and the reasons' meaning."""
        lines = list(as_text(self.measured, ETSY, ("http://a", "etsy's server, b:8126")))
        self.assertEqual(
            lines[:9],
            [
                "here: http://a    there: etsy's server, b:8126    for 60 seconds",
                "lines: 100 here, 101 there; what came in 0.012 seconds before its flushes ended cannot be seen there",
                "",
                "            type     name          here  there  difference  likely reason",
                "differ      counter  page.hits  1,234.5  1,200       +34.5  packed, bad-there",
                "only there  counter  x                -      4              unknown-type",
                "",
                "differ: 1, only there: 1, same: 1",
                "",
            ],
        )
        self.assertEqual(lines[9], "the reasons, explained in docs/migrating-from-etsy.md:")
        self.assertEqual([line.split()[0] for line in lines[10:]], ["packed", "bad-there", "unknown-type"])

    def test_json(self) -> None:
        """Programs get the same with a version, without what is the same."""
        found = json.loads(as_json(self.measured, ETSY, ("http://a", "b"), 1))
        self.assertEqual((found["version"], found["status"], found["lines"]), (1, 1, {"here": 100, "there": 101}))
        self.assertEqual(found["counts"], {"differ": 1, "only there": 1, "same": 1})
        self.assertEqual([row["name"] for row in found["rows"]], ["page.hits", "x"])
        self.assertEqual(
            found["rows"][1],
            {
                "verdict": "only there",
                "what": "counter",
                "name": "x",
                "here": None,
                "there": 4,
                "reasons": ["unknown-type"],
            },
        )
        self.assertEqual(list(found["reasons"]), ["packed", "bad-there", "unknown-type"])


class CommandTests(SynchronousTestCase):
    """The command line."""

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command; give the status and what it wrote."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main(["compare", *arguments])
        return status, out.getvalue(), err.getvalue()

    def test_wrong_command_lines(self) -> None:
        """A wrong command line is 64 and one line that names the option."""
        for arguments, expected in [
            ([], "one of the arguments --etsy --exporter is required"),
            (["--etsy", "a", "--exporter", "http://b"], "not allowed with"),
            (["--etsy", "a:b"], "--etsy: 'a:b' is not HOST:PORT"),
            (["--etsy", "a", "--seconds", "0"], "--seconds"),
            (["--exporter", "b"], "--exporter"),
            (["--exporter", "http://127.0.0.1:9102/metrics"], "--http and --exporter name the same page"),
        ]:
            with self.subTest(arguments):
                status, _, error = self.run_command(*arguments)
                self.assertEqual(status, 64)
                self.assertIn(expected, error)
                self.assertEqual(error.count("\n"), 1)

    def test_unreadable(self) -> None:
        """A server that cannot be read is 2 and one line that names the option."""
        page = "statscounter_commits_total 1\nstatsd_exporter_lines_total 1\n"
        with pages(lambda _: page) as good, pages(lambda _: "<html>") as bad, serving(read_to_the_end) as (port, _):
            for arguments, expected in [
                (["--etsy=127.0.0.1:1", f"--http={good}"], "--etsy 127.0.0.1:1: Connection refused"),
                ([f"--etsy=127.0.0.1:{port}", f"--http={good}"], "no console of etsy's server"),
                (["--exporter=http://127.0.0.1:1", f"--http={good}"], "--exporter http://127.0.0.1:1/metrics: "),
                ([f"--exporter={bad}", f"--http={good}"], "--exporter: there is no statsd_exporter_lines_total"),
                ([f"--exporter={good}", f"--http={bad}"], "--http: there is no statscounter_commits_total"),
                ([f"--exporter={good}", "--http=http://127.0.0.1:1"], "--http http://127.0.0.1:1/metrics: "),
            ]:
                with self.subTest(arguments):
                    status, _, error = self.run_command(*arguments, "--seconds=0.01")
                    self.assertEqual(status, 2)
                    self.assertIn(expected, error)
                    self.assertEqual(error.count("\n"), 1)
