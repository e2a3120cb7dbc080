"""Checks of processors and NUMA nodes."""

from __future__ import annotations

from statsd_tcp.doctor.checks.nic import real_cards
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, processors, softirq_processors
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
from statsd_tcp.doctor.probes import Unread

__all__ = ["CHECKS"]

BUSIEST = 0.9
"""Share of the receiving work from which on one processor does it as good as alone."""


def number(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether there are enough processors."""
    usable, need = len(facts.processors), processors(goal)
    current = f"{usable} of {len(facts.online) or usable}"
    if usable >= need.value:
        return fine(current, "that the service may use", str(need.value), need.formula)
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=str(need.value),
        formula=need.formula,
        why="the service and the kernel's part of the work do not fit on these processors",
        weight=Weight.STOPS if 2 * usable < need.value else Weight.WARNING,
        remedies=(limit(facts.start, "CPUAffinity", f"0-{need.value - 1}", _listed(facts.processors)),)
        if len(facts.online) >= need.value
        else (),
    )


def workers(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether there is a processor for each worker."""
    usable = len(facts.processors)
    if goal.workers <= usable:
        return fine(goal.workers, "one worker uses one processor", f"at most {usable}", "processors that may be used")
    return Judgement(
        verdict=Verdict.LOWER,
        current=str(goal.workers),
        needed=str(usable),
        formula="processors that may be used",
        why="workers that share a processor wait for each other, and their queues fill meanwhile",
        weight=Weight.WARNING,
    )


def receiving(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether one processor does all the receiving."""
    packets = [row.processed for row in facts.softnet]
    need, everything = softirq_processors(goal), sum(packets)
    if not everything:
        raise Unread("no packet has been received yet")
    share = max(packets) / everything
    busiest = facts.softnet[packets.index(max(packets))].cpu
    seen = (Counter(f"/proc/net/softnet_stat column 1 (packets) of CPU {busiest}", max(packets)),)
    current = f"CPU {busiest}: {share:.0%}"
    if len(packets) == 1 or share < BUSIEST or need.value == 1:
        return fine(
            current, f"{need.value} processor(s) suffice for the kernel's part", "", need.formula, counters=seen
        )
    return Judgement(
        verdict=Verdict.LOWER,
        current=current,
        needed=f"{1 / need.value:.0%}",
        formula=need.formula,
        why="one processor receives nearly everything; see interrupts and receive packet steering",
        weight=Weight.WARNING,
        counters=seen,
    )


def nodes(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the workers run on the card's NUMA node."""
    if len(facts.nodes) < 2:  # noqa: PLR2004 - one node is no NUMA
        return irrelevant("one node", "all memory is equally far from all processors")
    placed = [(card.name, card.node) for card in real_cards(facts) if card.node is not None]
    if not placed:
        raise Unread("no card tells which node it is on")
    name, node = placed[0]
    near = set(facts.nodes.get(node, []))
    far = [cpu for cpu in facts.processors if cpu not in near]
    current = f"{len(facts.nodes)} nodes, {name} on {node}"
    if not far:
        return fine(current, "all processors of the service are on the card's node", f"CPUs of node {node}")
    if len(near) < goal.workers:
        return fine(current, f"node {node} has fewer processors than there are workers: use both", "")
    listed = facts.text(facts.roots.sys / f"devices/system/node/node{node}/cpulist").strip()
    return Judgement(
        verdict=Verdict.LOWER,
        current=f"{current}, {len(far)} CPUs elsewhere",
        needed=f"CPUs {listed}",
        formula=f"the processors of node {node}",
        why="a worker on another node than the card's pays for every packet; noticeable far above 10,000 a second",
        weight=Weight.FINE,
        remedies=(
            limit(facts.start, "CPUAffinity", listed, _listed(facts.processors), automatic=False),
            limit(facts.start, "NUMAPolicy", "preferred", "default", automatic=False),
        ),
    )


def _listed(cpus: list[int]) -> str:
    return ",".join(map(str, cpus))


CHECKS = (
    Check("cpu.number", Layer.PROCESSORS, Scope.PROCESS, "processors", number, "sched_setaffinity(2)", essential=True),
    Check("cpu.workers", Layer.PROCESSORS, Scope.PROCESS, "workers", workers, "sched_setaffinity(2)"),
    Check("cpu.receiving", Layer.PROCESSORS, Scope.HOST, "receiving processors", receiving, "scaling.rst"),
    Check("numa.node", Layer.PROCESSORS, Scope.HOST, "NUMA node of the card", nodes, "sysfs-class-net: numa_node"),
)
