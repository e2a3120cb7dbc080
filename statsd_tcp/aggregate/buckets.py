"""Too many different values of a timer: they are counted in buckets that grow with the values.

Every bucket is known by one value, which differs from all values in it by at most `ERROR` of them. Which bucket a
value falls into depends on nothing else: buckets made by several processes add up.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["ERROR", "SMALLEST", "bucket_value"]

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


def bucket_value(value: float, doubled: int = 0) -> float:
    """Give the value that stands for the bucket of ``value``; its own bucket has the same one.

    The buckets' width was doubled so many times: each is two of those before, whole.
    """
    if not value:
        return 0.0
    number = math.ceil(math.log(abs(value)) / _LOG_BASE)
    if number <= _ZERO:
        return 0.0
    width = _LOG_BASE * (1 << doubled)
    # In the middle between the ends of a bucket, as a part of its upper end, so that both are off by the same factor.
    middle = 2 / (math.exp(width) + 1)
    return math.copysign(max(_LEAST, middle * math.exp(-(-number >> doubled) * width)), value)
