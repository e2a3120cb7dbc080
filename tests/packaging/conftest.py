"""The wheel, built once, and an environment that it is installed in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging.environment import Environment, build_wheel, index_reachable, make_environment

CHECKOUT = Path(__file__).parents[2]

_NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "*.egg-info", "*.so", ".*_cache", "__pycache__")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Give the folder that holds the whole project."""
    return CHECKOUT


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the checkout, so that building leaves nothing in it and finds nothing of earlier builds.

    What lies about in a checkout that was used is there too: Twisted's plugin cache and compiled modules.
    """
    copy = tmp_path_factory.mktemp("source") / "statscounter"
    shutil.copytree(CHECKOUT, copy, ignore=_NOT_COPIED)
    (copy / "twisted" / "plugins" / "dropin.cache").write_bytes(b"left by an earlier start")
    (copy / "statsd_tcp" / "__pycache__").mkdir()
    (copy / "statsd_tcp" / "__pycache__" / "old.cpython-311.pyc").write_bytes(b"left by an earlier version")
    return copy


@pytest.fixture(scope="session")
def wheel(source: Path) -> Path:
    """Build the wheel and give its path."""
    return build_wheel(source)


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Give an environment with the wheel in it, and with what the wheel says it depends on.

    Where there is no package index the dependencies are borrowed from the environment of the tests.
    """
    environment = make_environment(tmp_path_factory.mktemp("installed") / "venv")
    result = environment.pip("install", wheel)
    if result.returncode and not index_reachable(tmp_path_factory.mktemp("scratch")):
        environment.borrow()
        result = environment.pip("install", "--no-deps", wheel)
    assert result.returncode == 0, result.stdout + result.stderr
    return environment
