"""Numbers of twice the precision of a double: a total, and the remainder that its double cannot hold.

A large total so never swallows what is added to it, however small and however often.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Doubles", "Wholes", "added"]

Doubles = npt.NDArray[np.float64]

Wholes = npt.NDArray[np.int64]


def added(totals: Doubles, remainders: Doubles, addends: Doubles) -> tuple[Doubles, Doubles]:
    """Return the totals and remainders after an addend each. A total is the double that is nearest to both together.

    The sums must stay finite. See Dekker, "A floating-point technique for extending the available precision", 1971.
    """
    sums = totals + addends
    parts = sums - totals
    errors = (totals - (sums - parts)) + (addends - parts) + remainders
    results = sums + errors
    return results, errors - (results - sums)
