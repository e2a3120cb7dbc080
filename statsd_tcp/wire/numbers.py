"""Numbers of a line: finite decimals.

``float`` alone is too generous: it takes underscores, ``nan``, ``inf`` and the digits of every script. Once only the
characters of a decimal number are left, it accepts exactly the decimal numbers.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["HIGHEST", "LARGEST_CHANGE", "LIMIT", "PACKED", "read_number", "read_rate"]

LIMIT: Final = 2.0**53
"""The most, in magnitude, of a number that is added to others. Up to here every whole number has a float of its own:
adding 1 to a total still changes it, and one line cannot spoil it."""

LARGEST_CHANGE: Final = 2.0**64
"""The most, in magnitude, that changes a gauge: all that 64 bits hold. Clients set a gauge below 0 by a change from 0,
some to -2**63. However many changes come, they never add up to infinity."""

HIGHEST: Final = sys.float_info.max
"""The most of a number that is not added to anything."""

_DECIMAL: Final = b"0123456789+-.eE"

PACKED: Final = _DECIMAL + b":"
"""The bytes that numbers separated by colons are made of."""


def read_number(text: bytes) -> float | None:
    """Return the number in ``text``; None if that is no finite decimal."""
    if text.translate(None, _DECIMAL):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    # Adding zero turns -0.0 into 0.0.
    return number + 0.0 if -HIGHEST <= number <= HIGHEST else None


def read_rate(text: bytes) -> float | None:
    """Return the rate in ``text``; None if it is not in (0, 1], or stands for more than 2**53 events."""
    rate = read_number(text)
    if rate is None or not 1.0 / LIMIT <= rate <= 1.0:
        return None
    return rate
