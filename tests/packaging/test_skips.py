"""A complete run fails when a test was skipped without need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = (
    "from tests.skips import Skips\n\ndef pytest_configure(config):\n    config.pluginmanager.register(Skips())\n"
)


@pytest.mark.parametrize(
    "body, status",
    [
        ("def test_a(): pass", 0),
        ("def test_a(): pytest.skip('this machine has no IPv6 loopback')", 0),
        ("@pytest.mark.xfail(reason='known')\ndef test_a(): assert False", 0),
        ("def test_a(): pytest.skip('there is no program unshare')", 1),
        ("@pytest.mark.skipif(True, reason='promtool is not installed')\ndef test_a(): pass", 1),
        ("pytest.importorskip('no_such_module_anywhere')\ndef test_a(): pass", 1),
    ],
    ids=["none", "permitted", "expected failure", "program", "mark", "module"],
)
def test_unwanted(tmp_path: Path, checkout: Path, body: str, status: int) -> None:
    """The run fails, and names test and reason, exactly when the reason is not permitted."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(f"import pytest\n{body}\ndef test_b(): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:twisted", str(tmp_path)]
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env={"PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    assert ("skipped without need" in done.stdout) == bool(status), done.stdout
    assert done.returncode in {status, 5 if status else status}, done.stdout + done.stderr
