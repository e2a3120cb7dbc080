"""The last minutes of every summary, for its quantiles: counts in bins that grow with the values.

A window moves on in a few steps: it is made of parts, of which the oldest goes when a new one begins, and it also
keeps their sum, so that a quantile costs one look. Only non-empty bins are there, as numbers in arrays. A bin is
known by one value that differs from all values in it by at most `ERROR` of them. When a window has too many bins,
each pair of neighbours becomes one, here and in its parts, which doubles that error.

Windows are in memory only. They are written by the thread of the store and read by those that write scrapes.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from threading import Lock
from typing import Final, Literal, NamedTuple

from statsd_tcp.mapping.rules import Treatment

__all__ = ["ERROR", "MOST_BINS", "MOST_WINDOWS", "Observations", "Quantile", "Windows"]

ERROR: Final = 0.01
"""How wrong a quantile may be, as a part of it, as long as the values of a window differ by a factor of 150 at most.
Twice as wrong up to a factor of 20,000, and so on."""

MOST_BINS: Final = 256
"""A window has at most so many bins, of 16 bytes at most for each of its steps and its sum."""

MOST_WINDOWS: Final = 100_000
"""So many summaries have quantiles at the same time: 4 to 10 kB each when they are busy. The others are counted."""

_BASE: Final = (1 + ERROR) / (1 - ERROR)
_PER_LOG: Final = 1 / math.log(_BASE)

_SPREAD: Final = 0.6180339887498949
"""Multiples of it are spread evenly between whole numbers."""

_SMALLEST: Final = 1e-9
_ZERO: Final = -(2**15)
"""The bin of all that is nearer to zero than `_SMALLEST`. It stays what it is when bins are joined."""


class Observations(NamedTuple):
    """What came for a summary: its id, the weight of each value, and how it is treated."""

    series_id: int
    weights: Mapping[float, float]
    treatment: Treatment


class Quantile(NamedTuple):
    """A quantile from 0 to 1, as it is written, and its value."""

    label: str
    value: float


class _Bins:
    """Weights by bin, in the order of the bins."""

    __slots__ = ("numbers", "weights")

    def __init__(self, typecode: Literal["d", "f"]) -> None:
        self.numbers = array("h")
        self.weights: array[float] = array(typecode)

    def add(self, numbers: Iterable[int], weights: Iterable[float]) -> None:
        """Add weights to bins."""
        own, totals = self.numbers, self.weights
        for number, weight in zip(numbers, weights, strict=True):
            place = bisect_left(own, number)
            if place < len(own) and own[place] == number:
                totals[place] += weight
            else:
                own.insert(place, number)
                totals.insert(place, weight)

    def join(self) -> None:
        """Make one bin of each pair of neighbours."""
        numbers, weights = self.numbers, self.weights
        self.numbers, self.weights = array("h"), array(weights.typecode)
        self.add(map(_joined, numbers), weights)


class _Part:
    """One step of a window: which one, and its bins."""

    __slots__ = ("bins", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.bins = _Bins("f")


class _Window:
    """One summary's window. ``joined`` says how often its bins were joined.

    ``phase``, from 0 to 1, is when its steps begin: to move on takes a while, and all should not do it at once.
    """

    __slots__ = ("joined", "known", "parts", "phase", "sum", "treatment")

    def __init__(self, treatment: Treatment, phase: float) -> None:
        self.treatment = treatment
        self.phase = phase
        self.parts: list[_Part] = []
        self.sum = _Bins("d")
        self.joined = 0
        self.known: tuple[Quantile, ...] | None = None

    def fits(self, treatment: Treatment) -> bool:
        """Tell whether the window moves on in the same steps."""
        own = self.treatment
        return (own.max_age, own.age_buckets) == (treatment.max_age, treatment.age_buckets)

    def observe(self, weights: Mapping[float, float], now: float) -> None:
        """Add values at a moment of the clock."""
        turn = self.move_to(now)
        if not self.parts or self.parts[-1].turn != turn:
            self.parts.append(_Part(turn))
        binned = _binned(weights)
        numbers: Iterable[int] = binned
        for _ in range(self.joined):
            numbers = map(_joined, numbers)
        places = list(numbers)
        self.parts[-1].bins.add(places, binned.values())
        self.sum.add(places, binned.values())
        while len(self.sum.numbers) > MOST_BINS:
            self._join()
        self.known = None

    def move_to(self, now: float) -> int:
        """Let the parts go that are too old, and give the number of the present one."""
        turn = int(now * self.treatment.age_buckets / self.treatment.max_age + self.phase)
        last = turn - self.treatment.age_buckets
        if self.parts and self.parts[0].turn <= last:
            self.parts = [part for part in self.parts if part.turn > last]
            self.sum = _sum_of(part.bins for part in self.parts)
            if not self.parts:
                self.joined = 0
            self.known = None
        return turn

    def quantiles(self) -> tuple[Quantile, ...]:
        """Give the quantiles of what is in the window; none if nothing is."""
        if self.known is None:
            self.known = _quantiles(self.sum, self.joined, self.treatment)
        return self.known

    def _join(self) -> None:
        self.joined += 1
        self.sum.join()
        for part in self.parts:
            part.bins.join()


class Windows:
    """The windows of all summaries, by the ids of their series. For any thread.

    ``clock`` gives seconds; there are at most ``most`` windows. ``refused`` counts how often there was none left.
    """

    def __init__(self, clock: Callable[[], float], most: int = MOST_WINDOWS) -> None:
        self._clock = clock
        self._most = most
        self.refused = 0
        self._lock = Lock()
        self._windows: dict[int, _Window] = {}

    def __len__(self) -> int:
        """Count the windows."""
        return len(self._windows)

    def observe(self, observations: Iterable[Observations]) -> None:
        """Add what came. Values below zero are not for it."""
        now = self._clock()
        for series_id, weights, treatment in observations:
            with self._lock:
                window = self._windows.get(series_id)
                if window is None and len(self._windows) >= self._most:
                    self.refused += 1
                    continue
                if window is None or not window.fits(treatment):
                    window = self._windows[series_id] = _Window(treatment, series_id * _SPREAD % 1)
                if window.treatment is not treatment:
                    window.treatment, window.known = treatment, None
                window.observe(weights, now)

    def forget(self, series_ids: Iterable[int]) -> None:
        """Drop windows."""
        with self._lock:
            for series_id in series_ids:
                self._windows.pop(series_id, None)

    def sweep(self) -> None:
        """Drop the windows that nothing is in any more."""
        now = self._clock()
        for series_id in list(self._windows):
            with self._lock:
                window = self._windows.get(series_id)
                if window is not None:
                    window.move_to(now)
                    if not window.parts:
                        del self._windows[series_id]

    def quantiles(self, series_ids: Sequence[int]) -> tuple[Quantile, ...]:
        """Give the quantiles of a series, or of several taken together; none if nothing came to them lately."""
        with self._lock:
            windows = [self._windows[series_id] for series_id in series_ids if series_id in self._windows]
            now = self._clock()
            for window in windows:
                window.move_to(now)
            if len(windows) == 1:
                return windows[0].quantiles()
            return _together(windows)


def _binned(weights: Mapping[float, float]) -> dict[int, float]:
    result: dict[int, float] = {}
    log, ceil = math.log, math.ceil
    for value, weight in weights.items():
        number = ceil(log(value) * _PER_LOG) if value > _SMALLEST else _ZERO
        result[number] = result.get(number, 0.0) + weight
    return result


def _sum_of(many: Iterable[_Bins]) -> _Bins:
    weights: dict[int, float] = {}
    for bins in many:
        for number, weight in zip(bins.numbers, bins.weights, strict=True):
            weights[number] = weights.get(number, 0.0) + weight
    result = _Bins("d")
    result.numbers = array("h", sorted(weights))
    result.weights = array("d", map(weights.__getitem__, result.numbers))
    return result


def _joined(number: int) -> int:
    return number if number == _ZERO else (number + 1) >> 1


def _quantiles(bins: _Bins, joined: int, treatment: Treatment) -> tuple[Quantile, ...]:
    if not bins.numbers:
        return ()
    upto = list(accumulate(bins.weights))
    last = len(upto) - 1
    places = [min(bisect_left(upto, quantile * upto[-1]), last) for quantile in treatment.quantiles]
    values = [_value(bins.numbers[place], joined) for place in places]
    return tuple(map(Quantile, map(repr, treatment.quantiles), values))


def _value(number: int, joined: int) -> float:
    """Give the value in the middle of a bin, so that both of its ends are wrong by the same factor."""
    base: float = _BASE ** (1 << joined)
    return 0.0 if number == _ZERO else 2 * base**number / (base + 1)


def _together(windows: Sequence[_Window]) -> tuple[Quantile, ...]:
    filled = [window for window in windows if window.parts]
    if not filled:
        return ()
    joined = max(window.joined for window in filled)
    both = _Bins("d")
    for window in filled:
        numbers: Iterable[int] = window.sum.numbers
        for _ in range(joined - window.joined):
            numbers = map(_joined, numbers)
        both.add(numbers, window.sum.weights)
    return _quantiles(both, joined, filled[0].treatment)
