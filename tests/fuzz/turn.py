"""The turn of one target: processes that try inputs until its time is over, each begun behind what ended the last."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from tests.fuzz.child import CELLS, FAILURES, INPUTS, MOST_FAILURES, SEED, Request, describe
from tests.fuzz.target import find_target

__all__ = ["Row", "Turn"]

STALLED: Final = 300.0
"""Seconds after which an input that is still being tried counts as failed."""

_LOOK: Final = 0.2


class Row(NamedTuple):
    """What came of a target."""

    target: str
    inputs: int
    failures: int
    seconds: float


class Turn:
    """One target's turn. ``tell`` gets a `Row` now and then, ``said`` what failed, in words."""

    def __init__(
        self,
        request: Request,
        environ: Mapping[str, str],
        tell: Callable[[Row], object],
        said: Callable[[str], object],
        every: float = 60.0,
    ) -> None:
        """Do what is asked for, except for its ``shared``, in processes with this environment."""
        self._request = request
        self._environ = environ
        self._tell = tell
        self._said = said
        self._every = every
        self._begin = self._told = time.monotonic()

    def run(self) -> Row:
        """Try inputs, until the time is over or too many have failed."""
        with tempfile.NamedTemporaryFile(prefix="statscounter-fuzz-") as file:
            os.ftruncate(file.fileno(), CELLS * 8)
            self._cells = memoryview(mmap.mmap(file.fileno(), CELLS * 8)).cast("Q")
            self._request = msgspec.structs.replace(self._request, shared=file.name)
            while self._is_on():
                why = self._process()
                if why:
                    self._failed(why)
        return self._row()

    def _is_on(self) -> bool:
        if self._cells[FAILURES] >= MOST_FAILURES:
            return False
        if self._request.inputs:
            return self._cells[INPUTS] < self._request.inputs
        return self._left() > 0

    def _left(self) -> float:
        return self._begin + self._request.seconds - time.monotonic()

    def _row(self) -> Row:
        spent = time.monotonic() - self._begin
        return Row(self._request.target, self._cells[INPUTS], self._cells[FAILURES], spent)

    def _process(self) -> str:
        """Run one process to its end; return what ended it, "" if its work was done."""
        self._cells[SEED] = self._request.seed
        request = msgspec.structs.replace(self._request, seconds=max(0.0, self._left()))
        command = [sys.executable, "-m", "tests.fuzz.child", msgspec.json.encode(request).decode()]
        with subprocess.Popen(command, env=dict(self._environ), stdin=subprocess.DEVNULL) as process:
            try:
                return self._watch(process)
            finally:
                process.kill()

    def _watch(self, process: subprocess.Popen[bytes]) -> str:
        before, since = -1, time.monotonic()
        while True:
            try:
                status = process.wait(_LOOK)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if self._cells[INPUTS] != before:
                    before, since = self._cells[INPUTS], now
                if now - since > STALLED:
                    return f"not done after {STALLED:.0f} seconds"
                if now - self._told > self._every:
                    self._told = now
                    self._tell(self._row())
            else:
                return f"its process ended with {status}" if status else ""

    def _failed(self, why: str) -> None:
        """Note that the input that was being tried has ended its process."""
        seed = self._cells[SEED]
        self._cells[FAILURES] += 1
        self._cells[INPUTS] += 1
        self._said(describe(find_target(self._request.target), seed, why))
        self._request = msgspec.structs.replace(self._request, seed=seed + 1)
