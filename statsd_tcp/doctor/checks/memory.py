"""Checks of descriptors and memory: what one worker may open, and what the machine has for sockets."""

from __future__ import annotations

from statsd_tcp.doctor.checks.accept import counters
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, Need, datagram_queue, descriptors, memory
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
    limit,
    sysctl,
)

__all__ = ["CHECKS", "UDP_BUFFER"]

_PAGE = 4096
_LARGE_BUFFER = 1 << 20
_FULL_AT_ONCE = 10
"""A queue with room for this part of what is needed is full a hundredth of a second after its worker looked away."""

_UDP_SMALL = 768
"""Bytes that a small datagram takes of a receive buffer (its truesize)."""

UDP_BUFFER = 4 << 20
"""Bytes that the service asks for, see `statsd_tcp.sockets.binding`. The kernel doubles what is asked for."""


def open_files(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether a worker may open what comes at once after a stall."""
    soft, hard = facts.limits["Max open files"]
    need = descriptors(goal)
    current = f"{_written(soft)}, hard {_written(hard)}"
    if hard is None or hard >= need.value:
        return fine(
            current, "the service raises the soft limit to the hard one itself", f"{need.value:,}", need.formula
        )
    ordinary = goal.rate * goal.life / goal.workers
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"{need.value:,}",
        formula=need.formula,
        why="of each worker; at the limit accepting pauses, and clients wait in the kernel's queue",
        weight=Weight.STOPS if hard < ordinary else Weight.WARNING,
        remedies=(limit(facts.start, "LimitNOFILE", need.value, hard),),
    )


def nr_open(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the limit of one process can be as high as is needed."""
    return at_least(
        "fs.nr_open",
        facts.number("fs.nr_open"),
        descriptors(goal),
        enough="the highest limit of open files that a process may have",
        short="LimitNOFILE= above it keeps the unit from starting",
    )


def file_max(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether there are enough open files for all processes together."""
    used, _, most = facts.numbers("fs.file-nr")[:3]
    one = descriptors(goal)
    need = Need(2 * goal.workers * one.value, f"2·workers·{one.value:,}")
    return at_least(
        "fs.file-max",
        most,
        need,
        enough="of the whole machine; the default grows with the memory, so that advice mostly lowers it",
        short="open files of the whole machine: the default was lowered",
        counters=(Counter("fs.file-nr: used", used),),
    )


def orphans(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether closed connections have room until their clients confirm."""
    need = Need(int(4 * 0.2 * goal.rate), "4·rate·0.2 s round trip; the kernel may count each up to four times")
    seen = (Counter("sockstat: TCP orphan", facts.sockets.get("TCP.orphan", 0)),
            *counters(facts, "TcpExt.TCPAbortOnMemory"))  # fmt: skip
    return at_least(
        "net.ipv4.tcp_max_orphans",
        facts.number("net.ipv4.tcp_max_orphans"),
        need,
        enough="closed by us, not yet confirmed by the client",
        short="beyond it closed connections are reset",
        counters=seen,
    )


def tcp_memory(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the kernel runs short of memory for TCP."""
    _, pressure, most = facts.numbers("net.ipv4.tcp_mem")[:3]
    used = facts.sockets.get("TCP.mem", 0)
    seen = (Counter("sockstat: TCP mem (pages)", used),
            *counters(facts, "TcpExt.TCPMemoryPressures", "TcpExt.TCPAbortOnMemory"))  # fmt: skip
    current = f"{used * _PAGE >> 20:,} of {most * _PAGE >> 20:,} MiB"
    if used < pressure:
        return fine(
            current, "short connections hold little; leave it", f"below {pressure * _PAGE >> 20:,} MiB", counters=seen
        )
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"below {pressure * _PAGE >> 20:,} MiB",
        formula=f"pressure begins at {pressure:,} pages",
        why="the kernel shrinks buffers now, and at the limit it resets connections: find who holds the memory",
        weight=Weight.WARNING,
        counters=seen,
    )


def tcp_buffers(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether all connections begin with large buffers."""
    default = facts.numbers("net.ipv4.tcp_rmem")[1]
    if default <= _LARGE_BUFFER:
        return irrelevant(f"{default:,} B", "a short connection never grows its buffers: leave the defaults")
    return Judgement(
        verdict=Verdict.LOWER,
        current=f"{default:,} B",
        needed="131,072 B",
        formula="the kernel's default",
        why="the default size is allowed to every connection: memory times connections",
        weight=Weight.WARNING,
        remedies=(
            sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456", facts.sysctl("net.ipv4.tcp_rmem"), automatic=False),
        ),
    )


def udp_buffers(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether datagrams find room while a worker is busy."""
    if not goal.udp_ports:
        return irrelevant("", "no listener takes datagrams")
    most = facts.number("net.core.rmem_max")
    current = max(facts.number("net.core.rmem_default"), 2 * min(UDP_BUFFER, most))
    seen = counters(facts, "Udp.RcvbufErrors", "Udp.InErrors")
    value = int(goal.rate * 0.1 / goal.workers * _UDP_SMALL)
    need = Need(value, f"rate·0.1 s/workers·{_UDP_SMALL} B, if as many datagrams come as connections")
    lost = next((one.value for one in seen if "RcvbufErrors" in one.name), 0)
    if current >= need.value and not lost:
        why = "of each worker's socket; datagrams are lost without a word when it is full"
        return fine(f"{current:,} B", why, f"{need.value:,} B", need.formula, counters=seen)
    wanted = max(need.value, 2 * current if lost else 0)
    asks_for_more = wanted > 2 * UDP_BUFFER
    return Judgement(
        verdict=Verdict.RAISE,
        current=f"{current:,} B",
        needed=f"{wanted:,} B",
        formula=f"twice, since {lost:,} datagrams were lost" if lost and wanted > need.value else need.formula,
        why="a full buffer loses datagrams without a word; "
        + ("more workers, or udp:PORT:rcvbuf=BYTES" if asks_for_more else "counts from the next start"),
        weight=Weight.WARNING if lost else Weight.FINE,
        counters=seen,
        remedies=() if asks_for_more else (sysctl("net.core.rmem_max", -(-wanted // 2), most),),
    )


def unix_datagrams(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether datagrams find room in a Unix socket while its worker is busy."""
    if not goal.unixgram:
        return irrelevant("", "no listener takes datagrams over a Unix socket")
    current, need = facts.number("net.unix.max_dgram_qlen"), datagram_queue(goal)
    return at_least(
        "net.unix.max_dgram_qlen",
        current,
        need,
        enough="datagrams that may wait; a client that finds no room waits too, or loses what it sends",
        short="a client that finds no room waits, or loses what it sends; counts from the next start of the service",
        weight=Weight.WARNING if current < need.value / _FULL_AT_ONCE else Weight.FINE,
    )


def machine_memory(facts: Facts, goal: Goal) -> Judgement:
    """Judge whether the machine has the memory."""
    need = memory(goal)
    current = f"{facts.memory >> 20:,} MiB"
    if facts.memory >= 2 * need.value:
        return fine(current, "with all queues full", f"{need.value >> 20:,} MiB", need.formula)
    return Judgement(
        verdict=Verdict.RAISE,
        current=current,
        needed=f"{2 * need.value >> 20:,} MiB",
        formula=f"2·({need.formula})",
        why="with all queues full the service takes more than half of the machine",
        weight=Weight.STOPS if facts.memory < need.value else Weight.WARNING,
    )


def _written(limit: int | None) -> str:
    return "unlimited" if limit is None else f"{limit:,}"


CHECKS = (
    Check("fd.limit", Layer.MEMORY, Scope.PROCESS, "open files of a worker", open_files, "getrlimit(2): RLIMIT_NOFILE",
          essential=True),
    Check("fd.nr-open", Layer.MEMORY, Scope.HOST, "fs.nr_open", nr_open, "fs.rst: nr_open"),
    Check("fd.file-max", Layer.MEMORY, Scope.HOST, "fs.file-max", file_max, "fs.rst: file-max"),
    Check("mem.machine", Layer.MEMORY, Scope.HOST, "memory", machine_memory, "/proc/meminfo", essential=True),
    Check("mem.tcp", Layer.MEMORY, Scope.HOST, "net.ipv4.tcp_mem", tcp_memory, "ip-sysctl.rst: tcp_mem"),
    Check("mem.orphans", Layer.MEMORY, Scope.HOST, "net.ipv4.tcp_max_orphans", orphans,
          "ip-sysctl.rst: tcp_max_orphans"),
    Check("mem.tcp-buffers", Layer.MEMORY, Scope.NETWORK, "net.ipv4.tcp_rmem", tcp_buffers, "ip-sysctl.rst: tcp_rmem"),
    Check("mem.udp-buffers", Layer.MEMORY, Scope.HOST, "net.core.rmem_max", udp_buffers, "net.rst: rmem_max"),
    Check("mem.unix-datagrams", Layer.MEMORY, Scope.NETWORK, "net.unix.max_dgram_qlen", unix_datagrams,
          "net/unix/af_unix.c: unix_create1; unix(7)"),
)  # fmt: skip
