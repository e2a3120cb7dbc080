"""Checks of the control group and the container: limits that no sysctl file contains."""

from __future__ import annotations

from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, memory, processors
from statsd_tcp.doctor.judgement import (
    Check,
    Counter,
    Judgement,
    Layer,
    Scope,
    Verdict,
    Weight,
    fine,
    irrelevant,
    limit,
)

__all__ = ["CHECKS"]

_THREADS = 32
"""Tasks in addition to the workers: the supervisor, its threads, replacements that start while others end."""


def quota(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the control group leaves enough processor time."""
    group, need = facts.group, processors(goal)
    seen = () if group.throttled is None else (Counter("cpu.stat: nr_throttled", group.throttled),)
    if group.quota is None:
        if group.throttled:
            return fine("none now", "was throttled earlier, but no longer has a quota", f"{need.value}", counters=seen)
        return fine(
            "no quota", "the control group does not limit processors", f"{need.value}", need.formula, counters=seen
        )
    current = f"{group.quota:g} processors"
    if group.quota >= need.value and not group.throttled:
        return fine(current, "enough on average", str(need.value), need.formula, counters=seen)
    wanted = max(need.value, int(group.quota) + 1)
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"{wanted} processors",
        formula=need.formula,
        why=(
            f"the group was stopped {group.throttled or 0:,} times; while it is, accept queues fill: the most common "
            "cause of overflows in containers"
        ),
        weight=Weight.STOPS if group.quota < need.value / 2 else Weight.WARNING,
        counters=seen,
        remedies=(limit(facts.start, "CPUQuota", f"{wanted * 100}%", f"{group.quota * 100:.0f}%"),),
    )


def group_memory(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the control group leaves enough memory, sockets included."""
    group, need = facts.group, memory(goal)
    seen = () if group.memory_hits is None else (Counter("memory.events: max + oom", group.memory_hits),)
    wanted = f"{need.value >> 20:,} MiB"
    if group.memory_limit is None:
        return fine("no limit", "the control group does not limit memory", wanted, need.formula, counters=seen)
    current = f"{group.memory_limit >> 20:,} MiB"
    if group.memory_limit >= need.value and not group.memory_hits:
        return fine(
            current, "sockets are charged to the group when they are accepted", wanted, need.formula, counters=seen
        )
    value = max(need.value, group.memory_limit * 2 if group.memory_hits else 0)
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"{value >> 20:,} MiB",
        formula=need.formula,
        why=f"the group was at its limit {group.memory_hits or 0:,} times; sockets are charged to it when accepted",
        weight=Weight.STOPS if group.memory_limit < need.value / 2 else Weight.WARNING,
        counters=seen,
        remedies=(limit(facts.start, "MemoryMax", f"{value >> 20}M", f"{group.memory_limit >> 20}M"),),
    )


def tasks(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the service may start its workers."""
    group = facts.group
    seen = () if group.tasks_refused is None else (Counter("pids.events: max", group.tasks_refused),)
    need = goal.workers + _THREADS + (0 if goal.pids else group.tasks or 0)
    formula = f"workers + {_THREADS}" + ("" if goal.pids else f" + {group.tasks or 0} in the group already")
    if group.tasks_limit is None:
        return fine("no limit", "the control group does not limit tasks", need, formula, counters=seen)
    current = f"{group.tasks_limit:,}"
    if group.tasks_limit >= need:
        return fine(current, "threads count too", need, formula, counters=seen)
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=str(need),
        formula=formula,
        why="beyond it a worker cannot be started (EAGAIN)",
        weight=Weight.STOPS if group.tasks_limit < goal.workers + 2 else Weight.WARNING,
        counters=seen,
        remedies=(limit(facts.start, "TasksMax", need, group.tasks_limit),),
    )


def namespace(facts: Facts, goal: Goal) -> Judgement:
    """Judge whose settings these are."""
    if facts.host_network:
        return fine("the host's", "settings of the network hold for everything on the host")
    why = "somaxconn and the tcp_ settings are this namespace's own and begin with defaults; others are the host's"
    return irrelevant("its own", why)


CHECKS = (
    Check("cgroup.cpu", Layer.CONTAINER, Scope.CGROUP, "CPU quota", quota, "cgroup-v2.rst: cpu.max", essential=True),
    Check("cgroup.memory", Layer.CONTAINER, Scope.CGROUP, "memory limit", group_memory, "cgroup-v2.rst: memory.max"),
    Check("cgroup.tasks", Layer.CONTAINER, Scope.CGROUP, "task limit", tasks, "cgroup-v2.rst: pids.max"),
    Check("container.network", Layer.CONTAINER, Scope.NETWORK, "network namespace", namespace, "network_namespaces(7)"),
)
