"""A short run of the torture. `make torture` runs it for longer, with ARGS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.functional.service import environment
from tests.torture.run import can_isolate

SECONDS = 40


def test_a_short_run(tmp_path: Path) -> None:
    """Whatever is killed, reloaded and stopped under load, every count is right within what the deaths may cost."""
    command = [sys.executable, "-m", "tests.torture.run", f"--seconds={SECONDS}"]
    if can_isolate():
        command = ["unshare", "--net", *command, "--isolated"]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.stdout.write(done.stdout)
