# ruff: noqa: T201  (a program that tells what it has found)
"""Run the fuzz targets in turn: ``python -m tests.fuzz.run --minutes 60``. Exit status 0 if nothing failed.

Every input is made from a seed, one more than that of the input before. One that fails is printed with its seed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.child import Request
from tests.fuzz.sanitized import MissingError, compile_parts, environment
from tests.fuzz.target import NAMES
from tests.fuzz.turn import Row, Turn

__all__ = ["main"]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together (default 5)")
    parser.add_argument("--seed", type=int, help="of the first input of each target (default: another every time)")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this one; may be given again")
    parser.add_argument("--inputs", type=int, default=0, help="end a target's turn after that many (default: no limit)")
    parser.add_argument("--plain", action="store_true", help="without sanitizers")
    return parser.parse_args(arguments)


def prepare(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the folder with the parts in C under sanitizers, "" if there is none, and the environment for them."""
    try:
        environ = environment(os.environ)
        print("Compiling the parts in C with the sanitizers.", flush=True)
        compile_parts(folder)
    except MissingError as missing:
        print(f"Without sanitizers: {missing}.", flush=True)
    except subprocess.CalledProcessError as error:
        print(f"Without sanitizers, for gcc says:\n{error.stderr}", flush=True)
    else:
        return str(folder), environ
    return "", dict(os.environ)


def tell(row: Row) -> None:
    """Print a line of progress."""
    print(f"{row.target:12}{row.inputs:>12,} inputs{row.seconds:>8.0f} s{row.failures:>6} failed", flush=True)


def table(rows: Sequence[Row]) -> str:
    """Return what came of all targets."""
    lines = ["", f"{'target':12}{'inputs':>12}{'seconds':>10}{'failures':>10}"]
    lines += [f"{row.target:12}{row.inputs:>12,}{row.seconds:>10.0f}{row.failures:>10}" for row in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets, and return the exit status."""
    given = parse(arguments)
    names = given.target or NAMES
    seed = random.randrange(1 << 40) if given.seed is None else given.seed
    seconds = given.minutes * 60 / len(names)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="statscounter-fuzz-") as folder:
        parts, environ = ("", dict(os.environ)) if given.plain else prepare(Path(folder))
        print(f"Seed {seed}, {seconds:.0f} seconds for each of {', '.join(names)}.", flush=True)
        try:
            for name in names:
                turn = Turn(Request(name, seed, given.inputs, seconds, "", parts), environ, tell, sys.stderr.write)
                rows.append(turn.run())
                tell(rows[-1])
        except KeyboardInterrupt:
            print("Interrupted.")
    print(table(rows))
    return 1 if any(row.failures for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
