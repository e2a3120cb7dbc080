"""Fleets: the sum over all nodes is the same whatever node leaves, at any time, in every engine."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from statsd_tcp.crash_points import ABSORBING, VARIABLE
from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import marked
from tests.functional.receivers import Engine, need
from tests.functional.service import Service, script
from tests.functional.waiting import until

LINES = b"hits:3|c\nonly.a:1|c\ntime:320|ms\nlevel:5|g\n"
OTHERS = b"hits:2|c\nonly.b:1|c\ntime:20|ms\n"

TOTALS = ("statscounter_connections_total", "statscounter_lines_total", "hits", "only_a", "only_b", "time_sum")


@pytest.fixture(params=["prometheus", pytest.param("victoria-metrics", marks=pytest.mark.proof)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Yield an engine that runs."""
    need(request.param)
    with Engine(tmp_path / request.param, request.param) as made:
        yield made


def node(make_service: ServiceMaker, engine: Engine, name: str, lines: bytes) -> Service:
    """Start a node that has counted some lines, and wait until they are in the engine."""
    more = [f"--node={name}", f"--remote-write={engine.url}:every=1:name=it"]
    service = make_service(more=more).start()
    for _ in range(4):
        half_close(service.port("lines"), lines)
    metrics = service.settled()
    # An engine may show what came in one request bit by bit.
    for total in TOTALS:
        wanted = sum(metrics.values(total))
        if wanted:
            query = f'sum({total}{{node="{name}"}})'
            until(lambda: engine.value(query) == wanted, f"{total} of {name} is in the engine")  # noqa: B023
    return service


def told(text: str) -> str:
    """Write a sum over all nodes, of those that are silent too."""
    return f"sum(last_over_time({text}[1h]))"


def sums(engine: Engine, at: float | None = None) -> dict[str, float]:
    """Return the totals of the fleet, now or at a time."""
    return {name: engine.value(told(name), at) for name in TOTALS}


def hand_over(heir: Service, action: str, other: Service, *more: str) -> subprocess.CompletedProcess[str]:
    """Hand a node over to another."""
    command = [script("statscounter"), "store", f"--state-dir={heir.state}", action, str(other.state), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=heir.environ)


def has_left(engine: Engine, name: str) -> bool:
    """Return whether all series of a node have ended: an instant query finds nothing."""
    return not engine.values(f'count({{node="{name}"}})')


def reload(service: Service) -> None:
    """Have a service read its configuration again."""
    before = service.log.count("goes on after a reload")
    service.process.send_signal(signal.SIGHUP)
    until(lambda: service.log.count("goes on after a reload") > before, "the service has reloaded")
    service.find_pages()


def test_absorb(make_service: ServiceMaker, engine: Engine) -> None:
    """A node that is absorbed leaves the sum of the fleet as it was: before, during and after, whenever it is asked."""
    first, second = (node(make_service, engine, name, lines) for name, lines in (("a", LINES), ("b", OTHERS)))
    expected = {**dict.fromkeys(TOTALS, 0.0), **sums(engine)}
    assert expected["hits"] == 20
    assert first.stop() == -signal.SIGTERM
    began = time.time()
    refused = hand_over(second, "absorb", second)
    assert "is in use: stop its service first" in refused.stderr
    done = hand_over(second, "absorb", first)
    assert done.returncode == 0, done.stderr
    assert "is added at the next start or reload (HUP) of the node b" in done.stdout
    assert "waits already" in hand_over(second, "absorb", first).stderr
    reload(second)
    seen: list[dict[str, float]] = []

    def left() -> bool:
        seen.append(sums(engine))
        return has_left(engine, "a")

    until(left, "the series of a have ended")
    assert {tuple(one.items()) for one in seen} == {tuple(expected.items())}
    assert engine.value('sum(hits{node="b"})') == expected["hits"]
    metrics = second.settled()
    assert (metrics.total("hits"), metrics.total("only_a"), metrics.total("time_count")) == (20, 4, 8)
    ended = time.time()
    at = began
    while at < ended:
        assert sums(engine, at) == expected, at - began
        at += 0.25
    again = hand_over(second, "absorb", first)
    assert again.returncode == 2
    assert "was handed over to the node b before (absorb); it counts once" in again.stderr
    first.launch()
    assert first.wait_ended() == 1
    assert "was handed over to the store" in first.log
    status = second.status()["outputs"][0]
    assert (status["error"], status["dropped"]) == ("", 0)


def test_retire(make_service: ServiceMaker, engine: Engine) -> None:
    """A node that is retired takes its totals with it, also where silent nodes are counted."""
    first, second = (node(make_service, engine, name, lines) for name, lines in (("a", LINES), ("b", OTHERS)))
    first.stop()
    assert hand_over(second, "retire", first).returncode == 0
    reload(second)
    until(lambda: (engine.value(told("hits")), engine.value(told("only_a"))) == (8, 0), "the totals of a are gone")
    assert second.settled().total("hits") == 8


@pytest.mark.proof
def test_engine_is_killed(make_service: ServiceMaker, tmp_path: Path) -> None:
    """An engine that loses the last samples of a node that left, which it had confirmed, gets them again."""
    need("victoria-metrics")
    with Engine(tmp_path / "engine", "victoria-metrics") as engine:
        first, second = (node(make_service, engine, name, lines) for name, lines in (("a", LINES), ("b", OTHERS)))
        expected = {**dict.fromkeys(TOTALS, 0.0), **sums(engine)}
        first.stop()
        assert hand_over(second, "absorb", first).returncode == 0
        reload(second)
        # Also when they have ended, some seconds later.
        until(lambda: engine.value(told('hits{node="a"}')) == 0, "the last samples of a are there")
        engine.kill()
        engine.start()
        until(lambda: has_left(engine, "a"), "the series of a have ended")
        until(lambda: sums(engine) == expected, "the sums are as before")
        assert engine.value(told('hits{node="a"}')) == 0


def test_other_outputs(make_service: ServiceMaker, engine: Engine) -> None:
    """A node with an output that the other one does not have is handed over only if that is accepted."""
    first = node(make_service, engine, "a", LINES)
    second = make_service(more=["--node=b"]).start()
    second.settled()
    first.stop()
    refused = hand_over(second, "absorb", first)
    assert refused.returncode == 2
    assert "remote-write:it: the node that is to go on has no such output" in refused.stderr
    assert first.start().stop() == -signal.SIGTERM
    assert hand_over(second, "absorb", first, "--offline").returncode == 0
    reload(second)
    second.wait_for(12, "hits")


@pytest.mark.parametrize("point", ABSORBING)
def test_killed(make_service: ServiceMaker, point: str) -> None:
    """A service that is killed while it adds a node adds it once."""
    first, second = (make_service(more=[f"--node={name}"]).start() for name in "ab")
    for _ in range(3):
        half_close(first.port("lines"), LINES)
    for service in (first, second):
        service.settled()
        assert service.stop() == -signal.SIGTERM
    assert hand_over(second, "absorb", first).returncode == 0
    second.environ[VARIABLE] = f"{point}:1"
    second.launch()
    assert second.wait_ended() == -signal.SIGKILL
    del second.environ[VARIABLE]
    for _ in range(2):
        second.start()
        metrics = second.settled()
        assert (metrics.total("hits"), metrics.total("time_sum")) == (9, 0.96)
        assert metrics.accepted("lines") == 3
        assert second.stop() == -signal.SIGTERM
    assert list((second.state / "absorb").iterdir()) == []


def test_journals(make_service: ServiceMaker) -> None:
    """A node that was killed must be started and stopped once, or what only its journals have is given up."""
    first, second = (make_service(more=[f"--node={name}"]).start() for name in "ab")
    half_close(first.port("lines"), LINES)
    first.settled()
    second.settled()
    first.kill()
    until(lambda: not marked(first.mark), "no worker is left")
    assert "start its service and stop it once" in hand_over(second, "absorb", first).stderr
    assert hand_over(second, "absorb", first, "--without-journals").returncode == 0
    reload(second)
    second.wait_for(3, "hits")
