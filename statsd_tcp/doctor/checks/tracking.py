"""Checks of connection tracking, which forgets nothing for two minutes and then drops what is new."""

from __future__ import annotations

from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, conntrack_entries
from statsd_tcp.doctor.judgement import (
    Check,
    Counter,
    Judgement,
    Layer,
    Remedy,
    Scope,
    Verdict,
    Weight,
    fine,
    irrelevant,
    sysctl,
)
from statsd_tcp.doctor.probes import Unread

__all__ = ["CHECKS", "NOTRACK_FILE", "NOTRACK_TABLE", "notrack_rules"]

NOTRACK_FILE = "statscounter-notrack.nft"
NOTRACK_TABLE = "statscounter_notrack"
_COUNT, _MAX = "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max"
_TIME_WAIT = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
_EVENTS = ("drop", "early_drop", "insert_failed")
_TIME_WAIT_DEFAULT = 120


def table(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the table of tracked connections holds them all."""
    if not facts.has_sysctl(_MAX):
        return irrelevant("not there", "connection tracking is not loaded")
    most, tracked = facts.number(_MAX), facts.number(_COUNT)
    seen = _seen(facts, tracked)
    if not tracked and not any(one.value for one in seen):
        return irrelevant(f"{most:,}", "loaded, but no rule makes it track anything here", counters=seen)
    need = conntrack_entries(goal, _time_wait(facts))
    if most >= need.value:
        return fine(f"{most:,}", "every connection keeps an entry until long after its end", f"{need.value:,}",
                    need.formula, counters=seen)  # fmt: skip
    seconds = most / goal.rate
    lasts = _time_wait(facts) + goal.life
    return Judgement(
        verdict=Verdict.RAISE,
        current=f"{most:,}",
        needed=f"{need.value:,}",
        formula=need.formula,
        why=f"full after {seconds:.0f} s at the rate, then new connections are dropped; best not to track them at all",
        weight=Weight.STOPS if seconds < lasts else Weight.WARNING,
        counters=seen,
        remedies=(_notrack(facts, goal), sysctl(_MAX, need.value, most, automatic=facts.host_network)),
    )


def time_wait(facts: Facts, goal: Goal) -> Judgement:
    """Judge how long an ended connection keeps its entry."""
    if not facts.has_sysctl(_MAX) or not facts.number(_COUNT):
        return irrelevant("", "nothing is tracked")
    current = facts.number(_TIME_WAIT)
    if conntrack_entries(goal, current).value <= facts.number(_MAX):
        return fine(f"{current} s", "the table is large enough for it")
    shorter = 30
    if current <= shorter:
        return fine(f"{current} s", "shorter than the default of 120 s already")
    return Judgement(
        verdict=Verdict.LOWER,
        current=f"{current} s",
        needed=f"{shorter} s",
        formula=f"then {conntrack_entries(goal, shorter).value:,} entries suffice",
        why="the second-best remedy where tracking cannot be avoided",
        weight=Weight.FINE,
        remedies=(sysctl(_TIME_WAIT, shorter, current, automatic=False),),
    )


def notrack_rules(tcp_ports: tuple[int, ...], udp_ports: tuple[int, ...]) -> str:
    """Write the nftables rules that keep connection tracking off our ports, both ways.

    What is sent to a client has our port as its source. Only a client on this machine, over loopback, is met on its way
    out as well: elsewhere a packet to such a port belongs to another server.
    """
    rows = [(protocol, ports) for protocol, ports in (("tcp", tcp_ports), ("udp", udp_ports)) if ports]
    incoming, outgoing = "", ""
    for protocol, ports in rows:
        ours = f"{{ {', '.join(map(str, ports))} }} notrack\n"
        incoming += f'        {protocol} dport {ours}        iifname "lo" {protocol} sport {ours}'
        outgoing += f'        {protocol} sport {ours}        oifname "lo" {protocol} dport {ours}'
    return (
        f"table inet {NOTRACK_TABLE} {{\n"
        "    chain incoming {\n        type filter hook prerouting priority raw; policy accept;\n"
        f"{incoming}    }}\n"
        "    chain outgoing {\n        type filter hook output priority raw; policy accept;\n"
        f"{outgoing}    }}\n}}\n"
    )


def _notrack(facts: Facts, goal: Goal) -> Remedy:
    return Remedy(
        kind="notrack",
        automatic=not _may_translate(facts),
        do=f"nft -f {NOTRACK_FILE}   (statscounter doctor write DIR makes it; not where a NAT needs the tracking)",
        undo=f"nft delete table inet {NOTRACK_TABLE}",
        name=NOTRACK_TABLE,
        value=notrack_rules(goal.tcp_ports, goal.udp_ports),
    )


def _may_translate(facts: Facts) -> bool:
    """Judge whether there may be a NAT for containers, which needs the tracking: bridges and pairs are signs of it."""
    try:
        return any(not card.real and not card.loopback and card.up and card.packets for card in facts.cards)
    except Unread:
        return True


def _seen(facts: Facts, tracked: int) -> tuple[Counter, ...]:
    try:
        events = facts.conntrack
    except Unread:
        events = {}
    counted = [Counter(f"stat/nf_conntrack: {name}", events[name]) for name in _EVENTS if name in events]
    return (Counter("nf_conntrack_count", tracked), *counted)


def _time_wait(facts: Facts) -> int:
    return facts.number(_TIME_WAIT) if facts.has_sysctl(_TIME_WAIT) else _TIME_WAIT_DEFAULT


CHECKS = (
    Check("conntrack.max", Layer.CONNTRACK, Scope.NETWORK, _MAX, table, "nf_conntrack-sysctl.rst: nf_conntrack_max",
          essential=True),
    Check("conntrack.time-wait", Layer.CONNTRACK, Scope.NETWORK, "nf_conntrack_tcp_timeout_time_wait", time_wait,
          "nf_conntrack-sysctl.rst"),
)  # fmt: skip
