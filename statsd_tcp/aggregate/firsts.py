"""Which series came first: of those of several kinds that want one name, it belongs to the first in the stream.

Lines wait in tables, and gauges do not, so that the order in which they are read is not the one in which they came.
Where a shape is met for the first time, it is noted when its line came: nothing is done for a line of a known shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

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


class First(NamedTuple):
    """A series, by the field of an interval that it is in, and when a line of it came that was the first of its shape.

    ``place`` is the order of those of one process and tick.
    """

    tick: int
    place: int
    field: str
    identity: str


class Firsts:
    """What was met for the first time since they were taken.

    ``left_out`` is a moment for what comes to be known later.
    """

    __slots__ = ("_met", "_turn", "left_out")

    def __init__(self) -> None:
        self.left_out: Moment = (0, 0)
        self._turn = 0
        self._met: list[tuple[Moment, Shape]] = []

    def moment(self, tick: int) -> Moment:
        """Return a moment at a tick, behind all that were asked for at it before."""
        self._turn += 1
        return tick, self._turn

    def leave_out(self, tick: int) -> None:
        """Keep the present moment for what has come already, and is not here yet."""
        self.left_out = self.moment(tick)

    def note(self, moment: Moment, shape: Shape | None) -> None:
        """Note a shape of which a good line has come, None if it was not good; those of one moment in their order."""
        if shape is not None:
            self._met.append((moment, shape))

    def take(self) -> list[First]:
        """Return the series in their order, and begin anew."""
        met, self._met = self._met, []
        met.sort(key=_moment_of)
        found: dict[tuple[str, str], int] = {}
        for (tick, _), shape in met:
            for kind, identity in (shape.kind, shape.series), *((one.kind, one.series) for one in shape.more):
                found.setdefault((FIELDS[kind], identity), tick)
        return [First(tick, place, *series) for place, (series, tick) in enumerate(found.items())]


def _moment_of(met: tuple[Moment, Shape]) -> Moment:
    return met[0]
