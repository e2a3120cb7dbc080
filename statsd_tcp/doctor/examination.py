"""The whole examination: every check, its verdict, and what they mean together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from statsd_tcp.doctor.checks import accept, container, handshake, memory, nic, placement, softirq, time_wait, tracking
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Check, Judgement, Remedy, Result, Scope, Verdict, Weight
from statsd_tcp.doctor.probes import Unread

__all__ = ["CHECKS", "UNCHECKED", "examine", "remedies", "shortfalls", "status"]

CHECKS: tuple[Check, ...] = (
    *nic.CHECKS,
    *softirq.CHECKS,
    *accept.CHECKS,
    *handshake.CHECKS,
    *time_wait.CHECKS,
    *tracking.CHECKS,
    *memory.CHECKS,
    *container.CHECKS,
    *placement.CHECKS,
)

UNCHECKED = 3
"""Exit status: something that decides could not be checked."""


def examine(facts: Facts, goal: Goal, checks: Iterable[Check] = CHECKS) -> list[Result]:
    """Make every check."""
    return [Result(check, _judge(check, facts, goal)) for check in checks]


def status(results: Sequence[Result]) -> int:
    """Return the exit status: 0 fine, 1 warnings, 2 the rate will not be reached, 3 that could not be checked."""
    worst = max((result.judgement.weight for result in results), default=Weight.FINE)
    if worst is Weight.STOPS:
        return int(worst)
    if any(result.check.essential and result.judgement.verdict is Verdict.UNKNOWN for result in results):
        return UNCHECKED
    return int(worst)


def remedies(results: Iterable[Result]) -> list[tuple[Result, Remedy]]:
    """Return all remedies with what they are for, each change once."""
    found: dict[tuple[str, str], tuple[Result, Remedy]] = {}
    for result in results:
        for remedy in result.judgement.remedies:
            found.setdefault((remedy.kind, remedy.name or remedy.do), (result, remedy))
    return list(found.values())


def _judge(check: Check, facts: Facts, goal: Goal) -> Judgement:
    try:
        judgement = check.examine(facts, goal)
        return judgement if check.scope is not Scope.HOST or facts.host_network else _for_the_host(judgement)
    except Unread as reason:
        return Judgement(verdict=Verdict.UNKNOWN, current="?", why=str(reason))
    except (ValueError, IndexError, KeyError) as error:
        # A file of a kernel that writes it in another way than all that are known.
        return Judgement(verdict=Verdict.UNKNOWN, current="?", why=f"not understood: {error!r}")


def _for_the_host(judgement: Judgement) -> Judgement:
    """Leave the remedies to people: from another network namespace the host's settings cannot be changed."""
    left = tuple(msgspec.structs.replace(remedy, automatic=False) for remedy in judgement.remedies)
    return msgspec.structs.replace(judgement, remedies=left)


_HISTORY = "accept.overflows"
"""Tells of what was before this start, perhaps of other programs: not what will be."""


def shortfalls(facts: Facts, goal: Goal) -> list[str]:
    """Return one line for each limit that the rate will hit, the worst first."""
    checks = [check for check in CHECKS if check.essential and check.id != _HISTORY]
    short = [one for one in examine(facts, goal, checks) if _is_short(one)]
    return [_line(one, goal) for one in sorted(short, key=lambda one: -one.judgement.weight)]


def _is_short(result: Result) -> bool:
    return result.judgement.weight > Weight.FINE and result.judgement.verdict in {Verdict.RAISE, Verdict.LOWER}


def _line(result: Result, goal: Goal) -> str:
    judgement = result.judgement
    remedy = f": {judgement.remedies[0].do}" if judgement.remedies else ""
    return (
        f"{result.check.title}: {judgement.current}, but {goal.rate:,.0f} connections/s need {judgement.needed}"
        f"{remedy} [{result.check.id}]"
    )
