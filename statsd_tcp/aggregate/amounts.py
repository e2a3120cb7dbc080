"""How many series there are, and how much room they take: both are limited, because the names are the clients'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Self

__all__ = ["LINES_SHOWN", "NO_SERIES", "Amount", "identity_bytes"]

LINES_SHOWN: Final[Mapping[str, int]] = {"counters": 1, "gauges": 1, "sets": 1, "times": 5, "distributions": 5}
"""By field of an interval: in how many lines ``/metrics`` shows a series, each with all its tags. A histogram has
one more for each of its bounds; these are the operator's choice, and not counted."""


class Amount(NamedTuple):
    """A number of series, and the bytes of their names and tags, once for each line that shows them."""

    series: int
    size: int

    @classmethod
    def of(cls, field: str, identities: Iterable[str]) -> Self:
        """Return the amount of some series in a field of an interval."""
        # A million takes some ten milliseconds this way, and ten times as long one by one.
        several = list(identities)
        plain = all(map(str.isascii, several))
        return cls(len(several), LINES_SHOWN[field] * sum(map(len if plain else identity_bytes, several)))

    def plus(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(self.series + other.series, self.size + other.size)

    def less(self, other: Amount) -> Amount:
        """Return what is left without ``other``; below zero is what it is more."""
        return Amount(self.series - other.series, self.size - other.size)

    def fits(self, limit: Amount) -> bool:
        """Return whether it is within a limit in both respects."""
        return self.series <= limit.series and self.size <= limit.size


NO_SERIES: Final = Amount(0, 0)


def identity_bytes(identity: str) -> int:
    """Return how many bytes a series' name and tags have."""
    return len(identity) if identity.isascii() else len(identity.encode("utf-8", "surrogatepass"))
