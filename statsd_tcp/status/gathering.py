"""The service's own metrics, gathered from its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.kernel.process_stats import open_descriptors, resident_memory
from statsd_tcp.ledger.cells import GAP_MAX
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.own_metrics import ListenerFacts, OwnMetrics
from statsd_tcp.status.parts import Parts
from statsd_tcp.status.queues import drops, queues
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.slots import WorkerFacts
from statsd_tcp.supervisor.worker_slot import State

__all__ = ["own_metrics"]

STATES = get_args(State)
"""The states of a worker's slot, as the metrics name them."""


def own_metrics(parts: Parts, snapshot: Snapshot, refused: Mapping[str, int]) -> OwnMetrics:
    """Gather them, with the totals of that snapshot; ``refused`` counts what the HTTP server refuses."""
    listeners = parts.plan.listeners
    workers = parts.supervisor.workers()
    pids = {worker.number: worker.pid for worker in workers if worker.pid}
    return OwnMetrics(
        listeners=[
            ListenerFacts(one.label, one.stream, one.endpoint.count_only, one.endpoint.confirm == "stored")
            for one in listeners
        ],
        worker_slots=[worker.number for worker in workers],
        totals=parts.totals(snapshot),
        workers=_states(workers),
        worker_restarts=parts.supervisor.restarts,
        accept_paused=_paused(listeners, workers),
        accept_queues=queues(listeners),
        receive_drops={one.label: drops(one) for one in listeners if not one.stream},
        worker_open_fds={number: open_descriptors(pid) for number, pid in pids.items()},
        worker_resident_memory_bytes={number: resident_memory(pid) for number, pid in pids.items()},
        reactor_gap_seconds_max=_gap(workers),
        http_refused=refused,
        config_last_reload_successful=parts.reload.successful is not False,
        series_dropped=snapshot.stats.dropped,
        ledgers_set_aside=parts.ledger_folder.set_aside,
        underway=parts.underway.ages(),
        journals_waiting=parts.recovery.waiting,
        recovery_faults=_recovery_faults(parts),
        outputs=parts.outputs(),
        remotes=[remote.remote_facts() for remote in parts.remotes],
        kernel=parts.kernel.families(),
        sources=parts.who.spreads(),
        store=snapshot.store,
        start=parts.health.start,
    )


def _states(workers: Sequence[WorkerFacts]) -> dict[str, int]:
    found: Counter[str] = Counter(worker.state for worker in workers)
    return {state: found[state] for state in STATES}


def _paused(listeners: Sequence[BoundListener], workers: Sequence[WorkerFacts]) -> dict[str, bool]:
    paused = {listener.label: False for listener in listeners if listener.stream}
    for worker in workers:
        if worker.ledger is not None:
            for name, value in worker.ledger.counts().values.items():
                if name.metric == "paused" and value and name.listener in paused:
                    paused[name.listener] = True
    return paused


def _gap(workers: Sequence[WorkerFacts]) -> float:
    gaps = [worker.ledger.cell(GAP_MAX) for worker in workers if worker.ledger is not None]
    return max(gaps, default=0) / NANOSECONDS


def _recovery_faults(parts: Parts) -> dict[str, int]:
    not_understood = parts.committer.not_understood.number
    return dict[str, int](**parts.recovery.faults, **parts.ledger_folder.faults, message=not_understood)
