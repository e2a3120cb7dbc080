"""The quantiles of summaries as a scrape reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

__all__ = ["Quantile", "QuantileSource", "Quantiles"]


class Quantile(NamedTuple):
    """A quantile from 0 to 1, as it is written, and its value."""

    label: str
    value: float


Quantiles = Callable[[Sequence[int]], Sequence[Quantile]]
"""Returns the quantiles of a series by its id, or of several together; none if nothing came to them lately."""


class QuantileSource(Protocol):
    """Where the quantiles come from. For any thread."""

    def __len__(self) -> int:
        """Count the summaries that have quantiles."""

    def read(self) -> Quantiles:
        """Work out all of them as they are at this moment."""
