"""Workers that are kept on processors, and connections that go to the one that received them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.clients import bare
from tests.functional.conftest import ServiceMaker
from tests.functional.service import Service
from tests.functional.waiting import until

CLIENTS = 30
CPUS = sorted(os.sched_getaffinity(0))[:2]

pytestmark = pytest.mark.skipif(len(CPUS) == 1, reason="needs two processors")


@contextmanager
def on(cpu: int) -> Iterator[None]:
    """Run on one processor: on loopback that is the one that receives what is sent."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def allowed_cpus(pid: int) -> str:
    """Return the processors that a process may use, as the kernel writes them."""
    found = re.search(r"^Cpus_allowed_list:\s+(\S+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return found[1]


def accepted(service: Service) -> dict[str, float]:
    """Return the connections that each worker has accepted."""
    found = service.metrics().by("statscounter_connections_total", "worker", listener="bare")
    return {"0": 0.0, "1": 0.0, **found}


def taken_by(service: Service, cpu: int) -> list[float]:
    """Connect from a processor, and give how many of these connections each worker has accepted."""
    before, port = accepted(service), service.port("bare")
    with on(cpu):
        for _ in range(CLIENTS):
            bare(port)
    service.wait_for(sum(before.values()) + CLIENTS, "statscounter_connections_total", listener="bare")
    after = accepted(service)
    return [after[worker] - before[worker] for worker in ("0", "1")]


def reload(service: Service) -> None:
    """Have it read its configuration again, and wait until all workers are new."""
    done = service.log.count("the reload is complete")
    service.process.send_signal(signal.SIGHUP)
    until(lambda: service.log.count("the reload is complete") > done, "the reload is complete")
    until(service.is_ready, "the service is ready")


def test_pinned(start_service: ServiceMaker) -> None:
    """Each worker stays on one processor, says so in the status, and its successor takes the same one."""
    service = start_service(workers=2, more=["--pin"])
    assert [allowed_cpus(pid) for pid in service.worker_pids().values()] == [str(cpu) for cpu in CPUS]
    assert [worker["cpu"] for worker in service.status()["workers"]] == CPUS
    assert len(os.sched_getaffinity(service.process.pid)) > 1
    killed = service.worker_pids()[1]
    os.kill(killed, signal.SIGKILL)
    until(lambda: service.worker_pids().get(1, killed) != killed and service.is_ready(), "there is a successor")
    assert allowed_cpus(service.worker_pids()[1]) == str(CPUS[1])


def test_within_the_mask(start_service: ServiceMaker) -> None:
    """Only processors that the service itself may use are given to workers."""
    service = start_service(workers=2, more=["--pin"], prefix=["taskset", "-c", str(CPUS[1])])
    assert [worker["cpu"] for worker in service.status()["workers"]] == [CPUS[1], CPUS[1]]


def test_steered(start_service: ServiceMaker) -> None:
    """The worker of the receiving processor gets the connection, also after it was replaced."""
    service = start_service(workers=2, more=["--pin", "--steer=cpu"])
    assert service.status()["steered_by"] == "cpu"
    assert [taken_by(service, cpu) for cpu in CPUS] == [[CLIENTS, 0], [0, CLIENTS]]
    killed = service.worker_pids()[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: service.worker_pids().get(0, killed) != killed and service.is_ready(), "there is a successor")
    assert taken_by(service, CPUS[0]) == [CLIENTS, 0]


@pytest.mark.proof
def test_reload(make_service: ServiceMaker, tmp_path: Path) -> None:
    """A reload switches both on and off, and steers on when there are more or fewer workers than before."""
    config = tmp_path / "service.toml"
    config.write_text("workers = 1\n")
    service = make_service(more=[f"--config={config}"], without=["--workers"]).start()
    assert service.status()["steered_by"] == "hash"
    config.write_text('workers = 2\npin = true\nsteer = "cpu"\n')
    reload(service)
    assert [worker["cpu"] for worker in service.status()["workers"]] == CPUS
    assert [taken_by(service, cpu) for cpu in CPUS] == [[CLIENTS, 0], [0, CLIENTS]]
    config.write_text('workers = 3\npin = true\nsteer = "cpu"\n')
    reload(service)
    config.write_text('workers = 2\npin = true\nsteer = "cpu"\n')
    reload(service)
    assert [taken_by(service, cpu) for cpu in CPUS] == [[CLIENTS, 0], [0, CLIENTS]]
    config.write_text("workers = 2\npin = false\n")
    reload(service)
    # Of 30 connections the hash gives none to one of two workers once in a billion times.
    assert 0 not in taken_by(service, CPUS[0])
    assert all(allowed_cpus(pid) == allowed_cpus(os.getpid()) for pid in service.worker_pids().values())
