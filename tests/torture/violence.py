"""What is done to the service, at random, and when."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

from tests.functional.waiting import until
from tests.patience import LONG_PATIENCE
from tests.torture.chronicle import Chronicle
from tests.torture.hog import Hog
from tests.torture.process_deeds import KILL_SUPERVISOR, KILL_WORKER, ProcessDeeds
from tests.torture.victim import Victim
from tests.torture.world import World
from tests.torture.world_deeds import WorldDeeds

__all__ = ["Violence"]

PAUSES = (0.3, 3.0)
"""Seconds between two deeds."""

SHORT_PAUSES = (0.1, 1.5)
"""The same until each deed was done once, and where a number of kills is to be reached."""

OFTEN = 30
"""How often workers are killed where that is so: more often than all else is done together."""


class Violence:
    """Does something to ``victim`` every now and then, as ``seed`` has it. ``chronicle`` knows what it was.

    Begins with each deed once, in any order.
    """

    def __init__(self, victim: Victim, world: World, hog: Hog, seed: int) -> None:
        self._victim = victim
        self._chance = random.Random(seed)
        self.chronicle = Chronicle()
        processes = ProcessDeeds(victim, self.chronicle, self._chance)
        around = WorldDeeds(world, hog, self.chronicle, self._chance)
        self._kill_worker, self._kill_supervisor = processes.kill_worker, processes.kill_supervisor
        self._deeds: dict[Callable[[], None], int] = {
            processes.kill_worker: 10,
            processes.kill_supervisor: 3,
            processes.kill_all: 2,
            processes.reload: 6,
            processes.hold_worker: 3,
            around.outage: 3,
            around.set_clock: 2,
            around.fill_disk: 2,
            around.hang_disk: 2,
            around.crowd_out: 2,
        }

    def go_on(self, seconds: float) -> None:
        """Do one thing after the other for so long."""
        until_then = time.monotonic() + seconds
        for number, deed in enumerate(self._drawn()):
            time.sleep(self._chance.uniform(*(SHORT_PAUSES if number < len(self._deeds) else PAUSES)))
            if time.monotonic() > until_then:
                return
            deed()

    def kill(self, workers: int, supervisors: int) -> None:
        """Do one thing after the other until enough were killed, the supervisors in equal distances."""
        del self._deeds[self._kill_supervisor]
        self._deeds[self._kill_worker] = OFTEN
        done = self.chronicle.done
        for deed in self._drawn():
            if done[KILL_SUPERVISOR] < supervisors * (done[KILL_WORKER] / workers if workers else 1):
                self._kill_supervisor()
            elif done[KILL_WORKER] >= workers:
                return
            time.sleep(self._chance.uniform(*SHORT_PAUSES))
            deed()

    def end(self) -> None:
        """Wait for what goes on in parallel, and until the service is well."""
        self.chronicle.end()
        until(self._victim.is_ready, "the service is ready", LONG_PATIENCE)

    def _drawn(self) -> Iterator[Callable[[], None]]:
        deeds, weights = list(self._deeds), list(self._deeds.values())
        yield from self._chance.sample(deeds, len(deeds))
        while True:
            yield from self._chance.choices(deeds, weights)
