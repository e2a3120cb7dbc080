"""Checks of the handshake: the SYN queue, cookies, and data in the SYN."""

from __future__ import annotations

from statsd_tcp.doctor.checks.accept import counters
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, accept_queue
from statsd_tcp.doctor.judgement import (
    Check,
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

__all__ = ["CHECKS"]

_FASTOPEN_SERVER = 2


def syncookies(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether cookies are on, and carry ordinary load."""
    current = facts.number("net.ipv4.tcp_syncookies")
    seen = counters(facts, "TcpExt.SyncookiesSent", "TcpExt.TCPReqQFullDoCookies")
    if not current:
        return Judgement(
            verdict=Verdict.RAISE,
            current="0",
            needed="1",
            why="with a full SYN queue connections are dropped instead of answered with a cookie",
            weight=Weight.WARNING,
            counters=seen,
            remedies=(sysctl("net.ipv4.tcp_syncookies", 1, current),),
        )
    if current != 1:
        return Judgement(
            verdict=Verdict.LOWER,
            current=str(current),
            needed="1",
            why="every client is answered with a cookie, which loses its options: a setting for tests",
            weight=Weight.WARNING,
            counters=seen,
            remedies=(sysctl("net.ipv4.tcp_syncookies", 1, current, automatic=False),),
        )
    if seen and seen[0].value:
        why = "cookies were sent: a flood, or the SYN queue, which is as long as the accept queue, is too short"
        return Judgement(verdict=Verdict.OK, current=str(current), needed="1", why=why, weight=Weight.WARNING,
                         counters=seen)  # fmt: skip
    return fine(current, "the kernel's default; they are no substitute for a long queue", "1", counters=seen)


def syn_backlog(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the limit of half-open connections does anything."""
    current, cookies = facts.number("net.ipv4.tcp_max_syn_backlog"), facts.number("net.ipv4.tcp_syncookies")
    seen = counters(facts, "TcpExt.TCPReqQFullDrop", "TcpExt.TCPReqQFullDoCookies")
    if cookies:
        why = "not consulted while tcp_syncookies is on: the SYN queue is as long as the accept queue"
        return irrelevant(f"{current:,}", why, counters=seen)
    return at_least(
        "net.ipv4.tcp_max_syn_backlog",
        current,
        accept_queue(goal),
        enough="consulted since tcp_syncookies is off",
        short="consulted since tcp_syncookies is off: beyond three quarters of it new clients are dropped",
        counters=seen,
    )


def synack_retries(facts: Facts, goal: Goal) -> Judgement:
    """Judge when half-open connections are given up."""
    why = "how long a half-open connection is kept (5: 63 s); only in a SYN flood is 2 or 3 better"
    return irrelevant(facts.number("net.ipv4.tcp_synack_retries"), why)


def fastopen(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether a connection can come twice."""
    current = facts.number("net.ipv4.tcp_fastopen")
    seen = counters(facts, "TcpExt.TCPFastOpenPassive", "TcpExt.TCPFastOpenListenOverflow")
    if not current & _FASTOPEN_SERVER:
        return fine(current, "the server's part (bit 2) is off: no SYN with data can be replayed", counters=seen)
    why = "the service's sockets do not ask for it; another program's may, and a replayed SYN counts twice there"
    return irrelevant(current, why, counters=seen)


CHECKS = (
    Check("syn.cookies", Layer.ACCEPT, Scope.NETWORK, "net.ipv4.tcp_syncookies", syncookies,
          "ip-sysctl.rst: tcp_syncookies"),
    Check("syn.backlog", Layer.ACCEPT, Scope.NETWORK, "net.ipv4.tcp_max_syn_backlog", syn_backlog,
          "net/ipv4/tcp_input.c: tcp_conn_request"),
    Check("syn.retries", Layer.ACCEPT, Scope.NETWORK, "net.ipv4.tcp_synack_retries", synack_retries,
          "ip-sysctl.rst: tcp_synack_retries"),
    Check("accept.fastopen", Layer.ACCEPT, Scope.NETWORK, "net.ipv4.tcp_fastopen", fastopen,
          "ip-sysctl.rst: tcp_fastopen"),
)  # fmt: skip
