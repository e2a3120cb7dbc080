"""The client of `client/` with the service, with a prefork server, and with etsy's: what it says was counted, was.

A service with a listener for each level is shared by all tests.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from statsd_tcp_client import StatsClient, UnixSocketStatsClient
from tests.functional.etsy import Etsy, Sink
from tests.functional.metrics import Difference, Metrics
from tests.functional.running import running
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port
from tests.short import make_short_folder

CLIENT = Path(__file__).parents[2] / "client"


LEVELS = ("sent", "read", "stored")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder with a path short enough for a socket."""
    made = make_short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    """Return a service with a listener for each level, one for DogStatsD, and a Unix socket."""
    here = f"tcp:0:{LOOPBACK}"
    listen = [
        f"{here}:name=sent",
        f"{here}:name=read:confirm=read",
        f"{here}:name=dogstatsd:dialect=dogstatsd",
        f"unix:{folder}/socket:name=socket",
        f"{here}:name=stored:confirm=stored",
    ]
    service = Service(folder, options(folder / "state", workers=2, listen=listen, count=()))
    try:
        yield service.start()
    finally:
        service.end()


@pytest.fixture
def before(service: Service) -> Metrics:
    """Return a scrape from before the test."""
    return service.metrics()


def client_of(service: Service, level: str = "sent", **more: Any) -> StatsClient:
    """Return a client that sends only when it is told to."""
    port = service.port(more.pop("listener", level))
    settings = {"interval": 60, "connect_timeout": PATIENCE, "backoff": (0.01, 0.1), "own_lines": False, **more}
    return StatsClient("127.0.0.1", port, level=level, **settings)


@pytest.mark.parametrize("dialect", ["etsy", "dogstatsd"])
def test_kinds(service: Service, before: Metrics, dialect: Any) -> None:
    """Whatever kind of number is sent, the service reads all of it as it was meant."""
    listener = "sent" if dialect == "etsy" else "dogstatsd"
    more: dict[str, Any] = {"prefix": dialect, "dialect": dialect, "tags": {"env": "test"}}
    with client_of(service, listener=listener, **more) as client:
        client.incr("hits", 3)
        client.decr("hits", 1)
        client.incr("hits", 4, tags=["page:1"])
        client.incr("sampled", rate=0.999999999)
        client.gauge("level", -5)
        client.gauge("height", 2.5)
        if dialect == "etsy":
            client.gauge("height", 1, delta=True)
        client.timing("took", 250)
        client.timing("took", 750)
        client.distribution("size", 10)
        client.set("users", "x:y")
        with client.timer("block"):
            pass
        with client.pipeline() as pipeline:
            pipeline.incr("piped")
        assert client.flush(PATIENCE)
    found = Difference(before, service.wait_for(1, f"{dialect}_piped", env="test"))
    assert found.by("statscounter_bad_lines_total", "reason") == {}
    # A total leaves out what makes its counter fall, so that had to come apart.
    assert found.total(f"{dialect}_hits", env="test") == 7
    assert found.total(f"{dialect}_hits", page="1") == 4
    after = service.metrics()
    assert after.total(f"{dialect}_level", env="test") == -5
    assert after.total(f"{dialect}_height") == (3.5 if dialect == "etsy" else 2.5)
    timers = [after.total(f"{dialect}_{name}") for name in ("took_sum", "took_count", "size_sum", "block_count")]
    assert timers == [1, 2, 10, 1]
    assert after.total(f"{dialect}_sampled") == pytest.approx(1)


def test_own_lines(service: Service, before: Metrics) -> None:
    """What the client dropped is on the page, by reason, though names that begin like that are the service's own."""
    with client_of(service, own_lines=True) as client:
        client.incr("bad:name")
        client.incr("own_lines")
        assert client.flush(PATIENCE)
    found = Difference(before, service.wait_for(1, "statscounter_client_dropped_bad_name"))
    assert found.by("statscounter_series_conflicts_total", "reason") == {}


@pytest.mark.parametrize("level", LEVELS)
def test_levels(service: Service, level: str) -> None:
    """At each level what was counted is in the totals, once, and with `stored` as soon as `flush` has said so."""
    name = f"by_{level}"
    with client_of(service, level, pool=2) as client:
        for _ in range(5):
            for _ in range(1000):
                client.incr(name)
            assert client.flush(PATIENCE)
        if level == "stored":
            assert service.metrics().total(name) == 5000
        assert client.stats().confirmed == 5000
    service.wait_for(5000, name)
    assert service.settled().total(name) == 5000


def test_socket(service: Service, folder: Path) -> None:
    """A Unix socket is a way like any other."""
    with UnixSocketStatsClient(f"{folder}/socket", interval=60) as client:
        client.incr("by_socket")
        assert client.flush(PATIENCE)
    service.wait_for(1, "by_socket")


def while_workers_die(service: Service, level: str, name: str) -> StatsClient:
    """Count while workers are killed, and return the client when that is over."""
    client = client_of(service, level, interval=0.02, pool=2)
    stop = threading.Event()

    def count() -> None:
        while not stop.wait(0.001):
            client.incr(name)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(2):
            service.replace_worker()
    finally:
        stop.set()
        thread.join()
    return client


def test_exactly_once(service: Service) -> None:
    """With `stored`, the client's books and the totals are equal after workers were killed; nothing is in doubt."""
    with while_workers_die(service, "stored", "exactly") as client:
        assert client.flush(PATIENCE)
        stats = client.stats()
    assert (stats.confirmed, stats.in_doubt) == (stats.made, 0)
    assert service.metrics().total("exactly") == stats.made > 0


def test_at_least_what_was_read(service: Service) -> None:
    """With `read`, everything that was confirmed is counted after workers were killed, and nothing twice."""
    with while_workers_die(service, "read", "at_least") as client:
        client.flush(PATIENCE)
        stats = client.stats()
    assert stats.confirmed + stats.in_doubt == stats.made
    assert stats.confirmed <= service.settled().total("at_least") <= stats.made


# Servers of processes that fork.

APP = """
import os
from statsd_tcp_client import StatsClient, processes

# A second may be too short on a busy machine.
processes.EXIT_SECONDS = 30
stats = StatsClient("127.0.0.1", {port}, level={level!r}, interval=60, connect_timeout=30)
stats.incr("preloaded")
# The thread runs in the parent already.
assert stats.flush(30)
stats.incr("preloaded")

def app(environ, start_response):
    stats.incr("requests")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def test_gunicorn(service: Service, tmp_path: Path) -> None:
    """Each worker of gunicorn sends what it has counted, when it ends, and so does the parent that preloaded it."""
    if find_spec("gunicorn") is None:
        pytest.skip("there is no gunicorn")
    (tmp_path / "website.py").write_text(APP.format(port=service.port("read"), level="read"))
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--chdir", str(tmp_path)]
    command += ["--bind", f"127.0.0.1:{port}", "website:app"]
    environ = {"HOME": str(tmp_path), "PYTHONPATH": str(CLIENT), "PYTHONWARNINGS": "ignore"}
    answered: set[bytes] = set()
    number = 0
    with running(command, tmp_path / "log", "Booting worker", environ):
        while len(answered) < 2:
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", "/")
            answered.add(connection.getresponse().read())
            connection.close()
            number += 1
    service.wait_for(number, "requests")
    after = service.wait_for(2, "preloaded")
    assert (after.total("requests"), after.total("preloaded")) == (number, 2)


# Another server.


def test_etsy(tmp_path: Path) -> None:
    """Etsy's server counts what the client sends over TCP: sums, rates, times as several samples, gauges, sets."""
    sink = Sink()
    graphite = {"graphiteHost": "127.0.0.1", "graphitePort": sink.port, "graphite": {"legacyNamespace": False}}
    etsy = Etsy(tmp_path / "etsy", {"server": "./servers/tcp", "flushInterval": 500, **graphite})
    try:
        with StatsClient("127.0.0.1", etsy.port, interval=60, connect_timeout=PATIENCE) as client:
            client.incr("hits", 5)
            client.gauge("level", -3)
            client.set("users", "x")
            client.timing("took", 100)
            client.timing("took", 300)
            assert client.flush(PATIENCE)
        count = "stats.counters.hits.count"
        found = until(lambda: next((each for each in sink.flushes if each.get(count)), None), "it was flushed")
        assert found[count] == 5
        assert (found["stats.timers.took.count"], found["stats.timers.took.sum"]) == (2, 400)
        assert (found["stats.gauges.level"], found["stats.sets.users.count"]) == (-3, 1)
    finally:
        etsy.end()
        sink.end()
