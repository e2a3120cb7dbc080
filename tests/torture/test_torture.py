"""A short run of the torture. `make torture` runs it for longer, with ARGS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.service import environment
from tests.torture.report import can_isolate

SECONDS = 40

RELOADS = 6


def run(folder: Path, module: str, *arguments: str) -> None:
    """Run one of the programs, alone in a network namespace where the machine allows that."""
    command = [sys.executable, "-m", module, *arguments]
    if can_isolate():
        command = ["unshare", "--net", *command, "--isolated"]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.stdout.write(done.stdout)


@pytest.mark.proof
def test_a_short_run(tmp_path: Path) -> None:
    """Whatever is killed, reloaded and stopped under load, every count is right within what the deaths may cost."""
    run(tmp_path, "tests.torture.run", f"--seconds={SECONDS}")


@pytest.mark.proof
def test_reloads_in_a_row(tmp_path: Path) -> None:
    """Reloads one after the other under load refuse, cut off, lose and double nothing."""
    run(tmp_path, "tests.torture.reloads", f"--times={RELOADS}")
