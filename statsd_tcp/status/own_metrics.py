"""The service's own numbers as plain data: `report.Report` gathers them, the collector writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from statsd_tcp.doctor.watch import Family
from statsd_tcp.kernel.accept_queue import AcceptQueue
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.status.who_table import Spread
from statsd_tcp.store.snapshot import TotalKey

__all__ = ["ListenerFacts", "OwnMetrics", "RemoteFacts", "WorkerQueue"]


class ListenerFacts(msgspec.Struct, frozen=True):
    """One listener: its label, whether it takes connections (or datagrams), only counts them, or takes batches."""

    label: str
    stream: bool
    count_only: bool = False
    takes_batches: bool = False


class RemoteFacts(NamedTuple):
    """How a remote write output does, beyond what all outputs have.

    ``repeated``, ``refused`` and ``skipped`` count samples. ``delivered`` is the time of the last request that was
    taken, in seconds since 1970, 0 for none. ``buckets`` are pairs of a bound and how many requests took no longer.
    """

    name: str
    repeated: int
    refused: int
    skipped: Mapping[str, int]
    delivered: float
    sent_bytes: int
    seconds: float
    buckets: tuple[tuple[float, int], ...]


class WorkerQueue(msgspec.Struct, frozen=True):
    """The accept queue of a listener and a worker: its slot, or ``shared`` for the one queue of a Unix socket."""

    listener: str
    worker: int | Literal["shared"]
    queue: AcceptQueue


class OwnMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What `/metrics` says about the service itself, read at the moment of the scrape.

    ``totals`` is what `Snapshot.totals` gave with the ledgers' live cells. The other mappings have every
    label value that is known, with 0 where nothing happened. ``worker_slots`` are the slots of all workers,
    alive or not. ``store`` is the UUID of the store, and ``start`` tells this start of the service from others.
    """

    listeners: Sequence[ListenerFacts]
    worker_slots: Sequence[int]
    totals: Mapping[TotalKey, int]
    workers: Mapping[str, int]
    worker_restarts: Mapping[str, int]
    accept_paused: Mapping[str, bool]
    accept_queues: Sequence[WorkerQueue]
    receive_drops: Mapping[str, int]
    worker_open_fds: Mapping[int, int]
    worker_resident_memory_bytes: Mapping[int, int]
    reactor_gap_seconds_max: float
    series_dropped: Mapping[str, int]
    http_refused: Mapping[str, int] = {}
    config_last_reload_successful: bool = True
    ledgers_set_aside: int = 0
    journals_waiting: int = 0
    recovery_faults: Mapping[str, int] = {}
    underway: Mapping[str, float] = {}
    outputs: Sequence[OutputFacts] = ()
    remotes: Sequence[RemoteFacts] = ()
    kernel: Sequence[Family] = ()
    sources: Sequence[Spread] = ()
    store: str = ""
    start: str = ""
