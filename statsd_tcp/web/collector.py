"""The service's own metrics: from the gathered numbers to the families that prometheus_client writes.

Label values that are known are there from the start, with 0, so that a rate or an alert does not have to wait
for the first event. Totals of listeners and workers that the service no longer has stay: a sum over
them must not fall.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isinf
from typing import Any

import twisted
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import statsd_tcp
from statsd_tcp.flush.rules import FlushState
from statsd_tcp.ledger.cells import ACCEPT_ERRNOS, CLOSE_REASONS, LIMIT_ACTIONS
from statsd_tcp.mapping.mapper import OUTCOMES
from statsd_tcp.status.own_metrics import OwnMetrics, RemoteFacts
from statsd_tcp.store import snapshot as store
from statsd_tcp.store.files import FAULTS
from statsd_tcp.store.snapshot import Snapshot, StoreStats, TotalKey
from statsd_tcp.wire.batches import REFUSALS
from statsd_tcp.wire.reasons import REASONS
from statsd_tcp.wire.samples import KINDS

__all__ = ["OwnCollector"]

_PREFIX = "statscounter_"

_Rows = Mapping[Any, float]
"""Numbers by their label values, which are tuples of as many strings as there are labels."""


class OwnCollector(Collector):
    """The families of one scrape. ``conflicts`` counts the series that found no place in it, by reason."""

    def __init__(self, own: OwnMetrics, snapshot: Snapshot, conflicts: Mapping[str, int]) -> None:
        self._own = own
        self._snapshot = snapshot
        self._conflicts = conflicts

    def collect(self) -> Iterable[Metric]:
        """Yield all families with their numbers."""
        # These are the first that remote write tells: see its module search.
        yield _store(self._own)
        yield from _commits(self._snapshot.stats)
        yield from _connections(self._own)
        yield from _traffic(self._own)
        yield from _batches(self._own, self._snapshot.clients)
        yield from _queues(self._own)
        yield from _workers(self._own)
        aside = {(): self._own.ledgers_set_aside}
        yield _gauge("ledgers_set_aside", "Ledgers that could not be read and wait for the operator.", (), aside)
        waiting = {(): self._own.journals_waiting}
        yield _gauge("journals_waiting", "Journals of dead workers that are not read to their end.", (), waiting)
        faults = {(reason,): number for reason, number in self._own.recovery_faults.items()}
        yield _counter("recovery_faults", "What went wrong with ledgers and their journals.", ("reason",), faults)
        ages = {(what,): age for what, age in self._own.underway.items()}
        yield _gauge("underway_seconds", "Age of the oldest of what is under way, 0 for none.", ("what",), ages)
        yield from _series(self._own, self._snapshot, self._conflicts)
        yield from _outputs(self._own, self._snapshot)
        yield from _remotes(self._own.remotes)
        yield from _sources(self._own)
        for family in self._own.kernel:
            make = _counter if family.counts else _gauge
            yield make(family.name, family.text, family.labels, family.rows)
        yield _build()

    def describe(self) -> Iterable[Metric]:
        """Return all families; the registry looks at their names."""
        return self.collect()


def _connections(own: OwnMetrics) -> Iterator[Metric]:
    labels = [listener.label for listener in own.listeners if listener.stream]
    slots = [str(slot) for slot in own.worker_slots]
    known = [(label, slot) for label in labels for slot in slots]
    accepted = _totals(own, store.ACCEPTED, ("listener", "worker"), known)
    yield _counter("connections", "Connections accepted.", ("listener", "worker"), accepted)
    closings = [(label, reason) for label in labels for reason in (*CLOSE_REASONS, store.KILLED)]
    closed = _totals(own, store.CLOSED, ("listener", "detail"), closings)
    yield _counter("connections_closed", "Connections closed.", ("listener", "reason"), closed)
    still_open: dict[tuple[str, ...], float] = {(label,): 0.0 for label in labels}
    for sign, rows in ((1, accepted), (-1, closed)):
        for row, number in rows.items():
            still_open[row[:1]] = still_open.get(row[:1], 0.0) + sign * number
    yield _gauge("connections_open", "Connections that are open now.", ("listener",), still_open)
    errors = [(label, name) for label in labels for name in ACCEPT_ERRNOS]
    failed = _totals(own, store.ACCEPT_ERRORS, ("listener", "detail"), errors)
    yield _counter("accept_errors", "Errors of accept.", ("listener", "errno"), failed)
    actions = [(label, action) for label in labels for action in LIMIT_ACTIONS]
    limited = _totals(own, store.SOURCE_LIMITED, ("listener", "detail"), actions)
    what = "Connections whose source was over a limit, and what was done."
    yield _counter("source_limited", what, ("listener", "action"), limited)
    paused = {(label,): float(own.accept_paused.get(label, False)) for label in labels}
    yield _gauge("accept_paused", "1 while a limit holds accepting.", ("listener",), paused)


def _traffic(own: OwnMetrics) -> Iterator[Metric]:
    readers = [(listener.label,) for listener in own.listeners if not listener.count_only]
    datagrams = [(listener.label,) for listener in own.listeners if not listener.stream]
    for metric, text, known in (
        (store.RECEIVED_BYTES, "Bytes received.", readers),
        (store.LINES, "Lines that are not empty, good and bad.", readers),
        (store.EMPTY_LINES, "Empty lines.", readers),
        (store.DATAGRAMS, "Datagrams received.", datagrams),
    ):
        yield _counter(metric, text, ("listener",), _totals(own, metric, ("listener",), known))
    for metric, text, label, values in (
        (store.SAMPLES, "Samples, by their type on the wire.", "type", KINDS),
        (store.BAD_LINES, "Lines that were rejected.", "reason", REASONS),
    ):
        rows = _totals(own, metric, ("detail",), [(value,) for value in values])
        yield _counter(metric, text, (label,), rows)
    for metric, text in (
        (store.BAD_TAGS, "Tags that were left out of a good line."),
        (store.EVENTS, "DogStatsD events, which are not kept."),
        (store.SERVICE_CHECKS, "DogStatsD service checks, which are not kept."),
        (store.RECOVERED_LINES, "Lines replayed from the journal of a process that died."),
    ):
        yield _counter(metric, text, (), _totals(own, metric, (), [()]))
    drops = {label: own.receive_drops.get(label[0], 0) for label in datagrams}
    yield _counter(
        "receive_drops",
        "Datagrams that the kernel dropped; those that came together count as one.",
        ("listener",),
        drops,
    )


def _batches(own: OwnMetrics, clients: int) -> Iterator[Metric]:
    takers = [listener.label for listener in own.listeners if listener.takes_batches]
    known = [(label, outcome) for label in takers for outcome in store.BATCH_OUTCOMES]
    rows = _totals(own, store.BATCHES, ("listener", "detail"), known)
    yield _counter("batches", "Batches of listeners with confirm=stored.", ("listener", "outcome"), rows)
    reasons = [(reason,) for reason in REFUSALS]
    refused = _totals(own, store.BATCHES_REFUSED, ("detail",), reasons)
    yield _counter("batches_refused", "Batches that were refused.", ("reason",), refused)
    yield _gauge("batch_clients", "Clients of which the last batch is known.", (), {(): clients})


def _queues(own: OwnMetrics) -> Iterator[Metric]:
    names = ("listener", "worker")
    queues = {(one.listener, str(one.worker)): one.queue for one in own.accept_queues}
    lengths = {key: queue.length for key, queue in queues.items()}
    yield _gauge("accept_queue_length", "Connections that wait to be accepted.", names, lengths)
    limits = {key: queue.limit for key, queue in queues.items()}
    yield _gauge("accept_queue_limit", "Connections that may wait to be accepted.", names, limits)
    drops = {key: queue.drops for key, queue in queues.items()}
    yield _counter("listen_drops", "Connections that found the queue full.", names, drops)


def _workers(own: OwnMetrics) -> Iterator[Metric]:
    yield _gauge("workers", "Worker processes.", ("state",), _by(own.workers))
    yield _counter("worker_restarts", "Workers that were replaced.", ("reason",), _by(own.worker_restarts))
    yield _gauge("worker_open_fds", "Open descriptors.", ("worker",), _by(own.worker_open_fds))
    memory = _by(own.worker_resident_memory_bytes)
    yield _gauge("worker_resident_memory_bytes", "Memory in use.", ("worker",), memory)
    reloaded = {(): int(own.config_last_reload_successful)}
    yield _gauge("config_last_reload_successful", "0 when the last reload was refused.", (), reloaded)
    yield _counter("http_refused", "HTTP requests that were refused.", ("reason",), _by(own.http_refused))
    gap = {(): own.reactor_gap_seconds_max}
    yield _gauge("reactor_gap_seconds_max", "Longest time that a worker did not look at its sockets.", (), gap)


def _commits(stats: StoreStats) -> Iterator[Metric]:
    yield _counter("commits", "Commits to the store.", (), {(): stats.commits})
    buckets = [("+Inf" if isinf(bound) else repr(bound), count) for bound, count in stats.duration_buckets]
    name, text = _PREFIX + "commit_duration_seconds", "How long a commit took."
    yield HistogramMetricFamily(name, text, buckets=buckets, sum_value=stats.duration_sum)
    when = {(): stats.last_commit}
    yield _gauge("last_commit_timestamp_seconds", "When the last commit ended, 0 for none yet.", (), when)
    faults = {(reason,): stats.faults.get(reason, 0) for reason in FAULTS}
    yield _counter("store_faults", "What happened to the files of the store.", ("reason",), faults)


def _series(own: OwnMetrics, snapshot: Snapshot, conflicts: Mapping[str, int]) -> Iterator[Metric]:
    kinds = {(table.kind,): len(table) for table in snapshot.tables()}
    yield _gauge("series", "Series that are kept (h: h and d).", ("type",), kinds)
    yield _counter("series_expired", "Series dropped after idling.", (), {(): snapshot.stats.expired})
    yield _counter("series_dropped", "Series that were not kept.", ("reason",), _by(own.series_dropped))
    mapped = {outcome: snapshot.stats.mapped.get(outcome, 0) for outcome in OUTCOMES}
    text = "Series of commits, by what the mapping made of them."
    yield _counter("mapping_series", text, ("outcome",), _by(mapped))
    text = "Updates of summaries that have no quantiles, because too many have."
    yield _counter("summaries_without_quantiles", text, (), {(): snapshot.stats.without_quantiles})
    yield _gauge("mapping_rules", "Rules of the mapping file.", (), {(): snapshot.stats.rules})
    both = {**snapshot.stats.conflicts}
    for reason, number in conflicts.items():
        both[reason] = both.get(reason, 0) + number
    text = "Names here that went to series of another type or unit."
    yield _counter("name_takeovers", text, (), {(): snapshot.stats.takeovers})
    yield _counter("series_conflicts", "Series, or updates of them, left out.", ("reason",), _by(both))


def _outputs(own: OwnMetrics, snapshot: Snapshot) -> Iterator[Metric]:
    outputs = {(facts.name,): facts for facts in own.outputs}
    for name, text in (
        ("sent", "Flushes (repeat: lines) that an output has written."),
        ("failed", "Attempts to write, or to connect, that failed."),
        ("dropped", "Flushes (repeat: lines) that an output never got."),
    ):
        rows = {key: float(getattr(facts, name)) for key, facts in outputs.items()}
        yield _counter(f"output_{name}", text, ("output",), rows)
    queued = {key: float(facts.queued) for key, facts in outputs.items()}
    yield _gauge("output_queued", "Flushes (repeat: lines) that wait for an output.", ("output",), queued)
    used = {key: facts.queue_used for key, facts in outputs.items() if facts.queue_used is not None}
    yield _gauge("output_queue_used_ratio", "How full the queue of an output is, from 0 to 1.", ("output",), used)
    last = {key: facts.last_success for key, facts in outputs.items()}
    text = "When an output last wrote, 0 for never."
    yield _gauge("output_last_success_timestamp_seconds", text, ("output",), last)
    flushes = snapshot.flushes or FlushState({}, 0)
    text = "Timers of which a flush had too many different values to keep them exactly."
    yield _counter("timers_approximated", text, (), {(): flushes.approximated})
    text = "Sets of which a flush had too many members to count them exactly."
    yield _counter("sets_approximated", text, (), {(): snapshot.stats.sets_approximated})
    text = "Series of flushes that an output cannot tell apart from others."
    yield _counter("series_merged", text, (), {(): flushes.merged})
    text = "Times that flushes followed a clock that was set back by ten minutes or more."
    yield _counter("flushes_set_back", text, (), {(): flushes.set_back})


def _remotes(remotes: Sequence[RemoteFacts]) -> Iterator[Metric]:
    """Yield the families in which only outputs by remote write have numbers."""
    for name, text in (
        ("repeated", "Samples that the receiver had when they came again."),
        ("refused", "Samples of series that the receiver refuses."),
    ):
        rows = {(facts.name,): float(getattr(facts, name)) for facts in remotes}
        yield _counter(f"output_{name}", text, ("output",), rows)
    skipped = {(facts.name, reason): float(number) for facts in remotes for reason, number in facts.skipped.items()}
    yield _counter("output_skipped", "Samples that were given up.", ("output", "reason"), skipped)
    delivered = {(facts.name,): facts.delivered for facts in remotes}
    text = "Up to when the receiver has everything, 0 for never."
    yield _gauge("output_delivered_timestamp_seconds", text, ("output",), delivered)
    size = {(facts.name,): float(facts.sent_bytes) for facts in remotes}
    yield _counter("output_bytes", "Bytes of requests.", ("output",), size)
    times = HistogramMetricFamily(
        _PREFIX + "output_request_duration_seconds", "How long a request took.", labels=("output",)
    )
    for facts in remotes:
        buckets = [("+Inf" if isinf(bound) else repr(bound), float(count)) for bound, count in facts.buckets]
        times.add_metric((facts.name,), buckets, facts.seconds)
    yield times


def _sources(own: OwnMetrics) -> Iterator[Metric]:
    """Yield how many sources there are. Which they are is not for a database of metrics: see `status.who`."""
    found = {(one.listener,): float(one.sources) for one in own.sources}
    yield _gauge("sources", "Different sources of connections in the last minute.", ("listener",), found)
    shares = {(one.listener,): one.share for one in own.sources}
    yield _gauge("source_share", "Share of the largest source, from 0 to 1.", ("listener",), shares)


def _store(own: OwnMetrics) -> Metric:
    facts = {"store": own.store, "start": own.start}
    return InfoMetricFamily(_PREFIX + "store", "The store, and this start of the service.", value=facts)


def _build() -> Metric:
    facts = {
        "version": statsd_tcp.__version__,
        "python": platform.python_version(),
        "twisted": twisted.__version__,
    }
    return InfoMetricFamily(_PREFIX + "build", "The versions that run.", value=facts)


def _totals(
    own: OwnMetrics, metric: str, fields: Sequence[str], known: Iterable[tuple[str, ...]]
) -> dict[tuple[str, ...], float]:
    places = [TotalKey._fields.index(field) for field in fields]
    rows = dict.fromkeys(known, 0.0)
    for key, value in own.totals.items():
        if key.metric == metric:
            row = tuple(key[place] for place in places)
            rows[row] = rows.get(row, 0) + value
    return rows


def _by(numbers: Mapping[str, float] | Mapping[int, float]) -> dict[tuple[str, ...], float]:
    return {(str(label),): number for label, number in numbers.items()}


def _counter(name: str, text: str, labels: Sequence[str], rows: _Rows) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=labels)
    for row, number in rows.items():
        family.add_metric(row, number)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], rows: _Rows) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for row, number in rows.items():
        family.add_metric(row, number)
    return family
