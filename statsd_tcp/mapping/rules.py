"""What a mapping file says, as plain values: rules, and how the series that they make are treated."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

__all__ = ["METRIC_TYPES", "PLAIN", "MappingRules", "MetricType", "Rule", "Treatment"]

MetricType = Literal["counter", "gauge", "observer"]
"""What rules can ask for: sets are gauges, and ``ms``, ``h`` and ``d`` are observers."""

METRIC_TYPES: Final[tuple[MetricType, ...]] = ("counter", "gauge", "observer")


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """How a series is kept and shown.

    * ``buckets``: the upper bounds of a histogram, without infinity; None for a summary. They and the observations
      are in the unit of the exposition: seconds for times.
    * ``quantiles``: of a summary, over the last ``max_age`` seconds, which move on in ``age_buckets`` steps.
    * ``ttl``: the series expires after this many seconds without data; 0 for the service's own limit.
    * ``help``: the text that explains the metric.
    """

    buckets: tuple[float, ...] | None = None
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.99)
    max_age: float = 600.0
    age_buckets: int = 5
    ttl: float = 0.0
    help: str = ""


PLAIN: Final = Treatment()
"""The treatment of a series for which nothing is configured."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: which names it matches (``match``, a glob or a regular expression), and what becomes of them.

    ``name`` and the values of ``labels`` may refer to what was matched. ``line`` is where the rule begins in its file.
    """

    match: str
    regex: bool = False
    metric_types: tuple[MetricType, ...] = METRIC_TYPES
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    honor_labels: bool = False
    drop: bool = False
    scale: float = 1.0
    treatment: Treatment = PLAIN
    line: int = 0


class MappingRules(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file: its rules in their order, what holds for series that match no rule, and what is to be said of it.

    ``unordered``: among globs a name wins over a star, wherever the rules stand. ``source`` is the file's name.
    """

    rules: tuple[Rule, ...] = ()
    default: Treatment = PLAIN
    unordered: bool = False
    warnings: tuple[str, ...] = ()
    source: str = ""

    def __str__(self) -> str:
        """Return the file's name."""
        return self.source
