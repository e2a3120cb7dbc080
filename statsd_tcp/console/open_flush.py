"""The open output flush: what has come so far, as the outputs would get it if the flush ended now."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from statsd_tcp.aggregate.collisions import Group
from statsd_tcp.aggregate.flushes import OpenFlush
from statsd_tcp.aggregate.known_series import KnownSeries
from statsd_tcp.aggregate.timers import TimerRules, idle_timer
from statsd_tcp.wire.notation import as_text

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.store.database import Store

__all__ = ["open_series"]


def open_series(store: Store, kind: Group, timers: TimerRules) -> list[tuple[str, Any]]:
    """Return the series of a kind with their names as text, in the order of these. To be called in the store's thread.

    Counters: how much they went up; sets: how many different members came; timers: their numbers by name, following
    ``timers``. Series that are known but idle are there with zeros. Gauges: their last committed values.
    Two series may have the same text, a name with a ``;`` in it and a name with a tag: both are there.
    """
    flushes = store.flushes
    if kind == "gauges":
        found: Mapping[str, Any] = dict(store.snapshot.gauges.items())
    elif flushes is None or flushes.open is None:
        found = {}
    elif kind == "counters":
        found = _counters(flushes.open, flushes.open_counters())
    elif kind == "sets":
        found = _sets(flushes.open, flushes.known)
    else:
        found = _timers(flushes.open, flushes.known, timers)
    return sorted([(as_text(identity), _shown(value)) for identity, value in found.items()], key=itemgetter(0))


def _shown(value: Any) -> Any:
    """Write whole numbers without a point, as they were sent."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return value if isinstance(value, int) else {name: _shown(number) for name, number in value.items()}


def _counters(flush: OpenFlush, counters: Mapping[str, float]) -> Mapping[str, float]:
    # etsy's server counts these as counters among the others.
    own = {
        "statsd.bad_lines_seen": float(flush.bad_lines),
        "statsd.packets_received": float(flush.datagrams),
        "statsd.metrics_received": float(flush.lines),
    }
    return own | dict(counters)


def _sets(flush: OpenFlush, known: KnownSeries) -> Mapping[str, int]:
    members = {identity: len(each) for identity, each in flush.sets.items()}
    return dict.fromkeys(known.identities("s"), 0) | members


def _timers(flush: OpenFlush, known: KnownSeries, rules: TimerRules) -> Mapping[str, Mapping[str, float]]:
    return dict.fromkeys(known.identities("ms"), idle_timer(rules)) | flush.observed.numbers(flush.seconds, rules)
