"""A process that counts with the client package: ``python -m tests.torture.counting PLAN``, until its input ends.

It forks, if the plan says so: the children count with what they have inherited, and come to their end.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

from statsd_tcp_client import StatsClient
from tests.torture.calls import CLOSING, CallBook, CountingPlan

__all__ = ["main"]

PAUSE = 0.005
"""Seconds between two times at which some calls are made."""

MOST_AT_ONCE = 5

BETWEEN_FORKS = 0.7
CHILDS_LIFE = 0.5


class _Counting:
    """One process of the plan."""

    def __init__(self, plan: CountingPlan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed + os.getpid())
        self._client = StatsClient(
            "127.0.0.1",
            plan.port,
            level=plan.level,
            interval=0.2,
            own_lines=False,
            backoff=(0.05, 0.5),
            connect_timeout=2.0,
            age=(3.0, 6.0),
            pool=2,
        )
        self._children: list[int] = []
        self._book = self._open()

    def _open(self) -> CallBook:
        return CallBook(Path(f"{self._plan.book}.{os.getpid()}"))

    def go_on(self, is_over: Callable[[], bool], *, forks: bool) -> None:
        """Count until it is over, then wait until all is confirmed."""
        next_fork = time.monotonic() + BETWEEN_FORKS
        while not is_over():
            number = self._chance.randint(1, MOST_AT_ONCE)
            self._book.make(number)
            for _ in range(number):
                self._client.incr(self._plan.counter)
            self._note()
            if forks and time.monotonic() > next_fork:
                next_fork += BETWEEN_FORKS
                self._fork()
            time.sleep(PAUSE)
        self._client.close(CLOSING)
        self._note()

    def wait(self) -> bool:
        """Wait for the children, and return whether all have ended well."""
        return not sum(os.waitpid(child, 0)[1] for child in self._children)

    def _fork(self) -> None:
        child = os.fork()
        if child:
            self._children.append(child)
            return
        try:
            self._book = self._open()
            until = time.monotonic() + CHILDS_LIFE
            self.go_on(lambda: time.monotonic() > until, forks=False)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  (a child must not go on with what its parent does)
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)

    def _note(self) -> None:
        stats = self._client.stats()
        self._book.note(stats.confirmed, stats.in_doubt, sum(stats.dropped.values()))


def main(text: str) -> int:
    """Do what a `CountingPlan` in JSON says."""
    plan = CountingPlan(*json.loads(text))
    counting = _Counting(plan)
    counting.go_on(lambda: bool(select.select([0], [], [], 0)[0]), forks=plan.forks)
    return 0 if counting.wait() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
