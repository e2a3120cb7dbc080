"""What became of the connections: counts that can be added up over processes, and the latencies."""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import NamedTuple

from hdrh.histogram import HdrHistogram

__all__ = ["OWN_FAILURES", "Bucket", "Latencies", "Outcome", "Progress", "Result", "outcome_of"]

MICROSECONDS = 1_000_000
LONGEST = 3600 * MICROSECONDS
DIGITS = 3

# As many rows as a histogram may have that is still small.
MOST_BUCKETS = 15

# How much later than due a connection may begin before we say so. The kernel's own tick is up to 10 ms.
TOLERATED_LAG = 0.010


class Outcome(StrEnum):
    """How a connection ended; every one that was begun ends in exactly one."""

    COMPLETED = "completed"
    """Handshake, everything handed to the kernel, and the server's FIN where the client waits for it."""
    REFUSED = "refused"
    RESET = "reset"
    TIMED_OUT = "timed out"
    CUT_SHORT = "cut short"
    """The server's FIN came before the client had sent everything."""
    UNCONFIRMED = "unconfirmed"
    """The server's FIN came without the confirmation that the client waits for."""
    ERROR = "error"
    """Anything else, by errno."""


# The server and the network are innocent of these: no descriptor, port, memory or right to be had here.
OWN_FAILURES = frozenset(
    errno.errorcode[code]
    for code in (
        errno.EACCES,
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EPERM,
    )
)

_OUTCOMES = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    # What a reset is called after the server's FIN.
    errno.EPIPE: Outcome.RESET,
    errno.ETIMEDOUT: Outcome.TIMED_OUT,
}


def outcome_of(code: int) -> Outcome:
    """Return the outcome that an errno stands for."""
    return _OUTCOMES.get(code, Outcome.ERROR)


class Bucket(NamedTuple):
    """How many values lie from ``least`` up to below ``most``, in seconds."""

    least: float
    most: float
    values: int


class Latencies:
    """A latency distribution with three significant digits, from a microsecond to an hour.

    ``fresh`` takes new values in seconds; they are sorted in by :meth:`settle`, many at once, because
    recording one by one costs as much as a system call.
    """

    __slots__ = ("_histogram", "fresh")

    def __init__(self, encoded: bytes | None = None) -> None:
        self.fresh: list[float] = []
        self._histogram = HdrHistogram(1, LONGEST, DIGITS)
        if encoded is not None:
            self.merge(encoded)

    def merge(self, encoded: bytes) -> None:
        """Add a distribution that was encoded elsewhere."""
        self._histogram.decode_and_add(encoded)

    def settle(self) -> None:
        """Sort the fresh values in."""
        fresh, self.fresh[:] = list(self.fresh), ()
        for value, count in Counter(int(seconds * MICROSECONDS) for seconds in fresh).items():
            self._histogram.record_value(min(max(value, 0), LONGEST), count)

    def encode(self) -> bytes:
        """Write the distribution in HdrHistogram's portable form."""
        self.settle()
        return bytes(self._histogram.encode())

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self._histogram.get_total_count())

    def percentile(self, percent: float) -> float:
        """Return a percentile in seconds."""
        return float(self._histogram.get_value_at_percentile(percent)) / MICROSECONDS

    def buckets(self) -> list[Bucket]:
        """Return the distribution in steps of 1, 2 and 5, from the first to the last one that is not empty.

        Where these would be more than `MOST_BUCKETS`, in steps of 1 and 10.
        """
        for steps in ((1, 2, 5), (1,)):
            found = self._counted(steps)
            if len(found) <= MOST_BUCKETS:
                break
        return found

    def _counted(self, steps: tuple[int, ...]) -> list[Bucket]:
        edges = [0, *(step * 10**power for power in range(len(str(LONGEST)) + 1) for step in steps)]
        counts = [0] * len(edges)
        for item in self._histogram.get_recorded_iterator():
            counts[bisect_right(edges, item.value_iterated_to) - 1] += item.count_added_in_this_iter_step
        used = [position for position, count in enumerate(counts) if count]
        if not used:
            return []
        shown = range(used[0], used[-1] + 1)
        return [Bucket(edges[i] / MICROSECONDS, edges[i + 1] / MICROSECONDS, counts[i]) for i in shown]

    @property
    def mean(self) -> float:
        """The arithmetic mean in seconds; 0 if there is no value."""
        return float(self._histogram.get_mean_value()) / MICROSECONDS if self.count else 0.0


@dataclass(slots=True)
class Progress:
    """Where one process stands."""

    begun: int = 0
    completed: int = 0
    failed: int = 0
    open: int = 0
    lines: int = 0

    def add(self, other: Progress) -> None:
        """Add another process's."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


_SUMS = (
    "begun",
    "completed",
    "established",
    "certain",
    "lines",
    "certain_lines",
    "sent_bytes",
    "sends",
    "held_back",
    "behind",
    "cpu",
)


@dataclass(slots=True)
class Result:
    """The counts of one process, or of several added up. Times in seconds, on a monotonic clock.

    ``established`` had their handshake as far as the client could see; of ``certain`` the client saw the
    server's end too, so they were accepted; or its confirmation, if it waits for one. ``lines`` were handed to the
    kernel, if only in part; ``certain_lines`` were followed by the server's clean end. ``sends`` are the rounds on kept
    connections. ``held_back`` began late because too many were open, ``behind`` because this program was busy.
    ``begun_of`` and ``completed_of`` are for each shape of a mix.
    """

    begun: int = 0
    completed: int = 0
    failures: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(list(Outcome)[1:], 0))
    errors: dict[str, int] = field(default_factory=dict)
    established: int = 0
    certain: int = 0
    lines: int = 0
    certain_lines: int = 0
    sent_bytes: int = 0
    sends: int = 0
    held_back: int = 0
    behind: int = 0
    worst_lag: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    cpu: float = 0.0
    latencies: bytes | None = None
    begun_of: Counter[str] = field(default_factory=Counter)
    completed_of: Counter[str] = field(default_factory=Counter)

    @property
    def elapsed(self) -> float:
        """Seconds from the first connection's time to the last one's end."""
        return max(self.ended - self.began, 1e-6)

    @property
    def failed(self) -> int:
        """How many did not complete."""
        return sum(self.failures.values())

    @property
    def own_failures(self) -> int:
        """How many failed because of this machine, not of the server or the network."""
        return sum(count for name, count in self.errors.items() if name in OWN_FAILURES)

    def failure(self, code: int) -> None:
        """Count a connection that ended with an errno."""
        outcome = outcome_of(code)
        self.failures[outcome] += 1
        if outcome is Outcome.ERROR:
            name = errno.errorcode.get(code) or os.strerror(code)
            self.errors[name] = self.errors.get(name, 0) + 1

    def lag(self, seconds: float, *, held_back: bool) -> None:
        """Take note of how late something began, and of whose fault it was."""
        self.worst_lag = max(self.worst_lag, seconds)
        if seconds > TOLERATED_LAG:
            if held_back:
                self.held_back += 1
            else:
                self.behind += 1

    def add(self, other: Result) -> None:
        """Add another process's counts."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for outcome, count in other.failures.items():
            self.failures[outcome] += count
        for error, count in other.errors.items():
            self.errors[error] = self.errors.get(error, 0) + count
        self.begun_of += other.begun_of
        self.completed_of += other.completed_of
        self.worst_lag = max(self.worst_lag, other.worst_lag)
        self.began = min(self.began, other.began) if self.began else other.began
        self.ended = max(self.ended, other.ended)
        self._add_latencies(other)

    def _add_latencies(self, other: Result) -> None:
        if self.latencies is None:
            self.latencies = other.latencies
        elif other.latencies is not None:
            both = Latencies(self.latencies)
            both.merge(other.latencies)
            self.latencies = both.encode()
