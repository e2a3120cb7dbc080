"""Release 0.1.0, which newer code must be able to follow: its wheel, and a state folder that it left when killed.

The service that left it had two workers, listeners of each dialect, a mapping file, two outputs without a backend,
and a repeater. `tests.packaging.make_release` has made it.
"""

from __future__ import annotations

import json
import re
import socketserver
import sqlite3
import tarfile
import threading
import venv
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.functional.metrics import Metrics
from tests.functional.processes import MARK
from tests.functional.service import BARE, CHECKOUT, DATAGRAMS, LINES, LOOPBACK, Service, options
from tests.functional.waiting import until
from tests.packaging.environment import Environment, clean_environ

__all__ = [
    "CLIENTS",
    "EXPECTED",
    "NOBODY",
    "QUEUED",
    "STATE",
    "UNREAD",
    "WHEEL",
    "Backend",
    "Expected",
    "delivered",
    "durable",
    "ended",
    "environment_with",
    "go_on",
    "install",
    "move_queues",
    "open_until",
    "read_expected",
    "release_service",
    "scene",
    "unpack_state",
]

FOLDER = CHECKOUT / "tests" / "data" / "release-0.1.0"
WHEEL = FOLDER / "statscounter-0.1.0-py3-none-any.whl"
STATE = FOLDER / "state.tar.gz"
EXPECTED = FOLDER / "expected.json"

NOBODY = (1, 2)
"""Ports of the two outputs while the state folder is made: nothing listens there."""

FLUSH_SECONDS = 10
QUEUED = 2
"""Flushes that wait for each output at the end."""

DOGS = f"tcp:0:{LOOPBACK}:dialect=dogstatsd:name=dogs"

UNREAD = b"hits:100|c\nlevel:42|g\ntime:50|ms\nusers:dot|s\napi.get.home.time:90|ms\n"
CLIENTS = 20
"""What only the journals have, and how many clients sent it."""

_VOLATILE = re.compile(r"graphiteStats|processing_time|timestamp_lag")
"""Of what a delivery says about itself: nothing that was kept."""

_DURABLE = re.compile(
    r"statscounter_(connections_total|connections_closed_total|received_bytes_total|lines_total|empty_lines_total|"
    r"samples_total|bad_lines_total|bad_tags_total|events_total|service_checks_total|datagrams_total|"
    r"recovered_lines_total|ledgers_set_aside)\b"
)
_PASSING = re.compile(r"process_|statscounter_|users$|.*quantile=")
"""Else on the page: the service's own, the members of a set in the last flush, quantiles of the last minutes."""


class Point(NamedTuple):
    """One number that Graphite was sent: its path, its value, and the end of its flush in seconds since 1970."""

    path: str
    value: float
    time: int

    @classmethod
    def read(cls, line: str) -> Self:
        """Read a line of Graphite's text protocol."""
        path, value, at = line.split()
        return cls(path, float(value), int(at))

    def __str__(self) -> str:
        """Write the line."""
        return f"{self.path} {self.value} {self.time}"


class Expected(NamedTuple):
    """What release 0.1.0 made of the state folder.

    ``totals`` are the samples of ``/metrics`` that are kept (see `durable`), ``delivered`` what came from the queue of
    each output. ``messages`` are what its images and processes say to each other, in msgpack.
    """

    totals: dict[str, float]
    delivered: list[list[Point]]
    messages: dict[str, bytes]


class Backend:
    """A server that takes what an output sends to Graphite, as carbon does."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        took = self.points

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                # All at once: a test that looks sees a flush whole, or not.
                took.extend([Point.read(line) for line in self.rfile.read().decode().splitlines()])

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def environment_with(wheel: Path, root: Path) -> Environment:
    """Make an environment with a wheel in it, and with the dependencies of the tests' own environment."""
    venv.create(root, symlinks=True)
    environment = Environment(root)
    environment.borrow()
    install(environment, wheel)
    return environment


def install(environment: Environment, wheel: Path) -> None:
    """Put a wheel in the place of what an environment has."""
    if _distribution(wheel) != _distribution(WHEEL):
        # Two distributions with the same files: pip would leave those of the first that the second does not have.
        _pip(environment, "uninstall", "--quiet", "--yes", _distribution(WHEEL))
    _pip(environment, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", str(wheel))


def _distribution(wheel: Path) -> str:
    return wheel.name.partition("-")[0]


def _pip(environment: Environment, *arguments: str) -> None:
    done = environment.pip(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def scene(
    outputs: Sequence[int] = NOBODY, repeat: int = NOBODY[0], *, seconds: int = FLUSH_SECONDS, **keywords: Any
) -> dict[str, Any]:
    """Return the keywords of `options` that the state folder was made with, except for the ports of the backends.

    ``seconds`` is the length of flushes.
    """
    first, second = outputs
    more = [
        f"--flush-interval={seconds}",
        # Ten years, the most there is: the totals of the state folder must not have expired.
        f"--series-ttl={3650 * 86400}",
        f"--mapping={FOLDER / 'mapping.yml'}",
        f"--graphite=tcp:127.0.0.1:{first}",
        f"--graphite=tcp:127.0.0.1:{second}:namespace=new:prefix=second",
        f"--repeat=udp:127.0.0.1:{repeat}",
    ]
    return {"workers": 2, "listen": (LINES, DATAGRAMS, DOGS), "count": (BARE,), "more": more, **keywords}


def unpack_state(folder: Path) -> None:
    """Put the state folder into ``folder``, which must not exist."""
    with tarfile.open(STATE) as archive:
        archive.extractall(folder, filter="data")


def move_queues(state: Path, ports: Sequence[int]) -> None:
    """Have what waits in a state folder wait for outputs on other ports."""
    with closing(sqlite3.connect(state / "totals.sqlite")) as store, store:
        for before, port in zip(NOBODY, ports, strict=True):
            names = (f"graphite:127.0.0.1:{port}", f"graphite:127.0.0.1:{before}")
            assert store.execute("UPDATE slot_queue SET output = ? WHERE output = ?", names).rowcount >= QUEUED


def durable(metrics: Metrics) -> dict[str, float]:
    """Return the samples that a state folder keeps, as they stand on the page: all of StatsD's, and some of our own."""
    samples = [line.rpartition(" ") for line in metrics.text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in samples if _DURABLE.match(name) or not _PASSING.match(name)}


def delivered(backend: Backend, until_time: int) -> list[Point]:
    """Return what a backend got of the flushes up to that time, without what a delivery says about itself."""
    return sorted(point for point in backend.points if point.time <= until_time and not _VOLATILE.search(point.path))


def read_expected() -> Expected:
    """Read what the release made of the state folder."""
    read = json.loads(EXPECTED.read_text())
    return Expected(
        read["totals"],
        [list(map(Point.read, lines)) for lines in read["delivered"]],
        {name: bytes.fromhex(message) for name, message in read["messages"].items()},
    )


def release_service(folder: Path, environment: Environment, keywords: dict[str, Any], **environ: str) -> Service:
    """Make a service, not started, of what is installed in an environment, out of the keywords of `options`."""
    program = (environment.program("twistd"), "-n", "--pidfile=")
    service = Service(folder, options(folder / "state", **keywords), program=program)
    service.environ = clean_environ(folder, **{MARK: service.mark}, **environ)
    return service


@contextmanager
def ended(service: Service) -> Iterator[Service]:
    """End a service with the block."""
    try:
        yield service
    finally:
        service.end()


def open_until(state: Path) -> int:
    """Return when the open flush of a state folder ends, in seconds since 1970."""
    with closing(sqlite3.connect(state / "totals.sqlite")) as store:
        start, seconds = store.execute("SELECT start, seconds FROM slot_parts ORDER BY id LIMIT 1").fetchone()
    return int(start) + int(seconds)


def go_on(service: Service, backends: Sequence[Backend], last: int) -> dict[str, float]:
    """Start a service with the state folder; return the totals when journals are read and flushes are delivered."""
    service.start()
    service.wait_for(CLIENTS * len(UNREAD.splitlines()), "statscounter_recovered_lines_total")
    for backend in backends:
        until(lambda: any(point.time >= last for point in backend.points), "all that waited is delivered")  # noqa: B023
    return durable(service.settled())
