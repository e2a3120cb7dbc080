"""For which reasons a number is likely to differ, from what both servers say about lines that they could not use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from statsd_tcp.commands.compare.readings import COUNT, COUNTER, GAUGE, SUM, Key

__all__ = ["Case", "Evidence", "likely"]

_MOST = 3
"""Reasons that are named for a number."""


class Evidence(NamedTuple):
    """What came over the interval, besides the series.

    ``bad_here`` are bad lines here by the reason, ``bad_there`` those of the other server; ``packed``, ``negative`` and
    ``sampled`` tell whether there were such here. ``sets`` and ``two_types`` are how many series are sets here, and
    how many are not on the page; ``mapping`` whether names are mapped here; ``lines_differ`` whether one got fewer.
    """

    bad_here: Mapping[str, float] = {}
    bad_there: float = 0.0
    packed: bool = False
    negative: bool = False
    sampled: bool = False
    sets: int = 0
    two_types: int = 0
    mapping: bool = False
    lines_differ: bool = False


class Case(NamedTuple):
    """A number that differs; None where a side does not have it. ``moved``: a gauge was changed meanwhile."""

    key: Key
    here: float | None
    there: float | None
    moved: bool = True

    @property
    def more_here(self) -> bool:
        """Return whether there is more here."""
        return self.here is not None and (self.there is None or self.here > self.there)


_OTHER_REASONS = {"malformed_value": "numbers", "invalid_sample_rate": "rates", "unknown_type": "unknown-type"}
_TIMED = (COUNT, SUM)
_TAKEN = ("statscounter_", "process_")

_RULES: tuple[tuple[str, Callable[[Case, Evidence], object]], ...] = (
    ("sets", lambda case, seen: case.key.what == GAUGE and case.there is None and seen.sets),
    ("quiet", lambda case, seen: case.key.what == GAUGE and None in (case.here, case.there) and not case.moved),
    ("relative", lambda case, seen: case.key.what == GAUGE and None not in (case.here, case.there)),
    ("taken", lambda case, seen: case.here is None and case.key.name.startswith(_TAKEN)),
    ("negative", lambda case, seen: case.there is not None and case.there < 0),
    ("mapping", lambda case, seen: None in (case.here, case.there) and seen.mapping),
    ("two-types", lambda case, seen: case.here is None and seen.two_types),
    ("sampled", lambda case, seen: case.key.what in _TIMED and case.more_here and seen.sampled),
    ("packed", lambda case, seen: case.more_here and seen.packed and seen.bad_there),
    ("negative", lambda case, seen: case.more_here and case.key.what == COUNTER and seen.negative),
    ("bad-there", lambda case, seen: case.more_here and seen.bad_there),
    *(
        (name, lambda case, seen, reason=reason: not case.more_here and seen.bad_here.get(reason))
        for reason, name in _OTHER_REASONS.items()
    ),
    ("bad-here", lambda case, seen: not case.more_here and _others(seen.bad_here)),
    ("lines", lambda case, seen: seen.lines_differ),
)
"""Reasons and what speaks for them, the likeliest first."""


def likely(case: Case, seen: Evidence) -> tuple[str, ...]:
    """Return the names of the likely reasons, the likeliest first; never none."""
    found = list(dict.fromkeys(name for name, speaks in _RULES if speaks(case, seen)))
    return tuple(found[:_MOST]) or ("unknown",)


def _others(bad: Mapping[str, float]) -> bool:
    return any(number for reason, number in bad.items() if reason not in _OTHER_REASONS)
