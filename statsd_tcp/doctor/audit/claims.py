"""Opinions on what advice says in words, code and commands, recognised by their usual wordings."""

from __future__ import annotations

import re

from statsd_tcp.doctor.audit.opinion import Grade, Opinion
from statsd_tcp.doctor.goal import Goal, softirq_processors

__all__ = ["claims"]


def _row(pattern: str, grade: Grade, why: str, source: str) -> tuple[re.Pattern[str], Opinion]:
    return re.compile(pattern, re.IGNORECASE), Opinion(grade, why, source)


_LIMITS = (
    _row(r"(descriptor|open files?)[^.]*\b1024\b|\b1024\b[^.]*(descriptor|open files?)|ulimit -n|nofile", Grade.RIGHT,
         "the soft limit; a server must raise it to the hard one, which LimitNOFILE= sets (fs.file-max does not)",
         "getrlimit(2): RLIMIT_NOFILE"),
    _row(r"TIME_WAIT[^.]*exhaust[^.]*port|exhaust[^.]*port[^.]*TIME_WAIT", Grade.WRONG,
         "ports run out at the client that connects; all connections of a server use its one port",
         "net/ipv4/inet_hashtables.c: __inet_hash_connect"),
    _row(r"exhaust[^.]*(ephemeral|local) port", Grade.WRONG,
         "that is a client's limit, for one address to one port; a server takes no port per connection",
         "ip-sysctl.rst: ip_local_port_range"),
    _row(r"tcp_max_syn_backlog\b[^,.=]*\b128\b", Grade.OUTDATED,
         "it grows with the memory (2,048 on most machines), and is not consulted with SYN cookies on",
         "net/ipv4/tcp_ipv4.c: tcp_sk_init"),
    _row(r"somaxconn\b[^,.=]*\b128\b", Grade.OUTDATED, "4,096 since Linux 5.4", "Linux 5.4: include/linux/socket.h"),
    _row(r"(netdev_max_backlog|restricts packets)\b.*\b(NIC|driver|ring)\b", Grade.WRONG,
         "the queue of loopback, veth and packet steering; the card's own is its ring (ethtool -g)",
         "net/core/dev.c: netif_rx"),
    _row(r"three parameters form the first bottleneck", Grade.WRONG,
         "of the three only somaxconn limits an ordinary server, and then connection tracking, which is not named",
         "listen(2); nf_conntrack-sysctl.rst"),
    _row(r"^\W*kernel parameters:.*somaxconn", Grade.RIGHT,
         "somaxconn is the one that counts, together with the length that the program asks for", "listen(2)"),
    _row(r"(ListenOverflows|ListenDrops)[^.]*increase[^.]*backlog|increase[^.]*backlog[^.]*(ListenOverflows|ListenDrops)",
         Grade.RIGHT,
         "if the queue drains again; one that stays full needs more workers or processors: longer only hides it",
         "net/ipv4/tcp_ipv4.c: tcp_v4_syn_recv_sock"),
)  # fmt: skip

_CODE = (
    _row(r"\bbacklog\s*=\s*\d+", Grade.OUTDATED,
         "cut to net.core.somaxconn without a word: 4,096 by default since Linux 5.4, 128 before", "listen(2)"),
    _row(r"\blisten\([^)]*\d+\)|must match somaxconn", Grade.OUTDATED,
         "need not match: the smaller of the two counts, and it is read when listen() is called", "listen(2)"),
    _row(r"SO_REUSEPORT", Grade.WRONG,
         "on a single socket it does nothing: each worker needs its own in the group", "socket(7): SO_REUSEPORT"),
    _row(r"^counter\s*(\+= ?1|= ?0|\+\+)|global counter", Grade.WRONG,
         "a count in one process's memory: lost with it, not shared by workers, and a data race between threads",
         "docs/design.md"),
    _row(r"\baccept\([^)]*NULL", Grade.WRONG,
         "its result is not looked at: a failed accept is counted, and close(-1) is called", "accept(2): RETURN VALUE"),
    _row(r"writer\.close\(\)|\bclose\(client\)", Grade.WRONG,
         "the server closes first, which leaves TIME_WAIT with it, and what the client sent unread resets the client",
         "RFC 2525 section 2.17; net/ipv4/tcp.c: __tcp_close"),
)  # fmt: skip

_TOOLS = (
    _row(r"\blsof\b.*\bwc\b", Grade.WRONG,
         "slow, and counts mapped files and every thread again; /proc/sys/fs/file-nr and /proc/PID/fd are the numbers",
         "proc(5): /proc/sys/fs/file-nr"),
    _row(r"\bss -s\b", Grade.RIGHT, "a summary; ss -lnt shows accept queues, ss -lntm their drops", "ss(8)"),
    _row(r"/proc/net/sockstat", Grade.RIGHT, "cheap and complete: in use, orphans, TIME_WAIT, memory", "proc(5)"),
    _row(r"/proc/interrupts", Grade.RIGHT, "drivers name interrupts as they like: the card's name may be missing",
         "proc(5): /proc/interrupts"),
    _row(r"netstat -s", Grade.RIGHT,
         "the right counters, since boot; /proc/net/netstat has them without net-tools", "netstat(8)"),
    _row(r"ethtool -S", Grade.RIGHT, "names differ between drivers; /sys/class/net/*/statistics has the common ones",
         "ethtool(8)"),
    _row(r"ethtool -l\b(?-i:(?<=-l))", Grade.RIGHT, "shows how many queues there are", "ethtool(8)"),
    _row(r"^sysctl (?!-w|-p|-a)[\w.]+$", Grade.RIGHT, "reads the setting; changes nothing", "sysctl(8)"),
    _row(r"^sysctl -p|/etc/sysctl\.conf", Grade.OUTDATED,
         "a file of your own in /etc/sysctl.d is read by all distributions and survives upgrades", "sysctl.d(5)"),
)  # fmt: skip

_QUEUES = re.compile(r"ethtool -(?-i:L)|NIC queue|\bRSS\b|interrupt processing limits", re.IGNORECASE)

_HARDWARE = (
    _row(r"\birqbalance\b|IRQ balancing|balance IRQs", Grade.IRRELEVANT,
         "nothing to balance with one queue; and it moves interrupts that were pinned by hand: either it or pinning",
         "scaling.rst: RSS IRQ configuration"),
    _row(r"\bNUMA\b", Grade.IRRELEVANT, "only with several nodes, and noticeable far above this rate", "sysfs: net"),
    _row(r"\bPCIe\b", Grade.IRRELEVANT, "10,000 short connections are 64 Mbit/s, nothing to a bus", "sysfs: pci"),
    _row(r"\bDPDK\b|kernel bypass", Grade.IRRELEVANT,
         "the kernel takes ten times this rate on each processor", "docs/tuning.md"),
    _row(r"connection pooling|keep-?alive connections", Grade.RIGHT,
         "the best advice where clients can: but then count events, not connections", "docs/tuning.md"),
    _row(r"\bUDP instead of TCP\b", Grade.RIGHT,
         "if losses may be: they are silent, so watch RcvbufErrors and the sockets' drops", "proc(5): /proc/net/snmp"),
    _row(r"multiple ports|single-port limits|several ports", Grade.IRRELEVANT,
         "there is no such limit: it helps a client that runs out of ports, and SO_REUSEPORT already splits the queue",
         "socket(7): SO_REUSEPORT"),
    _row(r"8-core.*(sufficient|should handle)", Grade.RIGHT,
         "one or two processors carry it; the settings that stop it are elsewhere", "benchmarks/README.md"),
    _row(r"need careful tuning|not optimized for such", Grade.WRONG,
         "one setting has to be raised (somaxconn), one thing to be avoided (connection tracking); the rest is default",
         "statscounter doctor check"),
)  # fmt: skip

_CLAIMS = (*_LIMITS, *_CODE, *_TOOLS, *_HARDWARE)


def claims(goal: Goal) -> tuple[tuple[re.Pattern[str], Opinion], ...]:
    """Give the patterns with what is to be said about a line that they match, for this rate."""
    return (*_CLAIMS, (_QUEUES, _about_queues(goal)))


def _about_queues(goal: Goal) -> Opinion:
    need, source = softirq_processors(goal), "scaling.rst: RSS"
    if need.value > 1:
        return Opinion(Grade.RIGHT, f"at this rate {need.value} processors must receive ({need.formula})", source)
    why = "one queue takes this rate: the best number is the smallest that does not overflow; -L resets the link"
    return Opinion(Grade.IRRELEVANT, f"{why} ({need.formula})", source)
