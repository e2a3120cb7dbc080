"""The doctor asked about a running service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.service import DATAGRAMS, LINES, Service, options, script
from tests.functional.waiting import PATIENCE


def doctor(*arguments: str) -> dict[str, Any]:
    """Run the doctor as a user does."""
    command = [script("python"), "-m", "statsd_tcp.commands.main", "doctor", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode in {0, 1, 2}, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ports(service: Service, scheme: str) -> list[int]:
    """Return the service's own word on its ports."""
    return sorted(one["port"] for one in service.status()["listeners"] if one["scheme"] == scheme)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield the service that is asked about, with a Unix datagram socket in its folder."""
    folder = tmp_path_factory.mktemp("service")
    listen = (LINES, DATAGRAMS, f"unixgram:{folder}/datagrams")
    made = Service(folder, options(folder / "state", workers=2, listen=listen))
    try:
        yield made.start()
    finally:
        made.end()


def test_status_url(service: Service) -> None:
    """Over the status page the doctor takes the ports, the workers and whose sockets they are."""
    found = doctor("--status-url", f"http://127.0.0.1:{service.http_port}")
    target = found["target"]
    assert (target["tcp_ports"], target["udp_ports"]) == (ports(service, "tcp"), ports(service, "udp"))
    assert target["unixgram"] == [f"{service.folder}/datagrams"]
    assert target["workers"] == 2
    checks = {check["id"]: check for check in found["checks"]}
    assert checks["accept.foreign"]["verdict"] == "ok"
    assert checks["accept.backlog"]["verdict"] != "unknown"


def test_pid(service: Service) -> None:
    """From the supervisor's process it finds the same, and not the port of the web pages."""
    target = doctor("--pid", str(service.process.pid))["target"]
    assert (target["tcp_ports"], target["udp_ports"]) == (ports(service, "tcp"), ports(service, "udp"))
    assert target["workers"] == 2
    assert target["unixgram"] == [f"{service.folder}/datagrams"]
