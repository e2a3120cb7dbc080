"""Violence to the service's processes: they are killed, stopped for a while, and reloaded."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from math import inf

from tests.functional.processes import is_alive
from tests.functional.waiting import until
from tests.patience import LONG_PATIENCE
from tests.torture.books import UNREAD
from tests.torture.chronicle import Chronicle
from tests.torture.victim import Victim

__all__ = ["KILL_SUPERVISOR", "KILL_WORKER", "ProcessDeeds"]

KILL_WORKER, KILL_SUPERVISOR = "kill a worker", "kill the supervisor"

KILL_HELD = "a held worker was killed"

LONGEST_HOLD = 10.0
"""Seconds for which a worker is stopped at most; after some eight of them it is replaced."""

WAITS_FOR_RELOAD = 0.3
"""How often a deed waits until a reload is done."""

_ENDS_OF_RELOADS = ("the reload is complete", "the reload is refused", "the reload is given up")


class ProcessDeeds:
    """What is done to the processes of ``victim``; ``chance`` says to which, and for how long."""

    def __init__(self, victim: Victim, chronicle: Chronicle, chance: random.Random) -> None:
        self._victim = victim
        self._chronicle = chronicle
        self._chance = chance
        self._holds: dict[int, tuple[float, float]] = {}
        """For each worker that was held: when that began, and from when on it has surely read what came meanwhile."""

    def kill_worker(self) -> None:
        """Kill one worker, of those that accept, start or leave."""
        workers = self._victim.workers()
        if not workers:
            return
        pid = self._chance.choice(workers)
        began = self._was_well(pid)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        until(lambda: not is_alive(pid), "the worker is dead")
        self._chronicle.note(KILL_WORKER, began)

    def kill_supervisor(self) -> None:
        """Kill the supervisor, and start the service again."""
        began = time.monotonic()
        self._victim.kill()
        self._victim.start_again()
        self._chronicle.note(KILL_SUPERVISOR, began, whole=True)

    def kill_all(self) -> None:
        """Kill the supervisor and all workers at once, and start the service again."""
        began, workers = time.monotonic(), self._victim.workers()
        unwell = [well for well in map(self._was_well, workers) if well < began]
        for pid in [self._victim.process.pid, *workers]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._victim.process.wait()
        self._victim.start_again()
        self._chronicle.note("kill all", began, whole=True)
        for well in unwell:
            self._chronicle.note(KILL_HELD, well)

    def reload(self) -> None:
        """Ask for new code or configuration; sometimes wait until that is done or refused, mostly not."""
        how = self._chance.choice((signal.SIGHUP, signal.SIGUSR2))
        self._chronicle.say(how.name)
        ended = self._reloads_ended()
        os.kill(self._victim.process.pid, how)
        if self._chance.random() < WAITS_FOR_RELOAD:
            until(lambda: self._reloads_ended() > ended, "the reload is complete", LONG_PATIENCE)

    def _reloads_ended(self) -> int:
        log = self._victim.log
        return sum(log.count(end) for end in _ENDS_OF_RELOADS)

    def hold_worker(self) -> None:
        """Stop a worker in its tracks for a while, and go on with other things meanwhile."""
        workers = self._victim.workers()
        if workers:
            hold = self._chance.choice((0.1, 1.0, 4.0, LONGEST_HOLD)) * self._chance.random()
            pid = self._chance.choice(workers)
            self._chronicle.beside(f"hold {pid}", self._hold, pid, hold)

    def _hold(self, pid: int, hold: float) -> None:
        began = time.monotonic()
        self._holds[pid] = began, inf
        self._chronicle.say("hold a worker", f"{pid} for {hold:.1f} s")
        try:
            os.kill(pid, signal.SIGSTOP)
            until(lambda: time.monotonic() > began + hold or not is_alive(pid), "the time is up")
            if is_alive(pid):
                os.kill(pid, signal.SIGCONT)
                self._holds[pid] = began, time.monotonic() + UNREAD
                return
        except ProcessLookupError:
            pass
        self._chronicle.note(KILL_HELD, began)

    def _was_well(self, pid: int) -> float:
        """Return the last moment at which a worker was well: now, unless it was held just before."""
        now = time.monotonic()
        began, caught_up = self._holds.get(pid, (now, now))
        return began if now < caught_up else now
