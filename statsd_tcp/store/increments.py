"""What comes to counters by their positions: the positions, each once and in order, and a number beside each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from statsd_tcp.store.exact import Doubles
from statsd_tcp.store.series_plan import NO_POSITIONS, Positions

__all__ = ["NOTHING", "Increments", "merged"]


class Increments(NamedTuple):
    """Positions in order, each once, and by how much the series there go up."""

    positions: Positions
    amounts: Doubles


NOTHING: Final = Increments(NO_POSITIONS, np.empty(0))


def merged(parts: Sequence[Increments]) -> Increments:
    """Return the sums of all parts; the positions of a part may be in any order, and several times."""
    positions = np.concatenate([NO_POSITIONS, *(part.positions for part in parts)])
    amounts = np.concatenate([np.empty(0), *(part.amounts for part in parts)])
    if not (positions[:-1] < positions[1:]).all():
        order = positions.argsort(kind="stable")
        positions, amounts = positions[order], amounts[order]
        first = np.flatnonzero(np.concatenate([[True], positions[1:] != positions[:-1]]))
        positions, amounts = positions[first], np.add.reduceat(amounts, first)
    return Increments(positions, amounts)
