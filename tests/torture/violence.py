"""What is done to the service, at random, and what each of these may cost."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

from tests.functional.metrics import Metrics
from tests.functional.processes import end_all, is_alive
from tests.functional.service import Page, Service
from tests.functional.waiting import until
from tests.torture.backend import Backend
from tests.torture.books import Death

__all__ = ["Victim", "Violence"]

LONGEST_HOLD = 10.0
"""Seconds for which a worker is stopped at most; after some eight of them it is replaced."""

START_TRIES = 200

OK = 200


class Victim(Service):
    """A service that is started again however often it is killed, and whose pages are counted if they were answered."""

    def page(self, path: str, **headers: str) -> Page:
        """Fetch a page."""
        try:
            return super().page(path, **headers)
        except URLError as error:
            # Whoever got a connection and no answer is in the kernel's count.
            if isinstance(error.reason, ConnectionRefusedError):
                self.asked -= 1
            raise

    def ask(self, path: str) -> bytes | None:
        """Give a page, None while nobody answers, as between two images of the supervisor."""
        try:
            page = self.page(path)
        except OSError:
            return None
        return page.body if page.status == OK else None

    def start_again(self) -> None:
        """Start it as a service manager does: again and again, while its orphans still have the ports."""
        for _ in range(START_TRIES):
            self.launch()
            until(lambda: self.process.poll() is not None or self.has_greeted(), "it has started or ended")
            if self.process.poll() is None:
                self.find_pages()
                return
        raise AssertionError(f"it doesn't start: {self.log}")

    def end_quietly(self) -> None:
        """Kill whatever is left of it."""
        end_all(self.mark)
        for process in self._processes:
            process.wait()

    def workers(self) -> list[int]:
        """Give the process numbers of all its workers: those that accept, and those that come and go."""
        return [pid for pid in _children(self.process.pid) if b"statsd_tcp.workers.process" in _command(pid)]

    def remains(self) -> dict[str, int]:
        """Give what its supervisor has: children that ended and nobody asked for, and open descriptors."""
        pid = self.process.pid
        dead = sum(1 for child in _children(pid) if not is_alive(child))
        return {"zombies": dead, "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


class Violence:
    """Does something to ``victim`` every now and then. ``deaths`` is what it may have cost, ``done`` what was done."""

    def __init__(self, victim: Victim, backend: Backend, seed: int) -> None:
        self._victim = victim
        self._backend = backend
        self._chance = random.Random(seed)
        self._aside: list[threading.Thread] = []
        self.deaths: list[Death] = []
        self.done: Counter[str] = Counter()
        self._deeds: list[tuple[Callable[[], None], int]] = [
            (self.kill_worker, 5),
            (self.kill_supervisor, 2),
            (self.reload, 4),
            (self.hold_worker, 2),
            (self.outage, 2),
        ]

    def go_on(self, seconds: float) -> None:
        """Do one thing after the other."""
        until_then = time.monotonic() + seconds
        deeds, weights = zip(*self._deeds, strict=True)
        while time.monotonic() < until_then:
            time.sleep(self._chance.uniform(0.3, 3.0))
            (deed,) = self._chance.choices(deeds, weights)
            deed()

    def end(self) -> None:
        """Wait for what goes on aside, and until the service is well."""
        for thread in self._aside:
            thread.join()
        until(self._victim.is_ready, "the service is ready", 60)

    def kill_worker(self) -> None:
        """Kill one worker, of those that accept, start or leave."""
        workers = self._victim.workers()
        if workers:
            self._kill(self._chance.choice(workers))

    def _kill(self, pid: int) -> None:
        began = time.monotonic()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        until(lambda: not is_alive(pid), "the worker is dead")
        self._note("kill a worker", began)

    def kill_supervisor(self) -> None:
        """Kill the supervisor, and start the service again."""
        began = time.monotonic()
        self._victim.kill()
        self._victim.start_again()
        self._note("kill the supervisor", began, whole=True)

    def reload(self) -> None:
        """Ask for new code or configuration; sometimes wait until that is done, mostly not."""
        how = self._chance.choice((signal.SIGHUP, signal.SIGUSR2))
        self._say(how.name)
        complete = self._victim.log.count("the reload is complete")
        os.kill(self._victim.process.pid, how)
        if self._chance.random() < 0.3:
            until(lambda: self._victim.log.count("the reload is complete") > complete, "the reload is complete", 60)

    def hold_worker(self) -> None:
        """Stop a worker in its tracks for a while, and go on with other things meanwhile."""
        workers = self._victim.workers()
        if workers:
            hold = self._chance.choice((0.1, 1.0, 4.0, LONGEST_HOLD)) * self._chance.random()
            self._beside(self._hold, self._chance.choice(workers), hold)

    def _hold(self, pid: int, hold: float) -> None:
        began = time.monotonic()
        self._say(f"hold worker {pid} for {hold:.1f} s")
        try:
            os.kill(pid, signal.SIGSTOP)
            until(lambda: time.monotonic() > began + hold or not is_alive(pid), "the time is up")
            if is_alive(pid):
                os.kill(pid, signal.SIGCONT)
                return
        except ProcessLookupError:
            pass
        self._note("a held worker was killed", began)

    def outage(self) -> None:
        """Have the backend take nothing for a while."""
        self._beside(self._be_down, self._chance.uniform(1, 6))

    def _be_down(self, seconds: float) -> None:
        self._say(f"backend down for {seconds:.1f} s")
        self._backend.down = True
        time.sleep(seconds)
        self._backend.down = False

    def _beside(self, deed: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=deed, args=arguments, daemon=True)
        thread.start()
        self._aside.append(thread)

    def _note(self, what: str, began: float, *, whole: bool = False) -> None:
        self._say(what)
        self.deaths.append(Death(what, began, time.monotonic(), whole))

    def _say(self, what: str) -> None:
        self.done[what.partition(" for ")[0].partition(" worker ")[0]] += 1
        print(f"{time.monotonic():.2f} {what}", flush=True)  # noqa: T201


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def quiet(victim: Victim) -> Metrics | None:
    """Give a scrape from which on nothing changes any more; None as long as something waits or is open."""
    page, status = victim.ask("/metrics"), victim.ask("/api/v1/status")
    if page is None or status is None:
        return None
    metrics, alive = Metrics(page.decode()), [worker for worker in json.loads(status)["workers"] if worker["pid"]]
    waiting = ("statscounter_accept_queue_length", "statscounter_connections_open")
    # One flush is always there: that it was delivered is noted with the next one.
    if any(metrics.total(name) for name in waiting) or metrics.total("statscounter_output_queued") > 1:
        return None
    return metrics if sum(name.endswith(".ledger") for name in victim.ledgers) == len(alive) else None
