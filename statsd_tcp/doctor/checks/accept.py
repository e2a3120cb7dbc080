"""Checks of the accept queue: connections whose handshake is done, and who takes them."""

from __future__ import annotations

from collections.abc import Iterable

from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, accept_queue, ordinary_queue
from statsd_tcp.doctor.judgement import (
    Check,
    Counter,
    Judgement,
    Layer,
    Remedy,
    Scope,
    Verdict,
    Weight,
    at_least,
    command,
    fine,
    irrelevant,
    sysctl,
)
from statsd_tcp.doctor.overflow import Cause, overflow_cause
from statsd_tcp.doctor.probes import Unread
from statsd_tcp.kernel.sock_diag import Listener

__all__ = ["CHECKS", "counters", "our_listeners"]

_OVERFLOWS, _DROPS = "TcpExt.ListenOverflows", "TcpExt.ListenDrops"


def our_listeners(facts: Facts, goal: Goal) -> list[Listener]:
    """Return the sockets that listen on our ports; raises `Unread` if there is none."""
    found = [one for one in facts.listeners if one.port in goal.tcp_ports]
    if not found:
        ports = ", ".join(map(str, goal.tcp_ports))
        raise Unread(f"nothing listens on tcp {ports} in this network namespace: is the service running?")
    return found


def counters(facts: Facts, *names: str) -> tuple[Counter, ...]:
    """Return those of the protocols' counters that this kernel has."""
    known = facts.counters
    return tuple(Counter(name.replace(".", ": "), known[name]) for name in names if name in known)


def somaxconn(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether an accept queue may be as long as a stall makes it."""
    current, need = facts.number("net.core.somaxconn"), accept_queue(goal)
    seen = counters(facts, _OVERFLOWS, _DROPS)
    lasts = current * goal.workers / goal.rate
    return at_least(
        "net.core.somaxconn",
        current,
        need,
        enough=f"a worker may stall for {lasts:.1f} s; listen() is cut to this without a word",
        short=f"the queue of a worker is full after {lasts:.2f} s of stall; counts when the service listens again",
        weight=Weight.STOPS if current < ordinary_queue(goal) else Weight.WARNING,
        counters=seen,
    )


def backlog(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the service got the queues that it could have."""
    ours, need = our_listeners(facts, goal), accept_queue(goal)
    shortest = min(ours, key=lambda one: one.queue.limit)
    seen = (Counter(f"drops of the sockets on {_ports(ours)} (ss -lntm)", sum(one.queue.drops for one in ours)),)
    if shortest.queue.limit >= need.value:
        return fine(
            f"{shortest.queue.limit:,}", "what ss -lnt shows as Send-Q", f"{need.value:,}", need.formula, counters=seen
        )
    allowed = facts.number("net.core.somaxconn")
    return Judgement(
        verdict=Verdict.RAISE,
        current=f"{shortest.queue.limit:,} on port {shortest.port}",
        needed=f"{need.value:,}",
        formula=need.formula,
        why=(
            f"net.core.somaxconn allows {allowed:,} now, but was lower when the service listened"
            if allowed > shortest.queue.limit
            else "as long as net.core.somaxconn allows"
        ),
        weight=Weight.STOPS if shortest.queue.limit < ordinary_queue(goal) else Weight.WARNING,
        counters=seen,
        remedies=(command("systemctl restart statscounter.service", "(nothing to undo)"),),
    )


def overflows(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether connections were lost because a queue was full, and why."""
    seen = counters(facts, _OVERFLOWS, _DROPS)
    if not seen:
        raise Unread("this kernel does not count overflows")
    lost = seen[0].value
    if not lost:
        return fine("0", "no accept queue of this network namespace has overflowed since it exists", "0", counters=seen)
    cause = overflow_cause(facts, goal)
    return Judgement(
        verdict=Verdict.LOWER,
        current=f"{lost:,}",
        needed="0",
        formula="each try of a client whose handshake found the queue full counts once",
        why=cause.text,
        weight=Weight.WARNING,
        counters=seen + cause.counters,
        remedies=_overflow_remedies(facts, goal, cause.cause),
    )


def abort_on_overflow(facts: Facts, goal: Goal) -> Judgement:
    """Judge what happens to a client that finds the queue full."""
    current = facts.number("net.ipv4.tcp_abort_on_overflow")
    if not current:
        return fine(0, "a client that finds the queue full tries again and gets in when it drains", "0")
    return Judgement(
        verdict=Verdict.LOWER,
        current=str(current),
        needed="0",
        why="a client that finds the queue full for a moment is reset, instead of trying again",
        weight=Weight.WARNING,
        remedies=(sysctl("net.ipv4.tcp_abort_on_overflow", 0, current, automatic=False),),
    )


def migrate(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether connections in the queue of a closed socket find another."""
    if facts.version < (5, 14):
        return irrelevant("not there", "came with Linux 5.14; the supervisor never closes a socket while clients queue")
    current = facts.number("net.ipv4.tcp_migrate_req")
    seen = counters(facts, "TcpExt.TCPMigrateReqSuccess", "TcpExt.TCPMigrateReqFailure")
    why = "the supervisor never closes a socket while clients queue on it: 1 is only a second belt"
    return irrelevant(current, why, counters=seen)


def foreign(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether another process takes connections from our ports."""
    ours = our_listeners(facts, goal)
    uids = {one.uid for one in ours}
    owners = facts.owners({one.inode for one in ours})
    strangers = _strangers(owners.values(), goal)
    per_port = {port: sum(1 for one in ours if one.port == port) for port in sorted({one.port for one in ours})}
    current = ", ".join(f"{port}: {number}" for port, number in per_port.items())
    if strangers or len(uids) > 1:
        who = f"process {', '.join(map(str, strangers))}" if strangers else f"users {', '.join(map(str, sorted(uids)))}"
        return Judgement(
            verdict=Verdict.LOWER,
            current=current,
            needed="the service's own only",
            why=f"{who} listens on a port of the service: the kernel gives it a share of the connections",
            weight=Weight.STOPS,
            remedies=(
                command(f"kill {' '.join(map(str, strangers)) or 'PID'}", "(start that program on another port)"),
            ),
        )
    if not goal.pids:
        why = "one user's sockets; --pid or --status-url tells whose they should be"
        return fine(current, why, "one service's")
    if not owners:
        raise Unread("the owners of the sockets cannot be seen without more rights")
    return fine(current, "all sockets on the service's ports are its own", "the service's own only")


def _strangers(owners: Iterable[set[int]], goal: Goal) -> list[int]:
    """Return the processes that have a socket on our ports which none of ours has."""
    known = set(goal.pids)
    return sorted({pid for pids in owners if known and not pids & known for pid in pids})


def _ports(ours: list[Listener]) -> str:
    return ", ".join(map(str, sorted({one.port for one in ours})))


def _overflow_remedies(facts: Facts, goal: Goal, cause: Cause) -> tuple[Remedy, ...]:
    if cause is Cause.BACKLOG:
        need, current = accept_queue(goal).value, facts.number("net.core.somaxconn")
        return (
            (sysctl("net.core.somaxconn", need, current),)
            if current < need
            else (command("systemctl restart statscounter.service", "(nothing to undo)"),)
        )
    return ()


CHECKS = (
    Check("accept.somaxconn", Layer.ACCEPT, Scope.NETWORK, "net.core.somaxconn", somaxconn,
          "net.rst: somaxconn; listen(2)", essential=True),
    Check("accept.backlog", Layer.ACCEPT, Scope.PROCESS, "listen queues in force", backlog, "ss(8): Send-Q; listen(2)"),
    Check("accept.overflows", Layer.ACCEPT, Scope.NETWORK, "accept queue overflows", overflows,
          "net/ipv4/tcp_ipv4.c: tcp_v4_syn_recv_sock", essential=True),
    Check("accept.foreign", Layer.ACCEPT, Scope.NETWORK, "sockets on our ports", foreign, "socket(7): SO_REUSEPORT"),
    Check("accept.abort", Layer.ACCEPT, Scope.NETWORK, "net.ipv4.tcp_abort_on_overflow", abort_on_overflow,
          "ip-sysctl.rst: tcp_abort_on_overflow"),
    Check("accept.migrate", Layer.ACCEPT, Scope.NETWORK, "net.ipv4.tcp_migrate_req", migrate,
          "ip-sysctl.rst: tcp_migrate_req"),
)  # fmt: skip
