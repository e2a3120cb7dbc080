"""Remote write with real engines: what is counted is in them, whatever happens in between."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.conftest import ServiceMaker
from tests.functional.receivers import Engine, Proxy
from tests.functional.remote_writing import is_there, output, send, written_to
from tests.functional.service import Service
from tests.functional.waiting import until
from tests.functional.wall_clock import WallClock
from tests.patience import LONG_PATIENCE

Fault = Callable[[int, bytes], str]


def is_as_on_page(service: Service, engine: Engine) -> bool:
    """Return whether the engine has the StatsD series as the page has them."""
    page = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in service.page("/metrics").text.splitlines()
        if re.match("(hits|level|time|users)", line) and "quantile" not in line
    }
    values = engine.values('{__name__=~"(hits|level|time|users).*"}')
    found = {_line(dict(labels)): value for labels, value in values.items()}
    return "users" in page and found == page


def _line(labels: dict[str, str]) -> str:
    assert labels.pop("node") == "a"
    name = labels.pop("__name__")
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}" if pairs else name


def test_all_that_the_page_has(make_service: ServiceMaker, engine: Engine) -> None:
    """An engine has every series under the name, the labels and the number that the page has."""
    service = written_to(make_service, engine.url)
    send(service, 4)
    until(lambda: is_there(service, engine, 12), "all is there")
    # A set is on the page when its flush has ended.
    until(lambda: is_as_on_page(service, engine), "the engine has what the page has")
    assert output(service, "skipped_total") == output(service, "refused_total") == 0


@pytest.mark.parametrize("slots", [15, pytest.param(90, marks=pytest.mark.proof)])
def test_engine_away(make_service: ServiceMaker, engine: Engine, slots: int) -> None:
    """An engine that is away for a while gets all of what it missed, in order, and refuses none of it."""
    service = written_to(make_service, engine.url)
    send(service, 1)
    until(lambda: is_there(service, engine, 3), "the first is there")
    engine.end()
    send(service, 2)
    until(lambda: output(service, "queued") >= slots, "so many seconds are in the queue", LONG_PATIENCE)
    engine.start()
    until(lambda: is_there(service, engine, 9), "all is there")
    until(lambda: output(service, "queued") <= 1, "nothing waits")
    assert output(service, "skipped_total") == output(service, "refused_total") == 0
    points = engine.value('count_over_time(hits_total{code="",node="a"}[5m])')
    assert points >= 2
    # A request may have been under way when the engine ended.
    assert service.log.count("refused by other side") == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda number, body: "drop" if number % 3 == 2 else "", id="answers dropped"),
        pytest.param(lambda number, body: "500" if number == 3 else "", id="500 once"),
        pytest.param(lambda number, body: "nonsense" if number in {3, 5} else "", id="nonsense"),
    ],
)
def test_faults_between(make_service: ServiceMaker, engine: Engine, fault: Fault) -> None:
    """Whatever becomes of answers, an engine ends up with all, refuses nothing, and gets repetitions byte for byte."""
    with Proxy(engine.url, fault) as proxy:
        service = written_to(make_service, proxy.url)
        for number in range(1, 5):
            send(service, 1)
            until(lambda hits=3.0 * number: is_there(service, engine, hits), "what was sent is there")  # type: ignore[misc]
        assert output(service, "failed_total") >= 1
        assert output(service, "skipped_total") == output(service, "refused_total") == 0
        passed = proxy.passed()
        assert {status for _, status in passed} <= {0, 200, 204}
        bodies = [body for body, _ in passed]
        assert all(bodies.count(body) >= 2 for body, status in passed if not status)
        service.stop()


def test_restart(make_service: ServiceMaker, engine: Engine) -> None:
    """A service that is killed goes on where it was: totals in the engine do not fall, and nothing is refused."""
    service = written_to(make_service, engine.url)
    send(service, 2)
    until(lambda: is_there(service, engine, 6), "the first is there")
    service.kill()
    service.start()
    send(service, 1)
    until(lambda: is_there(service, engine, 9), "all is there")
    assert engine.value('resets(hits_total{code="",node="a"}[5m])') == 0
    assert output(service, "skipped_total") == output(service, "refused_total") == 0


def test_clone(make_service: ServiceMaker, engine: Engine) -> None:
    """Two services with copies of one store are found in every engine, and Prometheus' refusals are explained."""
    service = written_to(make_service, engine.url)
    send(service, 1)
    until(lambda: is_there(service, engine, 3), "the first is there")
    service.stop()
    clone = make_service(more=[f"--remote-write={engine.url}:every=1:labels=node=a:name=it"])
    shutil.copytree(service.state, clone.state)
    services = [service.start(), clone.start()]
    until(
        lambda: engine.value("count by (store) (count by (store, start) (statscounter_store_info))") == 2,
        "the engine has both of one store",
    )
    if engine.name == "prometheus":
        told = until(lambda: next(filter(clones, services), None), "one of them says so")
        assert "cloned_store" in told.status()["outputs"][0]["error"]
        assert output(told, "skipped_total") > 0
        assert output(told, "refused_total") == 0


def clones(service: Service) -> bool:
    """Return whether a service has found that there is a copy of its store."""
    return any(finding["id"] == "remote_write.cloned_store" for finding in service.status()["findings"])


@pytest.mark.parametrize("commits", [1, pytest.param(150, marks=pytest.mark.proof)], ids=["", "for 30 s"])
@pytest.mark.parametrize(
    "step", [10 * 365 * 86400.0, 600.0, -7200.0], ids=["ten years ahead", "ahead", "two hours back"]
)
def test_clock_is_wrong(make_service: ServiceMaker, engine: Engine, tmp_path: Path, step: float, commits: int) -> None:
    """Samples of a clock that was wrong for a while harm no other node, and in the end every number is there."""
    folder = tmp_path / "clock"
    folder.mkdir()
    wall = WallClock(folder)
    service = make_service(
        more=[f"--remote-write={engine.url}:every=1:labels=node=a:name=it"], environ=wall.environ
    ).start()
    send(service, 1)
    until(lambda: is_there(service, engine, 3), "the first is there")
    wall.step(step)
    send(service, 1)
    until(lambda: "clock is" in service.status()["outputs"][0]["error"], "the clock is found to be wrong")
    enough = service.metrics().total("statscounter_commits_total") + commits
    until(
        lambda: service.metrics().reached(enough, "statscounter_commits_total"), "it is wrong for long", LONG_PATIENCE
    )
    wall.step(-step)
    until(lambda: is_there(service, engine, 6), "all is there")
    with Proxy(engine.url, lambda number, body: "") as proxy:
        other = make_service(more=[f"--remote-write={proxy.url}:every=1:labels=node=b:name=it"]).start()
        until(lambda: output(other, "sent_total") > 1, "another node's samples of now are taken")
        assert set(proxy.statuses) <= {200, 204}
        other.stop()
    assert output(service, "refused_total") == 0
