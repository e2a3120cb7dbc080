"""The kernel's watch inside the service: looks once a second, and says in the log what limit is being hit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from statsd_tcp.doctor.examination import shortfalls
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.probes import KernelProbes, Roots
from statsd_tcp.doctor.start import read_start
from statsd_tcp.doctor.watch import Family, Finding, Watch
from statsd_tcp.kernel.accept_queue import AcceptQueue, read_queue
from statsd_tcp.kernel.samples import Sampler
from statsd_tcp.supervisor.start_plan import Plan

__all__ = ["KernelWatch", "goal_of"]


class KernelWatch:
    """A `Watch` of our own sockets, on the reactor's clock. It does not raise, to stop no round."""

    _log = Logger()

    def __init__(self, reactor: Any, plan: Plan, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        self._reactor = reactor
        self._plan = plan
        self._goal = goal_of(plan)
        self._roots = Roots(proc, sys)
        self._watch = Watch(Sampler(proc, sys), self._queues, self._goal)
        self._broken = False

    def check(self) -> None:
        """Look at the kernel, and log what is new. To be called once a second."""
        if self._broken:
            return
        now = self._reactor.seconds()
        try:
            self._watch.sample(now)
        except (OSError, ValueError, LookupError):
            # A kernel that writes its tables in another way than all that are known: said once.
            self._broken = True
            self._log.failure("the kernel's counters cannot be read, and are no longer watched")
            return
        for line in self._watch.news(now):
            self._log.warn("kernel: {line}", line=line)

    def announce(self) -> None:
        """Log what will not hold at the target rate."""
        for line in shortfalls(
            Facts(self._roots, KernelProbes(), read_start(self._roots.proc, self._roots.process)), self._goal
        ):
            self._log.warn("kernel: {line}", line=line)

    def families(self) -> list[Family]:
        """Return the numbers of the last look, for the metrics."""
        return self._watch.families()

    def findings(self) -> list[dict[str, Any]]:
        """Return the findings of now, as the status page writes them."""
        now = self._reactor.seconds()
        return [_written(finding, now) for finding in self._watch.findings()]

    def _queues(self) -> Sequence[AcceptQueue]:
        found = []
        for listener in self._plan.listeners:
            if listener.stream and not listener.endpoint.path:
                found += [read_queue(one) for row in listener.sockets for one in row]
        return found


def goal_of(plan: Plan) -> Goal:
    """Return what the machine is measured against: the target rate, and the shape of this service."""
    internet = [listener for listener in plan.listeners if not listener.endpoint.path]
    return Goal(
        rate=plan.settings.target_rate,
        workers=plan.workers,
        tcp_ports=tuple(sorted({listener.port for listener in internet if listener.stream})),
        udp_ports=tuple(sorted({listener.port for listener in internet if not listener.stream})),
        unixgram=tuple(listener.endpoint.path for listener in plan.listeners if listener.endpoint.scheme == "unixgram"),
        closes_first=any(listener.endpoint.count_only for listener in internet),
    )


def _written(finding: Finding, now: float) -> dict[str, Any]:
    return {
        "id": finding.id,
        "text": finding.text,
        "setting": finding.setting,
        "command": finding.command,
        "count": finding.count,
        "seconds": round(now - finding.since, 3),
    }
