"""A client without its way to the network: numbers under a lock, and the engine that its shell drives.

`incr` and its like take one lock for less than a microsecond, which nothing else holds for longer: lines are written,
and sockets used, with it released. It may be taken again by the thread that has it, so that a signal handler or a
finalizer that counts does not wait for itself.
"""

from __future__ import annotations

import random
from datetime import timedelta
from threading import RLock
from typing import Any

from statsd_tcp_client.books import Stats
from statsd_tcp_client.engine import Engine
from statsd_tcp_client.names import Names
from statsd_tcp_client.numbers import Numbers
from statsd_tcp_client.processes import watch
from statsd_tcp_client.series import Series
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.text import LARGEST, Tags, tag_section

__all__ = ["Meter"]


class Meter(Names):
    """What the clients of all shells have in common."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reset()
        watch(self)

    def incr(self, stat: str, count: float = 1, rate: float = 1, tags: Tags | None = None) -> None:
        """Add to a counter. Never waits for the network, and raises nothing for it."""
        # The most frequent call, without a call of another function: `Numbers.count` does the same.
        if (type(count) is int or type(count) is float) and rate >= 1 and 0 <= count < LARGEST:
            key = (stat, tag_section(tags), "") if tags else stat
            with self._lock:
                counter = self._series.get(key)
                if counter is not None:
                    counter.total += count
                    counter.made += 1
                    return
        Names.incr(self, stat, count, rate, tags)

    def timing(self, stat: str, delta: float | timedelta, rate: float = 1, tags: Tags | None = None) -> None:
        """Add a time to a timer: milliseconds, or a `timedelta`."""
        if rate >= 1 and not isinstance(delta, timedelta):
            section = tag_section(tags) if tags else ""
            with self._lock:
                first = self._numbers.measure(stat, delta, "ms", section)
            if first:
                self._begin()
            return
        Names.timing(self, stat, delta, rate, tags)

    def stats(self) -> Stats:
        """Return what became of every call until now."""
        with self._engine_lock, self._lock:
            return self._engine.stats()

    def reconnect(self) -> None:
        """Have the connections replaced, each as soon as nothing is under way on it."""
        with self._engine_lock:
            self._engine.retire()
        self._begin()

    # For the shells, and for `processes`.

    def after_fork(self) -> None:
        """Begin with nothing, as a child: what the parent has not sent yet, the parent sends."""
        self._let_go()
        self._reset()

    def finish(self, timeout: float) -> None:
        """Send what there is, for at most this many seconds: the process ends."""
        raise NotImplementedError

    def _reset(self) -> None:
        self._lock = RLock()
        self._engine_lock = RLock()
        settings = self._settings
        self._numbers = Numbers(
            settings.max_bytes, prefix=settings.start, tags=settings.section, dialect=settings.dialect
        )
        self._series = self._numbers.series
        chance = random.Random()  # noqa: S311  # when connections are made and replaced
        self._engine = Engine(settings, self._numbers, self._take, random=chance)

    def _let_go(self) -> None:
        """Close what was inherited in a way that the parent does not notice."""
        raise NotImplementedError

    def _begin(self) -> None:
        """See to it that what was counted is sent: called with the first number after the last ones were taken."""
        raise NotImplementedError

    def _record(self, method: str, *args: Any) -> None:
        with self._lock:
            first = getattr(self._numbers, method)(*args)
        if first:
            self._begin()

    def _take(self) -> list[Series]:
        with self._lock:
            return self._numbers.take()
