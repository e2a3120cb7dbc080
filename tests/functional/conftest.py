"""Services for the tests, which are ended with the test whatever happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.receivers import Engine, need
from tests.functional.service import Service, options
from tests.short import make_short_folder

ServiceMaker = Callable[..., Service]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a path short enough for a socket."""
    made = make_short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[ServiceMaker]:
    """Return a function that makes a service, not started yet, out of the keywords of `options` and `Service`."""
    made: list[Service] = []

    def make(**keywords: Any) -> Service:
        of_service = {name: keywords.pop(name) for name in ("prefix", "program", "environ") if name in keywords}
        folder = tmp_path / f"service-{len(made)}"
        service = Service(folder, options(folder / "state", **keywords), **of_service)
        made.append(service)
        return service

    yield make
    for service in made:
        service.end()


@pytest.fixture
def start_service(make_service: ServiceMaker) -> ServiceMaker:
    """Return a function that makes a service and starts it."""

    def start(**keywords: Any) -> Service:
        return make_service(**keywords).start()

    return start


@pytest.fixture(params=["prometheus", pytest.param("victoria-metrics", marks=pytest.mark.proof)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Yield an engine that runs."""
    need(request.param)
    with Engine(tmp_path / request.param, request.param) as made:
        yield made
