"""Private network namespaces: settings are really changed, a burst really overflows, and the doctor names the cause.

Nothing of this touches the machine's own network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.functional.waiting import PATIENCE

CHECKOUT = Path(__file__).parents[3]
UNSHARE = ["unshare", "--net", "--mount"]

Play = Callable[[str], Any]


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (util-linux)")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False, timeout=PATIENCE)
    if tried.returncode:
        pytest.skip(f"needs root for private network namespaces: {tried.stderr.strip()}")


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Return a function that plays a scene in a namespace of its own, and gives what it printed."""

    def run(scene: str) -> Any:
        command = [*UNSHARE, sys.executable, "-m", "tests.functional.doctor.scene", scene, str(tmp_path)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=2 * PATIENCE)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_short_queue(play: Play) -> None:
    """A queue that somaxconn cut and that overflowed: the doctor names somaxconn, and ends with status 2."""
    found = play("overflow")
    overflows = found["accept.overflows"]
    assert overflows["verdict"] == "lower"
    assert "net.core.somaxconn" in overflows["why"]
    assert "holds 16 of" in overflows["why"]
    assert overflows["counters"][0]["value"] > 0
    assert overflows["remedies"][0]["do"].startswith("sysctl -w net.core.somaxconn=")
    assert found["accept.backlog"]["counters"][0]["value"] > 0
    assert found["accept.somaxconn"]["weight"] == "stops"
    assert found["status"] == 2


def test_slow_workers(play: Play) -> None:
    """A queue that is long enough for the rate and overflowed all the same: the workers are named, not the queue."""
    found = play("slow")
    assert found["accept.somaxconn"]["verdict"] == "ok"
    assert "workers do not keep up" in found["accept.overflows"]["why"]


def test_raised_too_late(play: Play) -> None:
    """A setting that was raised after listen() is not in force: the doctor sees the queue itself."""
    found = play("late")
    assert found["accept.somaxconn"]["verdict"] == "ok"
    backlog = found["accept.backlog"]
    assert (backlog["verdict"], backlog["current"]) == ("raise", "16 on port 8125")
    assert "allows 65,535 now" in backlog["why"]


def test_cookies(play: Play) -> None:
    """Cookies that are off, and cookies for everybody, are both found; the counter shows that they were sent."""
    found = play("cookies")
    assert found["off"]["syn.cookies"]["verdict"] == "raise"
    assert found["off"]["syn.backlog"]["verdict"] == "raise"
    always = found["always"]["syn.cookies"]
    assert always["verdict"] == "lower"
    assert always["counters"][0] == {"name": "TcpExt: SyncookiesSent", "value": 3}


def test_time_wait(play: Play) -> None:
    """Connections that found no room in TIME_WAIT show in the counter next to the setting; it is only a warning."""
    buckets = play("time_wait")["tw.buckets"]
    assert (buckets["verdict"], buckets["weight"], buckets["current"]) == ("raise", "warning", "10")
    assert buckets["counters"][0]["name"] == "TcpExt: TCPTimeWaitOverflow"
    assert buckets["counters"][0]["value"] > 0


def test_connection_tracking(play: Play) -> None:
    """Tracked connections will fill the table: not to track them comes first, and the rules for that work."""
    if shutil.which("nft") is None:
        pytest.skip("needs nft (nftables)")
    seen = play("tracking")
    table = seen["found"]["conntrack.max"]
    assert (table["verdict"], table["weight"]) == ("raise", "stops")
    assert [remedy["kind"] for remedy in table["remedies"]] == ["notrack", "sysctl"]
    assert seen["before"] >= 5
    assert seen["after"] <= seen["before"]
    assert seen["open"] == 10


def test_apply_and_undo(play: Play) -> None:
    """A remedy that is applied is in force, and gone after undo."""
    seen = play("installed")
    assert [effect[2] for effect in seen["effects"]] == [True]
    assert seen["now"] == seen["effects"][0][1] != "128"
    assert seen["afterwards"] == "128"


def test_watch(play: Play) -> None:
    """The watch turns a real overflow into one finding with setting and command."""
    seen = play("watched")
    assert seen["quiet"] == 0
    [[name, setting, count]] = seen["findings"]
    assert (name, setting) == ("accept-queue", "net.core.somaxconn")
    assert count > 0
    assert seen["overflows"] > 0
    assert len(seen["news"]) == 1


def test_service(play: Play) -> None:
    """The service says at start what will not hold, and finds the overflow: in status, metrics and one line of log."""
    seen = play("served")
    finding = seen["finding"]
    assert (finding["id"], finding["setting"]) == ("accept-queue", "net.core.somaxconn")
    assert finding["command"].startswith("sysctl -w net.core.somaxconn=")
    assert finding["count"] > 0
    assert seen["gauge"] == 1
    assert seen["overflows"] > 0
    assert any("[accept.somaxconn]" in line for line in seen["lines"])
    assert len([line for line in seen["lines"] if "[accept-queue]" in line]) == 1
