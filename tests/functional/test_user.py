"""Started as root, run as somebody else: what was bound before is all that there is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.clients import bare, datagram, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.load import Load
from tests.functional.service import Service
from tests.functional.waiting import until

NOBODY = 65534

LINE = b"hits:1|c\n"


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a folder that belongs to nobody, or skip the test where nobody can't run this Python."""
    if os.geteuid():
        pytest.skip("needs root")
    command = [sys.executable, "-c", "import twisted, statsd_tcp"]
    folder = str(Path(__file__).parents[2])
    try:
        able = subprocess.run(command, user=NOBODY, group=NOBODY, cwd=folder, capture_output=True, check=False)
    except PermissionError:
        able = None
    if able is None or able.returncode:
        pytest.skip("this Python is closed to other users")
    with tempfile.TemporaryDirectory(prefix="statscounter-test-") as made:
        for path in (Path(made), Path(made) / "state", Path(made) / "state" / "ledgers"):
            path.mkdir(exist_ok=True)
            os.chown(path, NOBODY, NOBODY)
        yield Path(made)


def workers(service: Service, file: Path, number: int) -> None:
    """Reload with another number of workers."""
    complete = service.log.count("the reload is complete")
    file.write_text(f"workers = {number}\n")
    os.kill(service.process.pid, signal.SIGHUP)
    until(lambda: service.log.count("the reload is complete") > complete, "the reload is complete")
    until(lambda: len(service.worker_pids()) == number, f"{number} workers")


def test_grow_and_shrink(home: Path, make_service: ServiceMaker) -> None:
    """After a change of user there can be more workers, on TCP; the datagrams stay with those that were there."""
    file = home / "statscounter.toml"
    file.write_text("workers = 2\n")
    program = ("twistd", "-n", "--pidfile=", f"--uid={NOBODY}", f"--gid={NOBODY}")
    service = make_service(
        program=program, more=[f"--config={file}", f"--state-dir={home}/state"], without=["--workers"]
    )
    service.start()
    assert Path(f"/proc/{service.process.pid}").stat().st_uid == NOBODY
    lines, port = service.port("lines"), service.port("bare")
    with Load(lambda: half_close(lines, LINE)) as load, Load(lambda: bare(port), 1) as bares:
        for number in (4, 1, 5, 2):
            workers(service, file, number)
    datagram(service.port("datagrams"), LINE)
    assert (load.sent.failed, bares.sent.failed) == ([], [])
    service.wait_for(load.completed + 1, "hits")
    metrics = service.settled()
    assert metrics.total("hits") == load.completed + 1
    assert (metrics.accepted("lines"), metrics.accepted("bare")) == (load.completed, bares.completed)
    assert "as datagrams" in service.log
    assert "has no socket of udp:0:" in service.log
    file.write_text("workers = 65\n")
    os.kill(service.process.pid, signal.SIGHUP)
    until(lambda: "the reload is refused" in service.log, "it is refused")
    assert "and no more can be bound" in service.log
    workers(service, file, 6)


def test_each_takes_its_share(home: Path, make_service: ServiceMaker) -> None:
    """The workers that came later get connections."""
    file = home / "statscounter.toml"
    file.write_text("workers = 1\n")
    program = ("twistd", "-n", "--pidfile=", f"--uid={NOBODY}", f"--gid={NOBODY}")
    service = make_service(
        program=program, more=[f"--config={file}", f"--state-dir={home}/state"], without=["--workers"]
    )
    service.start()
    workers(service, file, 3)
    with service.workers_held():
        clients = [socket.create_connection(("127.0.0.1", service.port("bare"))) for _ in range(120)]
        queues = next(one["queues"] for one in service.status()["listeners"] if one["label"] == "bare")
        # The chance that the kernel's hash gives none of 120 to one of three is 1e-21.
        assert min(queue["length"] for queue in queues) > 0
    for client in clients:
        client.close()
    service.wait_for(120, "statscounter_connections_total", listener="bare")
