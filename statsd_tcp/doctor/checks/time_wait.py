"""Checks around TIME_WAIT and ports: what matters to a server, and the favourites of advice that do not."""

from __future__ import annotations

from statsd_tcp.doctor.checks.accept import counters
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import TIME_WAIT, Goal, time_wait_buckets
from statsd_tcp.doctor.judgement import (
    Check,
    Counter,
    Judgement,
    Layer,
    Scope,
    Verdict,
    Weight,
    at_least,
    fine,
    irrelevant,
    sysctl,
)
from statsd_tcp.doctor.probes import Unread

__all__ = ["CHECKS"]


def buckets(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether there is room for the connections that we close first."""
    current = facts.number("net.ipv4.tcp_max_tw_buckets")
    seen = (*counters(facts, "TcpExt.TCPTimeWaitOverflow"), Counter("sockstat: TCP tw", facts.sockets.get("TCP.tw", 0)))
    if not goal.closes_first:
        return irrelevant(f"{current:,}", "clients close first, and TIME_WAIT stays with them", counters=seen)
    return at_least(
        "net.ipv4.tcp_max_tw_buckets",
        current,
        time_wait_buckets(goal, facts.memory),
        enough="who closes first keeps TIME_WAIT for 60 s: count-only ports do",
        short="count-only ports close first; beyond the limit connections end without TIME_WAIT, which costs no count",
        counters=seen,
    )


def reuse(facts: Facts, goal: Goal) -> Judgement:
    """Judge what reuse of TIME_WAIT does for a server."""
    current = facts.number("net.ipv4.tcp_tw_reuse")
    return irrelevant(current, "only connect() looks at it: accepted connections never do; leave the default")


def recycle(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the setting that breaks clients behind NAT is there."""
    name = "net.ipv4.tcp_tw_recycle"
    if not facts.has_sysctl(name):
        if facts.version == (0, 0):
            raise Unread("the kernel's version cannot be known")
        return Judgement(verdict=Verdict.DEAD, current="gone", why="removed in Linux 4.12; a line that sets it is dead")
    current = facts.number(name)
    if not current:
        return fine(0, "must stay 0: it drops clients that share an address", "0")
    return Judgement(
        verdict=Verdict.LOWER,
        current=str(current),
        needed="0",
        why="drops SYNs of clients that share an address (NAT), at random; removed in Linux 4.12",
        weight=Weight.STOPS,
        remedies=(sysctl(name, 0, current, automatic=False),),
    )


def fin_timeout(facts: Facts, goal: Goal) -> Judgement:
    """Judge what this timeout shortens."""
    current = facts.number("net.ipv4.tcp_fin_timeout")
    why = f"ends orphans in FIN_WAIT2, not TIME_WAIT, which is {TIME_WAIT} s whatever is set"
    return irrelevant(f"{current} s", why)


def port_range(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether outgoing connections may take our ports."""
    low, high = facts.numbers("net.ipv4.ip_local_port_range")[:2]
    current = f"{low} to {high}"
    inside = [port for port in goal.ports if low <= port <= high]
    if not inside:
        return irrelevant(current, "ports for connect(); a server's connections all use its one port")
    reserved = facts.sysctl("net.ipv4.ip_local_reserved_ports") if _has_reserved(facts) else ""
    open_to_all = [port for port in inside if not _is_reserved(port, reserved)]
    if not open_to_all:
        return fine(current, "the service's ports are reserved", "reserved")
    ports = ",".join(map(str, open_to_all))
    value = f"{reserved},{ports}" if reserved else ports
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"reserve {ports}",
        formula=f"ports of the service in {low} to {high}",
        why="any outgoing connection may take the service's port; its next start then fails: address in use",
        weight=Weight.WARNING,
        remedies=(sysctl("net.ipv4.ip_local_reserved_ports", value, reserved or '""'),),
    )


def hash_table(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the table suffices for all connections, alive and in TIME_WAIT."""
    # Below 0: the table of the host, which this namespace shares.
    buckets = abs(facts.number("net.ipv4.tcp_ehash_entries")) if facts.version >= (6, 1) else 0
    if not buckets:
        raise Unread("this kernel does not tell the size of its table of connections (dmesg does, at boot)")
    in_wait = TIME_WAIT * goal.rate if goal.closes_first else 0
    entries = int(in_wait + goal.rate * goal.life)
    formula = f"(60·rate + rate·life)/2 = {entries // 2:,}"
    if entries <= 2 * buckets:
        return fine(f"{buckets:,}", "a look-up passes two entries or less", f"{entries // 2:,}", formula)
    return Judgement(
        verdict=Verdict.RAISE,
        current=f"{buckets:,}",
        needed=f"{entries // 2:,}",
        formula=formula,
        why="look-ups get slower; the size is set at boot (thash_entries=) and grows with the memory",
        weight=Weight.FINE,
    )


def several_ports(facts: Facts, goal: Goal) -> Judgement:
    """Judge who needs more ports."""
    why = "more ports give one client machine more addresses to use; each port's queue is split by workers anyway"
    return irrelevant(", ".join(map(str, goal.tcp_ports)), why)


def _has_reserved(facts: Facts) -> bool:
    return facts.has_sysctl("net.ipv4.ip_local_reserved_ports")


def _is_reserved(port: int, ranges: str) -> bool:
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        if int(first) <= port <= int(last or first):
            return True
    return False


CHECKS = (
    Check("tw.buckets", Layer.TIME_WAIT, Scope.NETWORK, "net.ipv4.tcp_max_tw_buckets", buckets,
          "ip-sysctl.rst: tcp_max_tw_buckets"),
    Check("tw.reuse", Layer.TIME_WAIT, Scope.NETWORK, "net.ipv4.tcp_tw_reuse", reuse,
          "net/ipv4/tcp_ipv4.c: tcp_twsk_unique"),
    Check("tw.recycle", Layer.TIME_WAIT, Scope.NETWORK, "net.ipv4.tcp_tw_recycle", recycle,
          "Linux 4.12: tcp: remove tcp_tw_recycle"),
    Check("tw.fin-timeout", Layer.TIME_WAIT, Scope.NETWORK, "net.ipv4.tcp_fin_timeout", fin_timeout,
          "include/net/tcp.h: TCP_TIMEWAIT_LEN"),
    Check("tw.port-range", Layer.TIME_WAIT, Scope.NETWORK, "net.ipv4.ip_local_port_range", port_range,
          "ip-sysctl.rst: ip_local_reserved_ports"),
    Check("tw.hash", Layer.TIME_WAIT, Scope.HOST, "table of connections", hash_table,
          "ip-sysctl.rst: tcp_ehash_entries"),
    Check("tw.several-ports", Layer.TIME_WAIT, Scope.PROCESS, "several ports", several_ports, "socket(7)"),
)  # fmt: skip
