"""The systemd unit in etc/."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from statsd_tcp.supervisor.shutdown import LONGEST_END
from tests.patience import PATIENCE

ANALYZE = shutil.which("systemd-analyze")

EXPOSURE = 1.5
"""systemd's own score from 0 (nothing can be reached) to 10; an ordinary daemon's unit has 6 to 9.6."""


@pytest.fixture
def unit(checkout: Path) -> Path:
    """Return the path of the unit."""
    return checkout / "etc" / "statscounter.service"


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_exposure(unit: Path) -> None:
    """The unit gives the service so little of the machine that systemd finds next to nothing to object to."""
    assert ANALYZE
    command = [
        ANALYZE,
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={int(EXPOSURE * 10)}",
        str(unit),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_supervisor_stops_the_workers(unit: Path) -> None:
    """Only the supervisor is sent TERM, so that workers can finish, and it has longer than it takes."""
    service = _service_section(unit)
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) > 5 + LONGEST_END


def test_foreground_without_pidfile(unit: Path) -> None:
    """Twistd stays in the foreground, and leaves no pid file for another instance to trip over."""
    command = _service_section(unit)["ExecStart"]
    assert "--nodaemon --pidfile= statscounter" in command


def _service_section(unit: Path) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    # Options of systemd are case-sensitive, and some stand there twice.
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser["Service"]
