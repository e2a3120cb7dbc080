"""What a commit does to the series of one kind, worked out before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from statsd_tcp.mapping.rules import Treatment
from statsd_tcp.series.exact import Doubles, Wholes
from statsd_tcp.series.observations import Observations
from statsd_tcp.series.traits import Traits

__all__ = ["NO_POSITIONS", "RAW", "SUMS", "WIDTHS", "Fresh", "Positions", "SeriesPlan", "positions_of"]

Positions = Wholes

RAW: Final = "rc"
"""The kind of the raw counters that have columns of their own, see `raw_layer`. They have no numbers."""

WIDTHS: Final = {"c": 1, "g": 2, "ms": 2, "h": 2, "s": 1, RAW: 0}
"""By kind, how many numbers come to a series."""

SUMS: Final = frozenset({"c", "ms", "h"})
"""The kinds whose numbers are added up; those of the others replace what was there."""

NO_POSITIONS: Final[Positions] = np.empty(0, np.int64)


class Fresh(msgspec.Struct):
    """Series that are new: their identities, the positions that they take, and their ids."""

    identities: list[str] = []
    positions: Positions = NO_POSITIONS
    ids: Positions = NO_POSITIONS


class SeriesPlan(msgspec.Struct):
    """What a commit does to the series of one kind.

    ``positions`` are those to which something comes, the ``fresh`` ones among them, each once, in order. ``numbers`` is
    what comes, a column for each field, and ``after`` are the columns as they will be there. ``expired`` are the
    positions of series that go; ``emptied`` those of sets to which nothing came, which is no change.
    ``left_out`` has the last identity of each kind of conflict. ``traits`` are those that change, by identity.
    ``observed`` are the observations that belong to summaries, with the positions of these and their treatment.
    """

    fresh: Fresh = msgspec.field(default_factory=Fresh)
    positions: Positions = NO_POSITIONS
    numbers: Sequence[Doubles] = ()
    after: Sequence[Doubles] = ()
    expired: Positions = NO_POSITIONS
    emptied: Positions = NO_POSITIONS
    negative: int = 0
    left_out: dict[str, str] = {}
    traits: dict[str, Traits] = {}
    observed: list[tuple[Treatment, Positions, Observations]] = []

    def is_empty(self) -> bool:
        """Return whether nothing changes."""
        return not (len(self.positions) or len(self.expired) or len(self.emptied))


def positions_of(places: Iterable[int]) -> Positions:
    """Return positions as an array."""
    return np.array(list(places), np.int64)
