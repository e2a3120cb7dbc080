"""What the service says about itself: gathered from the supervisor, its ledgers, its sockets and the kernel."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

from zope.interface import implementer

from statsd_tcp import __version__, native
from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.commit.committer import Committer
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.kernel.accept_queue import read_queue, receive_drops
from statsd_tcp.kernel.process_stats import only_processor, open_descriptors, resident_memory
from statsd_tcp.ledger.cells import GAP_MAX, HEARTBEAT
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.repeat.totals import RepeatTotals
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.examples import LastExamples
from statsd_tcp.status.health import Health
from statsd_tcp.status.interfaces import Answer, ISources
from statsd_tcp.status.kernel_watch import KernelWatch
from statsd_tcp.status.left_out import LeftOut, in_status
from statsd_tcp.status.moments import Moments, Reading
from statsd_tcp.status.own_metrics import ListenerFacts, OwnMetrics, RemoteFacts, WorkerQueue
from statsd_tcp.status.refusals import Refusals
from statsd_tcp.status.underway import Underway
from statsd_tcp.status.who import Who
from statsd_tcp.store.snapshot import ACCEPTED, BAD_LINES, CLOSED, DATAGRAMS, LINES, Snapshot, TotalKey
from statsd_tcp.supervisor.slots import WorkerFacts
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.supervisor import Supervisor
from statsd_tcp.supervisor.worker_slot import State
from statsd_tcp.wire.grammar import TAG_STYLES, named

__all__ = ["Report"]

STATES = get_args(State)
"""The states of a worker's slot, as the metrics name them."""

RATE_SPAN = 10
"""Seconds over which the status page's rates are taken."""


class _Sample(NamedTuple):
    at: float
    connections: int
    lines: int


class Reloading(Protocol):
    """What the pages need of reloads. ``successful`` tells about the last one, None before the first."""

    successful: bool | None

    def ask(self, answer: Answer) -> bool:
        """Reload as soon as possible, and call back with the outcome; return whether the request is accepted."""


class Delivering(Protocol):
    """What the pages need of an output."""

    def facts(self) -> OutputFacts:
        """Describe how it does."""


class Remote(Delivering, Protocol):
    """What they need of one by remote write."""

    def remote_facts(self) -> RemoteFacts:
        """Describe what became of its samples."""

    def findings(self) -> list[dict[str, Any]]:
        """Return what the operator has to look at."""


@implementer(ISources)
class Report:
    """Answers the pages' questions. All in the reactor's thread, all from memory except for a few looks into /proc."""

    def __init__(
        self,
        reactor: Any,
        plan: Plan,
        supervisor: Supervisor,
        committer: Committer,
        ledger_folder: LedgerFolder,
        recovery: Recovery,
        health: Health,
        reload: Reloading,
        kernel: KernelWatch,
        underway: Underway,
        deliveries: Sequence[Delivering],
        repeats: RepeatTotals,
        examples: LastExamples,
        who: Who,
        remotes: Sequence[Remote] = (),
        ticks: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``ticks`` is the clock of the heartbeats."""
        self._reactor = reactor
        self._plan = plan
        self._supervisor = supervisor
        self._committer = committer
        self._ledger_folder = ledger_folder
        self._recovery = recovery
        self._health = health
        self._reload = reload
        self._kernel = kernel
        self._underway = underway
        self._deliveries = [*deliveries, *remotes]
        self._remotes = remotes
        self._repeats = repeats
        self._examples = examples
        self.who = who
        self._ticks = ticks
        self._left_out: Sequence[LeftOut] = ()
        self.refusals = Refusals()
        self.moments = Moments()
        self._samples: deque[_Sample] = deque(maxlen=RATE_SPAN + 1)

    def sample(self) -> None:
        """Note the numbers of this moment, for the rates. To be called once a second."""
        snapshot = self.snapshot()
        if snapshot is not None:
            totals = snapshot.totals(self._ledger_folder.counts())
            now = self._reactor.seconds()
            self._samples.append(_Sample(now, _sum(totals, ACCEPTED), _sum(totals, LINES)))
            self.moments.note(Reading(now, totals, self._queues(), snapshot, self.outputs()))
            self.who.check()

    @property
    def node(self) -> str:
        """Return the name of this node."""
        return self._plan.settings.node

    def snapshot(self) -> Snapshot | None:
        """Return what the last commit made."""
        return self._committer.snapshot

    def own_metrics(self, snapshot: Snapshot) -> OwnMetrics:
        """Gather the service's own numbers."""
        listeners = self._plan.listeners
        workers = self._supervisor.workers()
        pids = {worker.number: worker.pid for worker in workers if worker.pid}
        return OwnMetrics(
            listeners=[
                ListenerFacts(one.label, one.stream, one.endpoint.count_only, one.endpoint.confirm == "stored")
                for one in listeners
            ],
            worker_slots=[worker.number for worker in workers],
            totals=snapshot.totals(self._ledger_folder.counts()),
            workers=_states(workers),
            worker_restarts=self._supervisor.restarts,
            accept_paused=self._paused(workers),
            accept_queues=self._queues(),
            receive_drops={
                listener.label: sum(receive_drops(one) for row in listener.sockets for one in row)
                for listener in listeners
                if not listener.stream
            },
            worker_open_fds={number: open_descriptors(pid) for number, pid in pids.items()},
            worker_resident_memory_bytes={number: resident_memory(pid) for number, pid in pids.items()},
            reactor_gap_seconds_max=_gap(workers),
            http_refused=self.refusals.counts,
            config_last_reload_successful=self._reload.successful is not False,
            series_dropped=snapshot.stats.dropped,
            ledgers_set_aside=self._ledger_folder.set_aside,
            underway=self._underway.ages(),
            journals_waiting=self._recovery.waiting,
            recovery_faults=dict[str, int](
                **self._recovery.faults, **self._ledger_folder.faults, message=self._committer.not_understood.number
            ),
            outputs=self.outputs(),
            remotes=[remote.remote_facts() for remote in self._remotes],
            kernel=self._kernel.families(),
            sources=self.who.spreads(),
            store=snapshot.store,
            start=self._health.start,
        )

    def reload(self, answer: Answer) -> bool:
        """Make the service read its configuration again."""
        return self._reload.ask(answer)

    def healthy(self) -> tuple[bool, str]:
        """Return whether the service works, and if not why."""
        return self._health.healthy()

    def ready(self) -> tuple[bool, str]:
        """Return whether the service is ready, and if not why."""
        return self._health.ready()

    def uptime(self) -> float:
        """Return the seconds since the start, whatever was reloaded since."""
        now: float = self._reactor.seconds()
        return now - self._health.started_at

    def outputs(self) -> list[OutputFacts]:
        """Describe how the outputs do."""
        return [delivery.facts() for delivery in self._deliveries] + self._repeats.facts()

    def examples(self) -> list[dict[str, Any]]:
        """Return the last example of everything that was rejected."""
        return self._examples.rows()

    def scraped(self, left_out: Sequence[LeftOut]) -> None:
        """Take note of what a scrape could not show, unless the operator wants no names of clients to be seen."""
        if not self._plan.settings.hide_bad_lines:
            self._left_out = left_out

    def conflicts(self) -> list[dict[str, str]]:
        """Return the first series that the last scrape could not show, each with the one that has its place."""
        return [in_status(one) for one in self._left_out]

    def status(self) -> dict[str, Any]:
        """Describe the service."""
        plan, snapshot = self._plan, self.snapshot()
        totals = snapshot.totals(self._ledger_folder.counts()) if snapshot else {}
        queues = self._queues()
        ready, why = self.ready()
        return {
            "statscounter": __version__,
            "uptime_seconds": round(self.uptime(), 3),
            "state_dir": str(plan.state_dir),
            "node": plan.settings.node,
            "store": snapshot.store if snapshot else "",
            "start": self._health.start,
            "ready": ready,
            "not_ready_because": "" if ready else why,
            "listeners": [
                _listener_status(listener, totals, [q for q in queues if q.listener == listener.label])
                for listener in plan.listeners
            ],
            "http": plan.http.addresses if plan.http else [],
            "http_refused": self.refusals.counts,
            "admin": plan.admin.addresses if plan.admin else [],
            "workers": [_worker_status(worker, self._ticks()) for worker in self._supervisor.workers()],
            "connection_limit_per_worker": plan.connections,
            "taken": native.use(os.environ),
            "steered_by": plan.settings.steer or "hash",
            "rates": self._rates(),
            "lines": _sum(totals, LINES),
            "bad_lines": _sum(totals, BAD_LINES),
            "series": sum(len(table) for table in snapshot.tables()) if snapshot else 0,
            "outputs": [facts._asdict() for facts in self.outputs()],
            "examples": self.examples(),
            "conflicts": self.conflicts(),
            "last_commit_error": self._committer.failure,
            "underway_seconds": {what: round(age, 3) for what, age in self._underway.ages().items()},
            "findings": self._underway.findings()
            + self._kernel.findings()
            + self._remote_findings()
            + self.who.findings(),
        }

    def _remote_findings(self) -> list[dict[str, Any]]:
        return [finding for remote in self._remotes for finding in remote.findings()]

    def _paused(self, workers: Sequence[WorkerFacts]) -> dict[str, bool]:
        paused = {listener.label: False for listener in self._plan.listeners if listener.stream}
        for worker in workers:
            if worker.ledger is not None:
                for name, value in worker.ledger.counts().values.items():
                    if name.metric == "paused" and value and name.listener in paused:
                        paused[name.listener] = True
        return paused

    def _queues(self) -> list[WorkerQueue]:
        return [
            queue
            for listener in self._plan.listeners
            if listener.stream
            for worker, sockets in listener.queues
            if (queue := _queue(listener.label, worker, sockets)) is not None
        ]

    def _rates(self) -> dict[str, float]:
        if len(self._samples) < 2:  # noqa: PLR2004  (a rate is between two)
            return {"connections_per_second": 0.0, "lines_per_second": 0.0}
        first, last = self._samples[0], self._samples[-1]
        span = last.at - first.at
        return {
            "connections_per_second": round((last.connections - first.connections) / span, 1),
            "lines_per_second": round((last.lines - first.lines) / span, 1),
        }


def _states(workers: Sequence[WorkerFacts]) -> dict[str, int]:
    found: Counter[str] = Counter(worker.state for worker in workers)
    return {state: found[state] for state in STATES}


def _gap(workers: Sequence[WorkerFacts]) -> float:
    gaps = [worker.ledger.cell(GAP_MAX) for worker in workers if worker.ledger is not None]
    return max(gaps, default=0) / NANOSECONDS


def _worker_status(worker: WorkerFacts, now: int) -> dict[str, Any]:
    result: dict[str, Any] = {"slot": worker.number, "pid": worker.pid or None, "state": worker.state}
    result["avoided"] = worker.avoided
    if worker.ledger is not None:
        result["leaving"] = worker.leaving
        beat = worker.ledger.cell(HEARTBEAT)
        age = max(0, now - beat) if beat else 0
        result["heartbeat_age_seconds"] = round(age / NANOSECONDS, 3)
        result["cpu"] = only_processor(worker.pid)
        result["resident_memory_bytes"] = resident_memory(worker.pid)
        result["open_fds"] = open_descriptors(worker.pid)
    return result


def _sum(totals: dict[TotalKey, int], metric: str, listener: str | None = None) -> int:
    return sum(
        value
        for key, value in totals.items()
        if key.metric == metric and (listener is None or key.listener == listener)
    )


def _queue(label: str, worker: int | Literal["shared"], sockets: list[socket.socket]) -> WorkerQueue | None:
    """Describe a worker's queue, of its two address families the fuller one; None where the kernel will not tell."""
    try:
        queues = [read_queue(one) for one in sockets]
    except OSError:
        return None
    drops = sum(queue.drops for queue in queues)
    return WorkerQueue(label, worker, max(queues)._replace(drops=drops))


def _listener_status(listener: BoundListener, totals: dict[TotalKey, int], queues: list[WorkerQueue]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "label": listener.label,
        "scheme": listener.endpoint.scheme,
        "port": None if listener.endpoint.path else listener.port,
        "path": listener.endpoint.path or None,
        "addresses": listener.addresses,
        "count_only": listener.endpoint.count_only,
        "dialect": listener.endpoint.dialect,
    }
    if not listener.endpoint.count_only:
        grammar = named(listener.endpoint.grammar)
        result["tags"] = [style for style in TAG_STYLES if style in grammar.tags]
        result["container"] = "label" if grammar.container else "ignore"
        result["max_line"] = grammar.max_line
        result["lines"] = _sum(totals, LINES, listener.label)
    if listener.stream:
        accepted = _sum(totals, ACCEPTED, listener.label)
        result["connections"] = accepted
        result["open"] = accepted - _sum(totals, CLOSED, listener.label)
        result["queues"] = [{"worker": one.worker, **one.queue._asdict()} for one in queues]
    else:
        result["datagrams"] = _sum(totals, DATAGRAMS, listener.label)
        result["drops"] = sum(receive_drops(one) for row in listener.sockets for one in row)
    return result
