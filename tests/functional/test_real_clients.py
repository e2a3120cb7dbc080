"""Clients that people use, over each transport that they speak: what they send is what is counted.

`datadog` and `statsd` come with the test dependencies, `hot-shots` with ``make system-packages``. They share a service.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.metrics import Difference, Metrics
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE
from tests.npm import node_path
from tests.short import make_short_folder

DIALECT = "dialect=dogstatsd"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder with a path short enough for a socket."""
    made = make_short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    """Give a service with a listener for each transport."""
    listen = [
        f"tcp:0:{LOOPBACK}:name=tcp:{DIALECT}",
        f"udp:0:{LOOPBACK}:name=udp:{DIALECT}",
        f"unix:{folder}/stream:name=stream:{DIALECT}",
        f"unix:{folder}/packets:name=packets:framing=length:{DIALECT}",
        f"unixgram:{folder}/datagrams:name=datagrams:{DIALECT}",
    ]
    service = Service(folder, options(folder / "state", workers=2, listen=listen))
    try:
        yield service.start()
    finally:
        service.end()


@pytest.fixture
def before(service: Service) -> Metrics:
    """Give a scrape from before the test."""
    return service.metrics()


def news(service: Service, before: Metrics, listener: str, lines: int) -> Difference:
    """Wait until so many lines have come to a listener; check that none of them was bad and none came elsewhere."""
    name = "statscounter_lines_total"
    service.wait_for(sum(before.values(name, listener=listener)) + lines, name, listener=listener)
    # The client has ended: whatever else it has sent is there by then.
    found = Difference(before, service.settled())
    assert found.by(name, "listener") == {listener: lines}
    assert found.by("statscounter_bad_lines_total", "reason") == {}
    return found


def check_tagged(service: Service, found: Difference, hits: int) -> None:
    """Check what the clients that know tags send alike: half of the counter with each value of a tag, and the rest."""
    series = sorted(line for line in service.metrics().text.splitlines() if line.startswith("hits{"))
    assert [line.partition(" ")[0] for line in series] == ['hits{env="test",page="0"}', 'hits{env="test",page="1"}']
    assert found.by("hits_total", "page", env="test") == {"0": hits, "1": hits}
    assert service.metrics().total("level", env="test") == -5
    added = [found.total(name, env="test") for name in ("took_sum", "size_sum", "size_count")]
    assert added == [0.25, 30, 2]


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
def test_statsd(service: Service, before: Metrics, folder: Path, kind: str) -> None:
    """Counters, gauges, sets and timers of the package `statsd` arrive, one by one and in a pipeline."""
    client = statsd_client(kind, service, folder)
    client.incr("hits")
    client.incr("hits", 4)
    client.decr("falls", 2)
    client.gauge("height", 7)
    client.gauge("height", 3)
    client.set("users", "x:y")
    client.timing("took", 1500)
    with client.timer("block"):
        pass
    with client.pipeline() as pipeline:
        pipeline.incr("piped")
        pipeline.timing("took", 500)
    client.close()
    found = news(service, before, kind, 10)
    assert found.by("statscounter_samples_total", "type") == {"c": 4, "g": 2, "s": 1, "ms": 3}
    assert (found.total("hits"), found.total("piped"), service.metrics().total("height")) == (5, 1, 3)
    assert (found.total("took_count"), found.total("took_sum"), found.total("block_count")) == (2, 2.0, 1)


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
def test_datadog(service: Service, before: Metrics, folder: Path, kind: str, buffered: bool) -> None:
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
    found = news(service, before, kind, 109)
    assert found.by("statscounter_samples_total", "type") == {"c": 101, "g": 2, "s": 1, "ms": 1, "h": 1, "d": 1}
    check_tagged(service, found, 50)
    assert (found.total("statscounter_events_total"), found.total("statscounter_service_checks_total")) == (1, 1)


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
def test_hot_shots(service: Service, before: Metrics, folder: Path, kind: str, buffer: int) -> None:
    """Everything that `hot-shots` sends arrives with its tags, buffered or line by line."""
    modules = node_path("hot-shots/package.json")
    if kind == "datagrams":
        # What it needs for Unix datagrams is compiled when it is installed.
        node_path("unix-dgram/build/Release/unix_dgram.node")
    given = {**hot_shots_options(kind, service, folder), "maxBufferSize": buffer}
    done = subprocess.run(
        ["node", "-e", SCRIPT, json.dumps(given)],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = news(service, before, kind, 56)
    assert found.by("statscounter_samples_total", "type") == {"c": 50, "g": 2, "s": 1, "ms": 1, "h": 1, "d": 1}
    check_tagged(service, found, 25)
