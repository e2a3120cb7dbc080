"""The doctor asked about a running service."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.functional.conftest import ServiceMaker
from tests.functional.service import DATAGRAMS, LINES, Service, script
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


def datagram_socket(folder: Path) -> str:
    """Return the endpoint of a Unix datagram socket."""
    return f"unixgram:{folder}/datagrams"


def test_status_url(start_service: ServiceMaker, tmp_path: Path) -> None:
    """Over the status page the doctor takes the ports, the workers and whose sockets they are."""
    service = start_service(workers=2, listen=(LINES, DATAGRAMS, datagram_socket(tmp_path)))
    found = doctor("--status-url", f"http://127.0.0.1:{service.http_port}")
    target = found["target"]
    assert (target["tcp_ports"], target["udp_ports"]) == (ports(service, "tcp"), ports(service, "udp"))
    assert target["unixgram"] == [f"{tmp_path}/datagrams"]
    assert target["workers"] == 2
    checks = {check["id"]: check for check in found["checks"]}
    assert checks["accept.foreign"]["verdict"] == "ok"
    assert checks["accept.backlog"]["verdict"] != "unknown"


def test_pid(start_service: ServiceMaker, tmp_path: Path) -> None:
    """From the supervisor's process it finds the same, and not the port of the web pages."""
    service = start_service(workers=2, listen=(LINES, DATAGRAMS, datagram_socket(tmp_path)))
    target = doctor("--pid", str(service.process.pid))["target"]
    assert (target["tcp_ports"], target["udp_ports"]) == (ports(service, "tcp"), ports(service, "udp"))
    assert target["workers"] == 2
    assert target["unixgram"] == [f"{tmp_path}/datagrams"]
