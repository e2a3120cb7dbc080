"""Why an accept queue overflowed: too short, the processors taken away, or workers too slow."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, accept_queue
from statsd_tcp.doctor.judgement import Counter
from statsd_tcp.doctor.probes import Unread

__all__ = ["Cause", "Diagnosis", "overflow_cause", "tell_cause"]


class Cause(StrEnum):
    """The cause of a full accept queue."""

    THROTTLED = "throttled"
    BACKLOG = "backlog"
    SLOW = "slow"


class Diagnosis(NamedTuple):
    """The cause, in words for the operator, with the numbers that show it."""

    cause: Cause
    text: str
    counters: tuple[Counter, ...] = ()


def overflow_cause(facts: Facts, goal: Goal) -> Diagnosis:
    """Return why queues of this network namespace overflowed, from what can be seen now."""
    try:
        throttled = facts.group.throttled or 0
    except Unread:
        throttled = 0
    return tell_cause(throttled, _shortest(facts, goal), accept_queue(goal).value)


def tell_cause(throttled: int, limit: int | None, needed: int) -> Diagnosis:
    """Return why a queue with this ``limit`` (None: unknown) overflowed.

    A short queue comes first: it overflows whatever else is wrong. ``throttled`` are the periods in which the control
    group took the processors away, since the same moment as the overflows.
    """
    seen = (Counter("cgroup cpu.stat: nr_throttled", throttled),) if throttled else ()
    also = f"; besides, the control group's quota stopped it {throttled:,} times" if throttled else ""
    if limit is not None and limit < needed:
        text = f"the accept queue is too short: it holds {limit:,} of {needed:,} after a stall (net.core.somaxconn)"
        return Diagnosis(Cause.BACKLOG, text + also, seen)
    if throttled:
        text = f"the control group's CPU quota stopped the service {throttled:,} times: raise it (CPUQuota=)"
        return Diagnosis(Cause.THROTTLED, text, seen)
    return Diagnosis(Cause.SLOW, "the queue is long enough, so the workers do not keep up: more workers or processors")


def _shortest(facts: Facts, goal: Goal) -> int | None:
    limits = []
    try:
        limits = [one.queue.limit for one in facts.listeners if one.port in goal.tcp_ports]
    except Unread:
        pass
    try:
        # A queue that is gone was not longer than this.
        return min(limits) if limits else facts.number("net.core.somaxconn")
    except Unread:
        return None
