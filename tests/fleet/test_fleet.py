"""A short run of the fleet. `make fleet` runs it for longer, with ARGS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.haproxy import HAPROXY
from tests.functional.receivers import ENGINES, need
from tests.functional.service import environment
from tests.torture.report import can_isolate

SECONDS = 60


@pytest.mark.proof
def test_a_short_run(tmp_path: Path) -> None:
    """Whatever is killed, drained, absorbed or retired, both engines have what the nodes and the clients have."""
    for name in ENGINES:
        need(name)
    if not HAPROXY:
        pytest.skip("haproxy is not installed")
    if not can_isolate():
        pytest.skip("a network namespace cannot be made here")
    command = ["unshare", "--net", sys.executable, "-m", "tests.fleet.run", f"--seconds={SECONDS}"]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.stdout.write(done.stdout)
