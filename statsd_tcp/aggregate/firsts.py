"""Which series came first: of those of several kinds that want one name, it belongs to the first in the stream.

Lines wait in tables, and gauges do not, so that the order in which they are read is not the one in which they came.
Where a shape is met for the first time, it is noted when its line came: nothing is done for a line of a known shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Final

import msgspec

from statsd_tcp.wire.samples import Sample
from statsd_tcp.wire.shape import Shape

__all__ = ["FIELDS", "First", "Firsts", "Moment"]

FIELDS: Final[Mapping[str, str]] = {
    "c": "counters",
    "g": "gauges",
    "ms": "times",
    "h": "distributions",
    "d": "distributions",
    "s": "sets",
}
"""By kind the field of an interval."""

Moment = tuple[int, int]
"""A tick, in nanoseconds of CLOCK_MONOTONIC, and a number that tells moments of one tick apart."""


class First(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A series, by the field of an interval that it is in, and when a line of it came that was the first of its shape.

    ``place`` is the order of those of one process and tick.
    """

    tick: int
    place: int
    field: str
    identity: str


class _Met(msgspec.Struct, frozen=True, gc=False):
    moment: Moment
    shape: Shape


class Firsts:
    """What was met for the first time since they were taken.

    ``left_out`` is a moment for what comes to be known later.
    """

    __slots__ = ("_met", "_turn", "left_out")

    def __init__(self) -> None:
        self.left_out: Moment = (0, 0)
        self._turn = 0
        self._met: list[_Met] = []

    def moment(self, tick: int) -> Moment:
        """Return a moment at a tick, after all that were requested for that tick before."""
        self._turn += 1
        return tick, self._turn

    def leave_out(self, tick: int) -> None:
        """Keep the present moment for what has come already, and is not here yet."""
        self.left_out = self.moment(tick)

    def note(self, moment: Moment, shape: Shape | None) -> None:
        """Note a shape of which a good line has come, None if it was not good; those of one moment in their order."""
        if shape is not None:
            self._met.append(_Met(moment, shape))

    def take(self) -> list[First]:
        """Return the series in their order, and start again with none."""
        met, self._met = self._met, []
        met.sort(key=_MOMENT)
        found: list[First] = []
        known: dict[str, set[str]] = {field: set() for field in FIELDS.values()}
        for each in met:
            shape = each.shape
            several: tuple[Shape | Sample, ...] = (shape, *shape.more)
            for one in several:
                field = FIELDS[one.kind]
                if one.series not in known[field]:
                    known[field].add(one.series)
                    found.append(First(each.moment[0], len(found), field, one.series))
        return found


_MOMENT: Final = attrgetter("moment")
