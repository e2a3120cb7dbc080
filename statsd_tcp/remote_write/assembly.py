"""Outputs by remote write, made of the settings: what can fail at the start, and what needs the rest of the service."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from prometheus_client.core import Metric
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from statsd_tcp.flush.queues import QUEUE_BYTES
from statsd_tcp.remote_write.credentials import CredentialsError, read_credentials
from statsd_tcp.remote_write.freezing import Freezer, Page
from statsd_tcp.remote_write.output import RemoteWrite
from statsd_tcp.remote_write.receiver import IReceiver, Receiver
from statsd_tcp.settings.remote_write import RemoteTarget
from statsd_tcp.settings.settings import Settings, SettingsError
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.store.frozen import Bounds, Queue
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.collector import OwnCollector

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.store.database import Store

__all__ = ["make_receivers", "make_remotes"]

_T = TypeVar("_T")

Ask = Callable[[Callable[["Store"], Any]], Deferred[Any]]


def make_receivers(reactor: Any, targets: Sequence[RemoteTarget]) -> dict[str, IReceiver]:
    """Read the files that targets name, and make their receivers; raises `SettingsError` with all faults."""
    receivers: dict[str, IReceiver] = {}
    faults = []
    for target in targets:
        try:
            receivers[target.label] = Receiver(reactor, target.url, read_credentials(target))
        except CredentialsError as error:
            faults.append(f"--remote-write {target.url}: {error}")
    if faults:
        raise SettingsError(*faults)
    return receivers


def make_remotes(
    reactor: Any,
    settings: Settings,
    receivers: Mapping[str, IReceiver],
    ask: Ask,
    own: Callable[[Snapshot], OwnMetrics],
) -> list[RemoteWrite]:
    """Make the outputs. ``ask`` calls a function with the store in its thread, ``own`` gathers the own metrics."""
    page = Page(settings.counter_suffix)
    bounds = Bounds(settings.output_queue, QUEUE_BYTES)

    def stored(work: Callable[[sqlite3.Connection], _T]) -> Deferred[_T]:
        return ask(lambda store: store.change(work))

    def families(snapshot: Snapshot) -> Iterable[Metric]:
        # What is durable alone: a cell of shared memory may be gone after a crash, and a total must not fall.
        durable = msgspec.structs.replace(own(snapshot), totals=snapshot.totals())
        return OwnCollector(durable, snapshot, page.conflicts()).collect()

    def in_thread(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)

    return [
        RemoteWrite(
            reactor,
            Queue(target.label, bounds, target.labels, settings.counter_suffix),
            Freezer(page, target.labels, target.every),
            target.every,
            receivers[target.label],
            stored,
            families,
            receivers,
            in_thread,
        )
        for target in settings.remote_write
    ]
