"""The parts in C under the address and the undefined behaviour sanitizer, and what a process needs that imports them.

They are compiled into a folder of their own, so that the checkout keeps those that serve.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["MissingError", "compile_parts", "environment", "import_parts"]

SOURCES: Final = Path(__file__).parents[2] / "statsd_tcp"

PARTS: Final = {"ingest": "_burst", "aggregate": "_sums"}
"""By room."""

_FLAGS: Final = (
    *("-shared", "-fPIC", "-O1", "-g", "-Wall", "-fno-omit-frame-pointer"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
)

_SETTINGS: Final = {
    # What the interpreter keeps to its end looks like leaks.
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    # Each of Python's own objects is a piece of memory that the sanitizer knows.
    "PYTHONMALLOC": "malloc",
}


class MissingError(Exception):
    """There are no sanitizers here; the text says what is missing."""


def compile_parts(folder: Path, sources: Path = SOURCES) -> None:
    """Compile all parts into a folder; raises `MissingError` without a compiler, and `CalledProcessError`."""
    for room, part in PARTS.items():
        (folder / room).mkdir()
        made = folder / room / f"{part}.abi3.so"
        include = sysconfig.get_path("include")
        command = ["gcc", *_FLAGS, f"-I{include}", "-o", str(made), str(sources / room / f"{part}.c")]
        _run(command)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that imports them; raises `MissingError` if there cannot be one."""
    library = _run(["gcc", "-print-file-name=libasan.so"]).strip()
    if not Path(library).is_absolute():
        raise MissingError("gcc has no libasan")
    made = {**environ, **_SETTINGS, "LD_PRELOAD": library}
    tried = subprocess.run([sys.executable, "-c", ""], env=made, capture_output=True, text=True, check=False)
    if tried.returncode:
        raise MissingError(f"Python does not start with libasan: {tried.stderr.strip()[:200]}")
    return made


def import_parts(folder: Path) -> None:
    """Have this process import the parts in a folder; nothing that imports them may have been imported before."""
    for room, part in PARTS.items():
        package = importlib.import_module(f"statsd_tcp.{room}")
        package.__path__.insert(0, str(folder / room))
        module = importlib.import_module(f"statsd_tcp.{room}.{part}")
        if not str(module.__file__).startswith(str(folder)):
            raise ImportError(f"{module.__file__} is not in {folder}")


def _run(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise MissingError(f"there is no {command[0]}") from None
