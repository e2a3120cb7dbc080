"""Runs the pieces of the hot path under callgrind, and gives the instructions of each."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.guard.hot_path import PIECES
from benchmarks.programs import CHECKOUT, ToolError, compiled

SWITCH = Path(__file__).with_name("switch.c")
CALLGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no")


class UnavailableError(Exception):
    """Nothing can be counted on this machine; the text says why, and what would help."""


class CountError(Exception):
    """A piece of the hot path does not run under callgrind; the text says which, and the last words."""


def interpreter() -> str:
    """Name what the figures depend on besides our code: Python's minor version, its compiler's major one, the machine.

    >>> interpreter()
    'cpython-3.11-gcc-12-x86_64'
    """
    found = re.match(r"(\S+) (\d+)", platform.python_compiler())
    compiler = f"{found[1].lower()}-{found[2]}" if found else "unknown"
    version = "{}.{}".format(*sys.version_info)
    return f"{sys.implementation.name}-{version}-{compiler}-{platform.machine()}"


def build_switch() -> Path:
    """The library that switches the counting; raises `UnavailableError`."""
    if shutil.which("valgrind") is None:
        raise UnavailableError("there is no valgrind (Debian: apt-get install valgrind)")
    try:
        return compiled(SWITCH, "-shared", "-fPIC")
    except ToolError as error:
        raise UnavailableError(str(error)) from error


def count(piece: str, switch: Path) -> float:
    """Count the instructions of one piece, for each unit of its work; raises `CountError`."""
    with tempfile.TemporaryDirectory(prefix="statscounter-guard-") as folder:
        command = [*CALLGRIND, f"--callgrind-out-file={folder}/out", sys.executable, "-m", "benchmarks.guard.hot_path"]
        run = subprocess.run(
            [*command, piece, str(switch)],
            capture_output=True,
            text=True,
            check=False,
            cwd=CHECKOUT,
            # The same hashes, and so the same collisions, each time.
            env=dict(os.environ, PYTHONHASHSEED="0", PYTHONPATH=str(CHECKOUT)),
        )
    collected = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or collected is None:
        raise CountError(f"{piece} cannot be counted: {run.stderr.strip().splitlines()[-1]}")
    return int(collected[1]) / int(run.stdout)


def count_all() -> dict[str, float]:
    """Count all pieces, as many at once as there are processors; raises `UnavailableError` and `CountError`."""
    switch = build_switch()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        counts = pool.map(lambda piece: round(count(piece, switch), 1), PIECES)
        return dict(zip(PIECES, counts, strict=True))
