"""The end of nodes that leave, as series of a slot: see `statsd_tcp.store.leaving`.

A line of a node that leaves stands in one request with ours of the same name: a receiver has both or none, and an
engine that is killed loses both or none. So what was added to ours is never there together with what the other node
had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from statsd_tcp.remote_write.encoding import Moment
from statsd_tcp.remote_write.labels import Labels
from statsd_tcp.store.leaving import Leaving, Stage

__all__ = ["LastSamples", "advanced", "held_back", "last_samples", "marks", "remaining", "with_last_samples"]

_LASTS: Final = {Stage.HELD: 15_000, Stage.TAKEN: 10_000, Stage.ENDED: 120_000}
"""Milliseconds of the stages that last for a time.

VictoriaMetrics takes a second or two to find a series that is new to it, and keeps what a search has found for ten: a
query that is asked again and again does not see the series before. It takes five to have samples on its disk. Those of
Prometheus are there within about half a minute, should its machine fail.
"""

_ALL: Final = frozenset({Stage.SAID, Stage.REPEATED, Stage.LAST})
"""The stages whose first slot has the last samples of all lines."""

_BESIDE: Final = frozenset({Stage.SAID, Stage.TAKEN})

Group = Sequence[bytes]
"""Series that must be in one request."""


class LastSamples(NamedTuple):
    """The last samples of nodes, next to ours of the same lines, which ``paired`` has.

    ``due`` are those for which it is the time; ``beside`` are there because we tell a line of ours.
    """

    due: list[Group]
    beside: list[Group]
    paired: set[str]


def advanced(leaving: Iterable[Leaving], end: int, taken: int) -> list[Leaving]:
    """Return how far nodes are in a slot with that end; the receiver has taken all before the time ``taken``."""
    return [_advanced(each, end, taken) for each in leaving]


def held_back(leaving: Iterable[Leaving]) -> set[str]:
    """Return the lines of ours whose values are not told."""
    return {head for each in leaving if each.stage == Stage.HELD for head, counts in each.lines.items() if counts}


def with_last_samples(leaving: Iterable[Leaving], end: int) -> set[str]:
    """Return the lines of ours that are told in a slot with that end, whether or not they have changed.

    What is next to the last samples must not be lost without them.
    """
    return {head for each in leaving if _has_all(each, end) for head, counts in each.lines.items() if counts}


def last_samples(
    leaving: Iterable[Leaving], end: int, moment: Moment, ours: Mapping[str, float], sample: Callable[[str], bytes]
) -> LastSamples:
    """Return the last samples of nodes in a slot with that end.

    ``ours`` are the lines that we tell at this moment, and ``sample`` makes the series of one of them.
    """
    zeros: dict[str, list[bytes]] = {}
    due: set[str] = set()
    for each in leaving:
        heads = _last_of(each, end, ours)
        if _has_all(each, end):
            due.update(heads)
        labels = Labels(each.labels)
        for head in heads:
            zeros.setdefault(head, []).append(moment.series(labels.of_head(head), 0.0))
    paired = zeros.keys() & ours.keys()
    groups = {head: [sample(head), *found] if head in paired else found for head, found in zeros.items()}
    return LastSamples(
        [group for head, group in groups.items() if head in due],
        [group for head, group in groups.items() if head not in due],
        paired,
    )


def marks(leaving: Iterable[Leaving], end: int, moment: Moment) -> Iterator[bytes]:
    """Yield the ends of the series of nodes that have their last samples."""
    for each in leaving:
        if each.since == end and each.stage in {Stage.ENDED, Stage.GONE}:
            labels = Labels(each.labels)
            for head in each.lines:
                yield moment.end(moment.start(labels.of_head(head)))


def remaining(leaving: Iterable[Leaving]) -> tuple[Leaving, ...]:
    """Return the nodes that are not gone."""
    return tuple(each for each in leaving if each.stage != Stage.GONE)


def _has_all(leaving: Leaving, end: int) -> bool:
    return leaving.since == end and leaving.stage in _ALL


def _last_of(leaving: Leaving, end: int, ours: Mapping[str, float]) -> list[str]:
    """Return the lines of a node whose last samples belong into a slot."""
    counting = (head for head, counts in leaving.lines.items() if counts)
    if _has_all(leaving, end):
        return list(counting)
    return [head for head in counting if head in ours] if leaving.stage in _BESIDE else []


def _advanced(leaving: Leaving, end: int, taken: int) -> Leaving:
    stage, since = leaving.stage, leaving.since
    if since > end:
        # A clock that was ahead has been set back, and what was told in its time is dropped.
        stage, since = Stage.NEW, 0
    is_over = taken > since if stage == Stage.SAID else end >= since + _LASTS.get(stage, 0)
    return leaving._replace(stage=Stage(stage + 1), since=end) if is_over else leaving
