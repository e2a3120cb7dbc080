"""What comes to counters by their positions: the positions, each once and in order, and a number for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from statsd_tcp.series.exact import Doubles
from statsd_tcp.series.plan import NO_POSITIONS, Positions

__all__ = ["NOTHING", "Increments", "distinct", "merged"]


class Increments(NamedTuple):
    """Positions in order, each once, and by how much the series there go up."""

    positions: Positions
    amounts: Doubles


_DENSE: Final = 16
"""Increments are dense if something comes to more than one in this many positions."""

NOTHING: Final = Increments(NO_POSITIONS, np.empty(0))


def distinct(positions: Positions) -> Positions:
    """Return positions in order, each once.

    `numpy.unique` hashes them, which takes ten times as long, and imports `numpy.ma`, which adds to every start.
    """
    in_order = np.sort(positions)
    result: Positions = in_order[np.concatenate([[True], in_order[1:] != in_order[:-1]])[: len(in_order)]]
    return result


def merged(parts: Sequence[Increments]) -> Increments:
    """Return the sums of all parts; the positions of a part may be in any order, and several times."""
    positions = np.concatenate([NO_POSITIONS, *(part.positions for part in parts)])
    amounts = np.concatenate([np.empty(0), *(part.amounts for part in parts)])
    if (positions[:-1] < positions[1:]).all():
        return Increments(positions, amounts)
    if len(positions) * _DENSE < positions.max():
        places, which = np.unique(positions, return_inverse=True)
        return Increments(places, np.bincount(which, amounts).astype(np.float64, copy=False))
    # Faster than sorting.
    sums = np.bincount(positions, amounts).astype(np.float64, copy=False)
    came = np.zeros(len(sums), np.bool_)
    came[positions] = True
    places = np.flatnonzero(came)
    return Increments(places, sums[places])
