"""The crowd of clients, seen from outside: started, stopped, and asked how many came."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.torture.guests import Plan

__all__ = ["Came", "Crowd"]

KEPT = 16
"""Connections that are kept at a time."""


class Came(NamedTuple):
    """How many short visits a second were asked for and begun. ``skipped`` found too many others waiting.

    ``cpu`` is the share of a processor that the clients had.
    """

    asked: float
    average: float
    median: float
    skipped: int
    cpu: float

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"{self.asked:.0f} short connections a second were asked for, {self.average:.0f} on the average and "
            f"{self.median:.0f} in half of the seconds were begun; {self.skipped} were left out. "
            f"The clients had {self.cpu:.0%} of a processor"
        )


class Crowd:
    """Short visits, ``rate`` a second together, and some kept connections. What they did is in ``book`` at the end."""

    def __init__(self, lines: int, bare: int, book: Path, rate: float, seed: int) -> None:
        self.book = book
        self._plan = Plan(lines, bare, str(book), rate, KEPT, seed)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        command = [sys.executable, "-m", "tests.torture.guests", json.dumps(self._plan)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def stop(self) -> Came:
        """Let everybody come to the end of their visit, and return how many there were."""
        assert self._process
        output, _ = self._process.communicate()
        assert self._process.returncode == 0, f"the clients have ended with status {self._process.returncode}"
        told = json.loads(output)
        # The last second was cut short.
        begun = told["begun"][:-1] or told["begun"]
        return Came(
            self._plan.rate,
            statistics.mean(begun),
            statistics.median(begun),
            told["skipped"],
            told["cpu"] / len(told["begun"]),
        )
