"""The values of ``--source-rate``, ``--source-open``, ``--source-limit-mode`` and ``--source-exempt``.

All raise ``ValueError``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from statsd_tcp.ledger.cells import LIMIT_ACTIONS

__all__ = ["MOST_SOURCES_EXEMPT", "SourceRate", "limit_mode", "source_rate"]

MOST_SOURCES_EXEMPT = 200

_LOWEST, _HIGHEST = 0.001, 1_000_000
_LARGEST_BURST = 1_000_000


class SourceRate(NamedTuple):
    """Connections per second, and how many at once after a rest."""

    rate: float
    burst: int


def source_rate(text: str) -> SourceRate | None:
    """Read ``N[:BURST]``; 0: no limit. Without a burst it is what comes in a second."""
    rate, colon, burst = text.partition(":")
    if text == "0":
        return None
    value = _number(rate)
    if not _LOWEST <= value <= _HIGHEST:
        raise ValueError(f"{text!r} is not N[:BURST], with N from {_LOWEST} to {_HIGHEST:,} connections per second")
    if not colon:
        return SourceRate(value, math.ceil(value))
    if not (burst.isascii() and burst.isdigit() and 1 <= int(burst) <= _LARGEST_BURST):
        raise ValueError(f"{text!r} is not N[:BURST], with a BURST from 1 to {_LARGEST_BURST:,} connections")
    return SourceRate(value, int(burst))


def limit_mode(text: str) -> str:
    """Read what happens to a connection whose source is over a limit."""
    if text not in LIMIT_ACTIONS:
        raise ValueError(f"{text!r} is not one of {', '.join(LIMIT_ACTIONS)}")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
