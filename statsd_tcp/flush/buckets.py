"""Too many different values of a timer: they are counted in buckets that grow with the values.

Every bucket is known by one value, which differs from all values in it by at most `ERROR` of them. Which bucket a
value falls into depends on nothing else.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from statsd_tcp.series.exact import Doubles

__all__ = ["ERROR", "SMALLEST", "bucket_values"]

ERROR: Final = 0.005
"""The relative error of a value after it was put into its bucket. There are 11,480 from -2**53 to 2**53. Buckets may be
twice as wide, once or more often: the error is about twice as large each time."""

SMALLEST: Final = 1e-9
"""What is nearer to zero than that is zero."""

_BASE: Final = (1 + ERROR) / (1 - ERROR)
_LOG_BASE: Final = math.log(_BASE)
# The bucket that ends there and all below it are one.
_ZERO: Final = math.floor(math.log(SMALLEST) / _LOG_BASE)
# In the narrowest bucket that is not zero: what stands for a wide one must not be nearer to zero.
_LEAST: Final = math.exp((_ZERO + 0.5) * _LOG_BASE)


def bucket_values(values: Doubles, doubled: npt.NDArray[Any]) -> Doubles:
    """Return the values that stand for the buckets of ``values``; its own bucket has the same one.

    The buckets' width was doubled ``doubled`` times: each is exactly two of those before.
    """
    numbers = np.ceil(np.log(np.maximum(np.abs(values), SMALLEST / 2)) / _LOG_BASE).astype(np.int64)
    width = _LOG_BASE * 2.0**doubled
    # In the middle between the ends of a bucket, as a part of its upper end, so that both are off by the same factor.
    middle = 2 / (np.exp(width) + 1)
    sizes = np.maximum(_LEAST, middle * np.exp(-(-numbers >> doubled) * width))
    return np.where(numbers <= _ZERO, 0.0, np.copysign(sizes, values))
