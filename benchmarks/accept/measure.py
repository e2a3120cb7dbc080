"""One measurement of one server, with nothing else in its network namespace; run as a process of its own.

    python -m benchmarks.accept.measure SPECIFICATION      prints one line of JSON

Everything is counted twice, by the clients and by the server; what does not agree is named in ``problems``.
"""

import sys
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from benchmarks import measurement
from benchmarks.accept import proc
from benchmarks.accept.others import OTHERS, Places, start_other
from benchmarks.accept.servers import OURS, OURS_KINDS, WITHOUT_WHO, Server, Totals, start_peer
from benchmarks.accept.service import NO_WHO, Service
from benchmarks.accept.workloads import WORKLOADS, Role, Workload
from benchmarks.programs import Report, ToolError, generate

WARM_UP = 500
"""Connections before the clock starts: imports, caches and adaptive parts of a server have then settled."""
WARM_UP_RATE = 2000
OPENING = 1.0
"""Seconds of the spell that is subtracted, where the opening of the connections is no part of the cost."""
REST_TIMEOUT = 15.0
"""Seconds in which a server must have come to rest after its last client."""
QUIET = 0.1
"""Seconds without work that mean rest: some servers accept everyone first and serve them later."""
QUIET_SHARE = 0.05
AT_REST_RATE = 10


class Specification(measurement.Specification, frozen=True, kw_only=True):
    """What to measure. ``pace`` is in the workload's units per second, ``connections`` is for kind ``memory``."""

    kind: Literal["load", "rest", "memory"]
    pace: float
    connections: int = 0


class Load(msgspec.Struct, frozen=True):
    """A server under load. Times are seconds.

    The kernel's network thread of a CPU takes over when there is much to do: what it used is in
    ``soft_interrupt_s`` for the server's CPU, in ``client_soft_interrupt_s`` for the clients'. ``processor_s`` is how
    long the server's CPU was busy, with whatever, and ``processor_soft_s`` how long of that with soft interrupts;
    ``machine_s`` is that of all CPUs.
    """

    report: Report
    server_s: float
    others_s: float
    server_waited_s: float
    soft_interrupt_s: float
    client_soft_interrupt_s: float
    processor_s: float
    processor_soft_s: float
    machine_s: float
    overflows: int
    drops: int
    problems: list[str]


class Rest(msgspec.Struct, frozen=True):
    """A server with next to nothing to do: sleeps per second of its worker, without clients and with few."""

    report: Report
    idle_wakeups: float
    wakeups: float
    idle_others_wakeups: float
    cpu_share: float
    problems: list[str]


class Footprint(msgspec.Struct, frozen=True):
    """Memory when just started, after N connections, and after as many again."""

    connections: int
    workers: list[proc.Memory]
    others: list[proc.Memory]
    problems: list[str]


def start(peer: str, workload: Workload, cpu: int | None, places: Places) -> Server:
    """The server of that name, ready."""
    if peer in OTHERS:
        return start_other(peer, places, cpu)
    if peer in OURS_KINDS:
        options = NO_WHO if peer.endswith(WITHOUT_WHO) else ()
        return Service(workload.role, cpu, native=peer.removesuffix(WITHOUT_WHO) == OURS, options=options)
    return start_peer(peer, workload, cpu)


def is_done(server: Server) -> bool:
    """Whether no client waits to be accepted, and none that was accepted waits to be served."""
    before = proc.usage(server.workers)
    time.sleep(QUIET)
    used = proc.usage(server.workers).since(before).on_cpu_ns / 1e9
    return used < QUIET * QUIET_SHARE and not proc.waiting_connections(server.port)


def wait_until_done(server: Server) -> None:
    """Return when the server has come to rest; ToolError when that does not happen."""
    deadline = time.monotonic() + REST_TIMEOUT
    while not is_done(server):
        if time.monotonic() > deadline:
            raise ToolError("the server does not come to rest after its last client")
    time.sleep(server.settle_seconds)


def client_problems(report: Report) -> list[str]:
    """What went wrong for clients."""
    kinds = ("refused", "reset", "timed_out", "local_errors")
    return [f"{getattr(report, kind)} {kind.replace('_', ' ')}" for kind in kinds if getattr(report, kind)]


def count_problems(role: Role, reports: list[Report], server: Server) -> list[str]:
    """Where the server's own count differs from what the clients did."""
    reads = role == "lines"
    expected = Totals(
        sum(report.completed for report in reports),
        sum(report.lines for report in reports) if reads else None,
        sum(report.bytes for report in reports) if reads else None,
    )
    counted = server.totals(expected)
    return [
        f"the server counted {getattr(counted, name)} {name}, the clients {getattr(expected, name)}"
        for name in counted.__struct_fields__
        if None not in {getattr(counted, name), getattr(expected, name)}
        and getattr(counted, name) != getattr(expected, name)
    ]


def clients(
    spec: Specification, server: Server, arguments: list[str], *, seconds: float, count: int | None = None
) -> Report:
    """Let clients come, from where the specification says."""
    return generate(server.port, arguments, seconds=seconds, count=count, cpu=spec.client_cpu, within=spec.within)


def warm_up(spec: Specification, server: Server, workload: Workload) -> Report:
    """Some clients of the same kind, before anything is measured."""
    arguments = workload.arguments(WARM_UP_RATE)
    report = clients(spec, server, arguments, seconds=2, count=WARM_UP)
    wait_until_done(server)
    return report


def measure_load(spec: Specification, server: Server, workload: Workload) -> Load:
    """Let the clients come, and see what that cost.

    Where their opening is no part of it, they come twice, then for longer. What that costs more is the result.
    """
    warm = warm_up(spec, server, workload)
    lengths = (OPENING, OPENING + spec.seconds) if workload.opens_first else (spec.seconds,)
    loads = [spell(spec, server, workload, seconds) for seconds in lengths]
    problems = [problem for load in loads for problem in client_problems(load.report)]
    problems += count_problems(workload.role, [warm, *(load.report for load in loads)], server)
    cost = difference(loads[1], loads[0]) if workload.opens_first else loads[0]
    return msgspec.structs.replace(cost, problems=problems)


def spell(spec: Specification, server: Server, workload: Workload, seconds: float) -> Load:
    """What some seconds of the clients cost, until the server has come to rest."""
    soft_pids = [proc.soft_interrupts(cpu) for cpu in (spec.server_cpu, spec.client_cpu)]
    pids = (server.workers, server.others, *soft_pids)
    before, drops_before = [proc.usage(group) for group in pids], proc.listen_counters()
    cpus_before = [proc.processor(cpu) for cpu in (spec.server_cpu, None)]
    report = clients(spec, server, workload.arguments(spec.pace), seconds=seconds)
    wait_until_done(server)
    cpus_after = [proc.processor(cpu) for cpu in (spec.server_cpu, None)]
    its_cpu, all_cpus = (late.since(early) for late, early in zip(cpus_after, cpus_before, strict=True))
    after, drops_after = [proc.usage(group) for group in pids], proc.listen_counters()
    worker, others, soft, client_soft = (late.since(early) for late, early in zip(after, before, strict=True))
    dropped = {name: drops_after[name] - drops_before[name] for name in drops_after}
    return Load(
        report=report,
        server_s=worker.on_cpu_ns / 1e9,
        others_s=others.on_cpu_ns / 1e9,
        server_waited_s=worker.waiting_ns / 1e9,
        soft_interrupt_s=soft.on_cpu_ns / 1e9,
        client_soft_interrupt_s=client_soft.on_cpu_ns / 1e9,
        processor_s=its_cpu.busy,
        processor_soft_s=its_cpu.soft,
        machine_s=all_cpus.busy,
        overflows=dropped["ListenOverflows"],
        drops=dropped["ListenDrops"],
        problems=[],
    )


def difference(longer: Load, shorter: Load) -> Load:
    """How much more the longer of two spells was, in all that grows with time."""
    times = ["server_s", "others_s", "server_waited_s", "soft_interrupt_s", "client_soft_interrupt_s"]
    times += ["processor_s", "processor_soft_s", "machine_s"]
    grown = {name: getattr(longer, name) - getattr(shorter, name) for name in times}
    sums = ("lines", "bytes", "elapsed_s", "cpu_s", "waited_s")
    report = {name: getattr(longer.report, name) - getattr(shorter.report, name) for name in sums}
    report["line_rate"] = report["lines"] / report["elapsed_s"]
    return msgspec.structs.replace(longer, report=msgspec.structs.replace(longer.report, **report), **grown)


def measure_rest(spec: Specification, server: Server, workload: Workload) -> Rest:
    """No client for a while, then ten connections a second."""
    warm = warm_up(spec, server, workload)
    time.sleep(server.settle_seconds)
    start_usage, start_others = proc.usage(server.workers), proc.usage(server.others)
    time.sleep(spec.seconds)
    idle = proc.usage(server.workers)
    idle_others = proc.usage(server.others).since(start_others)
    arguments = [*workload.arguments(AT_REST_RATE), "--from-connect"]
    report = clients(spec, server, arguments, seconds=spec.seconds)
    busy = proc.usage(server.workers).since(idle)
    return Rest(
        report=report,
        idle_wakeups=idle.since(start_usage).sleeps / spec.seconds,
        wakeups=busy.sleeps / report.elapsed_s,
        idle_others_wakeups=idle_others.sleeps / spec.seconds,
        cpu_share=busy.on_cpu_ns / 1e9 / report.elapsed_s,
        problems=client_problems(report) + count_problems(workload.role, [warm, report], server),
    )


def measure_memory(spec: Specification, server: Server, workload: Workload) -> Footprint:
    """Memory before, between and after two equal lots of connections."""
    reports: list[Report] = []
    time.sleep(server.settle_seconds)
    workers, others = [proc.memory(server.workers)], [proc.memory(server.others)]
    for _ in range(2):
        report = clients(spec, server, workload.arguments(spec.pace), seconds=spec.seconds, count=spec.connections)
        reports.append(report)
        wait_until_done(server)
        workers.append(proc.memory(server.workers))
        others.append(proc.memory(server.others))
    problems = [problem for report in reports for problem in client_problems(report)]
    problems += count_problems(workload.role, reports, server)
    if any(report.completed < spec.connections for report in reports):
        problems.append(f"not all of {spec.connections} connections came in {spec.seconds:g} s")
    return Footprint(spec.connections, workers, others, problems)


KINDS: dict[str, Callable[[Specification, Server, Workload], Load | Rest | Footprint]] = {
    "load": measure_load,
    "rest": measure_rest,
    "memory": measure_memory,
}


def measure(spec: Specification) -> Load | Rest | Footprint:
    """Start the server, measure, and clean up."""
    workload = WORKLOADS[spec.workload]
    server = start(spec.peer, workload, spec.server_cpu, spec.places)
    try:
        return KINDS[spec.kind](spec, server, workload)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(measurement.answer(sys.argv[1], Specification, measure))
