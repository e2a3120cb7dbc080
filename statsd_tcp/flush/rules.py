"""How output flushes are made, and what a snapshot tells of them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.collisions import PathNames
from statsd_tcp.aggregate.known_series import IdleRules
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.flush.queues import Waiting

__all__ = ["DEFAULT_QUEUE", "LAG", "MAX_SERIES", "FlushRules", "FlushState"]

MAX_SERIES = Amount(1_000_000, 128 << 20)
"""The most series that are kept unless another limit is configured."""

DEFAULT_QUEUE = 8_640
"""Flushes that may wait for an output unless another number is configured: a day, at ten seconds each."""

LAG = 0.5
"""Seconds. A commit brings what about one second before it has gathered, and belongs to the middle of that second."""


class FlushRules(msgspec.Struct, frozen=True, kw_only=True):
    """How flushes are made: their length in seconds, the numbers of timers, and what becomes of the idle.

    ``outputs`` are the names of the outputs that results are queued for, ``queue`` how many may wait for each;
    ``path_names`` is that of those which cannot tell all series apart.
    """

    seconds: int = 10
    timers: TimerRules = TimerRules()
    idle: IdleRules = IdleRules()
    outputs: tuple[str, ...] = ()
    queue: int = DEFAULT_QUEUE
    limit: Amount = MAX_SERIES
    path_names: PathNames | None = None


class FlushState(msgspec.Struct, frozen=True):
    """What a snapshot tells about flushes.

    ``queues`` are those of the outputs; ``approximated`` counts the timers that were only kept approximately,
    ``set_back`` how often flushes followed a clock that was set back far, ``merged`` the series of flushes that an
    output cannot tell apart from others. ``alike`` are two that were last found to be such.
    """

    queues: Mapping[str, Waiting]
    approximated: int
    set_back: int = 0
    merged: int = 0
    alike: tuple[str, ...] = ()
