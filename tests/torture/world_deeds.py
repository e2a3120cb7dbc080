"""Violence to what surrounds the service: its backend, its clock, its disk, and the places that others need."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.functional.hanging_disk import HangingDisk
from tests.functional.small_disk import fill
from tests.functional.wall_clock import WallClock
from tests.torture.backend import TEN_YEARS
from tests.torture.chronicle import Chronicle
from tests.torture.hog import Hog
from tests.torture.world import World

__all__ = ["WorldDeeds"]

CLOCK_STEPS = (-20.0, -3600.0, float(TEN_YEARS))
"""Seconds; back again they are ahead, and for the last one far back."""

APART = 3.0
"""Seconds from one setting of the clock to the next, at least. Set back to the same hour within a flush of the time
before, flushes would get a time again that the backend has, and what it had would be replaced."""

OUTAGE, WRONG_CLOCK, FULL, HANGING, CROWDED = (1, 6), (4, 10), (1, 8), (1, 14), (3, 8)
"""Seconds at least and at most. A commit that hangs for more than ten is one that makes the service not ready."""


class WorldDeeds:
    """What is done to ``world`` and by ``hog``. All of it goes on for a while, in parallel with other things."""

    def __init__(self, world: World, hog: Hog, chronicle: Chronicle, chance: random.Random) -> None:
        self._world = world
        self._hog = hog
        self._chronicle = chronicle
        self._chance = chance

    def outage(self) -> None:
        """Have the backend take nothing for a while."""
        self._chronicle.beside("outage", self._be_down, self._chance.uniform(*OUTAGE))

    def _be_down(self, seconds: float) -> None:
        self._chronicle.say("the backend is down", f"for {seconds:.1f} s")
        self._world.backend.down = True
        time.sleep(seconds)
        self._world.backend.down = False

    def set_clock(self) -> None:
        """Set the wall clock, and set it right again after a while."""
        step, seconds = self._chance.choice(CLOCK_STEPS), self._chance.uniform(*WRONG_CLOCK)
        if self._world.clock:
            self._chronicle.beside("clock", self._be_wrong, self._world.clock, step, seconds)

    def _be_wrong(self, clock: WallClock, step: float, seconds: float) -> None:
        self._chronicle.say("the clock is set", f"by {step:.0f} s for {seconds:.1f} s")
        clock.step(step)
        time.sleep(seconds)
        clock.step(-step)
        time.sleep(APART)

    def fill_disk(self) -> None:
        """Leave no room on the disk for a while."""
        seconds = self._chance.uniform(*FULL)
        if self._world.disk:
            self._chronicle.beside("full", self._be_full, self._world.disk, seconds)

    def _be_full(self, disk: Path, seconds: float) -> None:
        self._chronicle.say("the disk is full", f"for {seconds:.1f} s")
        ballast = fill(disk)
        time.sleep(seconds)
        ballast.unlink()

    def hang_disk(self) -> None:
        """Have no fsync return for a while."""
        seconds = self._chance.uniform(*HANGING)
        if self._world.hanging:
            self._chronicle.beside("hanging", self._be_hanging, self._world.hanging, seconds)

    def _be_hanging(self, disk: HangingDisk, seconds: float) -> None:
        self._chronicle.say("the disk hangs", f"for {seconds:.1f} s")
        with disk.hangs():
            time.sleep(seconds)

    def crowd_out(self) -> None:
        """Have one client take more places than there are, and send nothing."""
        self._chronicle.beside("crowded", self._be_crowded, self._chance.uniform(*CROWDED))

    def _be_crowded(self, seconds: float) -> None:
        self._chronicle.say("a client takes all places", f"for {seconds:.1f} s")
        self._hog.take_all(seconds)
