"""The service that all of this is done to, and questions to it that hold whatever was just done."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.error import URLError

from tests.functional.metrics import Metrics
from tests.functional.processes import end_all, is_alive
from tests.functional.service import LOOPBACK, Page, Service, options
from tests.functional.waiting import until
from tests.ports import free_port
from tests.torture.backend import COUNTS, Backend
from tests.torture.books import LINE_KINDS

__all__ = ["Victim", "make_victim", "missing", "settled"]

OK = 200

SETTLED = 120.0
"""Seconds until all is counted at the end: flushes that a backend missed are tried again after a while."""

FLUSH = 1
"""Seconds that an output flush has."""


class Victim(Service):
    """A service that is started again however often it is killed, and whose pages are counted if they were answered."""

    _asking = threading.Lock()

    def page(self, path: str, **headers: str) -> Page:
        """Fetch a page. Threads may do so."""
        with self._asking:
            try:
                return super().page(path, **headers)
            except URLError as error:
                # A client that got a connection and no answer is in the kernel's count.
                if isinstance(error.reason, ConnectionRefusedError):
                    self.asked -= 1
                raise

    def ask(self, path: str) -> bytes | None:
        """Return a page, None while there is no answer, as between two images of the supervisor."""
        try:
            page = self.page(path)
        except OSError:
            return None
        return page.body if page.status == OK else None

    def end_quietly(self) -> None:
        """Kill whatever is left of it."""
        end_all(self.mark)
        for process in self._processes:
            process.wait()

    def workers(self) -> list[int]:
        """Return the process numbers of all its workers: those that accept, and those that come and go."""
        return [pid for pid in _children(self.process.pid) if b"statsd_tcp.workers" in _command(pid)]

    def remains(self) -> dict[str, int]:
        """Return what its supervisor has: children that ended and were not waited for, and open descriptors."""
        pid = self.process.pid
        dead = sum(1 for child in _children(pid) if not is_alive(child))
        return {"zombies": dead, "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


def make_victim(
    folder: Path,
    workers: int,
    backend: Backend,
    *,
    more: Sequence[str] = (),
    state: Path | None = None,
    environ: Mapping[str, str] | None = None,
    and_listen: Sequence[str] = (),
) -> Victim:
    """Make a service on ports that stay the same over its restarts; it also has the listeners ``and_listen``."""
    tcp = f"tcp:{{}}:{LOOPBACK}:name={{}}"
    own = [f"--flush-interval={FLUSH}", f"--graphite=tcp:127.0.0.1:{backend.port}", "--output-queue=100000"]
    listen, count = [tcp.format(free_port(), "lines"), *and_listen], [tcp.format(free_port(), "bare")]
    http, state = f"tcp:{free_port()}:{LOOPBACK}", state or folder / "state"
    written = options(state, workers=workers, listen=listen, count=count, http=http, more=[*own, *more])
    victim = Victim(folder, written, environ=environ)
    victim.state = state
    return victim


def settled(victim: Victim, backend: Backend) -> Metrics:
    """Wait until all that came is counted, and has been delivered to the backend; return a scrape from after that."""
    until(lambda: quiet(victim), "all is counted", SETTLED)
    # What came last is in a flush that ends by then. To count commits instead would not do: on a busy machine
    # several may fall into a second, and the delivery comes after them.
    last = time.time() + FLUSH
    until(lambda: backend.newest > last, "all flushes are delivered", SETTLED)
    return until(lambda: quiet(victim), "all is counted", SETTLED)


def missing(victim: Victim, backend: Backend) -> float | None:
    """Return how many lines the service has counted and the backend has not; None while there is no answer."""
    page = victim.ask("/metrics")
    if page is None:
        return None
    metrics = Metrics(page.decode())
    return sum(sum(metrics.values(kind)) - backend.total(f"{COUNTS}{kind}") for kind in LINE_KINDS)


def quiet(victim: Victim) -> Metrics | None:
    """Return a scrape from which on nothing changes; None as long as something waits or is open."""
    page, status = victim.ask("/metrics"), victim.ask("/api/v1/status")
    if page is None or status is None:
        return None
    metrics, alive = Metrics(page.decode()), [worker for worker in json.loads(status)["workers"] if worker["pid"]]
    waiting = ("statscounter_accept_queue_length", "statscounter_connections_open")
    # One flush is always there: that it was delivered is noted with the next one.
    if any(metrics.total(name) for name in waiting) or metrics.total("statscounter_output_queued") > 1:
        return None
    return metrics if sum(name.endswith(".ledger") for name in victim.ledgers) == len(alive) else None


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
