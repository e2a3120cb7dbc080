"""What a program counts between two batches: added up by series, and bounded by bytes. Pure: no clock and no lock."""

from __future__ import annotations

import sys
from typing import Any, Callable, TypeVar, Union

from statsd_tcp_client.series import Counter, Gauge, Members, Series, Timer
from statsd_tcp_client.text import LARGEST, LARGEST_CHANGE, is_member, is_name, is_sections, plain

__all__ = ["REASONS", "Numbers"]

_S = TypeVar("_S", Counter, Gauge, Timer, Members)

Key = Union[str, tuple[str, ...]]

_HIGHEST = sys.float_info.max

_SERIES = 200
"""Bytes that a series takes in addition to its name: an object with a few numbers, and its place in the dictionary."""

_VALUE = 24
"""Bytes that a value of a timer takes, as a number or as text."""

_MEMBER = 100
"""Bytes that a member of a set takes in addition to itself and its line."""

REASONS = ("full", "bad_name", "bad_value", "refused", "exit")
"""Why a call was dropped.

- ``full``: there was no room for a new series, value or member, because the server is away;
- ``bad_name``: the name, a tag or a member is empty, too long, or contains what would end it;
- ``bad_value``: not finite, or not below 2^53 in magnitude (a gauge: a change beyond 2^64, or a value below -2^64);
- ``refused``: the server refused the batch three times;
- ``exit``: the deadline at the end of the process passed first.
"""


class Numbers:
    """The series since the last batch.

    All methods return whether this was the first entry: then something should see to it that it is sent. A counter
    that is known is added to even when all room is taken, because that needs none.
    """

    def __init__(self, max_bytes: int, *, prefix: str = "", tags: str = "", dialect: str = "etsy") -> None:
        """``prefix`` goes before each name as it is, ``tags`` is a section that each line has."""
        self.dropped = dict.fromkeys(REASONS, 0)
        self.examples: dict[str, str] = {}
        """For each reason the first name that was dropped for it."""
        self.held = 0
        """Bytes that were taken out and still wait: they count as room that is taken."""
        self._max_bytes = max_bytes
        self._prefix = prefix
        self._tags = tags
        self._dogstatsd = dialect == "dogstatsd"
        self.series: dict[Key, Any] = {}
        """By name, for counters without anything more; by kind, name and what follows the type. It stays this dict."""
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self.series)

    @property
    def made(self) -> int:
        """The number of calls that wait here."""
        return sum(series.made for series in self.series.values())

    @property
    def room(self) -> int:
        """Bytes that are left."""
        return max(0, self._max_bytes - self._bytes - self.held)

    def drop(self, reason: str, name: str, made: int = 1) -> bool:
        """Count what cannot be kept; False, because there is nothing to be sent."""
        self.dropped[reason] += made
        self.examples.setdefault(reason, name[:200])
        return False

    def count(self, name: str, value: float, sections: str = "", rate: float = 1) -> bool:
        """Add to a counter.

        Rises and falls are summed apart: a server whose totals never fall leaves falls out, and could not know them
        from a sum of both.
        """
        value = plain(value)
        # One comparison for all that would spoil a sum: it is also false for NaN.
        largest = LARGEST * rate
        if not -largest < value < largest:
            return self.drop("bad_value", name)
        key: Key = name if value >= 0 and not sections else (name, sections, "falls" if value < 0 else "")
        try:
            counter = self.series[key]
        except KeyError:
            return self._first_count(key, name, value, sections, largest)
        counter.total += value
        counter.made += 1
        return False

    def set_gauge(self, name: str, value: float, sections: str = "", tags: str = "") -> bool:
        """Set a gauge. ``sections`` has the rate and the tags, ``tags`` the latter alone."""
        value = plain(value)
        lowest = -_HIGHEST if self._dogstatsd else -LARGEST_CHANGE
        if not lowest <= value <= _HIGHEST:
            return self.drop("bad_value", name)
        return self._gauge(name, tags, lambda gauge: gauge.set(value, self._merged(sections)))

    def change_gauge(self, name: str, by: float, tags: str = "") -> bool:
        """Add to a gauge. Raises `ValueError` for DogStatsD, where a value with a sign is a value."""
        if self._dogstatsd:
            raise ValueError("delta=True: DogStatsD servers have no changes of gauges")
        by = plain(by)
        if not -LARGEST_CHANGE <= by <= LARGEST_CHANGE:
            return self.drop("bad_value", name)
        return self._gauge(name, tags, lambda gauge: gauge.change(by))

    def measure(self, name: str, value: float, kind: str, sections: str = "", rate: float = 1) -> bool:
        """Add a value to a timer, histogram or distribution."""
        if type(value) is not float:
            value = plain(value)
        largest = LARGEST * rate
        if not -largest < value < largest:
            return self.drop("bad_value", name)
        timer = self.series.get((kind, name, sections))
        if timer is not None and self._bytes + self.held + timer.cost <= self._max_bytes:
            timer.values.append(value)
            self._bytes += timer.cost
            return False
        first = not self.series
        timer = self._find((kind, name, sections), name, sections, self._cost_of(name, sections), self._timer_of(kind))
        if timer is None:
            return False
        timer.cost = self._cost_of(name, sections)
        timer.values.append(value)
        self._bytes += timer.cost
        return first

    def add_member(self, name: str, member: str, sections: str = "") -> bool:
        """Add a member to a set."""
        if not is_member(member):
            return self.drop("bad_name", f"{name}:{member}")
        first = not self.series
        known = self.series.get(("s", name, sections))
        is_new = known is None or member not in known.members
        needs = _MEMBER + _size(member) + self._line_of(name, sections) if is_new else 0
        members = self._find(("s", name, sections), name, sections, needs, Members)
        if members is None:
            return False
        members.members[member] = members.members.get(member, 0) + 1
        members.made += 1
        self._bytes += needs
        return first

    def take(self) -> list[Series]:
        """Return all series, and begin again with none."""
        taken = list(self.series.values())
        self.series.clear()
        self._bytes = 0
        return taken

    def _first_count(self, key: Key, name: str, value: float, sections: str, largest: float) -> bool:
        first = not self.series
        counter = self._find(key, name, sections, 0, lambda full, merged: Counter(full, merged, largest))
        if counter is None:
            return False
        counter.total = value
        counter.made = 1
        return first

    def _gauge(self, name: str, tags: str, apply: Callable[[Gauge], None]) -> bool:
        first = not self.series
        gauge = self._find(("g", name, tags), name, tags, 0, self._new_gauge)
        if gauge is None:
            return False
        apply(gauge)
        return first

    def _new_gauge(self, name: str, sections: str) -> Gauge:
        return Gauge(name, sections, signed=not self._dogstatsd)

    def _timer_of(self, kind: str) -> Callable[[str, str], Timer]:
        return lambda name, sections: Timer(name, sections, kind, packed=self._dogstatsd)

    def _cost_of(self, name: str, sections: str) -> int:
        """Return the bytes that a value of a timer takes: with tags each has a line of its own, but for DogStatsD."""
        if self._dogstatsd or not (self._tags or "|#" in sections):
            return _VALUE + _size(sections)
        return _VALUE + self._line_of(name, sections)

    def _line_of(self, name: str, sections: str) -> int:
        return sum(_size(text) for text in (self._prefix, name, self._tags, sections))

    def _find(self, key: Key, name: str, sections: str, needs: int, make: Callable[[str, str], _S]) -> _S | None:
        """Return the series, a new one if need be; None when there is no room for what it needs more."""
        series: _S | None = self.series.get(key)
        full = self._prefix + name
        if series is None:
            merged = self._merged(sections)
            if not (is_name(full) and is_sections(merged)):
                self.drop("bad_name", f"{name}{sections}")
                return None
            # A gauge may need two lines.
            own = _SERIES + 2 * (_size(full) + _size(merged))
            needs += own
        if needs > self.room:
            self.drop("full", name)
            return None
        if series is None:
            series = self.series[key] = make(full, merged)
            self._bytes += own
        return series

    def _merged(self, sections: str) -> str:
        """Add the tags that each line has."""
        if not self._tags:
            return sections
        before, mark, own = sections.partition("|#")
        return f"{before}{self._tags},{own}" if mark else f"{sections}{self._tags}"


def _size(text: str) -> int:
    """Return how many bytes a text takes at most."""
    return len(text) if text.isascii() else 4 * len(text)
