"""Bins that grow with the values: which one a value falls into, and the value by which a bin is known."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from statsd_tcp.series.exact import Doubles

__all__ = ["ERROR", "HIGHEST", "LOWEST", "Bins", "Levels", "joined", "numbers_of", "values_of"]

ERROR: Final = 0.01
"""How far the value by which a bin is known may be from the values in it, as a part of them, before bins are joined."""

Bins = npt.NDArray[np.int16]

Levels = npt.NDArray[np.int8]
"""How often the bins of each series were joined."""

LOWEST: Final = -(2**14)
HIGHEST: Final = 2**14
"""Between these are all bins."""

_BASE: Final = (1 + ERROR) / (1 - ERROR)
_PER_LOG: Final = 1 / math.log(_BASE)

_SMALLEST: Final = 1e-9
_ZERO: Final = -(2**13)
"""The bin of all that is nearer to zero than `_SMALLEST`. It stays what it is when bins are joined."""


_MIRROR: Final = -(3 * 2**12)
"""The bin of a value below zero is as far below this as that of its magnitude is above 0. Magnitudes from `_SMALLEST`
to a scaled 2**53 have bins from -1036 to 3570, so that the mirror images are below `_ZERO`."""


def numbers_of(values: Doubles) -> Bins:
    """Return the bin of each value."""
    sizes = np.abs(values)
    numbers = np.ceil(np.log(np.maximum(sizes, _SMALLEST)) * _PER_LOG).astype(np.int16)
    numbers = np.where(values < 0, _MIRROR - numbers, numbers)
    numbers[sizes <= _SMALLEST] = _ZERO
    return numbers


def joined(numbers: Bins, times: int | Levels) -> Bins:
    """Return the bins that these have become after each pair of neighbours was joined, ``times`` times."""
    below = numbers < _ZERO
    sizes = np.where(below, _MIRROR - numbers, numbers)
    halved = -(-sizes >> times)
    return np.where(numbers == _ZERO, numbers, np.where(below, _MIRROR - halved, halved)).astype(np.int16)


def values_of(numbers: Bins, levels: Levels) -> Doubles:
    """Return the values in the middle of bins, from which both their ends are as far."""
    base = _BASE ** (2.0**levels)
    below = numbers < _ZERO
    sizes = np.where(below, _MIRROR - numbers, numbers).astype(np.float64)
    found = 2 * base**sizes / (base + 1)
    return np.where(numbers == _ZERO, 0.0, np.where(below, -found, found))
