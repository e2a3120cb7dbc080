"""What is in the wheel, and what is not."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from statsd_tcp import __version__
from statsd_tcp.files.shipped import SUFFIXES
from tests.packaging.environment import build_wheel
from tests.patience import PATIENCE

HEADERS = Path(sysconfig.get_path("include"), "Python.h")
IN_C = {"statsd_tcp/ingest/_burst.abi3.so", "statsd_tcp/aggregate/_sums.abi3.so"}


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Return the names of the wheel's files."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def _metadata(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"statsd_tcp-{__version__}.dist-info/{name}").decode()


def test_whole_package(names: set[str], source: Path) -> None:
    """Every module is in the wheel, also those of new folders, what users get, and the marker for type checkers."""
    package = source / "statsd_tcp"
    kinds = ("*.py*", *(f"files/**/*{suffix}" for suffix in SUFFIXES), "assets/*")
    found = (path for kind in kinds for path in package.glob(f"**/{kind}"))
    expected = {str(path.relative_to(source)) for path in found if "cache" not in str(path)}
    modules = {name for name in names if name.startswith("statsd_tcp/") and not name.endswith(".so")}
    assert expected | {"statsd_tcp/py.typed"} == modules


def test_parts_in_c(names: set[str], wheel: Path) -> None:
    """The parts in C are there where it can be built, once for all versions of Python; their source is not."""
    assert {name for name in names if name.endswith((".so", ".c", ".h"))} == (
        IN_C if shutil.which("cc") and HEADERS.exists() else set()
    )
    assert "-cp311-abi3-linux_" in wheel.name


def test_without_a_compiler(source: Path, tmp_path: Path) -> None:
    """Without a compiler the wheel is built nevertheless, and connections are taken in Python."""
    copy = tmp_path / "statscounter"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "dist", "*.so", "*.egg-info"))
    wheel = build_wheel(copy, CC="/bin/false")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]
        archive.extractall(tmp_path / "installed")
    code = "from statsd_tcp.native import use; print(use({}))"
    command, place = [sys.executable, "-c", code], tmp_path / "installed"
    said = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert said.stdout.startswith("in Python (the parts in C were not built")


def test_only_the_plugin_in_twisteds_folder(names: set[str]) -> None:
    """The plugin is there alone: an __init__.py would overwrite Twisted's own, a cache would be stale."""
    plugin = "twisted/plugins/statscounter_plugin.py"
    assert {plugin} == {name for name in names if name.startswith("twisted")}


def test_nothing_else(names: set[str]) -> None:
    """Tests, benchmarks and whatever else is in the checkout stay out."""
    tops = {name.split("/", maxsplit=1)[0] for name in names}
    own = f"statsd_tcp-{__version__}"
    assert {"statsd_tcp", "twisted", f"{own}.dist-info", f"{own}.data"} == tops


def test_examples(names: set[str], source: Path) -> None:
    """The unit for systemd, the tac file and the configuration file are installed to share/statscounter."""
    folder = f"statsd_tcp-{__version__}.data/data/share/statscounter/"
    installed = {name.removeprefix(folder) for name in names if name.startswith(folder)}
    assert {path.name for path in (source / "etc").iterdir()} == installed


def test_metadata(wheel: Path) -> None:
    """Name, version, licence and the oldest Python are what the package says, and the command is declared."""
    metadata = email.message_from_string(_metadata(wheel, "METADATA"))
    assert metadata["Name"] == "statsd-tcp"
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert "MIT" in {metadata["License"], metadata["License-Expression"]}
    assert "statscounter = statsd_tcp.commands.main:main" in _metadata(wheel, "entry_points.txt")
