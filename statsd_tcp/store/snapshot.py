"""What a commit gives back: an immutable picture of everything that is durable at that moment.

Any thread may read a snapshot for as long as it likes; the store never changes one that it gave away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import msgspec

from statsd_tcp.flush.rules import FlushState
from statsd_tcp.ledger.layout import CellName, LedgerCounts
from statsd_tcp.series.owners import Owner
from statsd_tcp.series.quantiles import QuantileSource
from statsd_tcp.series.table import SeriesTable

__all__ = [
    "ACCEPTED",
    "ACCEPT_ERRORS",
    "BAD_LINES",
    "BAD_TAGS",
    "BATCHES",
    "BATCHES_REFUSED",
    "BATCH_OUTCOMES",
    "CLOSED",
    "DATAGRAMS",
    "EMPTY_LINES",
    "EVENTS",
    "KILLED",
    "LINES",
    "RECEIVED_BYTES",
    "RECOVERED_LINES",
    "REFUSED",
    "REPEATED",
    "SAMPLES",
    "SERVICE_CHECKS",
    "SOURCE_LIMITED",
    "STORED",
    "LedgerState",
    "Refusal",
    "Snapshot",
    "StoreStats",
    "TotalKey",
    "add_counts",
]

# The names of the durable totals. The first four are also the names of the ledger's cells.
ACCEPTED = "accepted"
CLOSED = "closed"
ACCEPT_ERRORS = "accept_errors"
SOURCE_LIMITED = "source_limited"
RECEIVED_BYTES = "received_bytes"
LINES = "lines"
EMPTY_LINES = "empty_lines"
DATAGRAMS = "datagrams"
SAMPLES = "samples"
BAD_LINES = "bad_lines"
BAD_TAGS = "bad_tags"
EVENTS = "events"
SERVICE_CHECKS = "service_checks"
RECOVERED_LINES = "recovered_lines"
BATCHES = "batches"
BATCHES_REFUSED = "batches_refused"

STORED, REPEATED, REFUSED = "stored", "repeated", "refused"
BATCH_OUTCOMES = (STORED, REPEATED, REFUSED)
"""What becomes of a batch."""

KILLED = "killed"
"""The closing reason of the connections that were open in a worker when it died."""

_SLOT_TOTALS = frozenset({ACCEPTED, CLOSED, ACCEPT_ERRORS, SOURCE_LIMITED})


class TotalKey(NamedTuple):
    """A durable total's name and labels ("" where it has none); ``detail`` is the reason, errno or type."""

    metric: str
    listener: str = ""
    worker: str = ""
    detail: str = ""


class LedgerState(msgspec.Struct, frozen=True):
    """What the store knows of a ledger: how far its journal is committed, and its counts as last committed.

    A ``folded`` ledger's counts are part of the settled totals, and empty here.
    """

    ledger_id: str
    worker: int
    boot_id: str
    committed: int
    folded: bool
    counts: Mapping[CellName, int]


class Refusal(NamedTuple):
    """An interval that was dropped because it does not begin at the ledger's ``committed`` offset.

    ``committed`` is None for a ledger that the store does not know (its counts never came).
    """

    ledger_id: str
    start: int
    end: int
    committed: int | None


_NO_SETS = SeriesTable("s", 0, (), (), (), ())


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """How the store does. Durations are in seconds; ``last_commit`` is wall time, 0.0 before the first.

    ``duration_buckets`` are pairs of an upper bound and the number of commits that took no longer.
    ``conflicts`` counts by reason what the store left out: ``negative`` for each value that would have made a total
    fall.
    ``dropped`` counts by reason what came for series beyond the limit, once for each interval: ``overflow`` what
    was added to the series for all, ``refused`` what was not kept. ``left_out`` has the last series of each reason of
    these two. ``mapped`` counts the series of intervals by what
    the mapping made of them, and ``rules`` its rules. ``without_quantiles`` counts how often something came for a
    summary that has no quantiles, because too many others have. ``sets_approximated`` counts the sets of which a flush
    had too many members to count them exactly. ``faults`` counts by reason what has happened to the store's files.
    ``takeovers`` counts the names on the page that went to another family, and ``taken_over`` are a series of the one
    that has the last such name, and one of the other.
    """

    commits: int
    last_commit: float
    duration_sum: float
    duration_buckets: tuple[tuple[float, int], ...]
    expired: int
    conflicts: Mapping[str, int]
    dropped: Mapping[str, int] = {}
    left_out: Mapping[str, str] = {}
    mapped: Mapping[str, int] = {}
    rules: int = 0
    without_quantiles: int = 0
    sets_approximated: int = 0
    faults: Mapping[str, int] = {}
    takeovers: int = 0
    taken_over: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything durable after one commit.

    ``settled`` are the totals without the ledgers that are not folded yet; `totals` adds those. ``refused``
    are the intervals that this commit dropped. ``flushes`` is None where the store keeps none. ``windows`` are the
    one thing that goes on changing: the quantiles are those of the moment at which they are read. ``owners``
    are those of the names on the page that several want. ``store`` is the UUID of the store. ``left_out`` are the
    ledgers of which this commit has left out something that their workers have read. ``clients``: how many clients that
    send batches are remembered.
    """

    settled: Mapping[TotalKey, int]
    ledgers: Mapping[str, LedgerState]
    counters: SeriesTable
    gauges: SeriesTable
    times: SeriesTable
    distributions: SeriesTable
    stats: StoreStats
    refused: tuple[Refusal, ...] = ()
    flushes: FlushState | None = None
    sets: SeriesTable = _NO_SETS
    windows: QuantileSource | None = None
    owners: Mapping[str, Owner] = {}
    store: str = ""
    left_out: AbstractSet[str] = frozenset()
    clients: int = 0

    def tables(self) -> tuple[SeriesTable, ...]:
        """Return the tables of all kinds."""
        return (self.counters, self.gauges, self.times, self.distributions, self.sets)

    def totals(self, live: Iterable[LedgerCounts] = ()) -> dict[TotalKey, int]:
        """Add up the durable totals, with cells that were read after the commit where ``live`` has them.

        Totals made this way never fall, whatever happens to the ledgers in between: a folded one is not taken
        from ``live``, and of an open one each cell's larger number counts. ``live`` must not have ledgers
        that the store was told to forget.
        """
        result = dict(self.settled)
        fresh = {counts.ledger_id: counts for counts in live}
        for state in self.ledgers.values():
            if not state.folded:
                counts = fresh.pop(state.ledger_id, None)
                values = state.counts if counts is None else larger(state.counts, counts.values)
                add_counts(result, state.worker, values)
        for counts in fresh.values():
            if counts.ledger_id not in self.ledgers:
                add_counts(result, counts.worker, counts.values)
        return result


def larger(first: Mapping[CellName, int], second: Mapping[CellName, int]) -> dict[CellName, int]:
    """Merge two readings of the same cells: the larger number of each."""
    result = dict(first)
    for name, value in second.items():
        if name.metric in _SLOT_TOTALS and value > result.get(name, 0):
            result[name] = value
    return result


def add_counts(totals: dict[TotalKey, int], worker: int, counts: Mapping[CellName, int]) -> None:
    """Add a ledger's counts to the totals, under its worker's slot."""
    for name, value in counts.items():
        if name.metric in _SLOT_TOTALS:
            key = TotalKey(name.metric, name.listener, str(worker), name.detail)
            totals[key] = totals.get(key, 0) + value
