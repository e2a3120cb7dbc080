"""The snapshot that a commit gives back is made of what is in memory, and of how the store does."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from statsd_tcp.store.durations import Durations
from statsd_tcp.store.memory import Memory
from statsd_tcp.store.outcomes import Outcomes
from statsd_tcp.store.snapshot import Refusal, Snapshot, StoreStats

__all__ = ["snapshot_of", "stats_of"]


def snapshot_of(
    memory: Memory, stats: StoreStats, store: str, refused: tuple[Refusal, ...], left_out: AbstractSet[str]
) -> Snapshot:
    """Return everything durable. ``store`` is its UUID; ``refused`` and ``left_out`` are what a commit did not take."""
    counters, gauges, times, distributions, sets = memory.kinds.tables()
    return Snapshot(
        settled=memory.book.settled,
        ledgers=memory.book.ledgers,
        counters=counters,
        gauges=gauges,
        times=times,
        distributions=distributions,
        stats=stats,
        refused=refused,
        flushes=None if memory.flushes is None else memory.flushes.state(),
        sets=sets,
        windows=memory.kinds.windows,
        owners=memory.ownership.owners,
        store=store,
        left_out=left_out,
        clients=len(memory.clients),
    )


def stats_of(
    memory: Memory, outcomes: Outcomes, durations: Durations, last_commit: float, faults: Mapping[str, int]
) -> StoreStats:
    """Return how the store does; what goes on changing is copied."""
    last = memory.ownership.last
    return StoreStats(
        commits=durations.count,
        last_commit=last_commit,
        duration_sum=durations.total,
        duration_buckets=durations.buckets(),
        expired=outcomes.expired,
        conflicts=dict(outcomes.conflicts),
        dropped=dict(outcomes.dropped),
        left_out=dict(outcomes.left_out),
        mapped=dict(outcomes.mapped),
        rules=0 if memory.mapper is None else memory.mapper.size,
        without_quantiles=memory.kinds.windows.refused,
        sets_approximated=memory.sets.approximated,
        faults=dict(faults),
        takeovers=memory.ownership.takeovers,
        taken_over=() if last is None else (last.winner.identity, last.loser.identity),
    )
