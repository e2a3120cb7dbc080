"""The kernel counts connections, too: in a network namespace of its own its count must be ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.isolated import KILLS
from tests.functional.service import environment
from tests.functional.waiting import PATIENCE

ISOLATE = ["unshare", "--net"]


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """Skip where this machine does not give us a network namespace."""
    try:
        tried = subprocess.run([*ISOLATE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program unshare (package util-linux)")
    if tried.returncode:
        pytest.skip(f"no network namespace: {tried.stderr.strip()}")


def play(scene: str, folder: Path) -> dict[str, float]:
    """Play a scene in a namespace of its own, and give the counts of both sides."""
    done = subprocess.run(
        [*ISOLATE, sys.executable, "-m", "tests.functional.isolated", str(folder), scene],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts: dict[str, float] = json.loads(done.stdout.splitlines()[0])
    return counts


@pytest.mark.proof
def test_many_sources(tmp_path: Path) -> None:
    """Connections from 70,000 sources, more than there is room for, are all counted, and each within its bounds."""
    counts = play("sources", tmp_path)
    assert counts["PassiveOpens"] == counts["accepted"] == counts["closed"] == 105_000


def test_mixed_connections(tmp_path: Path) -> None:
    """Connections of all kinds: the kernel has opened exactly as many as we have accepted and closed."""
    counts = play("mixed", tmp_path)
    assert counts["PassiveOpens"] == counts["accepted"] == counts["closed"] == 800


def test_overflowing_queue(tmp_path: Path) -> None:
    """When a queue overflows the kernel drops connections before they are open; all that are, are counted."""
    counts = play("overflow", tmp_path)
    assert counts["ListenOverflows"] > 0
    assert counts["PassiveOpens"] == counts["accepted"] == counts["closed"]
    assert counts["accepted"] > 0


def test_killed_worker(tmp_path: Path) -> None:
    """Kills of the worker cost at most the count of the one connection in hand each."""
    counts = play("kills", tmp_path)
    assert counts["PassiveOpens"] - KILLS <= counts["accepted"] <= counts["PassiveOpens"]
    assert counts["closed"] == counts["accepted"]
