"""What will not hold at the rate, in a few lines for the log at start: only what decides, and only what is short."""

from __future__ import annotations

from statsd_tcp.doctor.examination import CHECKS, examine
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.judgement import Result, Verdict, Weight
from statsd_tcp.doctor.target import Target

__all__ = ["shortfalls"]

_HISTORY = "accept.overflows"
"""Tells of what was before this start, perhaps of other programs: not what will be."""


def shortfalls(facts: Facts, target: Target) -> list[str]:
    """Give one line for each limit that the rate will hit, the worst first."""
    checks = [check for check in CHECKS if check.essential and check.id != _HISTORY]
    short = [one for one in examine(facts, target, checks) if _is_short(one)]
    return [_line(one, target) for one in sorted(short, key=lambda one: -one.judgement.weight)]


def _is_short(result: Result) -> bool:
    return result.judgement.weight > Weight.FINE and result.judgement.verdict in {Verdict.RAISE, Verdict.LOWER}


def _line(result: Result, target: Target) -> str:
    judgement = result.judgement
    remedy = f": {judgement.remedies[0].do}" if judgement.remedies else ""
    return (
        f"{result.check.title}: {judgement.current}, but {target.rate:,.0f} connections/s need {judgement.needed}"
        f"{remedy} [{result.check.id}]"
    )
