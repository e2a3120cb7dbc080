"""Who is connecting, of a real service: with clients of several addresses, workers that die, and reloads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.clients import connect, half_close, read_end, reset_at_close
from tests.functional.processes import is_alive
from tests.functional.service import LOOPBACK, Service, options, script
from tests.functional.test_console import ask
from tests.functional.waiting import PATIENCE, until

FEW, MANY, ABRUPT = "127.0.0.2", "127.0.0.3", "127.0.0.4"
COLUMNS = ("connections", "lines", "bad", "resets", "err")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of names."""
    path = tmp_path_factory.mktemp("names") / "names"
    path.write_text("127.0.0.0/8 this machine\n127.0.0.3 the busy one\n")
    return path


@pytest.fixture(scope="module")
def service(names: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield the one service, to which clients came from three addresses."""
    folder = tmp_path_factory.mktemp("service")
    made = Service(
        folder, options(folder / "state", admin=f"tcp:0:{LOOPBACK}", more=["--who=all", f"--who-names={names}"])
    )
    try:
        made.start()
        port = made.port("lines")
        for source, data, times in ((FEW, b"a:1|c\n", 2), (MANY, b"a:1|c\nbad\n", 5)):
            for _ in range(times):
                send(port, source, data)
        with connect(port, source=ABRUPT) as client:
            client.sendall(b"a:1|c\n")
            made.wait_for(8, "statscounter_connections_total", listener="lines")
            reset_at_close(client)
        made.wait_for(8, "statscounter_connections_closed_total", listener="lines")
        yield made
    finally:
        made.end()


def send(port: int, source: str, data: bytes) -> None:
    """Send everything from an address, half-close, and wait for the end."""
    with connect(port, source=source) as client:
        client.sendall(data)
        client.shutdown(1)
        read_end(client)


def told(service: Service, query: str = "") -> dict[str, Any]:
    """Return what the page tells of each source of the lines, by its address."""
    answer = json.loads(service.page(f"/api/v1/who{query}").text)
    return {one["source"]: one for one in answer["sources"] if one["listener"] == "lines"}


WANTED = {FEW: (2, 2, 0, 0, 0), MANY: (5, 10, 5, 0, 0), ABRUPT: (1, 1, 0, 1, 0)}
"""What came from each address, by `COLUMNS`."""


def counted(service: Service) -> bool:
    """Return whether all that has come is told: what a page tells may be seconds old."""
    return {source: tuple(map(one.get, COLUMNS)) for source, one in told(service).items()} == WANTED


def test_sources(service: Service) -> None:
    """Each address has exactly what came from it, and its name; also after the worker has died."""
    until(lambda: counted(service), "all is counted")
    found = told(service)
    assert [found[source]["name"] for source in (FEW, MANY)] == ["this machine", "the busy one"]
    assert next(iter(found)) == MANY
    assert list(told(service, "?top=1&by=bad")) == [MANY]
    service.replace_worker()
    until(lambda: counted(service), "what the worker had counted is there")


def test_other_ways(service: Service) -> None:
    """The command and the console show the same; the metrics have only how many there are."""
    until(lambda: counted(service), "all is counted")
    command = [
        script("statscounter"),
        "who",
        "--by=lines",
        "--listener=lines",
        f"--timeout={PATIENCE}",
        f"--url=http://127.0.0.1:{service.http_port}",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[2].startswith(f"{MANY}  the busy one  lines")
    assert max(map(len, lines)) <= 80
    assert MANY in ask(int(service.status()["admin"][0].rpartition(":")[2]), "who")
    service.wait_for(3, "statscounter_sources", listener="lines")
    assert service.metrics().total("statscounter_source_share", listener="lines") == pytest.approx(0.625)
    for path in ("/metrics", "/api/v1/status"):
        assert MANY not in service.page(path).text


def test_a_reload(service: Service, names: Path) -> None:
    """A reload reads the names again and counts from 0; one with a bad line in them is refused, and changes nothing."""
    before = told(service)
    names.write_text("127.0.0.0/8 here\n127.0.0.1/8 there\n")
    os.kill(service.process.pid, signal.SIGHUP)
    line = f"--who-names: {names} line 2: '127.0.0.1/8' is not a network, such as 10.0.0.0/8"
    until(lambda: line in service.log, "the line is named")
    assert told(service).keys() == before.keys()
    names.write_text("127.0.0.0/8 here\n")
    (replaced,) = service.worker_pids().values()
    os.kill(service.process.pid, signal.SIGHUP)
    # What it still serves counts in no table that is shown.
    until(lambda: not is_alive(replaced), "the worker before it has gone")
    until(lambda: "the reload is complete" in service.log, "it is complete")
    half_close(service.port("lines"), b"a:1|c\n")
    until(lambda: "127.0.0.1" in told(service), "new ones are counted")
    assert [(one["source"], one["name"], one["connections"]) for one in told(service).values()] == [
        ("127.0.0.1", "here", 1)
    ]
