"""What the settings ask to be known of sources, and what one source may do."""

from __future__ import annotations

import os
from collections.abc import Sequence

from statsd_tcp import native
from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.trust import Trust
from statsd_tcp.ledger.cells import LIMIT_ACTIONS
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.settings import Settings
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.who import Listener
from statsd_tcp.who.limit_board import LimitBoard
from statsd_tcp.who.limit_memory import LimitPlan
from statsd_tcp.who.memory import SourceBoard, SourcePlan

__all__ = ["make_board", "make_limits", "of_sources"]


def make_board(settings: Settings) -> SourceBoard | None:
    """Make what sources are counted on, if they are. Counting in Python costs more than a connection does."""
    is_cheap = native.is_used(os.environ)
    counts = settings.who == "all" or (settings.who and is_cheap)
    return SourceBoard(SourcePlan.by_chance(*settings.who_mask)) if counts else None


def make_limits(settings: Settings, workers: int) -> LimitBoard | None:
    """Make what limits sources, if there are limits."""
    rate = settings.source_rate
    if rate is None and not settings.source_open:
        return None
    interval = round(NANOSECONDS / rate.rate) if rate else 0
    plan = LimitPlan(
        SourcePlan.by_chance().keys,
        # A worker has a column until it has ended, while its successor has one already.
        columns=2 * workers + 2,
        interval=interval,
        room=interval * rate.burst if rate else 0,
        most_open=settings.source_open,
        action=LIMIT_ACTIONS.index(settings.source_limit_mode),
        bits_4=settings.who_mask.ipv4,
        bits_6=settings.who_mask.ipv6,
        exempt=Trust(settings.source_exempt).packed,
    )
    return LimitBoard(plan)


def of_sources(listeners: Sequence[BoundListener]) -> list[Listener]:
    """Describe listeners as far as sources go."""
    return [Listener(one.label, may_have_header=_may_have_header(one.endpoint)) for one in listeners]


def _may_have_header(endpoint: Endpoint) -> bool:
    """Return whether a balancer in front could say who its clients are, and is not asked to."""
    return endpoint.stream and not endpoint.path and not endpoint.count_only and endpoint.proxy is None
