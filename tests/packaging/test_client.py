"""The client's own distribution: what is in it, that it needs nothing, and that every Python found here can use it."""

from __future__ import annotations

import ast
import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from glob import glob
from pathlib import Path

import pytest

from statsd_tcp_client.version import __version__
from tests.packaging.environment import build_wheel, make_environment
from tests.patience import PATIENCE
from tests.shared import Shared

OLDEST = 9
MINORS = range(OLDEST, 16)

NOT_COPIED = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def client_wheel(checkout: Path, shared: Shared) -> Path:
    """Return the path of the client's wheel, built of a copy."""

    def build(folder: Path) -> None:
        shutil.copytree(checkout / "client", folder / "client", ignore=NOT_COPIED)
        build_wheel(folder / "client")

    (path,) = (shared.folder("client-wheel", build) / "client" / "dist").glob("*.whl")
    return path


@cache
def interpreters() -> dict[str, str]:
    """Return an interpreter of each version from 3.9 on: of the PATH, then of pyenv, as in .ci/run."""
    root = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    found: dict[str, str] = {}
    for minor in MINORS:
        version = f"3.{minor}"
        for python in (f"python{version}", *sorted(glob(f"{root}/versions/{version}.*/bin/python"))):  # noqa: PTH207
            if version not in found and _works(python, minor):
                found[version] = python
    return found


def _works(python: str, minor: int) -> bool:
    """Return whether this starts, and is of that version: a shim may be there without one."""
    try:
        code = f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_content(client_wheel: Path, checkout: Path) -> None:
    """The package is in the wheel, with the marker for type checkers and the licence, and nothing else."""
    package = checkout / "client" / "statsd_tcp_client"
    expected = {str(path.relative_to(package.parent)) for path in package.rglob("*.py")}
    own = f"statsd_tcp_client-{__version__}.dist-info"
    with zipfile.ZipFile(client_wheel) as archive:
        names = set(archive.namelist())
    assert expected | {"statsd_tcp_client/py.typed"} == {name for name in names if not name.startswith(own)}
    assert f"{own}/licenses/LICENSE" in names


def test_metadata(client_wheel: Path) -> None:
    """It has no requirements, and says which Python it is for; its licence is the project's."""
    with zipfile.ZipFile(client_wheel) as archive:
        data = archive.read(f"statsd_tcp_client-{__version__}.dist-info/METADATA").decode()
    metadata = email.message_from_string(data)
    assert (metadata["Name"], metadata["Version"]) == ("statsd-tcp-client", __version__)
    assert metadata["Requires-Python"] == f">=3.{OLDEST}"
    assert [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need] == []


def test_licence(checkout: Path) -> None:
    """The licence next to the client is that of the project."""
    assert (checkout / "client" / "LICENSE").read_text() == (checkout / "LICENSE").read_text()


def test_installed(client_wheel: Path, tmp_path: Path) -> None:
    """In an environment with nothing else the wheel can be installed and imported, and nothing starts at that."""
    environment = make_environment(tmp_path / "venv")
    result = environment.pip("install", "--no-index", client_wheel)
    assert result.returncode == 0, result.stdout + result.stderr
    code = "import threading, statsd_tcp_client as s; print(s.__version__, s.StatsClient(), threading.active_count())"
    said = environment.run("python", "-c", code)
    assert re.fullmatch(rf"{re.escape(__version__)} <.*StatsClient object.*> 1\n", said.stdout), said.stderr


NOT_PURE = {
    "meter.py": {"threading"},
    "processes.py": {"time"},
    "stopwatch.py": {"time"},
}
"""Modules outside of the shells that know more than bytes and numbers, and what: locks and clocks."""

IMPURE = {"asyncio", "selectors", "select", "socket", "threading", "time", "twisted", "signal", "subprocess"}


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_pure(checkout: Path) -> None:
    """The core knows no socket, thread, loop or clock, and does not import a shell; only `__init__` does."""
    package = checkout / "client" / "statsd_tcp_client"
    for path in package.glob("*.py"):
        imports = _imports(path)
        assert {name.partition(".")[0] for name in imports} & IMPURE == NOT_PURE.get(path.name, set()), path
        shells = {name for name in imports if re.match(r"statsd_tcp_client\.(?:threads|asyncio|twisted)", name)}
        assert shells == ({"statsd_tcp_client.threads.client"} if path.name == "__init__.py" else set()), path


def test_shells(checkout: Path) -> None:
    """The shells have the same modules; asyncio and Twisted know nothing of each other."""
    package = checkout / "client" / "statsd_tcp_client"
    names = {shell: {path.name for path in (package / shell).glob("*.py")} for shell in ("asyncio", "twisted")}
    assert names["asyncio"] == names["twisted"] <= {path.name for path in (package / "threads").glob("*.py")}
    for shell, other in (
        ("asyncio", "twisted"),
        ("twisted", "asyncio"),
        ("threads", "asyncio"),
        ("threads", "twisted"),
    ):
        imports = {name for path in (package / shell).glob("*.py") for name in _imports(path)}
        assert not {name for name in imports if name.partition(".")[0] == other or f"_client.{other}" in name}


@pytest.mark.parametrize("minor", MINORS)
def test_every_python(client_wheel: Path, checkout: Path, shared: Shared, minor: int) -> None:
    """The tests that need nothing but Python pass with what is in the wheel."""
    version = f"3.{minor}"
    if version not in interpreters():
        pytest.skip(f"there is no Python {version}")

    def unpack(folder: Path) -> None:
        with zipfile.ZipFile(client_wheel) as archive:
            archive.extractall(folder)

    place = shared.folder("client-unpacked", unpack)
    command = [interpreters()[version], "-m", "unittest", "discover", "-s", "tests/client/portable", "-t", "."]
    environ = {**os.environ, "PYTHONPATH": str(place), "PYTHONWARNINGS": "error::SyntaxWarning"}
    done = subprocess.run(
        command, cwd=checkout, env=environ, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Ran [2-9]\d tests", done.stderr, re.MULTILINE)


def test_this_python() -> None:
    """The interpreter of the tests is among those that are tried."""
    assert f"3.{sys.version_info.minor}" in interpreters()
