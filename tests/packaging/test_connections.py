"""A test that leaves a connection to SQLite open fails, and none leaves files in the checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
from tests.connections import Connections

def pytest_configure(config):
    config.pluginmanager.register(Connections())
"""
TESTS = """
import sqlite3
import pytest
from contextlib import closing

@pytest.fixture
def connection():
    with closing(sqlite3.connect("good.db", timeout=1.0)) as connection:
        yield connection

{body}

def test_b(): pass
"""


@pytest.mark.parametrize(
    "body, passed, errors",
    [
        ("def test_a(connection): connection.execute('SELECT 1')", 2, 0),
        ("def test_a():\n    with sqlite3.connect('bad.db'): pass", 2, 1),
        ("def test_a():\n    cycle = [sqlite3.connect('bad.db')]\n    cycle.append(cycle)", 2, 1),
    ],
    ids=["a fixture closes it", "only the transaction ends", "a cycle"],
)
def test_left_open(tmp_path: Path, checkout: Path, body: str, passed: int, errors: int) -> None:
    """The test has an error that names the file, exactly when a connection is left open; no other test has."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "test_it.py").write_text(TESTS.format(body=body))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:twisted", str(tmp_path)]
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env={"PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    ends = f"{passed} passed, {errors} error in" if errors else f"{passed} passed in"
    assert ends in done.stdout, done.stdout + done.stderr
    assert ("connections are left open, to bad.db" in done.stdout) == bool(errors), done.stdout
    assert ("ERROR at teardown of test_a" in done.stdout) == bool(errors), done.stdout


def test_folders(checkout: Path) -> None:
    """No test asks trial for a folder: under pytest it is made in the checkout, and stays there."""
    asked = "self.mk" + "temp()"
    assert not [path.name for path in (checkout / "tests").rglob("test_*.py") if asked in path.read_text()]
