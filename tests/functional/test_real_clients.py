"""Clients that people use, over each transport that they speak: what they send is what is counted.

`datadog` and `statsd` come with the test dependencies. `hot-shots` is fetched with npm into a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.metrics import Metrics
from tests.functional.service import LOOPBACK, Service
from tests.functional.waiting import PATIENCE

ServiceMaker = Callable[..., Service]

NPM_SECONDS = 180.0
HOT_SHOTS = "hot-shots@^17"

DIALECT = "dialect=dogstatsd"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="statscounter-") as folder:
        yield Path(folder)


@pytest.fixture
def service(start_service: ServiceMaker, folder: Path) -> Service:
    """Start a service with a listener for each transport."""
    return start_service(
        workers=2,
        listen=[
            f"tcp:0:{LOOPBACK}:name=tcp:{DIALECT}",
            f"udp:0:{LOOPBACK}:name=udp:{DIALECT}",
            f"unix:{folder}/stream:name=stream:{DIALECT}",
            f"unix:{folder}/packets:name=packets:framing=length:{DIALECT}",
            f"unixgram:{folder}/datagrams:name=datagrams:{DIALECT}",
        ],
    )


def only(service: Service, listener: str, lines: int) -> Metrics:
    """Wait until so many lines have come to a listener; check that none of them was bad and none came elsewhere."""
    seen = service.wait_for(lines, "statscounter_lines_total", listener=listener)
    # The client has ended: whatever else it has sent is there, and in the next commit.
    commits = "statscounter_commits_total"
    metrics = service.wait_for(seen.total(commits) + 1, commits)
    assert metrics.by("statscounter_lines_total", "listener") == {listener: lines}
    assert metrics.by("statscounter_bad_lines_total", "reason") == {}
    return metrics


def hits(metrics: Metrics) -> list[str]:
    """Give the lines of the counter, as they are: what reads them for us adds a suffix to a counter's name."""
    return sorted(line for line in metrics.text.splitlines() if line.startswith("hits{"))


# statsd (PyPI): UDP, TCP, Unix stream; bare lines, no tags.


def statsd_client(kind: str, service: Service, folder: Path) -> Any:
    """Make a client of one kind."""
    statsd = pytest.importorskip("statsd")
    if kind == "udp":
        return statsd.StatsClient("127.0.0.1", service.port("udp"))
    if kind == "tcp":
        return statsd.TCPStatsClient("127.0.0.1", service.port("tcp"))
    return statsd.UnixSocketStatsClient(f"{folder}/stream")


@pytest.mark.parametrize("kind", ["udp", "tcp", "stream"])
def test_statsd(service: Service, folder: Path, kind: str) -> None:
    """Counters, gauges, sets and timers of the package `statsd` arrive, one by one and in a pipeline."""
    client = statsd_client(kind, service, folder)
    client.incr("hits")
    client.incr("hits", 4)
    client.decr("falls", 2)
    client.gauge("level", 7)
    client.gauge("level", 3)
    client.set("users", "x:y")
    client.timing("took", 1500)
    with client.timer("block"):
        pass
    with client.pipeline() as pipeline:
        pipeline.incr("piped")
        pipeline.timing("took", 500)
    client.close()
    metrics = only(service, kind, 10)
    assert metrics.by("statscounter_samples_total", "type") == {"c": 4, "g": 2, "s": 1, "ms": 3}
    assert (metrics.total("hits"), metrics.total("piped"), metrics.total("level")) == (5, 1, 3)
    assert (metrics.total("took_count"), metrics.total("took_sum"), metrics.total("block_count")) == (2, 2.0, 1)


# datadog (PyPI): UDP, Unix datagrams, Unix stream with lengths; tags, events, service checks.


def datadog_client(kind: str, service: Service, folder: Path, *, buffered: bool) -> Any:
    """Make a client of one kind. It waits for room: unless told so it drops what it can't send at once."""
    dogstatsd = pytest.importorskip("datadog.dogstatsd.base").DogStatsd
    places: dict[str, dict[str, Any]] = {
        "udp": {"host": "127.0.0.1", "port": service.port("udp")},
        "datagrams": {"socket_path": f"unixgram://{folder}/datagrams"},
        "packets": {"socket_path": f"unixstream://{folder}/packets"},
    }
    common: dict[str, Any] = {"disable_telemetry": True, "disable_buffering": not buffered, "socket_timeout": PATIENCE}
    return dogstatsd(constant_tags=["env:test"], **common, **places[kind])


@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("kind", ["udp", "datagrams", "packets"])
def test_datadog(service: Service, folder: Path, kind: str, buffered: bool) -> None:
    """Everything that the package `datadog` sends arrives with its tags, buffered or line by line."""
    client = datadog_client(kind, service, folder, buffered=buffered)
    for number in range(100):
        client.increment("hits", tags=[f"page:{number % 2}"])
    client.decrement("falls", 3)
    client.gauge("level", 12)
    client.gauge("level", -5)
    client.set("users", "somebody")
    client.timing("took", 250)
    client.histogram("size", 10)
    client.distribution("size", 20)
    client.event("title", "two\nlines")
    client.service_check("alive", 0)
    client.flush()
    client.stop()
    metrics = only(service, kind, 109)
    assert hits(metrics) == ['hits{env="test",page="0"} 50.0', 'hits{env="test",page="1"} 50.0']
    assert metrics.by("statscounter_samples_total", "type") == {"c": 101, "g": 2, "s": 1, "ms": 1, "h": 1, "d": 1}
    assert metrics.total("level", env="test") == -5
    assert (metrics.total("took_sum"), metrics.total("size_sum"), metrics.total("size_count")) == (0.25, 30, 2)
    assert (metrics.total("statscounter_events_total"), metrics.total("statscounter_service_checks_total")) == (1, 1)


# hot-shots (npm): UDP, TCP, Unix datagrams, and whatever stream it is given.

SCRIPT = """
const StatsD = require('hot-shots');
const net = require('net');
const options = JSON.parse(process.argv[1]);
if (options.connect) { options.stream = net.connect(options.connect); }
const client = new StatsD({ ...options, globalTags: { env: 'test' }, errorHandler: (e) => { throw e; } });
let waiting = 56;
// Where a datagram socket is full the client tries again later: it must not be closed before.
const sent = () => { waiting -= 1; if (!waiting) { client.close(); } };
for (let i = 0; i < 50; i += 1) { client.increment('hits', 1, { page: String(i % 2) }, sent); }
client.gauge('level', 12, sent);
client.gauge('level', -5, sent);
client.set('users', 'somebody', sent);
client.timing('took', 250, sent);
client.histogram('size', 10, sent);
client.distribution('size', 20, sent);
"""


@pytest.fixture(scope="session")
def hot_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install hot-shots into a temporary folder."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("hot-shots")
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", f"--prefix={folder}", HOT_SHOTS]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NPM_SECONDS, check=False, cwd=folder)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not come to an end: is its registry within reach?")
    if done.returncode:
        pytest.skip(f"npm can't install {HOT_SHOTS}: {done.stderr.strip()[-200:]}")
    return folder


def hot_shots_options(kind: str, service: Service, folder: Path) -> dict[str, Any]:
    """Give the options of a client of one kind."""
    every: dict[str, dict[str, Any]] = {
        "udp": {"host": "127.0.0.1", "port": service.port("udp")},
        "tcp": {"protocol": "tcp", "host": "127.0.0.1", "port": service.port("tcp")},
        "datagrams": {"protocol": "uds", "path": f"{folder}/datagrams"},
        "stream": {"protocol": "stream", "connect": f"{folder}/stream"},
    }
    return every[kind]


@pytest.mark.parametrize("buffer", [0, 1000])
@pytest.mark.parametrize("kind", ["udp", "tcp", "datagrams", "stream"])
def test_hot_shots(hot_shots: Path, service: Service, folder: Path, kind: str, buffer: int) -> None:
    """Everything that `hot-shots` sends arrives with its tags, buffered or line by line."""
    if kind == "datagrams" and not (hot_shots / "node_modules/unix-dgram/build").exists():
        pytest.skip("unix-dgram, which hot-shots needs for Unix datagrams, could not be built")
    given = {**hot_shots_options(kind, service, folder), "maxBufferSize": buffer}
    done = subprocess.run(
        ["node", "-e", SCRIPT, json.dumps(given)],
        cwd=hot_shots,
        env={**os.environ, "NODE_PATH": str(hot_shots / "node_modules")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    metrics = only(service, kind, 56)
    assert hits(metrics) == ['hits{env="test",page="0"} 25.0', 'hits{env="test",page="1"} 25.0']
    assert metrics.by("statscounter_samples_total", "type") == {"c": 50, "g": 2, "s": 1, "ms": 1, "h": 1, "d": 1}
    assert metrics.total("level") == -5
    assert (metrics.total("took_sum"), metrics.total("size_sum"), metrics.total("size_count")) == (0.25, 30, 2)
