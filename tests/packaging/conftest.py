"""The wheel, built once, and an environment that it is installed in; all processes of a run share them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging import release
from tests.packaging.environment import Environment, build_wheel, make_environment
from tests.shared import Shared

CHECKOUT = Path(__file__).parents[2]

_NOT_COPIED = shutil.ignore_patterns(
    ".*", "build", "dist", "*.egg-info", "*.so", "__pycache__", "dropin*.cache*", "htmlcov"
)
"""Nothing that a start, or another test, may write and remove meanwhile: caches, and what hypothesis knows."""


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the folder that holds the whole project."""
    return CHECKOUT


@pytest.fixture(scope="session")
def source(shared: Shared) -> Path:
    """Return a copy of the checkout, so that building leaves nothing in it and finds nothing of earlier builds.

    What lies about in a checkout that was used is there too: Twisted's plugin cache and compiled modules. The wheel has
    been built in it.
    """
    return shared.folder("wheel", _build) / "statscounter"


@pytest.fixture(scope="session")
def wheel(source: Path) -> Path:
    """Return the path of the wheel."""
    (path,) = (source / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, shared: Shared) -> Environment:
    """Return an environment with the wheel in it. Its dependencies are borrowed from the environment of the tests."""

    def install(folder: Path) -> None:
        environment = make_environment(folder / "venv")
        environment.borrow()
        result = environment.pip("install", "--no-deps", wheel)
        assert result.returncode == 0, result.stdout + result.stderr

    return Environment(shared.folder("installed", install) / "venv")


@pytest.fixture(scope="session")
def released(shared: Shared) -> Environment:
    """Return an environment with release 0.1.0 in it, which no test changes."""
    return Environment(shared.folder("released", _install_release) / "venv")


def _install_release(folder: Path) -> None:
    release.environment_with(release.WHEEL, folder / "venv")


def _build(folder: Path) -> None:
    copy = folder / "statscounter"
    shutil.copytree(CHECKOUT, copy, ignore=_NOT_COPIED)
    (copy / "twisted" / "plugins" / "dropin.cache").write_bytes(b"left by an earlier start")
    (copy / "statsd_tcp" / "__pycache__").mkdir()
    (copy / "statsd_tcp" / "__pycache__" / "old.cpython-311.pyc").write_bytes(b"left by an earlier version")
    build_wheel(copy)
