"""Processes that count with the client package: started, killed if that is what they are for, stopped, and added up."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

from tests.torture.calls import CLOSING, Calls, CountingPlan, added_up

__all__ = ["Callers"]

LIVES = (0.5, 5.0)
"""Seconds for which a process that is to be killed lives."""

_CLIENT = Path(__file__).parents[2] / "client"


class Callers:
    """``number`` processes at a time that count under one name; ``killed``: each is killed some time, and replaced."""

    def __init__(
        self,
        folder: Path,
        name: str,
        level: str,
        port: int,
        seed: int,
        *,
        number: int = 2,
        forks: bool = False,
        killed: bool = False,
    ) -> None:
        self.name = name
        self.level = level
        self.killed = killed
        self._folder = folder / name
        self._folder.mkdir()
        self._plan = CountingPlan(port, level, name, str(self._folder / "book"), forks, seed)
        self._number = number
        self._chance = random.Random(seed)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._killer = threading.Thread(target=self._kill_on, daemon=True)
        self._over = threading.Event()

    def start(self) -> None:
        """Begin."""
        self._processes = [self._begin() for _ in range(self._number)]
        if self.killed:
            self._killer.start()

    def stop(self) -> None:
        """Let them come to their end; those that are to be killed are killed."""
        self._over.set()
        if self.killed:
            self._killer.join()
        for process in self._processes:
            if self.killed:
                process.kill()
            assert process.stdin
            process.stdin.close()
        for process in self._processes:
            status = process.wait(2 * CLOSING)
            assert self.killed or not status, f"{self.name} has ended with status {status}"

    def end(self) -> None:
        """Leave no process."""
        self._over.set()
        for process in self._processes:
            process.kill()
            process.wait()

    def calls(self) -> Calls:
        """Return what all of them together know."""
        return added_up(self._folder.iterdir())

    def _begin(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [str(_CLIENT), os.environ.get("PYTHONPATH", "")]))
        command = [sys.executable, "-m", "tests.torture.counting", json.dumps(self._plan)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})

    def _kill_on(self) -> None:
        while not self._over.wait(self._chance.uniform(*LIVES)):
            process = self._processes.pop(self._chance.randrange(len(self._processes)))
            process.kill()
            process.wait()
            assert process.stdin
            process.stdin.close()
            self._processes.append(self._begin())
