"""Commands and their replies, against those of etsy's server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from statsd_tcp.console.commands import read_command
from statsd_tcp.console.dispatch import CHANGES_PERIOD, MOST_CHANGES, Dispatch
from statsd_tcp.console.interfaces import CommandError, IConsoleSources, IOpenFlush
from statsd_tcp.console.replies import deleted, series_dump
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.search import Deletion

# Recorded from statsd 0.9.0 of the npm registry, which had the series of `FakeFlush`.
ETSY = (
    ("HELP", "ERROR\n"),
    ("", "ERROR\n"),
    ("foo", "ERROR\n"),
    ("health", "health: up\n"),
    ("health down", "health: down\n"),
    ("health", "health: down\n"),
    ("health bogus", "health: down\n"),
    ("health UP", "health: up\n"),
    ("delcounters", "END\n\n"),
    ("delcounters nope", "metric nope not found\nEND\n\n"),
    ("delcounters a.b nope plain", "deleted: a.b\nmetric nope not found\ndeleted: plain\nEND\n\n"),
    ("delcounters a.*", "deleted: a.c\nEND\n\n"),
    ("delcounters x.*", "metric x.* not found\nEND\n\n"),
    ("deltimers foo.*", "deleted: foo.bar\nEND\n\n"),
    ("deltimers foo.bar", "metric foo.bar not found\nEND\n\n"),
    ("delgauges g1", "deleted: g1\nEND\n\n"),
    ("delgauges *", "metric * not found\nEND\n\n"),
)

HELP = (
    "Commands: stats, counters, timers, gauges, sets, delcounters, deltimers, delgauges, health, workers, badlines, "
    "conflicts, config, who, quit\n\n"
)


@implementer(IOpenFlush)
class FakeFlush:
    """A flush with a few series."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {
            "counters": {"a.b": 3, "a.c": 1, "plain": 2},
            "timers": {"foo.bar": {"count": 1, "mean": 12}},
            "gauges": {"g1": 5},
            "sets": {"u": 1},
        }
        self.error: Exception | None = None

    def series(self, kind: str) -> Deferred[bytes]:
        """Return what there is, or fail."""
        return succeed(series_dump(self.rows[kind].items())) if self.error is None else fail(self.error)

    def delete(self, kind: str, patterns: Sequence[str]) -> Deferred[str]:
        """Delete from what there is."""
        found = [Deletion(pattern, self._delete(self.rows[kind], pattern)) for pattern in patterns]
        return succeed(deleted(found))

    def _delete(self, series: dict[str, Any], pattern: str) -> list[str]:
        folder = pattern.removesuffix("*") if pattern.endswith(".*") else "\0"
        found = [name for name in series if name == pattern or name.startswith(folder)]
        for name in found:
            del series[name]
        return found


@implementer(IConsoleSources)
class FakeSources:
    """A service that has just begun."""

    up = True

    def stats(self) -> Iterator[tuple[str, object]]:
        """Yield two numbers."""
        yield "uptime", 3
        yield "messages.bad_lines_seen", 1

    def workers(self) -> list[dict[str, Any]]:
        """Return a worker."""
        return [{"flush": 0, "pid": 77}]

    def bad_lines(self) -> Iterator[tuple[str, object]]:
        """Yield an example."""
        yield "malformed_value", "3 s ago, tcp:8125: q:x|ms"

    def conflicts(self) -> Iterator[tuple[str, object]]:
        """Yield one series that is left out."""
        yield "type", "queue_depth (c); shown is queue.depth (g)"

    def who(self, arguments: Sequence[str], peer: Any) -> Deferred[Sequence[str]]:
        """Return a source, to those on this machine."""
        if peer != "here":
            return fail(CommandError("not to you"))
        return succeed([f"10.0.0.1 {' '.join(arguments)}"])

    def config(self) -> str:
        """Write two settings."""
        return 'workers = 2\nlisten = ["tcp:8125"]\n'


class AnswersTests(SynchronousTestCase):
    """What is answered to each command."""

    def setUp(self) -> None:
        """Make a service."""
        self.flush, self.sources = FakeFlush(), FakeSources()
        self.clock = Clock()
        self.dispatch = Dispatch(self.flush, self.sources, self.clock.seconds)

    def answer(self, line: str) -> str:
        """Return the reply to a line."""
        reply = self.successResultOf(self.dispatch.reply(read_command(line.encode())))
        return reply if isinstance(reply, str) else reply.decode()

    def test_fakes(self) -> None:
        """What the tests use has what the console asks for."""
        verifyObject(IOpenFlush, self.flush)
        verifyObject(IConsoleSources, self.sources)

    def test_as_etsy(self) -> None:
        """Etsy's commands have etsy's replies, to the letter."""
        for line, expected in ETSY:
            self.assertEqual(expected, self.answer(line), line)

    def test_help(self) -> None:
        """The help names etsy's commands and ours, in etsy's form."""
        self.assertEqual((HELP, HELP), (self.answer("help"), self.answer("help stats")))

    def test_stats(self) -> None:
        """The statistics are a name and a number on each line, with an end."""
        self.assertEqual("uptime: 3\nmessages.bad_lines_seen: 1\nEND\n\n", self.answer("stats"))

    def test_sources(self) -> None:
        """Sources are lines with an end, for a client that may see them; others are told why not."""
        reply = self.dispatch.reply(read_command(b"who 5 lines"), "here")
        self.assertEqual("10.0.0.1 5 lines\nEND\n\n", self.successResultOf(reply))
        self.assertEqual("ERROR: not to you\n", self.answer("who"))

    def test_bad_lines(self) -> None:
        """The examples of bad lines are a reason and a line on each line, with an end."""
        self.assertEqual("malformed_value: 3 s ago, tcp:8125: q:x|ms\nEND\n\n", self.answer("badlines"))

    def test_conflicts(self) -> None:
        """Series that are not shown are named with their reasons, with an end."""
        self.assertEqual("type: queue_depth (c); shown is queue.depth (g)\nEND\n\n", self.answer("conflicts"))

    def test_config(self) -> None:
        """The configuration begins with an empty line and has no end, as etsy's."""
        self.assertEqual('\nworkers = 2\nlisten = ["tcp:8125"]\n', self.answer("config"))

    def test_dumps(self) -> None:
        """A dump is JSON with one series in each line, and an end."""
        self.flush.rows["timers"]['a "b"'] = {"count": 2, "mean": 0.5}
        for kind, series in self.flush.rows.items():
            text, end, rest = self.answer(kind).partition("\nEND\n\n")
            self.assertEqual((series, "\nEND\n\n", ""), (json.loads(text), end, rest))
            lines = text.splitlines()[1:-1]
            self.assertEqual(
                series, {key: value for line in lines for key, value in json.loads(f"{{{line.rstrip(',')}}}").items()}
            )
            self.assertEqual(len(series), len(lines))
        self.assertEqual([{"flush": 0, "pid": 77}], json.loads(self.answer("workers").removesuffix("END\n\n")))
        self.flush.rows["sets"] = {}
        self.assertEqual("{}\nEND\n\n", self.answer("sets"))

    def test_health(self) -> None:
        """What the console says of the health reaches the service."""
        self.answer("health down")
        self.assertFalse(self.sources.up)
        self.answer("health up")
        self.assertTrue(self.sources.up)

    def test_a_health_that_changes_all_the_time(self) -> None:
        """Changes of the health are logged, but not many in a short time; how many were left out is said."""
        with capturedLogs() as logged:
            for _ in range(MOST_CHANGES):
                self.answer("health down")
                self.answer("health up")
            self.assertEqual(len(logged), MOST_CHANGES)
            self.clock.advance(CHANGES_PERIOD)
            self.answer("health down")
        self.assertEqual((logged[-2]["number"], logged[-1]["state"]), (MOST_CHANGES, "down"))

    def test_tags(self) -> None:
        """A deleted series is named with its tags as they are written."""
        self.flush.rows["counters"] = {"a.b\nk\nv": 1}
        self.assertEqual("deleted: a.b;k=v\nEND\n\n", self.answer("delcounters a.*"))

    def test_store_fails(self) -> None:
        """A store that cannot be read is an error with its reason, in one line."""
        self.flush.error = StoreError("the store\nis not open yet")
        self.assertEqual("ERROR: the store is not open yet\n", self.answer("counters"))

    def test_fault(self) -> None:
        """A fault of the program is an error, and logged."""
        self.flush.error = ZeroDivisionError("division by zero")
        self.assertEqual("ERROR: division by zero\n", self.answer("counters"))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
