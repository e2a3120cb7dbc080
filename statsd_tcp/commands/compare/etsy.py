"""What comes to etsy's server, from its console, which only has what came since the last flush.

Its flushes end every ``flushInterval`` after the second in which it was started. So the console is asked right before
each end, again and again until the end shows: the counter of lines, which only rises within a flush, has fallen then.
Dumps are read into numbers afterwards. The interval begins and ends in the middle of a flush.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from statsd_tcp.commands.compare.console import ConsoleError
from statsd_tcp.commands.compare.inspected import NotInspected, Values, read_lists, read_numbers
from statsd_tcp.commands.compare.readings import COUNT, COUNTER, GAUGE, SUM, Key, There, key_of
from statsd_tcp.commands.compare.sums import Sums

__all__ = ["Etsy"]

_LEAD = 0.05
"""Seconds before the end of a flush from which the console is asked on: what its clock and its timer may be off by."""

_PAUSE = 0.02
"""Seconds between two questions for the uptime, whose seconds tell when the server was started."""

_UPTIME = re.compile(r"uptime: (\d+)")
_MS = 1000.0
_OWN = ("bad_lines_seen", "packets_received", "metrics_received", "timestamp_lag")


_Look = tuple[str, str]
"""A dump of the timers, and right after it one of the counters."""

_NO_TIMERS = "{}"

_Dump = TypeVar("_Dump")


class _Console(Protocol):
    """What is asked, see `Console`."""

    def ask(self, command: str) -> str:
        """Return the answer to a command."""

    def config(self) -> dict[str, str]:
        """Return the configuration."""


class Etsy:
    """One server, watched over an interval. Everything raises `ConsoleError`."""

    def __init__(
        self,
        console: _Console,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._console, self._clock, self._sleep = console, clock, sleep
        config = console.config()
        try:
            self._length = float(config["flushInterval"]) / _MS
        except (KeyError, ValueError):
            raise ConsoleError("--etsy: this is no console of etsy's server: its config has no flushInterval") from None
        self._prefix = config.get("prefixStats", "statsd")
        self._lines = re.compile(rf"'{re.escape(self._prefix)}\.metrics_received': (\d+)")
        self._start = 0.0
        self._cost = 0.0
        self._asked = 0.0
        self._last: _Look = (_NO_TIMERS, "{}")
        self._sums = Sums({}, {})
        self.unseen = 0.0
        """Seconds before the ends of flushes of which nothing is known."""

    def await_moment(self) -> None:
        """Find out when flushes end, and wait for the middle of one."""
        self._start = self._started()
        self._sleep_until(self._middle(self._clock()))

    def begin(self) -> None:
        """Take the first look."""
        self._last = self._dumps()
        self._sums = Sums(*self._read(self._last))

    def wait(self, seconds: float) -> None:
        """Watch as many whole flushes as begin in ``seconds``, up to the middle of the last one."""
        flushes = max(1, math.ceil(seconds / self._length))
        first = math.ceil((self._clock() - self._start) / self._length)
        for number in range(first, first + flushes):
            self._watch(self._start + number * self._length)
        self._sleep_until(self._start + (first + flushes - 0.5) * self._length)

    def end(self) -> There:
        """Take the last look, and return what came in between."""
        # A look that shows the end of a flush does not tell of the timers of the next one.
        while self._look():
            pass
        self._sums.add(*self._read(self._last))
        counters, timers = self._sums.counters, self._sums.timers
        own = {name: counters.pop(f"{self._prefix}.{name}", 0.0) for name in _OWN}
        numbers: dict[Key, float | None] = {}
        names: dict[Key, str] = {}
        self._add(numbers, names, COUNTER, counters)
        self._add(numbers, names, COUNT, {name: float(values.number) for name, values in timers.items()})
        self._add(numbers, names, SUM, {name: _seconds(values) for name, values in timers.items()})
        self._add(numbers, names, GAUGE, self._gauges())
        return There(numbers, names, own["metrics_received"], own["bad_lines_seen"], shows_sets=False)

    def gauges(self) -> dict[Key, float]:
        """Return the gauges."""
        return {key_of(GAUGE, name): value for name, value in reversed(self._gauges().items())}

    def _gauges(self) -> dict[str, float]:
        gauges = _numbers(read_numbers, self._console.ask("gauges"))
        gauges.pop(f"{self._prefix}.timestamp_lag", None)
        return gauges

    def _add(
        self, numbers: dict[Key, float | None], names: dict[Key, str], what: str, found: Mapping[str, float | None]
    ) -> None:
        for name, value in found.items():
            key = key_of(what, name)
            before = numbers.get(key, 0.0)
            # Of two counters or timers that have one name on our page it shows the sum, of two gauges the first.
            if what == GAUGE:
                numbers.setdefault(key, value)
            else:
                numbers[key] = None if before is None or value is None else before + value
            names[key] = f"{names[key]}, {name}" if key in names else name

    def _started(self) -> float:
        """Return the second in which it was started, by our clock: its uptime goes up half a second off that."""
        uptime = self._uptime()
        while True:
            self._sleep(_PAUSE)
            asked = self._clock()
            now = self._uptime()
            if now != uptime:
                return asked - now + 0.5

    def _uptime(self) -> int:
        found = _UPTIME.match(self._console.ask("stats"))
        if found is None:
            raise ConsoleError("--etsy: this is no console of etsy's server: its stats have no uptime")
        return int(found[1])

    def _middle(self, now: float) -> float:
        return self._start + (math.ceil((now - self._start) / self._length - 0.5) + 0.5) * self._length

    def _watch(self, end: float) -> None:
        """Look at what a flush has until its end has been seen, or would have been."""
        self._sleep_until(end - _LEAD - 2 * self._cost)
        # What has come since a look was asked for may be in it or not.
        last = self._clock()
        while not self._look():
            last = self._asked
            # Its end shows when something had come to it; where nothing had come nothing is lost either.
            if last > end + (self._length / 4 if self._count(self._last) else _LEAD):
                return
        self.unseen += self._asked + self._cost - last

    def _look(self) -> bool:
        """Take a look; return whether a flush has ended since the last one."""
        self._asked = self._clock()
        look = self._dumps()
        self._cost = self._clock() - self._asked
        if self._count(look) >= self._count(self._last):
            self._last = look
            return False
        self._sums.add(*self._read(self._last))
        # The timers may be those of the flush that has ended, or of the next one: which, the next look shows.
        self._last = (_NO_TIMERS, look[1])
        return True

    def _dumps(self) -> _Look:
        return self._console.ask("timers"), self._console.ask("counters")

    def _count(self, look: _Look) -> int:
        """Return how many lines had come to the flush that was open."""
        found = self._lines.search(look[1])
        return int(found[1]) if found else 0

    def _read(self, look: _Look) -> tuple[dict[str, Values], dict[str, float]]:
        return _numbers(read_lists, look[0]), _numbers(read_numbers, look[1])

    def _sleep_until(self, moment: float) -> None:
        self._sleep(max(0.0, moment - self._clock()))


def _seconds(values: Values) -> float | None:
    return None if values.sum is None else values.sum / _MS


def _numbers(read: Callable[[str], _Dump], text: str) -> _Dump:
    try:
        return read(text)
    except NotInspected as error:
        raise ConsoleError(f"--etsy: {error}") from None
