"""Release 0.1.0, which newer code must be able to follow: its wheel, and a state folder that it left when killed.

``python -m tests.packaging.release`` makes the state folder again, with the wheel, and writes down what the release
itself makes of it. The scene is the same for both: two workers, listeners of each dialect, a mapping file, two outputs
that nobody takes from, and a repeater.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socketserver
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.functional.clients import Burst, bare, datagram, half_close
from tests.functional.metrics import Metrics
from tests.functional.processes import MARK, held
from tests.functional.service import BARE, CHECKOUT, DATAGRAMS, LINES, LOOPBACK, Service, options
from tests.functional.waiting import until
from tests.packaging.environment import Environment, clean_environ

__all__ = [
    "FOLDER",
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
"""Ports of the two outputs while the state folder is made: nobody listens there."""

FLUSH_SECONDS = 10
QUEUED = 2
"""Flushes that wait for each output at the end."""

DOGS = f"tcp:0:{LOOPBACK}:dialect=dogstatsd:name=dogs"

EVERY_TYPE = (
    b"hits:3|c\nhits:2|c|@0.5\nlevel:5|g\nlevel:+3|g\ntime:320|ms\ntime:100|ms|@0.1\nsize:7|h\nspread:4.5|d\n"
    b"users:ann|s\nusers:bob|s\na page/one:1|c\ntagged:1|c|#code:200,env:prod\napi.get.home.time:30|ms\n"
    b"api.put.cart.time:250|ms\nqueue.mail.depth:4|g\nnoise.x:1|c\nbad\n\n"
    b"_e{5,4}:title|text\n_sc|name|0\n"
)
OPEN = b"hits:10|c\nlevel:-2|g\ntime:40|ms\nusers:cid|s\nlate:1|c\n"
UNREAD = b"hits:100|c\nlevel:42|g\ntime:50|ms\nusers:dot|s\napi.get.home.time:90|ms\n"
UNREADABLE = b"lost:1|c\n"
REPEATED = 20
"""How many clients send the last two."""

_MESSAGES = """
import json, msgspec
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.endpoints import Endpoint
from statsd_tcp.ingest.inheritance import InheritedListener
from statsd_tcp.ingest.tls import TlsMaterial
from statsd_tcp.repeat.counts import Repeated
from statsd_tcp.repeat.target import Target
from statsd_tcp.workers.control import Boot, Collect, Committed, Drain, Gathered, LaneSpec, Ready, Retire
from statsd_tcp.workers.manifest import InheritedWorker, Manifest

interval = Interval(samples={"c": 1}, counters={"hits": 2.5}, times={"t": {3.0: 1.0}}, sets={"u": {"ann"}})
listener = InheritedListener(Endpoint("tcp", 8125, "127.0.0.1", name="lines"), 8125, [[5], [6]], [[7]], False)
said = [
    Boot("/state/ledgers/x", (LaneSpec(5, 2, 0, "lines"), LaneSpec(6, 2, 1, "tls", "length")), 9, 60.0,
         {1: TlsMaterial(b"key", b"chain", b"ca")}, (Target("udp", "127.0.0.1", 8125),), 3),
    Collect(), Committed(4096), Drain(), Retire(), Ready(),
    Gathered(64, 128, encode(interval), True, (Repeated("repeat:udp:127.0.0.1:8125", 3, 1, 2, 4, "why"),)),
    Manifest(3, [listener], [], [InheritedWorker(0, 99, "ab", 8, b"half", [9], True)], {"signal": 2}, 5.5, 1,
             "/run/x.pid", False, [77]),
]
print(json.dumps({type(one).__name__: msgspec.msgpack.encode(one).hex() for one in said}))
"""

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
                took.extend(map(Point.read, self.rfile.read().decode().splitlines()))

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
    _pip(environment, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--force-reinstall", str(wheel))


def _distribution(wheel: Path) -> str:
    return wheel.name.partition("-")[0]


def _pip(environment: Environment, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", environment.program("python")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def scene(outputs: Sequence[int] = NOBODY, repeat: int = NOBODY[0], **keywords: Any) -> dict[str, Any]:
    """Return the keywords of `options` that the state folder was made with, but for the ports of the backends."""
    first, second = outputs
    more = [
        f"--flush-interval={FLUSH_SECONDS}",
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
            assert store.execute("UPDATE slot_queue SET output = ? WHERE output = ?", names).rowcount == QUEUED


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


def _make_state(folder: Path, environment: Environment) -> None:
    """Leave a state folder with everything in it that can be there."""
    crashing = release_service(folder, environment, scene(workers=1), STATSCOUNTER_CRASH="in-replay:2")
    with ended(crashing):
        crashing.start()
        half_close(crashing.port("lines"), EVERY_TYPE)
        crashing.settled()
        _kill_workers(crashing, UNREADABLE)
        until(lambda: "it is kept as" in crashing.log, "a journal is set aside")
        crashing.stop()
    service = release_service(folder, environment, scene())
    with ended(service):
        service.start()
        _all_listeners(service)
        name = f"graphite:127.0.0.1:{NOBODY[1]}"
        # The flush that has just begun is the one that will be open.
        service.wait_for(QUEUED, "statscounter_output_queued", output=name)
        half_close(service.port("lines"), OPEN)
        service.settled()
        _kill_workers(service, UNREAD, supervisor=True)
        assert service.wait_ended() == -signal.SIGKILL


def _kill_workers(service: Service, lines: bytes, *, supervisor: bool = False) -> None:
    """Kill the workers, and perhaps all else, with lines that are in their journals and nowhere else."""
    port, workers = service.port("lines"), service.worker_pids()
    with held(service.process.pid):
        assert Burst(lambda: half_close(port, lines), REPEATED).run() == (REPEATED, 0, 0)
        for pid in workers.values():
            os.kill(pid, signal.SIGKILL)
        if supervisor:
            service.kill()


def _all_listeners(service: Service) -> None:
    lines, dogs, count = (service.port(name) for name in ("lines", "dogs", "bare"))
    for _ in range(5):
        half_close(lines, EVERY_TYPE)
        half_close(dogs, EVERY_TYPE)
        bare(count)
    datagram(service.port("datagrams"), EVERY_TYPE)
    service.settled()


def _check_state(state: Path) -> None:
    """Fail unless everything is there; SQLite's own log is written back meanwhile."""
    suffixes = sorted(path.suffix for path in (state / "ledgers").iterdir())
    assert suffixes == [".ledger", ".ledger", ".unread"], suffixes
    with closing(sqlite3.connect(state / "totals.sqlite")) as store:
        (parts,) = store.execute("SELECT count(*) FROM slot_parts WHERE length(payload) > 0").fetchone()
        queues = store.execute("SELECT count(*) FROM slot_queue GROUP BY output").fetchall()
    assert parts, "no flush is open"
    assert queues == [(QUEUED,), (QUEUED,)], queues


def _make_expected(folder: Path, environment: Environment) -> dict[str, Any]:
    """Have the release itself go on with the state folder that was packed."""
    with ExitStack() as stack:
        backends = [stack.enter_context(Backend()) for _ in NOBODY]
        ports = [backend.port for backend in backends]
        unpack_state(folder / "state")
        _check_state(folder / "state")
        last = open_until(folder / "state")
        until(lambda: time.time() > last, "the open flush is over, as it is whenever the state folder is used")
        move_queues(folder / "state", ports)
        service = stack.enter_context(ended(release_service(folder, environment, scene(ports))))
        totals = go_on(service, backends, last)
        said = json.loads(environment.run("python", "-c", _MESSAGES).stdout)
        return {
            "totals": totals,
            "delivered": [list(map(str, delivered(backend, last))) for backend in backends],
            "messages": said,
        }


def open_until(state: Path) -> int:
    """Return when the open flush of a state folder ends, in seconds since 1970."""
    with closing(sqlite3.connect(state / "totals.sqlite")) as store:
        start, seconds = store.execute("SELECT start, seconds FROM slot_parts ORDER BY id LIMIT 1").fetchone()
    return int(start) + int(seconds)


def go_on(service: Service, backends: Sequence[Backend], last: int) -> dict[str, float]:
    """Start a service with the state folder; return the totals when journals are read and flushes are delivered."""
    service.start()
    service.wait_for(REPEATED * len(UNREAD.splitlines()), "statscounter_recovered_lines_total")
    for backend in backends:
        until(lambda: any(point.time >= last for point in backend.points), "all that waited is delivered")  # noqa: B023
    return durable(service.settled())


def main() -> None:
    """Make ``state.tar.gz`` and ``expected.json`` again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = environment_with(WHEEL, folder / "venv")
        _make_state(folder / "made", environment)
        with tarfile.open(STATE, "w:gz") as archive:
            for path in sorted((folder / "made" / "state").iterdir()):
                archive.add(path, path.name)
        expected = _make_expected(folder / "expected", environment)
        EXPECTED.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
