"""The end of nodes that leave, as series of a slot: see `statsd_tcp.store.leaving`.

A line of a node that leaves stands in one request with ours of the same name: a receiver has both or none. So what was
added to ours is never there together with what the other node had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from statsd_tcp.remote_write.encoding import Moment
from statsd_tcp.remote_write.labels import Labels
from statsd_tcp.store.leaving import Leaving

__all__ = ["FOUND_WITHIN", "after_slot", "held_back", "last_samples", "marks"]

FOUND_WITHIN: Final = 5000
"""Milliseconds in which an engine finds a series that is new to it: VictoriaMetrics takes a second or two."""

Group = Sequence[bytes]
"""Series that must be in one request."""


def held_back(leaving: Iterable[Leaving], end: int) -> set[str]:
    """Return the lines of ours whose values are not told in a slot with that end."""
    waiting = (each for each in leaving if not (each.said or _is_due(each, end)))
    return {head for each in waiting for head, counts in each.lines.items() if counts}


def last_samples(
    leaving: Iterable[Leaving], end: int, moment: Moment, ours: Iterable[str], sample: Callable[[str], bytes]
) -> tuple[list[Group], set[str]]:
    """Return the last samples of nodes for which a slot with that end is the time; and our lines that are with them.

    ``ours`` are the lines that we tell at this moment, and ``sample`` makes the series of one of them.
    """
    zeros: dict[str, list[bytes]] = {}
    for each in leaving:
        if _is_due(each, end):
            labels = Labels(each.labels)
            for head, counts in each.lines.items():
                if counts:
                    zero = moment.series(labels.of_head(head), 0.0)
                    zeros.setdefault(head, []).append(zero)
    paired = {head for head in ours if head in zeros} if zeros else set()
    return [[sample(head), *found] if head in paired else found for head, found in zeros.items()], paired


def marks(leaving: Iterable[Leaving], moment: Moment) -> Iterator[bytes]:
    """Yield the ends of the series of nodes that have their last samples."""
    for each in leaving:
        if each.said:
            labels = Labels(each.labels)
            for head in each.lines:
                yield moment.end(moment.start(labels.of_head(head)))


def after_slot(leaving: Iterable[Leaving], end: int) -> tuple[Leaving, ...]:
    """Return which nodes are left after a slot with that end."""
    return tuple(each._replace(begun=each.begun or end, said=_is_due(each, end)) for each in leaving if not each.said)


def _is_due(leaving: Leaving, end: int) -> bool:
    """Return whether the last samples of a node belong into a slot with that end."""
    return bool(leaving.begun) and not leaving.said and end >= leaving.begun + FOUND_WITHIN
