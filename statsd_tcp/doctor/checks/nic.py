"""Checks of the network cards: queues, rings, the spread of their interrupts, the link and the bus."""

from __future__ import annotations

from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, bandwidth, softirq_processors
from statsd_tcp.doctor.judgement import (
    Check,
    Counter,
    Judgement,
    Layer,
    Scope,
    Verdict,
    Weight,
    command,
    fine,
    irrelevant,
)
from statsd_tcp.doctor.probes import Unread
from statsd_tcp.kernel.cards import Card, interrupt_counts

__all__ = ["CHECKS", "real_cards"]

ONE_TAKES_ALL = 0.8
"""From this share on, one processor takes a card's interrupts as good as alone."""

NOTICEABLE = 1e-4
"""Dropped packets, as a share of all, that are more than the odd one at start-up."""


def real_cards(facts: Facts) -> list[Card]:
    """Return the cards that are up and belong to a device; raises `Unread` if there is none."""
    cards = [card for card in facts.cards if card.real and card.up and not card.loopback]
    if not cards:
        raise Unread("no network card can be seen here, only interfaces of software (a container's end of a pair)")
    return cards


def queues(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the receive queues suffice for the kernel's part of the work."""
    need = softirq_processors(goal)
    cards = real_cards(facts)
    current = ", ".join(f"{card.name} {card.queues}" for card in cards)
    few = [card for card in cards if max(card.queues, len(card.steered)) < need.value]
    if not few:
        why = "the smallest number of queues at which none overflows is the best one (kernel: scaling.rst)"
        return fine(current, why, f"{need.value} per card", need.formula)
    card = few[0]
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"{need.value} per card",
        formula=need.formula,
        why=f"one processor for each queue receives all of {card.name}; a change resets the link for a moment",
        weight=Weight.WARNING,
        remedies=(
            command(f"ethtool -L {card.name} combined {need.value}", f"ethtool -L {card.name} combined {card.queues}"),
        ),
    )


def ring(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether a receive ring overflows."""
    judged = [(card, facts.ring(card.name)) for card in real_cards(facts)]
    current = ", ".join(f"{card.name} {one.size} of {one.most}" for card, one in judged)
    counters = tuple(
        Counter(f"/sys/class/net/{card.name}/statistics/{name}", value)
        for card, _ in judged
        for name, value in card.drops.items()
        if name != "rx_dropped"
    )
    for card, one in judged:
        lost = card.drops["rx_missed_errors"] + card.drops["rx_fifo_errors"]
        if lost > NOTICEABLE * max(1, card.packets) and one.size < one.most:
            return Judgement(
                verdict=Verdict.RAISE,
                current=current,
                needed=str(one.most),
                formula=f"{card.name} lost {lost:,} of {card.packets:,} packets: the largest that the card has",
                why="packets were lost in the card; a longer ring costs some cache",
                weight=Weight.WARNING,
                counters=counters,
                remedies=(command(f"ethtool -G {card.name} rx {one.most}", f"ethtool -G {card.name} rx {one.size}"),),
            )
    return fine(current, "no card loses packets in its ring (or it is as long as it can be)", counters=counters)


def interrupts(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the interrupts of a card with several queues reach several processors."""
    cards = [card for card in real_cards(facts) if card.queues > 1]
    if not cards:
        return irrelevant("one queue", "a card with one queue interrupts one processor; see receive packet steering")
    table = facts.interrupts()
    spread = {card.name: _spread(interrupt_counts(card, table)) for card in cards}
    known = {name: one for name, one in spread.items() if one}
    if not known:
        raise Unread("no row of /proc/interrupts can be told to be a card's receive interrupt")
    current = ", ".join(f"{name}: {len(one)} CPUs, busiest {max(one) / sum(one):.0%}" for name, one in known.items())
    worst, counts = max(known.items(), key=lambda item: max(item[1]) / sum(item[1]))
    if max(counts) / sum(counts) < ONE_TAKES_ALL:
        return fine(current, "several processors take the card's interrupts", "several CPUs")
    need = softirq_processors(goal)
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed="several CPUs",
        formula=need.formula,
        why=f"one processor takes nearly all interrupts of {worst}, which has several queues",
        weight=Weight.WARNING if need.value > 1 else Weight.FINE,
        remedies=(
            command(
                "systemctl enable --now irqbalance   (or write each queue's CPU to /proc/irq/N/smp_affinity_list)",
                "systemctl disable --now irqbalance",
            ),
        ),
    )


def irqbalance(facts: Facts, goal: Goal) -> Judgement:
    """Judge what spreads the interrupts."""
    runs = facts.is_running("irqbalance")
    current = "runs" if runs else "does not run"
    if not any(card.queues > 1 for card in real_cards(facts)):
        return irrelevant(current, "there is nothing to balance: no card has more than one queue")
    if runs:
        return fine(current, "it may move interrupts that were pinned by hand: either it or pinning, never both")
    return fine(current, "interrupts stay where they are put: right if they are pinned by hand")


def link(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the link carries the connections."""
    need = bandwidth(goal)
    speeds = {card.name: card.speed for card in real_cards(facts) if card.speed}
    if not speeds:
        raise Unread("the driver does not tell a speed (virtual cards have none)")
    current = ", ".join(f"{name} {speed:,} Mbit/s" for name, speed in speeds.items())
    if max(speeds.values()) >= 2 * need.value:
        return fine(current, "short connections are small", f"{need.value:,} Mbit/s", need.formula)
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"{2 * need.value:,} Mbit/s",
        formula=f"2·{need.formula}",
        why="the link is the limit, before any setting",
        weight=Weight.STOPS if max(speeds.values()) < need.value else Weight.WARNING,
    )


def pcie(facts: Facts, goal: Goal) -> Judgement:
    """Show why the bus is of no interest."""
    links = ", ".join(f"{card.name} {card.pcie}" for card in real_cards(facts) if card.pcie)
    need = bandwidth(goal)
    why = f"{need.value:,} Mbit/s of short connections are nothing to a bus: one lane of PCIe 1.0 carries 2,000"
    return irrelevant(links or "not told", why)


def _spread(rows: dict[str, list[int]]) -> list[int]:
    """Return the interrupts of each processor that took any."""
    return [count for count in map(sum, zip(*rows.values(), strict=True)) if count]


CHECKS = (
    Check("nic.queues", Layer.NIC, Scope.HOST, "receive queues", queues, "scaling.rst: RSS"),
    Check("nic.ring", Layer.NIC, Scope.HOST, "receive ring", ring, "ethtool(8) -g"),
    Check(
        "nic.interrupts", Layer.NIC, Scope.HOST, "interrupt spread", interrupts, "scaling.rst: RSS IRQ configuration"
    ),
    Check("nic.irqbalance", Layer.NIC, Scope.HOST, "irqbalance", irqbalance, "irqbalance(1)"),
    Check("nic.link", Layer.NIC, Scope.HOST, "link speed", link, "sysfs-class-net: speed"),
    Check("nic.pcie", Layer.NIC, Scope.HOST, "PCIe bandwidth", pcie, "sysfs-bus-pci: current_link_speed"),
)
