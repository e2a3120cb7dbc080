"""The tables, and under which circumstances they came about."""

import datetime as dt
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.accept.measure import AT_REST_RATE, Footprint, Rest
from benchmarks.accept.proc import Memory
from benchmarks.accept.summary import Row, Spread
from benchmarks.accept.workloads import Workload

Circumstances = dict[str, str]


def circumstances(command: str, network: str, cpus: str) -> Circumstances:
    """Machine, versions, date, command: without them the figures mean nothing."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{processor()}, {os.cpu_count()} CPUs",
        "kernel": f"{platform.system()} {platform.release()}, somaxconn {somaxconn()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(installed(name) for name in ("Twisted", "uvloop"))]
        ),
        "network": network,
        "CPUs": cpus,
        "command": command,
    }


def processor() -> str:
    """The processor's name for itself."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def somaxconn() -> str:
    """The longest accept queue that the kernel allows."""
    return Path("/proc/sys/net/core/somaxconn").read_text().strip()


def installed(name: str) -> str:
    """A distribution and its version."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def _range(value: Spread | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value.middle:{form}} ({value.least:{form}}-{value.most:{form}})"


def _milliseconds(microseconds: float) -> str:
    return f"{microseconds / 1000:.2f}"


def load_table(workload: Workload, rows: list[Row]) -> Table:
    """One workload, one line per server."""
    per = workload.unit
    table = Table(title=f"{workload.name}: {workload.title}", title_justify="left")
    table.add_column("server")
    for heading in (
        f"{per}s/s",
        f"CPU us per {per}",
        f"of C loop ({workload.loop})",
        "supervisor us",
        "ratio with it",
        "its processor us (soft)",
        "all processors us",
        "p50 ms",
        "p99 ms",
        "overflows/drops",
        "resets",
        "rounds",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.peer,
            ("≥ " if row.generator_bound else "") + f"{row.rate:,.0f}",
            _range(row.cost, ".3f" if per == "line" else ".1f"),
            _range(row.ratio, ".2f"),
            "" if row.others_cost is None else f"{row.others_cost:.2f}",
            "" if row.others_cost is None else _range(row.whole_ratio, ".2f"),
            "" if row.processor_cost is None else f"{row.processor_cost:.1f} ({row.processor_soft:.0%})",
            "" if row.machine_cost is None else f"{row.machine_cost:.1f}",
            _milliseconds(row.p50) if per == "connection" else "",
            _milliseconds(row.p99) if per == "connection" else "",
            f"{row.overflows}/{row.drops}",
            str(row.resets),
            str(row.rounds) if row.clean == row.rounds else f"[red]{row.clean} of {row.rounds}[/red]",
        )
    return table


def rest_table(results: dict[str, list[Rest]]) -> Table:
    """Nearly nothing to do: how soon, and how often awake."""
    title = f"at rest: no clients, then {AT_REST_RATE} connections a second"
    table = Table(title=title, title_justify="left")
    table.add_column("server")
    for heading in (
        "p50 us",
        "p99 us",
        "wake-ups/s, no clients",
        f"wake-ups/s, {AT_REST_RATE}/s",
        "supervisor's, no clients",
        "CPU %",
    ):
        table.add_column(heading, justify="right")
    for peer, rounds in results.items():
        for rest in rounds:
            table.add_row(
                peer,
                f"{rest.report.latency_us.p50:.0f}",
                f"{rest.report.latency_us.p99:.0f}",
                f"{rest.idle_wakeups:.1f}",
                f"{rest.wakeups:.1f}",
                f"{rest.idle_others_wakeups:.1f}",
                f"{rest.cpu_share * 100:.2f}",
            )
    return table


def _growth(memories: list[Memory]) -> list[str]:
    if not memories[0].rss:
        return ["", "", ""]
    return [f"{memory.rss:.1f} / {memory.pss:.1f}" for memory in memories]


def memory_table(results: dict[str, list[Footprint]], connections: int) -> Table:
    """MiB when just started, after N connections, after as many again."""
    title = f"memory in MiB, resident / proportional share, N = {connections:,}"
    table = Table(title=title, title_justify="left")
    table.add_column("server")
    for process in ("worker", "supervisor"):
        for when in ("idle", "N", "2N"):
            table.add_column(f"{process}, {when}", justify="right")
    for peer, rounds in results.items():
        for footprint in rounds:
            table.add_row(peer, *_growth(footprint.workers), *_growth(footprint.others))
    return table


def tables() -> Console:
    """The console for tables, wide also where the output is a file."""
    return Console(width=None if sys.stdout.isatty() else 170)


def print_circumstances(console: Console, facts: Circumstances) -> None:
    """What was run, on what, when."""
    for name, value in facts.items():
        console.print(f"[bold]{name:9}[/bold] {value}", highlight=False, soft_wrap=True)


def print_remarks(console: Console, subject: str, remarks: list[str]) -> None:
    """The remarks that belong to the figures."""
    for remark in remarks:
        console.print(f"  [red]{subject}[/red]: {remark}", highlight=False, soft_wrap=True)
