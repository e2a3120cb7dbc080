"""The process that tries inputs: ``python -m tests.fuzz.child REQUEST``.

Whatever ends it, its parent knows the seed.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Final

import msgspec

from tests.fuzz.sanitized import import_parts
from tests.fuzz.target import Target, find_target

__all__ = ["CELLS", "FAILURES", "INPUTS", "MOST_FAILURES", "SEED", "Request", "describe"]

SEED, INPUTS, FAILURES = range(3)
"""What the shared file holds, each in eight bytes: the seed that is being tried, and how many were tried and failed."""

CELLS: Final = 3

MOST_FAILURES: Final = 5
"""A target that failed so often is left: the rest would say the same."""


class Request(msgspec.Struct, frozen=True):
    """What to try: ``inputs`` of them, 0 for any number, and no more after ``seconds``.

    ``shared`` is the path of the file with the numbers, ``parts`` the folder with the parts in C, if not the usual.
    """

    target: str
    seed: int
    inputs: int
    seconds: float
    shared: str
    parts: str = ""


def describe(target: Target, seed: int, what: str) -> str:
    """Return what there is to say about an input that failed."""
    given = repr(target.made_of(seed))
    more = f"... ({len(given)} characters)" if len(given) > 4000 else ""
    again = f'make fuzz ARGS="--target {target.name} --seed {seed} --inputs 1"'
    return f"FAILED: {target.name}, seed {seed}: {what}\n  again: {again}\n  input: {given[:4000]}{more}\n"


def run(request: Request, cells: memoryview) -> None:
    """Try one input after the other, from the seed in the cells on."""
    target, end = find_target(request.target), time.monotonic() + request.seconds
    while cells[FAILURES] < MOST_FAILURES:
        try:
            target.try_seed(cells[SEED])
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what we look for)
            cells[FAILURES] += 1
            sys.stderr.write(describe(target, cells[SEED], repr(error)))
            traceback.print_exc()
        cells[INPUTS] += 1
        if cells[INPUTS] == request.inputs or time.monotonic() >= end:
            return
        cells[SEED] += 1


def main(text: str) -> None:
    """Do what a `Request` in JSON asks for."""
    request = msgspec.json.decode(text, type=Request)
    if request.parts:
        import_parts(Path(request.parts))
    descriptor = os.open(request.shared, os.O_RDWR)
    run(request, memoryview(mmap.mmap(descriptor, CELLS * 8)).cast("Q"))


if __name__ == "__main__":
    main(sys.argv[1])
