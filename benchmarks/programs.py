"""The C programs, compiled when they are missing or older than their source; the generator of connections."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
BUILD = HERE / "build"
GENERATOR = HERE / "accept" / "generator.c"
FLAGS = ("-O2", "-Wall", "-Wextra", "-pthread")

PATIENCE = 5.0
"""Seconds after which the generator gives one connection up."""
GRACE = 20.0
"""Seconds beyond its own bounds after which a generator is killed."""


class ToolError(Exception):
    """A program of the comparison could not be built or did not work; the text says which and why."""


class Latency(msgspec.Struct, frozen=True):
    """Microseconds, as the clients saw them."""

    p50: float
    p99: float
    p999: float
    max: float


class Report(msgspec.Struct, frozen=True):
    """What the generator printed.

    ``elapsed_s`` ends with the last completed connection. ``cpu_s`` is the generator's own CPU, ``waited_s``
    how long it could have run while its CPU was taken.
    """

    mode: str
    started: int
    completed: int
    refused: int
    reset: int
    timed_out: int
    local_errors: int
    lines: int
    bytes: int
    most_open: int
    elapsed_s: float
    rate: float
    line_rate: float
    cpu_s: float
    waited_s: float
    latency_us: Latency


def compiled(source: Path, *flags: str) -> Path:
    """The program made of that source; ToolError when there is no compiler, or an error in the source."""
    binary = BUILD / source.stem
    if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
        return binary
    BUILD.mkdir(exist_ok=True)
    command = ["cc", *FLAGS, *flags, "-o", str(binary), str(source), "-lm"]
    try:
        built = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolError("there is no C compiler: install gcc (Debian: apt-get install gcc libc6-dev)") from error
    if built.returncode:
        raise ToolError(f"cannot compile {source}: {built.stderr.strip()}")
    return binary


Cpus = int | tuple[int, ...] | None
"""Where a program may run: on one CPU, on some, or on all."""


def pinned(cpus: Cpus) -> list[str]:
    """The words before a command that keep it there."""
    if cpus is None:
        return []
    return ["taskset", "-c", ",".join(map(str, cpus if isinstance(cpus, tuple) else (cpus,)))]


def generate(
    port: int,
    arguments: list[str],
    *,
    seconds: float,
    count: int | None = None,
    cpu: Cpus = None,
    within: Sequence[str] = (),
) -> Report:
    """Let clients come, at most `count` and for `seconds`; ToolError when the generator itself fails.

    ``within`` are the words before its command that put it into another network.
    """
    bounds = ["--seconds", str(seconds), "--timeout", str(PATIENCE)]
    if count is not None:
        bounds += ["--count", str(count)]
    command = [*within, *pinned(cpu), str(compiled(GENERATOR)), "--port", str(port), *arguments, *bounds]
    try:
        run = subprocess.run(command, capture_output=True, timeout=seconds + PATIENCE + GRACE, check=False, text=True)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"the generator did not end: {' '.join(command)}") from error
    if run.returncode > 1:
        raise ToolError(f"{' '.join(command)}: {run.stderr.strip()}")
    return msgspec.json.decode(run.stdout, type=Report)
