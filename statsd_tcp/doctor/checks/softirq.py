"""Checks of the kernel's receiving work: its queues for each processor, its rounds, and how it is spread."""

from __future__ import annotations

from statsd_tcp.doctor.checks.nic import real_cards
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, packets_per_processor, softirq_processors
from statsd_tcp.doctor.judgement import (
    Check,
    Counter,
    Judgement,
    Layer,
    Scope,
    Verdict,
    Weight,
    at_least,
    command,
    fine,
    irrelevant,
    sysctl,
)
from statsd_tcp.doctor.probes import Unread
from statsd_tcp.kernel.tables import total

__all__ = ["CHECKS", "backlog", "packets_needed"]

SQUEEZED = 1e-4
"""Rounds cut short, as a share of packets, from which on the budget is worth a look."""


def backlog(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the queue before the protocols suffices, where one is in the path."""
    current = facts.number("net.core.netdev_max_backlog")
    dropped = total(facts.softnet, "dropped")
    counters = (Counter("/proc/net/softnet_stat column 2 (dropped)", dropped),)
    steering = _steered(facts)
    if not dropped and _only_cards(facts) and not steering:
        why = "a network card without receive packet steering does not use this queue (it is not the card's ring)"
        return irrelevant(f"{current:,}", why, counters=counters)
    return at_least(
        "net.core.netdev_max_backlog",
        current,
        packets_per_processor(goal, max(1, len(_steered(facts)))),
        enough="loopback, veth, tunnels and steered packets wait here",
        short="packets of loopback, veth, tunnels and packet steering wait here; beyond it they are lost",
        weight=Weight.WARNING if dropped or steering else Weight.FINE,
        counters=counters,
    )


def budget(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether receiving stops with work left over."""
    rows = facts.softnet
    squeezed, processed = total(rows, "squeezed"), total(rows, "processed")
    counters = (Counter("/proc/net/softnet_stat column 3 (time_squeeze)", squeezed),)
    current = facts.number("net.core.netdev_budget")
    if squeezed <= SQUEEZED * max(1, processed):
        why = f"rounds end by themselves: {squeezed:,} of them were cut short, over {processed:,} packets"
        return fine(current, why, counters=counters)
    remedies = [sysctl("net.core.netdev_budget", 2 * current, current)]
    if facts.has_sysctl("net.core.netdev_budget_usecs"):
        micros = facts.number("net.core.netdev_budget_usecs")
        remedies.append(sysctl("net.core.netdev_budget_usecs", 2 * micros, micros))
    return Judgement(
        verdict=Verdict.RAISE,
        current=str(current),
        needed=str(2 * current),
        formula=f"twice, since {squeezed:,} rounds were cut short over {processed:,} packets",
        why="receiving stops with packets left; helps only while the processor is not fully busy",
        weight=Weight.WARNING,
        counters=counters,
        remedies=tuple(remedies),
    )


def steering(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether receiving should be spread in software."""
    need = softirq_processors(goal)
    cards = real_cards(facts)
    current = ", ".join(f"{card.name}: {len(card.steered) or 'off'}" for card in cards)
    lacking = [card for card in cards if max(card.queues, len(card.steered)) < need.value]
    if not lacking:
        return irrelevant(current, f"the queues suffice: {need.value} needed ({need.formula})")
    card, usable = lacking[0], len(facts.online)
    if usable < need.value:
        raise Unread(f"{need.value} processors would have to receive, and there are {usable}")
    mask = f"{(1 << min(usable, need.value + 1)) - 1:x}"
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"{need.value} CPUs",
        formula=need.formula,
        why=f"{card.name} has {card.queues} queue(s), so that {card.queues} processor(s) would do all the receiving",
        weight=Weight.WARNING,
        remedies=tuple(
            command(f"echo {mask} > {file}", f"echo 0 > {file}")
            for file in (f"/sys/class/net/{card.name}/queues/rx-{queue}/rps_cpus" for queue in range(card.queues))
        ),
    )


def flows(facts: Facts, goal: Goal) -> Judgement:
    """Judge why receive flow steering is of no use."""
    why = "the table of flows is written by recvmsg and sendmsg: a short connection is over before it helps"
    return irrelevant(facts.number("net.core.rps_sock_flow_entries"), why)


def packets_needed(facts: Facts, goal: Goal) -> int:
    """Return how many packets the queue before the protocols must hold, where it is in the path."""
    return int(packets_per_processor(goal, max(1, len(_steered(facts)))).value)


def _steered(facts: Facts) -> list[int]:
    return sorted({cpu for card in facts.cards for cpu in card.steered})


def _only_cards(facts: Facts) -> bool:
    return all(card.real or card.loopback or not card.packets for card in facts.cards)


CHECKS = (
    Check("softirq.backlog", Layer.SOFTIRQ, Scope.HOST, "net.core.netdev_max_backlog", backlog,
          "net/core/dev.c: enqueue_to_backlog"),
    Check("softirq.budget", Layer.SOFTIRQ, Scope.HOST, "net.core.netdev_budget", budget, "net.rst: netdev_budget"),
    Check("softirq.rps", Layer.SOFTIRQ, Scope.HOST, "receive packet steering", steering, "scaling.rst: RPS"),
    Check("softirq.rfs", Layer.SOFTIRQ, Scope.HOST, "receive flow steering", flows, "scaling.rst: RFS"),
)  # fmt: skip
