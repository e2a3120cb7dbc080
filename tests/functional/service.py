"""The service as a process: started as a user starts it, asked over HTTP, stopped, killed and started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError

from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.layout import CELL_SIZE, read_header
from statsd_tcp.startup import COMMIT_PERIOD
from tests.functional.metrics import Metrics
from tests.functional.processes import MARK, end_all, held, is_alive, marked, new_mark, waits
from tests.functional.waiting import PATIENCE, until

__all__ = ["BARE", "DATAGRAMS", "LINES", "Page", "Service", "environment", "long_flush", "options", "script"]

CHECKOUT = Path(__file__).parents[2]

PERIOD = 0.2
"""Seconds between two commits of the services here: most tests wait for one."""

LOOPBACK = "interface=127.0.0.1"
LINES = f"tcp:0:{LOOPBACK}:name=lines"
DATAGRAMS = f"udp:0:{LOOPBACK}:name=datagrams"
BARE = f"tcp:0:{LOOPBACK}:name=bare"

_START_TRIES = 200

_BEFORE_THE_RING = 1 << 16
"""Bytes of a ledger that have its header and its cells, and more."""

_LISTENER = re.compile(r"(?:tcp|udp|ssl) \S+:(\d+) (?:\S+ )?as (\S+)$", re.MULTILINE)
_SITE = re.compile(r"HTTP starting on (\d+)$", re.MULTILINE)
_HTTP = re.compile(r"http://\S+:(\d+)/$", re.MULTILINE)


class Page(NamedTuple):
    """What came for a request: the status, the headers in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body without the newline at its end."""
        return self.body.decode().rstrip("\n")


def script(name: str) -> str:
    """Return the path of a script of the environment that runs the tests, if it is not a path already."""
    return str(Path(sys.executable).parent / name)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of the service's processes, which see this checkout and no user's home."""
    path = os.pathsep.join(filter(None, [more.pop("PYTHONPATH", ""), str(CHECKOUT)]))
    own = {"HOME": str(home), "XDG_STATE_HOME": str(home), "PYTHONPATH": path, COMMIT_PERIOD: str(PERIOD)}
    return {**os.environ, **own, **more}


def long_flush() -> int:
    """Return the length of a flush, in seconds, that ends in many hours: one of a day ends at midnight."""
    return next(length for length in range(86_400, 43_200, -1) if time.time() % length < length / 2)


def options(
    state: Path,
    *,
    workers: int = 1,
    listen: Sequence[str] = (LINES, DATAGRAMS),
    count: Sequence[str] = (BARE,),
    http: str = f"tcp:0:{LOOPBACK}",
    admin: str = "",
    more: Sequence[str] = (),
    without: Sequence[str] = (),
) -> list[str]:
    """Write the options of a small service on loopback, without those named in ``without``.

    Without an endpoint a kind is switched off.
    """
    written = [
        f"--state-dir={state}",
        f"--workers={workers}",
        *(f"--listen={endpoint}" for endpoint in listen or [""]),
        *(f"--count={endpoint}" for endpoint in count or [""]),
        f"--http={http}",
        f"--admin={admin}",
        *more,
    ]
    if not any(option.startswith("--drain-timeout=") for option in more):
        # On a busy machine what waits may take longer than usual.
        written.append(f"--drain-timeout={PATIENCE / 2:g}")
    return [option for option in written if option.partition("=")[0] not in without]


class Service:
    """One service with a folder of its own, started as often as a test likes. `end` must be called."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        *,
        prefix: Sequence[str] = (),
        program: Sequence[str] = ("twistd", "-n", "--pidfile="),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Run ``program`` behind the command ``prefix``, with the options ``arguments``."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.state = folder / "state"
        self.mark = new_mark()
        self.command = [*prefix, script(program[0]), *program[1:], "statscounter", *arguments]
        self.environ = environment(folder, **{MARK: self.mark}, **(environ or {}))
        self._processes: list[subprocess.Popen[bytes]] = []
        self.log_file: Path | None = None
        """Where it logs, if not to its standard output."""
        self.host = "127.0.0.1"
        self.http_port = 0
        self.asked = 0
        """How many pages were asked for, each over a connection of its own."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Return the supervisor that was started last."""
        return self._processes[-1]

    @property
    def log(self) -> str:
        """Return all that it has printed since it was started last."""
        return (self.log_file or self._log_path(len(self._processes))).read_text()

    @property
    def ledgers(self) -> list[str]:
        """List the ledgers of the state directory."""
        return sorted(path.name for path in (self.state / "ledgers").iterdir())

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        with self._log_path(len(self._processes) + 1).open("wb") as output:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def start(self) -> Service:
        """Start it, and wait until it is ready."""
        self.launch()
        return self.await_ready()

    def start_again(self) -> None:
        """Start it as a service manager does: again and again, while its orphans still have the ports."""
        for _ in range(_START_TRIES):
            self.launch()
            until(lambda: self.process.poll() is not None or self.has_greeted(), "it has started or ended")
            if self.process.poll() is None:
                self.find_pages()
                return
        raise AssertionError(f"it does not start: {self.log}")

    def await_ready(self) -> Service:
        """Wait until all workers accept and the store is open."""
        until(self._greeted, "the service has started")
        self.find_pages()
        return self

    def find_pages(self) -> None:
        """Wait until its pages say that it is ready, if it has pages."""
        found = _HTTP.search(self.log)
        if found:
            self.http_port = int(found[1])
            until(self.is_ready, "the service is ready")

    def share_state(self, other: Service) -> None:
        """Use the state directory of another one, which must have ended."""
        self.command[self.command.index(f"--state-dir={self.state}")] = f"--state-dir={other.state}"
        self.state = other.state

    def has_greeted(self) -> bool:
        """Return whether it has said what listens where."""
        # One of the last lines, so that the others are there.
        return "  limits  " in self.log

    def site_port(self) -> int:
        """Return the port of the pages, 0 while there is none yet: they are there before the greeting."""
        found = _SITE.search(self.log)
        return int(found[1]) if found else 0

    def port(self, label: str) -> int:
        """Return the port of a listener."""
        return {found[2]: int(found[1]) for found in _LISTENER.finditer(self.log)}[label]

    def page(self, path: str, **headers: str) -> Page:
        """Fetch a page, whatever its status; raises `URLError` or `OSError` while there is no answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://{self.host}:{self.http_port}{path}", headers=named)
        self.asked += 1
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return Page(answer.status, _lower(answer.headers.items()), answer.read())
        except HTTPError as answer:
            with answer:
                return Page(answer.code, _lower(answer.headers.items()), answer.read())

    def metrics(self) -> Metrics:
        """Scrape it."""
        page = self.page("/metrics")
        assert page.status == 200, page
        return Metrics(page.body.decode())

    def status(self) -> dict[str, Any]:
        """Pass its status on."""
        status: dict[str, Any] = json.loads(self.page("/api/v1/status").body)
        return status

    def worker_pids(self) -> dict[int, int]:
        """Return the process numbers of the workers that live, by slot."""
        return {worker["slot"]: worker["pid"] for worker in self.status()["workers"] if worker["pid"]}

    def replace_worker(self) -> None:
        """Kill the first worker, and wait until another one accepts: that it is dead may not be known at once."""
        killed = self.worker_pids()[0]
        os.kill(killed, signal.SIGKILL)
        until(lambda: self.is_ready() and self.worker_pids().get(0, killed) != killed, "another worker accepts")

    @contextmanager
    def workers_held(self) -> Iterator[None]:
        """Stop all workers in their tracks, and let them go on afterwards: what comes meanwhile waits in the kernel."""
        pids = list(self.worker_pids().values())
        with ExitStack() as stack:
            for pid in pids:
                stack.enter_context(held(pid))
            yield

    @contextmanager
    def supervisor_held(self) -> Iterator[None]:
        """Stop the supervisor in its tracks, and let it go on afterwards: meanwhile no worker is asked for anything."""
        pids = list(self.worker_pids().values())
        with held(self.process.pid):
            # It may have asked just before. A worker that has not answered would hand over what comes from now on.
            until(lambda: all(waits(pid) for pid in pids), "the workers have answered")
            yield

    def is_ready(self) -> bool:
        """Return whether it says that it is ready, and all its workers are; fails when it has ended instead."""
        assert self.log_file or self.process.poll() is None, f"it has ended with status {self.process.returncode}"
        try:
            status = self.status()
        except (URLError, OSError):
            return False
        return status["ready"] and all(worker["state"] == "ready" for worker in status["workers"])

    def wait_for(self, wanted: float, name: str, **labels: str) -> Metrics:
        """Wait until a metric has reached a value, and give the scrape that says so."""
        seen: list[Metrics] = []

        def reached() -> bool:
            seen[:] = [self.metrics()]
            return seen[0].reached(wanted, name, **labels)

        until(reached, f"{name} {labels} has reached {wanted:g}")
        return seen[0]

    def settled(self) -> Metrics:
        """Wait until no connection is open, or waits, and the store has all that was read; give a scrape from then."""
        until(self._is_settled, "all has ended and is committed")
        # What was rejected before it was a line is in no journal. It comes with the next commit that was not under way.
        commits = "statscounter_commits_total"
        metrics = self.wait_for(self.metrics().total(commits) + 2, commits)
        # The parser of Prometheus' own client can read all of the page.
        assert metrics.samples()
        return metrics

    def settled_with(self, lines: float, before: Metrics) -> Metrics:
        """Do the same when ``lines`` lines have come since ``before``: nothing shows a datagram that waits unread."""
        name = "statscounter_lines_total"
        self.wait_for(sum(before.values(name)) + lines, name)
        return self.settled()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask for a clean end, and give the exit status (negative: the signal that ended it)."""
        self.process.send_signal(number)
        return self.wait_ended()

    def wait_ended(self) -> int:
        """Wait until the supervisor and its workers have ended, and give its exit status."""
        status = self.process.wait(PATIENCE)
        until(lambda: not marked(self.mark), "no worker is left")
        return status

    def kill(self) -> None:
        """Kill the supervisor, and only that."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self) -> None:
        """Kill whatever is left, and show what was printed, for a test that has failed."""
        end_all(self.mark)
        for number, process in enumerate(self._processes, 1):
            process.wait(PATIENCE)
            sys.stdout.write(f"--- start {number} of {self.folder.name}\n{self._log_path(number).read_text()}")

    def _is_settled(self) -> bool:
        metrics, unfinished = self.metrics(), ("statscounter_connections_open", "statscounter_accept_queue_length")
        if any(metrics.by(name, "listener") for name in unfinished):
            return False
        # Only now: what a connection brought before its end is in a journal.
        status = self.status()
        ledgers = list(Path(status["state_dir"], "ledgers").glob("*.ledger"))
        # What is in the journal of a dead worker is not released: its file goes.
        living = sum(bool(worker["pid"]) + worker.get("leaving", 0) for worker in status["workers"])
        return len(ledgers) == living and all(_is_released(ledger) for ledger in ledgers)

    def _log_path(self, number: int) -> Path:
        return self.folder / f"start-{number}.log"

    def _greeted(self) -> bool:
        assert is_alive(self.process.pid), f"it has ended with status {self.process.poll()}"
        return self.has_greeted()


def _is_released(ledger: Path) -> bool:
    """Return whether the store has all of a living worker's journal."""
    try:
        with ledger.open("rb") as file:
            data = file.read(_BEFORE_THE_RING)
            at = read_header(data, os.fstat(file.fileno()).st_size, ledger.name).cells_at
    except FileNotFoundError:
        return False
    head, released = (data[at + CELL_SIZE * cell :][:CELL_SIZE] for cell in (JOURNAL_HEAD, JOURNAL_RELEASED))
    return head == released


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
