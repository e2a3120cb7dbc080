"""Outputs other than Graphite: on the terminal, and the example of an output in another package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.service import Service, options
from tests.functional.waiting import until

EXAMPLE = Path(__file__).parents[2] / "docs/examples/jsonl-output"
FILE = "counters.jsonl"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the example of the documentation, and give the folder that it is in."""
    source = tmp_path_factory.mktemp("source") / "jsonl-output"
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # Not isolated: the tests may run where no package index is reachable, and setuptools is here.
    command += ["--no-build-isolation", f"--target={target}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def rows(path: Path) -> list[dict[str, Any]]:
    """Read the lines of JSON in a file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[Service]:
    """Yield a service with the example and the console for outputs, of flushes of a second."""
    folder = tmp_path_factory.mktemp("service")
    more = ["--flush-interval=1", f"--output=jsonl:path={folder / FILE}", "--console=json"]
    made = Service(folder, options(folder / "state", more=more), environ={"PYTHONPATH": str(installed)})
    try:
        yield made.start()
    finally:
        made.end()


def test_the_example_of_the_documentation(service: Service) -> None:
    """The documented example, installed as a package, gets every flush, each counter exactly once."""
    path = service.folder / FILE
    half_close(service.port("lines"), b"hits:2|c\n")
    half_close(service.port("lines"), b"hits:3|c\n")
    until(lambda: sum(row["counters"].get("hits", 0) for row in rows(path)) == 5, "all is in the file")
    times = [row["time"] for row in rows(path)]
    assert times == sorted(set(times))
    service.wait_for(1, "statscounter_output_sent_total", output="jsonl")


def test_an_argument_that_cannot_be_used(make_service: ServiceMaker, installed: Path) -> None:
    """What an output of another package says about its arguments is one line too."""
    service = make_service(more=["--output=jsonl"], environ={"PYTHONPATH": str(installed)})
    service.launch()
    assert service.wait_ended() == 1
    assert "statscounter: --output jsonl: path= is needed, and nothing else" in service.log
    assert "Traceback" not in service.log


def test_more_series_than_there_may_be(start_service: ServiceMaker) -> None:
    """Beyond the limit counters and timers are added to one series for all, which /metrics shows, and are counted."""
    service = start_service(more=["--max-series=2"])
    half_close(service.port("lines"), b"a:1|c\nb:1|c\n")
    service.settled()
    half_close(service.port("lines"), b"a:1|c\nc:3|c\nd:4|c\ne:500|ms\nf:1|g\n")
    metrics = service.wait_for(4, "statscounter_series_dropped_total")
    assert metrics.total("a") == 2
    assert metrics.total("statscounter_overflow_c") == 7
    assert metrics.total("statscounter_overflow_ms_sum") == 0.5
    assert metrics.by("statscounter_series_dropped_total", "reason") == {"overflow": 3, "refused": 1}


def test_the_console(service: Service) -> None:
    """On the terminal every flush is a line of JSON between the lines of the log."""
    half_close(service.port("lines"), b"shown:2|c\ntime:5|ms\n")

    def found() -> list[dict[str, Any]]:
        flushes = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
        return [flush for flush in flushes if flush["counters"].get("shown")]

    flush = until(found, "the flush is printed")[0]
    assert {name: value for name, value in flush["counters"].items() if value} == {"shown": 2.0}
    assert flush["timers"]["time"]["upper_90"] == 5.0
    assert flush["lines"] == 2
