"""The kernel's watch inside the service: what it logs, shows and survives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.endpoints import parse_count, parse_listen
from statsd_tcp.status.kernel_watch import KernelWatch, goal_of
from statsd_tcp.supervisor.start_plan import Plan
from tests.unit.doctor.machines import folder, machine

NETSTAT = "TcpExt: TCPReqQFullDrop\nTcpExt: {}\n"


class FakeListener:
    """A listener without sockets."""

    def __init__(self, endpoint: Any, port: int) -> None:
        self.endpoint = endpoint
        self.port = port
        self.stream = endpoint.scheme != "udp"
        self.sockets: list[list[Any]] = []


def plan(listeners: list[Any], rate: str = "10000") -> Plan:
    """Plan a service of two workers."""
    return Plan(
        settings=build_settings({"target-rate": [rate]}),
        listeners=listeners,
        http=None,
        admin=None,
        workers=2,
        workers_reason="as asked for",
        descriptors=1024,
        backlog=128,
        state_dir=Path("/nonexistent"),
    )


class KernelWatchTests(SynchronousTestCase):
    """A watch of the recorded virtual machine."""

    def setUp(self) -> None:
        """Lay the machine out, and look once."""
        self.root = folder(self)
        machine("vm", self.root)
        self.count(0)
        self.clock = Clock()
        self.watch = KernelWatch(self.clock, plan([]), self.root / "proc", self.root / "sys")
        self.watch.check()

    def count(self, value: int) -> None:
        """Set the counter."""
        (self.root / "proc/self/net/netstat").write_text(NETSTAT.format(value))

    def events(self) -> list[Any]:
        """Look again a second later; gives what was logged."""
        self.clock.advance(1)
        with capturedLogs() as logged:
            self.watch.check()
        return list(logged)

    def test_nothing_to_say(self) -> None:
        """While nothing grows nothing is logged."""
        self.assertEqual([], self.events())
        self.assertEqual([], self.watch.findings())

    def test_a_finding(self) -> None:
        """A growing counter is one line of log and an entry of the status."""
        self.count(7)
        [event] = self.events()
        self.assertEqual(LogLevel.warn, event["log_level"])
        self.assertIn("SYNs are dropped", event["line"])
        self.count(9)
        self.assertEqual([], self.events())
        [finding] = self.watch.findings()
        self.assertEqual(("syn-drops", 9, 1.0), (finding["id"], finding["count"], finding["seconds"]))
        self.assertEqual({"id", "text", "setting", "command", "count", "seconds"}, set(finding))

    def test_unknown_tables(self) -> None:
        """A table that cannot be understood is logged once, and ends the watch but not the service's rounds."""
        (self.root / "proc/self/net/netstat").write_text("TcpExt: ListenOverflows\nTcpExt: many\n")
        self.assertEqual(1, len(self.events()))
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual([], self.events())
        self.assertTrue(self.watch.families())

    def test_announcement(self) -> None:
        """At start what will not hold at the rate is logged, one line each, with the remedy."""
        with capturedLogs() as logged:
            self.watch.announce()
        lines = [event["line"] for event in logged]
        self.assertEqual(2, len(lines), lines)
        self.assertIn("net.core.somaxconn: 4,096, but 10,000 connections/s need 10,400: sysctl -w", lines[0])
        self.assertIn("30128", lines[1])

    def test_nothing_to_announce(self) -> None:
        """At a rate that the machine takes, nothing is said."""
        watch = KernelWatch(self.clock, plan([], "100"), self.root / "proc", self.root / "sys")
        with capturedLogs() as logged:
            watch.announce()
        self.assertEqual([], list(logged))


class TargetTests(SynchronousTestCase):
    """What the machine is measured against."""

    def test_target(self) -> None:
        """The goal is the rate asked for, and the service's own workers and ports."""
        listeners = [
            FakeListener(parse_listen("tcp:8125"), 8125),
            FakeListener(parse_listen("udp:0"), 4711),
            FakeListener(parse_listen("unix:/run/x"), 0),
            FakeListener(parse_listen("unixgram:/run/y"), 0),
        ]
        goal = goal_of(plan(listeners, "20000"))
        self.assertEqual((20000, 2, (8125,), (4711,)), (goal.rate, goal.workers, goal.tcp_ports, goal.udp_ports))
        self.assertEqual(("/run/y",), goal.unixgram)
        self.assertFalse(goal.closes_first)
        self.assertTrue(goal_of(plan([FakeListener(parse_count("tcp:8888"), 8888)])).closes_first)
