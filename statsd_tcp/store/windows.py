"""The last minutes of every summary, for its quantiles: counts in bins that grow with the values.

A window moves on in a few steps: it is made of parts, of which the oldest goes when a new one begins, and it also
keeps their sum, so that a quantile costs one look. A quantile is wrong by at most `bins.ERROR` of it as long as the
values of a window differ by a factor of 150 at most. When there are too many bins, each pair of neighbours becomes
one, here and in the parts: twice as wrong then, up to a factor of 20,000, and so on.

Windows are in memory only. They are written by the thread of the store and read by those that write scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from threading import Lock
from typing import Final, NamedTuple

from statsd_tcp.aggregate.values import Counted
from statsd_tcp.mapping.rules import Treatment
from statsd_tcp.store.bins import Bins, binned, joined_times, sum_of, value_of

__all__ = ["MOST_BINS", "MOST_WINDOWS", "Observations", "Quantile", "Windows"]

MOST_BINS: Final = 256
"""A window has at most so many bins, of 16 bytes at most for each of its steps and its sum."""

MOST_WINDOWS: Final = 100_000
"""So many summaries have quantiles at the same time: 4 to 10 kB each when they are busy. The others are counted."""

_SPREAD: Final = 0.6180339887498949
"""Multiples of it are spread evenly between whole numbers."""


class Observations(NamedTuple):
    """What came for a summary: its id, the values with their weights, and how it is treated."""

    series_id: int
    counted: Counted
    treatment: Treatment


class Quantile(NamedTuple):
    """A quantile from 0 to 1, as it is written, and its value."""

    label: str
    value: float


class _Part:
    """One step of a window: which one, and its bins."""

    __slots__ = ("bins", "turn")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.bins = Bins("f")


class _Window:
    """One summary's window. ``joined`` says how often its bins were joined.

    ``phase``, from 0 to 1, is when its steps begin: to move on takes a while, and all should not do it at once.
    """

    __slots__ = ("joined", "known", "parts", "phase", "sum", "treatment")

    def __init__(self, treatment: Treatment, phase: float) -> None:
        self.treatment = treatment
        self.phase = phase
        self.parts: list[_Part] = []
        self.sum = Bins("d")
        self.joined = 0
        self.known: tuple[Quantile, ...] | None = None

    def fits(self, treatment: Treatment) -> bool:
        """Tell whether the window moves on in the same steps."""
        own = self.treatment
        return (own.max_age, own.age_buckets) == (treatment.max_age, treatment.age_buckets)

    def observe(self, counted: Counted, now: float) -> None:
        """Add values at a moment of the clock."""
        turn = self.move_to(now)
        if not self.parts or self.parts[-1].turn != turn:
            self.parts.append(_Part(turn))
        numbers, weights = binned(counted)
        places = list(joined_times(numbers, self.joined))
        self.parts[-1].bins.add(places, weights)
        self.sum.add(places, weights)
        while len(self.sum.numbers) > MOST_BINS:
            self._join()
        self.known = None

    def move_to(self, now: float) -> int:
        """Let the parts go that are too old, and give the number of the present one."""
        turn = int(now * self.treatment.age_buckets / self.treatment.max_age + self.phase)
        last = turn - self.treatment.age_buckets
        if self.parts and self.parts[0].turn <= last:
            self.parts = [part for part in self.parts if part.turn > last]
            self.sum = sum_of(part.bins for part in self.parts)
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
        """Add what came."""
        now = self._clock()
        for series_id, counted, treatment in observations:
            with self._lock:
                window = self._windows.get(series_id)
                if window is None and len(self._windows) >= self._most:
                    self.refused += 1
                    continue
                if window is None or not window.fits(treatment):
                    window = self._windows[series_id] = _Window(treatment, series_id * _SPREAD % 1)
                if window.treatment is not treatment:
                    window.treatment, window.known = treatment, None
                window.observe(counted, now)

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
        now = self._clock()
        with self._lock:
            windows = [window for window in map(self._windows.get, series_ids) if window is not None]
            for window in windows:
                window.move_to(now)
            return windows[0].quantiles() if len(windows) == 1 else _together(windows)


def _quantiles(bins: Bins, joined: int, treatment: Treatment) -> tuple[Quantile, ...]:
    if not bins.numbers:
        return ()
    upto = list(accumulate(bins.weights))
    last = len(upto) - 1
    places = [min(bisect_left(upto, quantile * upto[-1]), last) for quantile in treatment.quantiles]
    values = [value_of(bins.numbers[place], joined) for place in places]
    return tuple(map(Quantile, _labels(treatment.quantiles), values))


@lru_cache
def _labels(quantiles: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(map(repr, quantiles))


def _together(windows: Sequence[_Window]) -> tuple[Quantile, ...]:
    filled = [window for window in windows if window.parts]
    if not filled:
        return ()
    joined = max(window.joined for window in filled)
    both = Bins("d")
    for window in filled:
        both.add(joined_times(window.sum.numbers, joined - window.joined), window.sum.weights)
    return _quantiles(both, joined, filled[0].treatment)
