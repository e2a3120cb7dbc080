"""The words of the doctor: what a check is, what it finds, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum

import msgspec

from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal, Need
from statsd_tcp.doctor.start import UNIT, Start

__all__ = [
    "Check",
    "Counter",
    "Judgement",
    "Layer",
    "Remedy",
    "Result",
    "Scope",
    "Verdict",
    "Weight",
    "at_least",
    "command",
    "container_flag",
    "fine",
    "irrelevant",
    "limit",
    "sysctl",
]


class Layer(StrEnum):
    """The layers of the machine, in the order in which a connection meets them."""

    NIC = "NIC and queues"
    SOFTIRQ = "softirq"
    ACCEPT = "SYN and accept queues"
    TIME_WAIT = "TIME_WAIT"
    CONNTRACK = "connection tracking"
    MEMORY = "descriptors and memory"
    CONTAINER = "cgroup and container"
    PROCESSORS = "CPU and NUMA"


class Scope(StrEnum):
    """How far a setting reaches: one process, its control group, its network namespace, or the whole machine."""

    PROCESS = "process"
    CGROUP = "cgroup"
    NETWORK = "netns"
    HOST = "host"


class Verdict(StrEnum):
    """What is to be done with a setting. Dead: gone from this kernel. Irrelevant: does nothing here."""

    OK = "ok"
    RAISE = "raise"
    LOWER = "lower"
    DEAD = "dead"
    IRRELEVANT = "irrelevant"
    UNKNOWN = "unknown"


class Weight(IntEnum):
    """What a finding means for the rate."""

    FINE = 0
    WARNING = 1
    STOPS = 2


class Counter(msgspec.Struct, frozen=True):
    """A number of the kernel that shows a setting hurting: its name, and its value now (since boot, if it counts)."""

    name: str
    value: int


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """One change: the exact command, and the one that takes it back.

    ``kind`` sysctl, unit and container are a ``name`` with its ``value`` (and the ``previous`` one), to be installed as
    a line of a file; notrack is the rule set that keeps connection tracking off our ports; command is only a command.
    ``automatic`` False: is shown, but never done by the doctor itself.
    """

    kind: str
    do: str
    undo: str
    name: str = ""
    value: str = ""
    previous: str = ""
    automatic: bool = True


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. ``formula`` is how ``needed`` came about, with its numbers; ``why`` one sentence."""

    verdict: Verdict
    current: str
    why: str
    needed: str = ""
    formula: str = ""
    weight: Weight = Weight.FINE
    counters: tuple[Counter, ...] = ()
    remedies: tuple[Remedy, ...] = ()


class Check(msgspec.Struct, frozen=True):
    """One thing to look at. ``id`` never changes; ``essential``: without it, whether the rate is reached is open.

    ``examine`` raises `Unread` for what it cannot know.
    """

    id: str
    layer: Layer
    scope: Scope
    title: str
    examine: Callable[[Facts, Goal], Judgement]
    source: str
    essential: bool = False


class Result(msgspec.Struct, frozen=True):
    """A check with what it found."""

    check: Check
    judgement: Judgement


def fine(
    current: object, why: str, needed: object = "", formula: str = "", counters: tuple[Counter, ...] = ()
) -> Judgement:
    """Judge that nothing is to be done."""
    return Judgement(
        verdict=Verdict.OK, current=str(current), why=why, needed=str(needed), formula=formula, counters=counters
    )


def at_least(
    name: str,
    current: int,
    need: Need,
    *,
    enough: str,
    short: str,
    weight: Weight = Weight.WARNING,
    counters: tuple[Counter, ...] = (),
) -> Judgement:
    """Judge a sysctl that may be as high as it likes: ``enough`` is the reason where it is, ``short`` where it is not.

    ``weight`` is what it means when it is too low.
    """
    if current >= need.value:
        return fine(f"{current:,}", enough, f"{need.value:,}", need.formula, counters=counters)
    return Judgement(
        verdict=Verdict.RAISE,
        current=f"{current:,}",
        needed=f"{need.value:,}",
        formula=need.formula,
        why=short,
        weight=weight,
        counters=counters,
        remedies=(sysctl(name, need.value, current),),
    )


def irrelevant(current: object, why: str, counters: tuple[Counter, ...] = ()) -> Judgement:
    """Judge that a setting does nothing for this service on this machine."""
    return Judgement(verdict=Verdict.IRRELEVANT, current=str(current), why=why, counters=counters)


def sysctl(name: str, value: object, previous: object, *, automatic: bool = True) -> Remedy:
    """Set a sysctl."""
    return Remedy(
        kind="sysctl",
        do=f"sysctl -w {name}={_quoted(value)}",
        undo=f"sysctl -w {name}={_quoted(previous)}",
        name=name,
        value=str(value),
        previous=str(previous),
        automatic=automatic,
    )


def limit(start: Start, name: str, value: object, previous: object, *, automatic: bool = True) -> Remedy:
    """Set a limit of the service where it is started; ``name`` is that of the directive in a unit of systemd."""
    if start.way == "shell":
        how = f"ulimit -n {value}" if name == "LimitNOFILE" else f"systemd-run --scope -p {name}={value} COMMAND"
        where = "in the shell that starts the service (as root, or raise the hard limit in /etc/security/limits.conf)"
        where = where if name == "LimitNOFILE" else "to start the service"
        return command(f"{how}, {where}", "start it again without that")
    if start.way == "container":
        flag = container_flag(name, str(value))
        do, undo = f"start the container with {flag or f'{name}={value}'}", "start the container without that"
    else:
        do = f"systemctl edit {start.unit}: [Service] {name}={value}"
        undo = f"systemctl edit {start.unit}: take {name}= out"
        if start.unit != UNIT:
            # The files of `apply` are those of our own unit.
            return command(do, undo)
    return Remedy(
        kind=start.way,
        do=do,
        undo=undo,
        name=name,
        value=str(value),
        previous=str(previous),
        automatic=automatic,
    )


_CONTAINER_FLAGS = {"CPUQuota": "--cpus", "MemoryMax": "--memory", "TasksMax": "--pids-limit",
                    "CPUAffinity": "--cpuset-cpus"}  # fmt: skip


def container_flag(name: str, value: str) -> str:
    """Return the flag of docker and podman for a directive of a unit; "" if there is none."""
    if name == "LimitNOFILE":
        return f"--ulimit nofile={value}:{value}"
    if name == "CPUQuota":
        value = f"{int(value.rstrip('%')) / 100:g}"
    return f"{_CONTAINER_FLAGS[name]}={value.lower()}" if name in _CONTAINER_FLAGS else ""


def command(do: str, undo: str) -> Remedy:
    """Return a command for the operator to run: it may interrupt the network, or belongs to another program."""
    return Remedy(kind="command", do=do, undo=undo, automatic=False)


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text else text
