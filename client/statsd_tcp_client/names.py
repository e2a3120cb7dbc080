"""The names under which programs count: those of the package `statsd`, with DogStatsD's tags in addition."""

from __future__ import annotations

import random
from collections import deque
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from statsd_tcp_client.stopwatch import Timer
from statsd_tcp_client.text import Tags, plain, sections

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Names", "Pipeline"]


class Names:
    """What a client and its pipelines have in common.

    ``rate`` below 1: the call counts with this probability, and its line says so. ``tags``: as in `Tags`. Wrong names
    and values that are not finite are dropped and counted; a value that is no number raises `TypeError`.
    """

    def _record(self, method: str, *args: Any) -> None:
        """Call a method of `Numbers`."""
        raise NotImplementedError

    def pipeline(self) -> Pipeline:
        """Return a place that keeps calls until `Pipeline.send`."""
        return Pipeline(self)

    def timer(self, stat: str, rate: float = 1, tags: Tags | None = None) -> Timer:
        """Return a context manager and decorator that sends how long something took."""
        return Timer(self, stat, rate, tags)

    def incr(self, stat: str, count: float = 1, rate: float = 1, tags: Tags | None = None) -> None:
        """Add to a counter."""
        if rate >= 1 or random.random() <= rate:  # noqa: S311  # a sample needs no secrecy
            self._record("count", stat, count, sections(rate, tags), min(rate, 1))

    def decr(self, stat: str, count: float = 1, rate: float = 1, tags: Tags | None = None) -> None:
        """Subtract from a counter."""
        self.incr(stat, -plain(count), rate, tags)

    def gauge(
        self,
        stat: str,
        value: float,
        rate: float = 1,
        delta: bool = False,
        tags: Tags | None = None,
    ) -> None:
        """Set a gauge, or with ``delta`` add to it. Raises `ValueError` for a delta with ``dialect="dogstatsd"``."""
        if rate < 1 and random.random() > rate:  # noqa: S311
            return
        if delta:
            self._record("change_gauge", stat, value, sections(1, tags))
        else:
            self._record("set_gauge", stat, value, sections(rate, tags), sections(1, tags))

    def set(self, stat: str, value: object, rate: float = 1, tags: Tags | None = None) -> None:
        """Add a member to a set: the number of different ones is counted."""
        if rate >= 1 or random.random() <= rate:  # noqa: S311
            self._record("add_member", stat, str(value), sections(rate, tags))

    def timing(self, stat: str, delta: float | timedelta, rate: float = 1, tags: Tags | None = None) -> None:
        """Add a time to a timer: milliseconds, or a `timedelta`."""
        if isinstance(delta, timedelta):
            delta = delta.total_seconds() * 1000.0
        self._measure(stat, delta, "ms", rate, tags)

    def histogram(self, stat: str, value: float, rate: float = 1, tags: Tags | None = None) -> None:
        """Add a value of any unit to a histogram, type ``h``. Etsy's server does not know it."""
        self._measure(stat, value, "h", rate, tags)

    def distribution(self, stat: str, value: float, rate: float = 1, tags: Tags | None = None) -> None:
        """Add a value of any unit to a distribution, type ``d``. Etsy's server does not know it."""
        self._measure(stat, value, "d", rate, tags)

    def _measure(self, stat: str, value: float, kind: str, rate: float, tags: Tags | None) -> None:
        if rate >= 1 or random.random() <= rate:  # noqa: S311
            self._record("measure", stat, value, kind, sections(rate, tags), min(rate, 1))


class Pipeline(Names):
    """Calls that are kept until `send`, or until the end of a ``with`` block. Not for several threads at once."""

    def __init__(self, client: Names) -> None:
        self._client = client
        self._stats: deque[tuple[Any, ...]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.send()

    def send(self) -> None:
        """Make all calls."""
        while self._stats:
            self._client._record(*self._stats.popleft())  # noqa: SLF001  # the other half of this class

    def _record(self, method: str, *args: Any) -> None:
        self._stats.append((method, *args))
