"""What a growing counter means: the table that the watch uses, from the counter to the setting and the command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from statsd_tcp.doctor.goal import Goal, accept_queue, conntrack_entries, time_wait_buckets
from statsd_tcp.doctor.overflow import Cause, tell_cause
from statsd_tcp.kernel.accept_queue import AcceptQueue
from statsd_tcp.kernel.samples import Sample

__all__ = ["SYMPTOMS", "Advice", "Growth", "Symptom"]

NEARLY_FULL = 0.9
"""Share of a limit from which on it counts as hit."""

_CONNTRACK_TIME_WAIT = 120


class Advice(NamedTuple):
    """What happens, which setting it is, and the command that mends it."""

    text: str
    setting: str
    command: str


class Growth(NamedTuple):
    """Two looks at the kernel, one after the other; ``before`` None: there was only one yet."""

    before: Sample | None
    after: Sample
    queues: Sequence[AcceptQueue]
    goal: Goal

    def of(self, *names: str) -> int:
        """Return by how much counters grew together. One that was not there before has not grown, nor one that fell."""
        if self.before is None:
            return 0
        old, new = self.before.counters, self.after.counters
        return sum(max(0, new[name] - old[name]) for name in names if name in new and name in old)

    def full(self, level: str, limit: str) -> bool:
        """Return whether a level has nearly reached its limit."""
        most = self.after.levels.get(limit, 0)
        return bool(most) and self.after.levels.get(level, 0) >= NEARLY_FULL * most


class Symptom(NamedTuple):
    """One limit: how often it was hit between two looks, and what to say then."""

    id: str
    count: Callable[[Growth], int]
    advise: Callable[[Growth], Advice]
    harmless: bool = False
    """Costs nothing that is counted: is told once, and not every minute."""


def _grown(*names: str) -> Callable[[Growth], int]:
    return lambda growth: growth.of(*names)


def _always(text: str, setting: str, command: str) -> Callable[[Growth], Advice]:
    advice = Advice(text, setting, command)
    return lambda _: advice


def _overflow(growth: Growth) -> Advice:
    need = accept_queue(growth.goal).value
    limit = min((queue.limit for queue in growth.queues), default=None)
    diagnosis = tell_cause(growth.of("cgroup.throttled"), limit, need)
    text = f"clients found no room: {diagnosis.text}"
    if diagnosis.cause is Cause.BACKLOG:
        return Advice(text, "net.core.somaxconn", f"sysctl -w net.core.somaxconn={need}, then restart the service")
    if diagnosis.cause is Cause.THROTTLED:
        return Advice(text, "cpu.max", "systemctl set-property statscounter.service CPUQuota=")
    return Advice(text, "--workers", f"restart the service with more than --workers {growth.goal.workers}")


def _time_wait(growth: Growth) -> Advice:
    need = time_wait_buckets(growth.goal, 1 << 50).value
    return Advice(
        "connections end without TIME_WAIT, which costs no count",
        "net.ipv4.tcp_max_tw_buckets",
        f"sysctl -w net.ipv4.tcp_max_tw_buckets={need}",
    )


def _conntrack(growth: Growth) -> Advice:
    need = conntrack_entries(growth.goal, _CONNTRACK_TIME_WAIT).value
    return Advice(
        "connection tracking is full and drops new connections",
        "net.netfilter.nf_conntrack_max",
        f"statscounter doctor apply keeps our ports out of it; or sysctl -w net.netfilter.nf_conntrack_max={need}",
    )


def _conntrack_hits(growth: Growth) -> int:
    lost = growth.of("conntrack.drop", "conntrack.early_drop", "conntrack.insert_failed")
    return lost or int(growth.full("conntrack.entries", "conntrack.limit"))


SYMPTOMS = (
    Symptom("accept-queue", _grown("listen.drops"), _overflow),
    Symptom(
        "syn-queue",
        _grown("TcpExt.TCPReqQFullDoCookies"),
        _always(
            "the SYN queue is full and cookies are sent: a flood, or the queue is too short",
            "net.core.somaxconn",
            "statscounter doctor check tells which length is needed",
        ),
    ),
    Symptom(
        "syn-drops",
        _grown("TcpExt.TCPReqQFullDrop"),
        _always(
            "SYNs are dropped because the SYN queue is full and cookies are off",
            "net.ipv4.tcp_syncookies",
            "sysctl -w net.ipv4.tcp_syncookies=1",
        ),
    ),
    Symptom("time-wait", _grown("TcpExt.TCPTimeWaitOverflow"), _time_wait, harmless=True),
    Symptom(
        "tcp-memory",
        _grown("TcpExt.TCPMemoryPressures", "TcpExt.TCPAbortOnMemory"),
        _always(
            "the kernel is short of memory for TCP",
            "net.ipv4.tcp_mem",
            "ss -tm tells which connections hold it",
        ),
    ),
    Symptom(
        "softnet",
        _grown("softnet.dropped"),
        _always(
            "packets are lost before they reach TCP",
            "net.core.netdev_max_backlog",
            "statscounter doctor check tells which length is needed",
        ),
    ),
    Symptom("conntrack", _conntrack_hits, _conntrack),
    Symptom(
        "udp-buffer",
        _grown("Udp.RcvbufErrors"),
        _always(
            "datagrams found the receive buffer full and are lost",
            "net.core.rmem_max",
            "sysctl -w net.core.rmem_max=4194304, then restart the service; beyond that rcvbuf=, or more workers",
        ),
    ),
    Symptom(
        "cpu-quota",
        _grown("cgroup.throttled"),
        _always(
            "the control group's CPU quota stops the service",
            "cpu.max",
            "systemctl set-property statscounter.service CPUQuota=   (docker update --cpus)",
        ),
    ),
    Symptom(
        "memory-limit",
        _grown("cgroup.memory_hits"),
        _always(
            "the control group is at its memory limit",
            "memory.max",
            "systemctl set-property statscounter.service MemoryMax=   (docker update --memory)",
        ),
    ),
    Symptom(
        "task-limit",
        _grown("cgroup.tasks_refused"),
        _always(
            "the control group refuses new processes",
            "pids.max",
            "systemctl set-property statscounter.service TasksMax=   (docker update --pids-limit)",
        ),
    ),
    Symptom(
        "open-files",
        lambda growth: int(growth.full("files.open", "files.limit")),
        _always(
            "the machine's open files are nearly used up",
            "fs.file-max",
            "statscounter doctor check tells how many are needed",
        ),
    ),
)
"""Looked at in this order."""
