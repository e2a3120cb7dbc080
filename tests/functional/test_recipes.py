"""The recipes of docs/client.md, run as they are written, with other ports, paths and patience: all is counted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.functional.metrics import Difference
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE
from tests.npm import node_path
from tests.ports import free_port
from tests.short import make_short_folder

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "client.md"


class Recipe(NamedTuple):
    """A block of the page: its language, its text, and the totals that it adds to."""

    language: str
    text: str
    totals: dict[str, float]


TOTALS: dict[str, dict[str, float]] = {
    "The Python client": {"shop_orders": 1, "shop_checkout_count": 1},
    "Shell": {"backups": 1},
    "PHP": {"requests": 1, "rendering_count": 1},
    "datadog (Python)": {"orders": 1},
    "statsd (Python)": {"orders": 1, "checkout_count": 1},
    "aiodogstatsd (Python)": {"orders": 1},
    "hot-shots (Node.js)": {"orders": 1, "checkout_count": 1},
}
"""What each block under a heading counts."""


def recipes() -> dict[str, Recipe]:
    """Return all blocks of the page in a language, by heading."""
    found: dict[str, Recipe] = {}
    for section in re.split(r"^##+ ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        for number, (language, text) in enumerate(re.findall(r"^```(\w+)\n(.*?)^```", body, re.MULTILINE | re.DOTALL)):
            found[f"{heading} {number + 1}"] = Recipe(language, text, TOTALS[heading])
    return found


RECIPES = recipes()

PATIENT = {
    "$error, 0.25)": "$error, 60)",
    "0, 250000)": "60, 0)",
    "timeout=0.25": "timeout=60",
    "close(5)": "close(60)",
}
"""What recipes wait is too short here: on a busy machine a service may stand still for a second."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder with a path short enough for a socket."""
    made = make_short_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """Return the ports that stand for those of the page."""
    return {port: free_port() for port in ("8125", "8130", "8131")}


@pytest.fixture(scope="module")
def service(folder: Path, ports: dict[str, int]) -> Iterator[Service]:
    """Return a service with the listeners of the page."""
    listen = [
        f"tcp:{ports['8125']}:{LOOPBACK}",
        f"udp:{ports['8125']}:{LOOPBACK}",
        f"tcp:{ports['8130']}:{LOOPBACK}:confirm=read",
        f"tcp:{ports['8131']}:{LOOPBACK}:confirm=stored",
        f"unix:{folder}/stream:framing=length:mode=666:dialect=dogstatsd",
    ]
    service = Service(folder, options(folder / "state", listen=listen, count=()))
    try:
        yield service.start()
    finally:
        service.end()


def command(recipe: Recipe) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs such a text, and its environment; skips where there is none."""
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT / "client")}
    if recipe.language == "python":
        (package,) = set(re.findall(r"^(?:from|import) (?!asyncio)(\w+)", recipe.text, re.MULTILINE))
        if package != "statsd_tcp_client" and find_spec(package) is None:
            pytest.skip(f"there is no {package}")
        return [sys.executable], environ
    if recipe.language == "js":
        return ["node"], {**environ, "NODE_PATH": str(node_path("hot-shots/package.json"))}
    program = {"sh": "sh", "bash": "bash", "php": "php"}[recipe.language]
    for needed in (program, "nc" if recipe.language == "sh" else program):
        if shutil.which(needed) is None:
            pytest.skip(f"there is no {needed}")
    return [program], environ


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(service: Service, ports: dict[str, int], folder: Path, tmp_path: Path, name: str) -> None:
    """The recipe runs without a word of error, and what it counts is in the totals."""
    recipe = RECIPES[name]
    text = recipe.text.replace("/run/datadog", str(folder))
    for written, port in ports.items():
        text = text.replace(written, str(port))
    for written, patient in PATIENT.items():
        text = text.replace(written, patient)
    words, environ = command(recipe)
    (tmp_path / "recipe").write_text(text)
    before = service.metrics()
    done = subprocess.run(
        [*words, "recipe"],
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout.strip() or "confirmed") == (0, "", "confirmed")
    after = before
    for total, added in recipe.totals.items():
        after = service.wait_for(sum(before.values(total)) + added, total)
    found = Difference(before, after)
    assert {total: found.total(total) for total in recipe.totals} == recipe.totals
    assert found.by("statscounter_bad_lines_total", "reason") == {}


def test_all() -> None:
    """There is a recipe under each heading that is known, and each time that is replaced is in one."""
    assert {name.rpartition(" ")[0] for name in RECIPES} == set(TOTALS)
    assert all(any(written in recipe.text for recipe in RECIPES.values()) for written in PATIENT)
