"""What the console gathers from the service."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.console.interfaces import CommandError
from statsd_tcp.console.service_view import ServiceView, conflict_rows, example_rows, output_rows
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.status.who import Listener, Who
from tests.unit.who.boards import note, small_board


class OutputRowsTests(SynchronousTestCase):
    """How outputs do, in the form of etsy's statistics."""

    def test_the_only_one(self) -> None:
        """The only output of its kind has the name that etsy's has; the age of its last flush is in seconds."""
        facts = OutputFacts("graphite:h:2003", 1, 2, 3, 4, 990.0, "", 10.3)
        self.assertEqual(
            {
                "graphite.last_flush": 10,
                "graphite.queued": 1,
                "graphite.sent": 2,
                "graphite.failed": 3,
                "graphite.dropped": 4,
            },
            dict(output_rows([facts], 100)),
        )

    def test_several(self) -> None:
        """Of several of a kind each has its own name; who never wrote is as old as the service."""
        facts = [OutputFacts(f"graphite:{host}:2003", 0, 0, 0, 0, 0.0, "") for host in "ab"]
        rows = dict(output_rows(facts, 100))
        self.assertEqual([100, 100], [rows[f"graphite:{host}:2003.last_flush"] for host in "ab"])


class ExampleRowsTests(SynchronousTestCase):
    """Examples of what was rejected."""

    def test_rows(self) -> None:
        """What is foreign comes last, so that it cannot pass for the rest."""
        example = {"reason": "malformed_value", "listener": "tcp:8125", "text": "q:x|ms", "cut": False}
        rows = [{**example, "age_seconds": 2.6}, {**example, "listener": "", "cut": True, "age_seconds": 0.0}]
        self.assertEqual(
            [("malformed_value", "3 s ago, tcp:8125: q:x|ms"), ("malformed_value", "0 s ago: q:x|ms ...")],
            list(example_rows(rows)),
        )


class ConflictRowsTests(SynchronousTestCase):
    """What /metrics does not show, on the console."""

    def test_rows(self) -> None:
        """A series is named with what is shown instead of it, if that is known."""
        one = {"reason": "type", "type": "c", "series": "q.d", "holder_type": "g", "holder": "q_d;k=v"}
        other = {"reason": "reserved", "type": "g", "series": "process_open_fds", "holder_type": "", "holder": ""}
        self.assertEqual(
            [("type", "q.d (c); shown is q_d;k=v (g)"), ("reserved", "process_open_fds (g)")],
            list(conflict_rows([one, other])),
        )


class WhoTests(SynchronousTestCase):
    """Sources on the console."""

    def setUp(self) -> None:
        """Make a service with two sources."""
        board = small_board(64)
        memory = board.make()
        self.addCleanup(memory.close)
        note(memory, "10.0.0.1", lines=7)
        note(memory, "10.0.0.2", connections=5, lines=1)
        self.clock = Clock()
        who = Who(self.clock, board, [Listener("tcp:8125", may_have_header=True)], None, ())
        service: Any = SimpleNamespace(who=who)
        self.view = ServiceView(service, service, service, service)

    def answer(self, *arguments: str, host: str = "127.0.0.1") -> Deferred[Sequence[str]]:
        """Ask, and let all work be done."""
        answer = self.view.who(arguments, IPv4Address("TCP", host, 1))
        while self.clock.getDelayedCalls():
            self.clock.advance(0)
        return answer

    def test_sources(self) -> None:
        """They are lines, as many and in the order that the arguments say."""
        lines = self.successResultOf(self.answer())
        self.assertEqual(["source", "10.0.0.2", "10.0.0.1"], [line.split()[0] for line in lines])
        lines = self.successResultOf(self.answer("1", "lines"))
        self.assertEqual(["source", "10.0.0.1"], [line.split()[0] for line in lines])

    def test_refused(self) -> None:
        """A client elsewhere, and arguments that mean nothing, get one line."""
        for answer, why in (
            (self.answer(host="192.0.2.1"), "--who-to"),
            (self.answer("0"), "write who"),
            (self.answer("age"), "write who"),
            (self.answer("9" * 5000), "write who"),
        ):
            self.assertIn(why, str(self.failureResultOf(answer, CommandError).value))
