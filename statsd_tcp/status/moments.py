"""What the service did in each of the last seconds, for those who watch it: the page for people, and ``top``.

    totals, once a second ──differences──> a moment ──> a ring of ten minutes ──> viewers

In memory only: it begins again with each start and each reload.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.status.own_metrics import WorkerQueue
from statsd_tcp.store.snapshot import ACCEPTED, BAD_LINES, CLOSED, LINES, Snapshot, TotalKey

__all__ = ["KEPT", "Moment", "Moments", "Reading"]

KEPT: Final = 600
"""How many moments are kept: those of ten minutes."""

_Numbers = dict[str, float]


class Moment(msgspec.Struct, frozen=True):
    """One second. ``at`` is its end in seconds since 1970, by the service's steady clock.

    ``accepted``, ``drops`` and ``lines`` have a rate per second for each listener, ``closed`` and ``bad`` one for each
    reason that came. ``open`` and ``waiting`` are what each listener has open, and in its accept queues. ``commit`` is
    how long the commits of that second took on the average, in seconds, None if there was none. ``series`` is the
    number of StatsD series, and ``queued`` what waits for each output.
    """

    at: float
    accepted: _Numbers
    open: _Numbers
    waiting: _Numbers
    drops: _Numbers
    closed: _Numbers
    lines: _Numbers
    bad: _Numbers
    commit: float | None
    series: int
    queued: _Numbers


class Reading(msgspec.Struct, frozen=True):
    """The numbers of one moment as they stand: totals since ever, and what is there now."""

    at: float
    totals: Mapping[TotalKey, int]
    queues: Sequence[WorkerQueue]
    snapshot: Snapshot
    outputs: Sequence[OutputFacts]


class Moments:
    """The last moments, the oldest first, each already written as JSON: all viewers get the same bytes."""

    def __init__(self) -> None:
        self._before: Reading | None = None
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self.number = 0
        """How many there have been."""
        self.heard: list[Callable[[], None]] = []
        """Called after each moment."""

    def note(self, reading: Reading) -> None:
        """Make a moment of what has changed since the reading before. The first one makes none."""
        before, self._before = self._before, reading
        if before is not None and reading.at > before.at:
            self._kept.append(msgspec.json.encode(_moment(before, reading)))
            self.number += 1
        for heard in self.heard:
            heard()

    def since(self, number: int) -> list[bytes]:
        """Return those after the first ``number`` ones, as far as they are kept."""
        wanted = min(self.number - number, len(self._kept))
        return list(self._kept)[len(self._kept) - wanted :] if wanted > 0 else []


def _moment(before: Reading, now: Reading) -> Moment:
    seconds = now.at - before.at
    old, new = before.totals, now.totals

    def rates(metric: str, label: str) -> _Numbers:
        risen = {key: value - old.get(key, 0) for key, value in new.items() if key.metric == metric}
        summed = _by(risen.items(), label)
        return {name: round(value / seconds, 1) for name, value in summed.items()}

    here = dict.fromkeys((queue.listener for queue in now.queues), 0.0)
    accepted = here | _by(((key, value) for key, value in new.items() if key.metric == ACCEPTED), "listener")
    ended = _by(((key, value) for key, value in new.items() if key.metric == CLOSED), "listener")
    drops, drops_before = _drops(now.queues), _drops(before.queues)
    stats, earlier = now.snapshot.stats, before.snapshot.stats
    commits = stats.commits - earlier.commits
    waiting: _Numbers = {}
    for queue in now.queues:
        waiting[queue.listener] = waiting.get(queue.listener, 0) + queue.queue.length
    return Moment(
        at=round(now.at, 1),
        accepted=here | rates(ACCEPTED, "listener"),
        open={name: max(0, value - ended.get(name, 0)) for name, value in accepted.items()},
        waiting=waiting,
        drops={name: round(max(0, value - drops_before.get(name, 0)) / seconds, 1) for name, value in drops.items()},
        closed=_some(rates(CLOSED, "detail")),
        lines=rates(LINES, "listener"),
        bad=_some(rates(BAD_LINES, "detail")),
        commit=round((stats.duration_sum - earlier.duration_sum) / commits, 5) if commits > 0 else None,
        series=sum(len(table) for table in now.snapshot.tables()),
        queued={output.name: output.queued for output in now.outputs},
    )


def _by(counts: Iterable[tuple[TotalKey, float]], label: str) -> _Numbers:
    result: _Numbers = {}
    for key, value in counts:
        name = getattr(key, label)
        result[name] = result.get(name, 0) + value
    return result


def _drops(queues: Sequence[WorkerQueue]) -> _Numbers:
    result: _Numbers = {}
    for queue in queues:
        result[queue.listener] = result.get(queue.listener, 0) + queue.queue.drops
    return result


def _some(rates: _Numbers) -> _Numbers:
    """Leave out what did not happen: of reasons there are many."""
    return {name: rate for name, rate in rates.items() if rate}
