"""Opinions on sysctl settings that need the machine: the value that is advised, against what is there and needed."""

from __future__ import annotations

from collections.abc import Callable

from statsd_tcp.doctor.audit.opinion import Grade, Opinion
from statsd_tcp.doctor.checks.memory import UDP_BUFFER
from statsd_tcp.doctor.checks.softirq import backlog, packets_needed
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, accept_queue, conntrack_entries, descriptors, time_wait_buckets
from statsd_tcp.doctor.judgement import Verdict
from statsd_tcp.doctor.probes import Unread

__all__ = ["RULES", "Rule"]

Rule = Callable[[int, Facts, Goal], Opinion]
"""Judges the first number of an advised value."""

_CONNTRACK_TIME_WAIT = 120


def somaxconn(value: int, facts: Facts, goal: Goal) -> Opinion:
    """The cap of the accept queue: the one that counts."""
    need, source = accept_queue(goal), "net.rst: somaxconn; listen(2)"
    if value >= need.value:
        return Opinion(
            Grade.RIGHT, f"holds a stall of {goal.stall:g} s ({need.value:,} needed: {need.formula})", source
        )
    lasts = value * goal.workers / goal.rate
    why = f"holds a stall of {lasts:.2f} s only; {need.value:,} needed: {need.formula}"
    if value < _current("net.core.somaxconn", facts, 4096):
        return Opinion(Grade.HARMFUL, f"lower than it is now; {why}", source)
    return Opinion(Grade.OUTDATED, f"{why}; since Linux 5.4 the default is 4,096", source)


def syn_backlog(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Half-open connections."""
    source = "net/ipv4/tcp_input.c: tcp_conn_request"
    if _current("net.ipv4.tcp_syncookies", facts, 1):
        return Opinion(Grade.IRRELEVANT, "not consulted while tcp_syncookies is on, which is the default", source)
    if value >= accept_queue(goal).value:
        return Opinion(Grade.RIGHT, "tcp_syncookies is off here, so that it counts", source)
    return Opinion(Grade.OUTDATED, f"too low: {accept_queue(goal).value:,} are needed with tcp_syncookies off", source)


def netdev_backlog(value: int, facts: Facts, goal: Goal) -> Opinion:
    """The queue before the protocols: as the check of it sees it here."""
    source = "net/core/dev.c: netif_rx"
    try:
        here = backlog(facts, goal)
    except Unread:
        here = None
    if here is not None and here.verdict is Verdict.RAISE and value >= packets_needed(facts, goal):
        return Opinion(Grade.RIGHT, f"packets were lost in it here, or would be: {here.why}", source)
    why = (
        "the queue of loopback, veth, tunnels and packet steering; a network card does not use it (it is not the ring)"
    )
    return Opinion(Grade.IRRELEVANT, f"{why}. Raise it when column 2 of softnet_stat grows", source)


def tw_reuse(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Reuse of TIME_WAIT."""
    why = "only connect() looks at it, accepted connections never do; since Linux 4.19 the default 2 covers loopback"
    return Opinion(Grade.IRRELEVANT, why, "net/ipv4/tcp_ipv4.c: tcp_twsk_unique")


def tw_recycle(value: int, facts: Facts, goal: Goal) -> Opinion:
    """The setting that broke clients behind NAT."""
    if facts.version >= (4, 12):
        return Opinion(Grade.OUTDATED, "removed in Linux 4.12: the line is an error", "Linux 4.12 release notes")
    if value:
        return Opinion(
            Grade.HARMFUL, "drops clients that share an address (NAT), at random", "ip-sysctl.txt of Linux 4.11"
        )
    return Opinion(Grade.RIGHT, "0 is the default, and the only good value", "ip-sysctl.txt of Linux 4.11")


def fin_timeout(value: int, facts: Facts, goal: Goal) -> Opinion:
    """The timeout that is taken for TIME_WAIT's."""
    why = "ends orphans in FIN_WAIT2; TIME_WAIT is a constant 60 s and does not follow it"
    return Opinion(Grade.IRRELEVANT, why, "include/net/tcp.h: TCP_TIMEWAIT_LEN")


def file_max(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Open files of the whole machine."""
    source, need = "fs.rst: file-max", 2 * goal.workers * descriptors(goal).value
    current = _current("fs.file-max", facts, 0)
    if current and value < current:
        return Opinion(Grade.HARMFUL, f"lowers it from {current:,}; what limits a service is LimitNOFILE=", source)
    if value < need:
        return Opinion(
            Grade.HARMFUL, f"too low: {need:,} are needed; the kernel's own default grows with memory", source
        )
    return Opinion(Grade.IRRELEVANT, "enough, but so was the default; what limits a service is LimitNOFILE=", source)


def syncookies(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Cookies."""
    source = "ip-sysctl.rst: tcp_syncookies"
    if value == 1:
        return Opinion(
            Grade.RIGHT, "it is the default; a growing SyncookiesSent means a flood or a short queue", source
        )
    why = "connections are dropped when the SYN queue is full" if not value else "2 is for tests of the kernel"
    return Opinion(Grade.HARMFUL, why, source)


def port_range(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Ports of outgoing connections."""
    source, taken = "ip-sysctl.rst: ip_local_port_range", [port for port in goal.ports if port >= value]
    if taken:
        ports = ",".join(map(str, taken))
        why = f"does nothing for a server, and lets outgoing connections take its port ({ports}): its next start fails"
        return Opinion(Grade.HARMFUL, f"{why}. Needed then: net.ipv4.ip_local_reserved_ports={ports}", source)
    return Opinion(Grade.IRRELEVANT, "ports for connect(): a server's connections all use its one port", source)


def tw_buckets(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Room for TIME_WAIT."""
    source = "ip-sysctl.rst: tcp_max_tw_buckets"
    need = time_wait_buckets(goal, _memory(facts)) if goal.closes_first else None
    if need and value >= need.value:
        return Opinion(Grade.RIGHT, f"count-only ports close first and need {need.value:,} ({need.formula})", source)
    current = _current("net.ipv4.tcp_max_tw_buckets", facts, 0)
    if value < current:
        return Opinion(Grade.HARMFUL, f"lowers it from {current:,}: the kernel's documentation says never to", source)
    return Opinion(Grade.IRRELEVANT, "beyond the limit connections end without TIME_WAIT, which costs no count", source)


def abort(value: int, facts: Facts, goal: Goal) -> Opinion:
    """What a full queue does to clients."""
    source = "ip-sysctl.rst: tcp_abort_on_overflow"
    if value:
        return Opinion(Grade.HARMFUL, "clients that meet a full queue are reset instead of trying again", source)
    return Opinion(Grade.RIGHT, "it is the default: clients try again", source)


def timestamps(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Timestamps."""
    source = "ip-sysctl.rst: tcp_timestamps"
    if value:
        return Opinion(Grade.RIGHT, "it is the default; SYN cookies carry their options in it", source)
    return Opinion(
        Grade.HARMFUL, "without them SYN cookies lose the clients' options, and old segments are accepted", source
    )


def fastopen(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Data in the SYN."""
    source = "ip-sysctl.rst: tcp_fastopen; RFC 7413 section 6.3.1"
    if value & 2:
        return Opinion(Grade.HARMFUL, "a replayed SYN with data counts twice, where a listener asks for it", source)
    return Opinion(Grade.IRRELEVANT, "the client's part only", source)


def conntrack_max(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Tracked connections."""
    source = "nf_conntrack-sysctl.rst: nf_conntrack_max"
    need = conntrack_entries(goal, _CONNTRACK_TIME_WAIT)
    if not _current("net.netfilter.nf_conntrack_count", facts, 0):
        return Opinion(Grade.IRRELEVANT, f"nothing is tracked here; where it is, {need.value:,} are needed", source)
    if value >= need.value:
        return Opinion(Grade.RIGHT, f"{need.value:,} needed: {need.formula}; better is notrack for the ports", source)
    seconds = value / goal.rate
    return Opinion(
        Grade.HARMFUL, f"full after {seconds:.0f} s, then clients are dropped; {need.value:,} needed", source
    )


def rmem_default(value: int, facts: Facts, goal: Goal) -> Opinion:
    """The buffer of a datagram socket that does not ask for another."""
    return Opinion(
        Grade.RIGHT,
        "more room for datagrams (not for TCP, which has tcp_rmem) where it is above twice rmem_max",
        "net.rst: rmem_default",
    )


def rmem_max(value: int, facts: Facts, goal: Goal) -> Opinion:
    """How much of the buffer that the service asks for its UDP sockets get."""
    source, current = "net.rst: rmem_max", _current("net.core.rmem_max", facts, 0)
    if not goal.udp_ports:
        return Opinion(Grade.IRRELEVANT, "no listener takes datagrams; TCP has its own sizes", source)
    if value < min(current, UDP_BUFFER):
        return Opinion(Grade.HARMFUL, f"lowers it from {current:,}: less room for datagrams", source)
    return Opinion(Grade.RIGHT, "UDP sockets ask for 4194304, and udp:PORT:rcvbuf=BYTES for what it says", source)


def unix_datagrams(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Datagrams that may wait in a Unix socket."""
    source, current = "net/unix/af_unix.c: unix_create1", _current("net.unix.max_dgram_qlen", facts, 0)
    if value < current:
        return Opinion(Grade.HARMFUL, f"lowers it from {current:,}; clients that find no room lose lines", source)
    if not goal.unixgram:
        return Opinion(Grade.IRRELEVANT, "only for a unixgram: listener, of which there is none", source)
    return Opinion(Grade.RIGHT, "room for datagrams of Unix sockets that are made from then on", source)


def tcp_buffers(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Sizes of a connection's buffers."""
    return Opinion(Grade.IRRELEVANT, "a short connection never grows its buffers", "ip-sysctl.rst: tcp_rmem, tcp_wmem")


def nr_open(value: int, facts: Facts, goal: Goal) -> Opinion:
    """The highest limit of one process."""
    need, source = descriptors(goal).value, "fs.rst: nr_open"
    if value >= need:
        return Opinion(Grade.RIGHT, f"the ceiling of LimitNOFILE=, of which a worker needs {need:,}", source)
    return Opinion(
        Grade.HARMFUL, f"a worker needs {need:,}; a higher LimitNOFILE= keeps the unit from starting", source
    )


def max_orphans(value: int, facts: Facts, goal: Goal) -> Opinion:
    """Closed connections that the client has not confirmed."""
    source, current = "ip-sysctl.rst: tcp_max_orphans", _current("net.ipv4.tcp_max_orphans", facts, 0)
    if value < current:
        return Opinion(Grade.HARMFUL, f"lowers it from {current:,}; beyond it connections are reset", source)
    return Opinion(Grade.IRRELEVANT, "the default suffices: short connections leave few orphans", source)


def _current(name: str, facts: Facts, otherwise: int) -> int:
    try:
        return facts.number(name)
    except Unread:
        return otherwise


def _memory(facts: Facts) -> int:
    try:
        return facts.memory
    except Unread:
        return 1 << 40


RULES: dict[str, Rule] = {
    "fs.file-max": file_max,
    "fs.nr_open": nr_open,
    "net.core.netdev_max_backlog": netdev_backlog,
    "net.core.rmem_default": rmem_default,
    "net.core.rmem_max": rmem_max,
    "net.core.somaxconn": somaxconn,
    "net.ipv4.ip_local_port_range": port_range,
    "net.ipv4.tcp_abort_on_overflow": abort,
    "net.ipv4.tcp_fastopen": fastopen,
    "net.ipv4.tcp_fin_timeout": fin_timeout,
    "net.ipv4.tcp_max_orphans": max_orphans,
    "net.ipv4.tcp_max_syn_backlog": syn_backlog,
    "net.ipv4.tcp_max_tw_buckets": tw_buckets,
    "net.ipv4.tcp_rmem": tcp_buffers,
    "net.ipv4.tcp_syncookies": syncookies,
    "net.ipv4.tcp_timestamps": timestamps,
    "net.ipv4.tcp_tw_recycle": tw_recycle,
    "net.ipv4.tcp_tw_reuse": tw_reuse,
    "net.ipv4.tcp_wmem": tcp_buffers,
    "net.netfilter.nf_conntrack_max": conntrack_max,
    "net.nf_conntrack_max": conntrack_max,
    "net.unix.max_dgram_qlen": unix_datagrams,
}
"""Settings whose opinion depends on the value, the machine or the goal."""
