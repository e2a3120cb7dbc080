"""The status of the service: what `/api/v1/status` and the page for people say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from statsd_tcp import __version__, native
from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.kernel.process_stats import only_processor, open_descriptors, resident_memory
from statsd_tcp.ledger.cells import HEARTBEAT
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.own_metrics import WorkerQueue
from statsd_tcp.status.parts import Parts
from statsd_tcp.status.queues import drops, queues
from statsd_tcp.store.snapshot import ACCEPTED, BAD_LINES, CLOSED, DATAGRAMS, LINES, TotalKey
from statsd_tcp.supervisor.slots import WorkerFacts
from statsd_tcp.wire.grammar import TAG_STYLES, named

__all__ = ["describe", "total"]


def describe(
    parts: Parts,
    *,
    uptime: float,
    rates: Mapping[str, float],
    refused: Mapping[str, int],
    conflicts: Sequence[Mapping[str, str]],
    ticks: int,
) -> dict[str, Any]:
    """Describe the service in what JSON can hold; ``ticks`` is what the clock of the heartbeats says now."""
    plan, snapshot = parts.plan, parts.committer.snapshot
    totals = parts.totals(snapshot) if snapshot else {}
    waiting = queues(plan.listeners)
    ready, why = parts.health.ready()
    return {
        "statscounter": __version__,
        "uptime_seconds": round(uptime, 3),
        "state_dir": str(plan.state_dir),
        "node": plan.settings.node,
        "store": snapshot.store if snapshot else "",
        "start": parts.health.start,
        "ready": ready,
        "not_ready_because": "" if ready else why,
        "listeners": [
            _listener(listener, totals, [queue for queue in waiting if queue.listener == listener.label])
            for listener in plan.listeners
        ],
        "http": plan.http.addresses if plan.http else [],
        "http_refused": refused,
        "admin": plan.admin.addresses if plan.admin else [],
        "workers": [_worker(worker, ticks) for worker in parts.supervisor.workers()],
        "connection_limit_per_worker": plan.connections,
        "taken": native.use(os.environ),
        "steered_by": plan.settings.steer or "hash",
        "rates": rates,
        "lines": total(totals, LINES),
        "bad_lines": total(totals, BAD_LINES),
        "series": sum(len(table) for table in snapshot.tables()) if snapshot else 0,
        "outputs": [facts._asdict() for facts in parts.outputs()],
        "examples": parts.examples.rows(),
        "conflicts": conflicts,
        "last_commit_error": parts.committer.failure,
        "underway_seconds": {what: round(age, 3) for what, age in parts.underway.ages().items()},
        "findings": _findings(parts),
    }


def total(totals: Mapping[TotalKey, int], metric: str, listener: str | None = None) -> int:
    """Add up the totals of a metric, over all listeners or of one."""
    return sum(
        value
        for key, value in totals.items()
        if key.metric == metric and (listener is None or key.listener == listener)
    )


def _findings(parts: Parts) -> list[dict[str, Any]]:
    of_remotes = [finding for remote in parts.remotes for finding in remote.findings()]
    return parts.underway.findings() + parts.kernel.findings() + of_remotes + parts.who.findings()


def _worker(worker: WorkerFacts, ticks: int) -> dict[str, Any]:
    result: dict[str, Any] = {"slot": worker.number, "pid": worker.pid or None, "state": worker.state}
    result["avoided"] = worker.avoided
    if worker.ledger is not None:
        result["leaving"] = worker.leaving
        beat = worker.ledger.cell(HEARTBEAT)
        age = max(0, ticks - beat) if beat else 0
        result["heartbeat_age_seconds"] = round(age / NANOSECONDS, 3)
        result["cpu"] = only_processor(worker.pid)
        result["resident_memory_bytes"] = resident_memory(worker.pid)
        result["open_fds"] = open_descriptors(worker.pid)
    return result


def _listener(listener: BoundListener, totals: dict[TotalKey, int], waiting: list[WorkerQueue]) -> dict[str, Any]:
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
        result["lines"] = total(totals, LINES, listener.label)
    if listener.stream:
        accepted = total(totals, ACCEPTED, listener.label)
        result["connections"] = accepted
        result["open"] = accepted - total(totals, CLOSED, listener.label)
        result["queues"] = [{"worker": one.worker, **one.queue._asdict()} for one in waiting]
    else:
        result["datagrams"] = total(totals, DATAGRAMS, listener.label)
        result["drops"] = drops(listener)
    return result
