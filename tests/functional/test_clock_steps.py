"""The wall clock is set meanwhile, or is wrong at a start: nothing waits, is lost or expires."""

from __future__ import annotations

import json
import signal
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.functional.clients import connect, half_close, read_end
from tests.functional.conftest import ServiceMaker
from tests.functional.load import Load
from tests.functional.service import Service
from tests.functional.waiting import until
from tests.functional.wall_clock import WallClock

LINE = b"hits:1|c\n"

TEN_YEARS = 3652 * 86400.0

STEPS = (-300.0, TEN_YEARS, -TEN_YEARS, -3600.0)
"""The last two are too far back for flushes that do not go back. Code that waits for a clock that was set back waits
longer than `until`."""

OPTIONS = ["--flush-interval=1", "--console=json", "--series-ttl=3600"]


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    """Return a clock that is right."""
    folder = tmp_path / "clock"
    folder.mkdir()
    return WallClock(folder)


def flushes(service: Service) -> list[dict[str, Any]]:
    """Return the flushes that were printed since the service was started last."""
    # The last one may not be there to its end.
    *lines, _ = service.log.split("\n")
    return [json.loads(line) for line in lines if line.startswith('{"timestamp"')]


def last_end(service: Service) -> float:
    """Return when the last flush ended, by its timestamp; 0 if none has."""
    return max((each["timestamp"] for each in flushes(service)[-1:]), default=0.0)


def see_commits(service: Service, wall: WallClock) -> None:
    """Wait for a few commits, one after the other, and look at the date of the last one."""
    before = service.metrics().total("statscounter_commits_total")
    service.wait_for(before + 3, "statscounter_commits_total")
    last = service.metrics().total("statscounter_last_commit_timestamp_seconds")
    assert abs(last - wall.now()) < 60


def see_clients(load: Load) -> None:
    """Wait until more clients have been served."""
    enough = load.completed + 100
    until(lambda: load.completed >= enough, "clients are served")


def test_at_rest(start_service: ServiceMaker, wall: WallClock) -> None:
    """Whatever the clock is set to while nothing comes, clients are served, and commits and flushes go on."""
    service = start_service(more=OPTIONS, environ=wall.environ)
    for step in STEPS:
        wall.step(step)
        see_commits(service, wall)
        half_close(service.port("lines"), LINE)
        see_commits(service, wall)
        # A flush that is open at two steps ends once.
        until(lambda: abs(last_end(service) - wall.now()) < 600, "a flush has ended by this clock")
    until(lambda: sum(each["counters"].get("hits", 0) for each in flushes(service)) == len(STEPS), "all is delivered")
    ends = [each["timestamp"] for each in flushes(service)]
    assert sum(later <= earlier for earlier, later in pairwise(ends)) == 2
    metrics = service.metrics()
    assert metrics.total("hits") == len(STEPS)
    assert metrics.total("statscounter_flushes_set_back_total") == 2
    assert metrics.total("statscounter_series_expired_total") == 0
    assert service.log.count("the wall clock was set back by about") == 2
    assert service.stop() == -signal.SIGTERM


def test_under_load(start_service: ServiceMaker, wall: WallClock) -> None:
    """Whatever the clock is set to under load, every client is served and every line counted, kept connections too."""
    service = start_service(workers=2, environ=wall.environ)
    port = service.port("lines")
    kept = connect(port)
    kept.sendall(LINE)
    with Load(lambda: half_close(port, LINE)) as load:
        for step in STEPS:
            wall.step(step)
            see_clients(load)
            see_commits(service, wall)
    kept.sendall(LINE)
    kept.shutdown(socket.SHUT_WR)
    read_end(kept)
    assert load.sent.failed == []
    lines = load.sent.completed + 2
    metrics = service.wait_for(lines, "statscounter_lines_total", listener="lines")
    assert metrics.total("hits") == metrics.total("statscounter_lines_total", listener="lines") == lines
    assert metrics.total("statscounter_worker_restarts_total") == 0
    assert service.stop() == -signal.SIGTERM


def test_wrong_at_a_start(make_service: ServiceMaker, wall: WallClock) -> None:
    """A start under a clock that is far behind or ahead, and one after it, serve as ever, and no series expires."""
    service = make_service(more=OPTIONS, environ=wall.environ)
    steps = (0.0, -TEN_YEARS, 2 * TEN_YEARS, -TEN_YEARS)
    for number, step in enumerate(steps, 1):
        wall.step(step)
        service.start()
        half_close(service.port("lines"), LINE if number > 1 else LINE + b"idle:1|c")
        service.wait_for(number, "hits")
        see_commits(service, wall)
        until(lambda: "idle" in (flushes(service) or [{"counters": {}}])[-1]["counters"], "it is in the next flush")
        assert abs(last_end(service) - wall.now()) < 60
        assert service.metrics().total("idle") == 1
        assert service.stop() == -signal.SIGTERM
