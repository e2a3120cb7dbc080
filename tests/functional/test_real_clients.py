"""Clients that people use, over each transport that they speak: what they send is what is counted.

Those for Python come with the test dependencies, those for Node.js with ``make system-packages``. They share a service.
What they send that know DogStatsD's tags goes to listeners with that dialect, the rest to listeners without a word.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.metrics import Difference, Metrics
from tests.functional.node import HOT_SHOTS, NODE_STATSD, run_node
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE
from tests.npm import node_path
from tests.short import make_short_folder

DIALECT = "dialect=dogstatsd"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder with a path short enough for a socket."""
    made = make_short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    """Return a service with a listener for each transport."""
    listen = [
        f"tcp:0:{LOOPBACK}:name=plain-tcp",
        f"udp:0:{LOOPBACK}:name=plain-udp",
        f"unix:{folder}/plain:name=plain-stream",
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
    """Return a scrape from before the test."""
    return service.metrics()


def news(service: Service, before: Metrics, listener: str, lines: int) -> Difference:
    """Wait until this many lines have come to a listener; check that none of them was bad and none came elsewhere."""
    name = "statscounter_lines_total"
    service.wait_for(sum(before.values(name, listener=listener)) + lines, name, listener=listener)
    # The client has ended: whatever else it has sent is there by then.
    found = Difference(before, service.settled())
    assert found.by(name, "listener") == {listener: lines}
    assert found.by("statscounter_bad_lines_total", "reason") == {}
    return found


def check_tagged(service: Service, found: Difference, hits: int, level: float = -5, sizes: int = 2) -> None:
    """Check what the clients that know tags send alike: half of the counter with each value of a tag, and the rest."""
    series = sorted(line for line in service.metrics().text.splitlines() if line.startswith("hits{"))
    assert [line.partition(" ")[0] for line in series] == ['hits{env="test",page="0"}', 'hits{env="test",page="1"}']
    assert found.by("hits_total", "page", env="test") == {"0": hits, "1": hits}
    assert service.metrics().total("level", env="test") == level
    added = [found.total(name, env="test") for name in ("took_sum", "size_sum", "size_count")]
    assert added == [0.25, 30, sizes]


# statsd (PyPI): UDP, TCP, Unix stream; bare lines, no tags.


def statsd_client(kind: str, service: Service, folder: Path) -> Any:
    """Make a client of one kind."""
    statsd = pytest.importorskip("statsd")
    if kind == "udp":
        return statsd.StatsClient("127.0.0.1", service.port("plain-udp"))
    if kind == "tcp":
        return statsd.TCPStatsClient("127.0.0.1", service.port("plain-tcp"))
    return statsd.UnixSocketStatsClient(f"{folder}/plain")


@pytest.mark.parametrize("kind", ["udp", "tcp", "stream"])
def test_statsd(service: Service, before: Metrics, folder: Path, kind: str) -> None:
    """Counters, gauges, sets and timers of the package `statsd` arrive, one by one and in a pipeline.

    It sets a gauge below 0 as two lines, first to 0, and changes one by a line with a sign.
    """
    client = statsd_client(kind, service, folder)
    client.incr("hits")
    client.incr("hits", 4)
    client.decr("falls", 2)
    client.gauge("height", 7)
    client.gauge("height", 3)
    client.gauge("height", -1.5, delta=True)
    client.gauge("depth", -7)
    client.set("users", "x:y")
    client.timing("took", 1500)
    with client.timer("block"):
        pass
    with client.pipeline() as pipeline:
        pipeline.incr("piped")
        pipeline.timing("took", 500)
    client.close()
    found = news(service, before, f"plain-{kind}", 13)
    assert found.by("statscounter_samples_total", "type") == {"c": 4, "g": 5, "s": 1, "ms": 3}
    assert (found.total("hits"), found.total("piped")) == (5, 1)
    assert [service.metrics().total(gauge) for gauge in ("height", "depth")] == [1.5, -7]
    assert (found.total("took_count"), found.total("took_sum"), found.total("block_count")) == (2, 2.0, 1)


# datadog (PyPI): UDP, Unix datagrams, Unix stream with lengths; tags, events, service checks, times of samples.

MANNERS: dict[str, dict[str, Any]] = {
    "singly": {"disable_buffering": True},
    "buffered": {"disable_buffering": False},
    # Its thread would flush what there is after 0.3 s: 0 is none, and all is added up until it is stopped.
    "added up": {"disable_buffering": False, "disable_aggregation": False, "flush_interval": 0},
}


def datadog_client(kind: str, service: Service, folder: Path, manner: str) -> Any:
    """Make a client of one kind. It waits for room: unless told so it drops what it cannot send at once."""
    dogstatsd = pytest.importorskip("datadog.dogstatsd.base").DogStatsd
    places: dict[str, dict[str, Any]] = {
        "udp": {"host": "127.0.0.1", "port": service.port("udp")},
        "datagrams": {"socket_path": f"unixgram://{folder}/datagrams"},
        "packets": {"socket_path": f"unixstream://{folder}/packets"},
    }
    common: dict[str, Any] = {"disable_telemetry": True, "socket_timeout": PATIENCE, "cardinality": "low"}
    return dogstatsd(constant_tags=["env:test"], **common, **places[kind], **MANNERS[manner])


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("kind", ["udp", "datagrams", "packets"])
def test_datadog(service: Service, before: Metrics, folder: Path, kind: str, manner: str) -> None:
    """Everything that the package `datadog` sends arrives with its tags, line by line, buffered or added up."""
    client = datadog_client(kind, service, folder, manner)
    for number in range(100):
        client.increment("hits", tags=[f"page:{number % 2}"])
    client.decrement("falls", 3)
    client.gauge("level", 12)
    client.gauge("level", -5)
    client.set("users", "somebody")
    client.timing("took", 250)
    client.histogram("size", 10)
    client.distribution("size", 20)
    client.count_with_timestamp("late", 4, 1764298601)
    client.event("title", "two\nlines")
    client.service_check("alive", 0)
    client.flush()
    client.stop()
    added_up = manner == "added up"
    found = news(service, before, kind, 11 if added_up else 110)
    counts = {"c": 4, "g": 1} if added_up else {"c": 102, "g": 2}
    assert found.by("statscounter_samples_total", "type") == {**counts, "s": 1, "ms": 1, "h": 1, "d": 1}
    check_tagged(service, found, 50)
    assert found.total("late", env="test") == 4
    assert (found.total("statscounter_events_total"), found.total("statscounter_service_checks_total")) == (1, 1)


# aiodogstatsd (PyPI): UDP; tags.


def test_aiodogstatsd(service: Service, before: Metrics) -> None:
    """Everything that the package `aiodogstatsd` sends arrives with its tags."""
    package = pytest.importorskip("aiodogstatsd")

    async def send() -> None:
        place = {"host": "127.0.0.1", "port": service.port("udp")}
        async with package.Client(**place, constant_tags={"env": "test"}, read_timeout=0.01) as client:
            for number in range(10):
                client.increment("hits", tags={"page": number % 2})
            client.decrement("falls", value=3)
            client.gauge("level", value=12)
            client.gauge("level", value=-5)
            client.timing("took", value=250)
            client.histogram("size", value=10)
            client.distribution("size", value=20)

    asyncio.run(send())
    found = news(service, before, "udp", 16)
    assert found.by("statscounter_samples_total", "type") == {"c": 11, "g": 2, "ms": 1, "h": 1, "d": 1}
    check_tagged(service, found, 5)


# hot-shots (npm): UDP, TCP, Unix datagrams, and whatever stream it is given.

UNTIL_THERE_IS_ROOM = {"retries": 10 * PATIENCE, "retryDelayMs": 100, "backoffFactor": 1}
"""For Unix datagrams, of which the kernel queues ten: unless told so it drops one after the third try, in 0.7 s."""


def send_with_hot_shots(kind: str, service: Service, folder: Path, **given: Any) -> None:
    """Send with a client of one kind and some options more."""
    modules = node_path("hot-shots/package.json")
    if kind == "datagrams":
        # What it needs for Unix datagrams is compiled when it is installed.
        node_path("unix-dgram/build/Release/unix_dgram.node")
    places: dict[str, dict[str, Any]] = {
        "udp": {"host": "127.0.0.1", "port": service.port("udp")},
        "tcp": {"protocol": "tcp", "host": "127.0.0.1", "port": service.port("tcp")},
        "datagrams": {"protocol": "uds", "path": f"{folder}/datagrams", "udsRetryOptions": UNTIL_THERE_IS_ROOM},
        "stream": {"protocol": "stream", "connect": f"{folder}/stream"},
    }
    run_node(HOT_SHOTS, {**places[kind], **given}, modules)


@pytest.mark.parametrize("buffer", [0, 1000])
@pytest.mark.parametrize("kind", ["udp", "tcp", "datagrams", "stream"])
def test_hot_shots(service: Service, before: Metrics, folder: Path, kind: str, buffer: int) -> None:
    """Everything that `hot-shots` sends arrives with its tags, buffered or line by line."""
    send_with_hot_shots(kind, service, folder, maxBufferSize=buffer)
    found = news(service, before, kind, 59)
    assert found.by("statscounter_samples_total", "type") == {"c": 51, "g": 2, "s": 1, "ms": 1, "h": 1, "d": 1}
    check_tagged(service, found, 25)
    assert found.total("late", env="test") == 4
    assert (found.total("statscounter_events_total"), found.total("statscounter_service_checks_total")) == (1, 1)


def test_hot_shots_adds_up(service: Service, before: Metrics, folder: Path) -> None:
    """What `hot-shots` has added up before it sends it is what was counted."""
    send_with_hot_shots("tcp", service, folder, aggregation=True)
    found = news(service, before, "tcp", 10)
    assert found.by("statscounter_samples_total", "type") == {"c": 3, "g": 1, "s": 1, "ms": 1, "h": 1, "d": 1}
    check_tagged(service, found, 25)


def test_hot_shots_for_telegraf(service: Service, before: Metrics, folder: Path) -> None:
    """`hot-shots` writes tags as InfluxDB has them when it is told that it sends to Telegraf."""
    send_with_hot_shots("udp", service, folder, telegraf=True, port=service.port("plain-udp"))
    found = news(service, before, "plain-udp", 57)
    check_tagged(service, found, 25, level=7)


# node-statsd (npm): UDP; tags, but gauges as etsy's server reads them.


def test_node_statsd(service: Service, before: Metrics) -> None:
    """Everything that `node-statsd` sends arrives with its tags; without a dialect its negative gauges are changes."""
    modules = node_path("node-statsd/package.json")
    run_node(NODE_STATSD, {"host": "127.0.0.1", "port": service.port("plain-udp")}, modules)
    found = news(service, before, "plain-udp", 16)
    assert found.by("statscounter_samples_total", "type") == {"c": 11, "g": 2, "s": 1, "ms": 1, "h": 1}
    check_tagged(service, found, 5, level=7, sizes=1)
