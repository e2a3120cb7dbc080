# ruff: noqa: T201  (a program that tells what it has found)
"""One run of a torture: its seed, its folder, and its verdict as exit status."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.functional.isolated import bring_up
from tests.torture.report import verdict
from tests.torture.verdict import Row

__all__ = ["run_once"]


def run_once(given: argparse.Namespace, torture: Callable[[Path, int, argparse.Namespace], list[Row]]) -> int:
    """Run it with the seed that is ``given``, or any; return 0 if every number is right."""
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    if given.isolated:
        bring_up()
    with tempfile.TemporaryDirectory(prefix="statscounter-torture-") as folder:
        rows = torture(Path(folder), seed, given)
    return verdict(f"seed {seed}", rows)
