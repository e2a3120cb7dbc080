"""Two nodes behind each balancer that can be run here: docs/balancers.md says what is tested."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.balancers.fronts import NGINX
from tests.balancers.stage import CLIENT
from tests.fleet.network import OUTSIDE
from tests.functional.haproxy import HAPROXY
from tests.functional.service import environment
from tests.functional.waiting import PATIENCE

NEEDS = {
    "haproxy": (HAPROXY, "haproxy"),
    "plain": (HAPROXY, "haproxy"),
    "nginx": (NGINX, "nginx"),
    "ecmp": (shutil.which("ip"), "iproute2"),
    "service": (shutil.which("nft") or shutil.which("nft", path="/usr/sbin"), "nftables"),
}


def play(scene: str, balancer: str, folder: Path) -> dict[str, Any]:
    """Play a scene in namespaces of its own, and return what both sides have counted."""
    program, package = NEEDS[balancer]
    if program is None:
        pytest.skip(f"there is no {balancer} (Debian package {package})")
    isolate = ["unshare", "--net", "--mount"]
    try:
        tried = subprocess.run([*isolate, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program unshare (package util-linux)")
    if tried.returncode:
        pytest.skip(f"no network namespace: {tried.stderr.strip()}")
    done = subprocess.run(
        [*isolate, sys.executable, "-m", "tests.balancers.scenes", str(folder), scene, balancer],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.proof
@pytest.mark.parametrize("balancer", ["haproxy", "nginx", "service"])
def test_drain(tmp_path: Path, balancer: str) -> None:
    """A node that is taken out, stopped, started, brought back and reloaded under load loses and repeats nothing."""
    result = play("drain", balancer, tmp_path)
    assert all(number > 0 for row in result["spread"] for number in row)
    assert result["peers"] == [CLIENT if balancer == "service" else OUTSIDE]
    assert result["late"] == 0
    assert set(result["ends"]) == {"clean"}
    assert result["clients"] == [5500, 0, 0]
    kept = result["kept"]
    assert result["counted"] == {
        "connections": 5500 + kept, "lines": 5500 + 2 * kept, "reasons": ["eof"], "bare": 200
    }  # fmt: skip


@pytest.mark.proof
@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
def test_stop(tmp_path: Path, balancer: str) -> None:
    """A node that is stopped without being taken out refuses in time: all its clients go to the other node."""
    result = play("stop", balancer, tmp_path)
    completed, refused, broken = result["clients"]
    # On a busy machine a line may come when the node waits no longer.
    assert (completed + broken, refused, broken) == (4020, 0, result["late"])
    assert_counted(result["counted"], completed, broken)


def assert_counted(counted: dict[str, Any], completed: int, late: int) -> None:
    """Check that each client that came to its end was counted once, and of those that came too late none twice."""
    assert completed <= counted["lines"] <= counted["connections"] <= completed + late
    assert (set(counted["reasons"]) - ({"shutdown"} if late else set()), counted["bare"]) == ({"eof"}, 0)


@pytest.mark.proof
@pytest.mark.parametrize("balancer", ["ecmp", "service"])
def test_stop_without_retries(tmp_path: Path, balancer: str) -> None:
    """Where nothing retries, late clients of a node that stops are refused; none is reset, and all others count."""
    result = play("stop", balancer, tmp_path)
    completed, refused, broken = result["clients"]
    assert broken == result["late"]
    assert completed + refused + broken == 4020
    assert_counted(result["counted"], completed, broken)


@pytest.mark.proof
def test_routes_of_equal_cost(tmp_path: Path) -> None:
    """Without a balancer's state all is counted once, but what a node still has open when it is taken out breaks."""
    result = play("drain", "ecmp", tmp_path)
    assert all(number > 0 for row in result["spread"] for number in row)
    assert result["peers"] == [CLIENT]
    assert result["late"] == 0
    assert set(result["ends"]) == {"clean", "broken"}
    completed, refused, broken = result["clients"]
    assert (completed + broken, refused) == (5500, 0)
    counted, kept = result["counted"], result["kept"]
    assert completed <= counted["connections"] - kept <= 5500
    clean = result["ends"].count("clean")
    assert completed + kept + clean <= counted["lines"] <= 5500 + kept + clean


@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
def test_half_close(tmp_path: Path, balancer: str) -> None:
    """The end that a client sees after its half-close is the node's, as long as the configuration says so."""
    assert play("held", balancer, tmp_path) == {
        "early": False,
        "confirmed": True,
        "counted": {"connections": 21, "lines": 21, "reasons": ["eof"], "bare": 0},
    }


@pytest.mark.proof
def test_nginx_without_half_close(tmp_path: Path) -> None:
    """By default nginx ends a connection whose client half-closes before any node has read it."""
    assert play("hasty", "nginx", tmp_path) == {
        "early": True,
        "confirmed": False,
        "counted": {"connections": 21, "lines": 21, "reasons": ["eof"], "bare": 0},
    }


def test_checks(tmp_path: Path) -> None:
    """Checks of a page, and handshakes that are not completed, count nothing; any other check of a port is a client."""
    result = play("checks", "plain", tmp_path)
    assert result["page"]["opened"] > 0
    assert result["page"]["lines"] == result["page"]["bare"] == {}
    assert result["connect"]["given up"] > 0
    lines, bare, opened = added(result, "page", "connect")
    # On a busy machine the kernel completes a handshake before HAProxy gives it up.
    assert lines.total() + bare.total() == opened
    lines, bare, opened = added(result, "connect", "send")
    assert (set(lines), set(bare)) == ({"reset"}, {"counted"})
    assert lines.total() + bare.total() == opened > 0


def added(result: dict[str, Any], before: str, kind: str) -> tuple[Counter[str], Counter[str], float]:
    """Return what a kind of checks has added to both ports, by reason, and how many connections it has opened."""
    first, then = result[before], result[kind]
    lines, bare = (Counter(then[name]) - Counter(first[name]) for name in ("lines", "bare"))
    return lines, bare, then["opened"] - first["opened"]


def test_checks_with_a_header(tmp_path: Path) -> None:
    """With the header of the PROXY protocol checks of a port for lines say what they are, and are counted as that."""
    result = play("checks", "haproxy", tmp_path)
    assert result["page"]["lines"] == result["page"]["bare"] == {}
    lines, bare, opened = added(result, "page", "connect")
    assert set(lines) == {"proxy_check"}
    assert lines.total() + bare.total() == opened
    # Rules of one's own do not send it, unless they are told to: `tcp-check connect send-proxy`.
    lines, bare, opened = added(result, "connect", "send")
    assert (set(lines), set(bare)) == ({"bad_proxy_header"}, {"counted"})
    assert lines.total() + bare.total() == opened > 0


@pytest.mark.proof
@pytest.mark.parametrize(
    "balancer, kept", [("haproxy", "clean"), ("nginx", "clean"), ("service", "clean"), ("plain", "broken")]
)
def test_places(tmp_path: Path, balancer: str, kept: str) -> None:
    """A client that takes all places loses only its own, if the balancer says whose connections they are."""
    assert play("places", balancer, tmp_path) == {"kept": kept}
