"""Snapshots for tests: what a real store would give after these intervals, without a file."""

from __future__ import annotations

from collections.abc import Sequence

from statsd_tcp.series.table import SeriesTable
from statsd_tcp.store.snapshot import Snapshot, StoreStats

STATS = StoreStats(
    commits=3,
    last_commit=1.7e9,
    duration_sum=0.5,
    duration_buckets=((0.1, 1), (float("inf"), 3)),
    expired=2,
    conflicts={"negative": 4},
    takeovers=5,
)


def make_snapshot(*series: tuple[str, str, float] | tuple[str, str, float, float], epoch: int = 0) -> Snapshot:
    """Make a snapshot of series: each a kind, identity, value and perhaps weight; in the order of ids.

    In another epoch they have other ids.
    """
    tables = {kind: _table(kind, series, epoch) for kind in ("c", "g", "ms", "h")}
    return Snapshot(
        settled={},
        ledgers={},
        counters=tables["c"],
        gauges=tables["g"],
        times=tables["ms"],
        distributions=tables["h"],
        stats=STATS,
    )


def _table(
    kind: str, series: Sequence[tuple[str, str, float] | tuple[str, str, float, float]], epoch: int
) -> SeriesTable:
    chosen = [(series_id, *each[1:]) for series_id, each in enumerate(series, 1 + 1000 * epoch) if each[0] == kind]
    return SeriesTable(
        kind,
        epoch,
        [each[0] for each in chosen],
        [each[1] for each in chosen],
        [each[2] for each in chosen],
        [each[3] if len(each) > 3 else 1.0 for each in chosen],
    )
