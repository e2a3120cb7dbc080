"""From single measurements to the figures of a row: medians over the rounds, and what to say with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.accept.measure import Load
from benchmarks.accept.workloads import Workload

BOUND = 0.9
"""A side that was on its CPU for more than this share of the time set the pace."""
DISTURBED = 0.15
"""One that waited for its CPU longer than this share of the time that it had it was not alone there."""
SOFT = 0.1
"""A share of the server's CPU from which the kernel's own network thread must be mentioned."""


@dataclass(frozen=True)
class Spread:
    """A median with the extremes it comes from."""

    middle: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread | None:
    """The median and extremes, None of nothing."""
    return Spread(median(values), min(values), max(values)) if values else None


def middle(values: Sequence[float]) -> float | None:
    """The median, None of nothing."""
    return median(values) if values else None


@dataclass(frozen=True)
class Row:
    """One server's rounds of one workload. Costs are microseconds of CPU per connection (or line).

    Costs and ratios leave out the rounds with errors; ``clean`` of ``rounds`` had none. ``whole_ratio`` is that of all
    processes of the server. ``processor_cost`` is all that the server's processor did, ``processor_soft`` the part of
    that in soft interrupts, 0 to 1, and ``machine_cost`` all that all processors did, clients included.
    """

    peer: str
    rounds: int
    clean: int
    rate: float
    generator_bound: bool
    cost: Spread | None
    ratio: Spread | None
    whole_ratio: Spread | None
    others_cost: float | None
    processor_cost: float | None
    processor_soft: float
    machine_cost: float | None
    p50: float
    p99: float
    overflows: int
    drops: int
    resets: int
    remarks: tuple[str, ...]


def units(load: Load, workload: Workload) -> int:
    """What was done: connections, or lines."""
    return load.report.completed if workload.unit == "connection" else load.report.lines


def cost(load: Load, workload: Workload) -> float:
    """The worker's microseconds of CPU for one."""
    return per_unit(load.server_s, load, workload)


def whole_cost(load: Load, workload: Workload) -> float:
    """Those of all processes of the server."""
    return per_unit(load.server_s + load.others_s, load, workload)


def per_unit(seconds: float, load: Load, workload: Workload) -> float:
    """Those seconds as microseconds for one."""
    return seconds * 1e6 / max(units(load, workload), 1)


def is_generator_bound(load: Load) -> bool:
    """Whether the clients were busy all the time while the server was not."""
    elapsed = load.report.elapsed_s or 1.0
    wanted = load.report.cpu_s + load.report.waited_s
    return wanted / elapsed > BOUND > load.server_s / elapsed


def disturbance(load: Load) -> float:
    """How long strangers kept the server or the clients from their CPU, as a share of the time they had it.

    The kernel's network thread is no stranger: it works for these connections.
    """
    server = (load.server_waited_s - load.soft_interrupt_s - load.others_s) / max(load.server_s, 1e-9)
    clients = (load.report.waited_s - load.client_soft_interrupt_s) / max(load.report.cpu_s, 1e-9)
    return max(server, clients, 0.0)


def row(peer: str, loads: Sequence[Load], yardstick: Sequence[Load], workload: Workload) -> Row:
    """Sum up one server's rounds with the yardstick's rounds, in the same order."""
    clean = [load for load in loads if not load.problems]
    pairs = [
        (load, base)
        for load, base in zip(loads, yardstick, strict=bool(yardstick))
        if not load.problems and not base.problems
    ]
    rates = [load.report.rate if workload.unit == "connection" else load.report.line_rate for load in loads]
    return Row(
        peer=peer,
        rounds=len(loads),
        clean=len(clean),
        rate=median(rates),
        generator_bound=not workload.paced and all(is_generator_bound(load) for load in loads),
        cost=spread([cost(load, workload) for load in clean]),
        ratio=spread([cost(load, workload) / cost(base, workload) for load, base in pairs]),
        whole_ratio=spread([whole_cost(load, workload) / whole_cost(base, workload) for load, base in pairs]),
        others_cost=others_cost(clean, workload),
        processor_cost=middle([per_unit(load.processor_s, load, workload) for load in clean]),
        processor_soft=median(load.processor_soft_s / max(load.processor_s, 1e-9) for load in loads),
        machine_cost=middle([per_unit(load.machine_s, load, workload) for load in clean]),
        p50=median(load.report.latency_us.p50 for load in loads),
        p99=median(load.report.latency_us.p99 for load in loads),
        overflows=sum(load.overflows for load in loads),
        drops=sum(load.drops for load in loads),
        resets=sum(load.report.reset for load in loads),
        remarks=tuple(remarks(loads)),
    )


def others_cost(loads: Sequence[Load], workload: Workload) -> float | None:
    """Microseconds of CPU for one in the server's other processes, None when it has none."""
    costs = [per_unit(load.others_s, load, workload) for load in loads]
    return median(costs) if any(costs) else None


def remarks(loads: Sequence[Load]) -> list[str]:
    """What a reader must know before believing the figures."""
    said = [f"round {number}: {'; '.join(load.problems)}" for number, load in enumerate(loads, 1) if load.problems]
    disturbed = [disturbance(load) for load in loads if disturbance(load) > DISTURBED]
    if disturbed:
        said.append(
            f"{len(disturbed)} of {len(loads)} rounds were disturbed: strangers kept the server or the "
            f"clients waiting up to {max(disturbed):.0%} of the time that they had their CPU"
        )
    soft = max(load.soft_interrupt_s / max(load.server_s, 1e-9) for load in loads)
    if soft > SOFT:
        said.append(f"up to {soft:.0%} more spent by the kernel's network thread")
    return said
