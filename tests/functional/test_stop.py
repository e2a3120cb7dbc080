"""A stop counts all that had come, leaves nothing behind, and is over in time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.functional.clients import Burst, bare, connect, half_close, queue_up, read_end
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import held
from tests.functional.waiting import until

LINE = b"hits:1|c\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(start_service: ServiceMaker, number: signal.Signals) -> None:
    """TERM and INT end the service by that signal, with nothing left of it but its state, and no error told."""
    service = start_service(workers=2)
    port = service.port("bare")
    assert Burst(lambda: bare(port), 50).run() == (50, 0, 0)
    # That of the reactor and that of the store: numpy has none of its own, however many processors there are.
    assert len(list(Path(f"/proc/{service.process.pid}/task").iterdir())) == 2
    assert service.stop(number) == -number
    assert service.ledgers == []
    assert " error " not in service.log
    assert "Traceback" not in service.log


def test_what_waits_is_counted(start_service: ServiceMaker) -> None:
    """Connections that wait in the queues at a stop are accepted, read and counted, and see a clean end."""
    service = start_service(workers=2)
    with service.workers_held():
        clients = [*queue_up(service.port("lines"), 40, LINE), *queue_up(service.port("bare"), 40)]
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.page("/readyz").text == "draining", "it drains")
    for client in clients:
        read_end(client)
    service.wait_ended()
    metrics = service.start().metrics()
    assert metrics.closed("lines") == {"eof": 40}
    assert metrics.closed("bare") == {"counted": 40}
    assert metrics.total("hits") == 40


def test_under_load(start_service: ServiceMaker) -> None:
    """A stop under load resets no client: those that come too late are refused, and all others are counted."""
    service = start_service(workers=2)
    port = service.port("lines")
    burst = Burst(lambda: half_close(port, LINE), 5000).start()
    burst.reach(500)
    assert service.stop() == -signal.SIGTERM
    completed, refused, broken = burst.join()
    assert broken == 0
    assert refused > 0
    metrics = service.start().metrics()
    assert metrics.accepted("lines") == metrics.total("hits") == completed


def test_open_connections_are_read_and_closed(start_service: ServiceMaker) -> None:
    """Connections that are open at a stop are read once more and then closed, which is counted."""
    service = start_service()
    clients = [connect(service.port("lines")) for _ in range(10)]
    for client in clients:
        client.sendall(LINE)
    service.wait_for(10 * len(LINE), "statscounter_received_bytes_total", listener="lines")
    with service.workers_held():
        for client in clients:
            client.sendall(LINE + b"half:1")
        service.process.send_signal(signal.SIGTERM)
    for client in clients:
        read_end(client)
    service.wait_ended()
    metrics = service.start().metrics()
    assert metrics.closed("lines") == {"shutdown": 10}
    assert metrics.total("hits") == 20
    assert metrics.total("statscounter_bad_lines_total", reason="truncated") == 10


def test_pages_while_draining(start_service: ServiceMaker) -> None:
    """While it drains the service is healthy but not ready, and its metrics can be read."""
    service = start_service()
    with service.workers_held():
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.page("/readyz")[::2] == (503, b"draining\n"), "it is not ready")
        assert service.page("/healthz").status == 200
        assert service.metrics().total("statscounter_workers", state="draining") == 1
    assert service.wait_ended() == -signal.SIGTERM


def test_second_signal(start_service: ServiceMaker) -> None:
    """A second signal ends everything at once, long before the drain time, and what was counted stays."""
    service = start_service(more=["--drain-timeout=3600"])
    port = service.port("bare")
    assert Burst(lambda: bare(port), 50).run() == (50, 0, 0)
    with service.workers_held():
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.page("/readyz").status == 503, "it drains")

        def insisted() -> bool:
            service.process.send_signal(signal.SIGINT)
            return service.process.poll() is not None

        until(insisted, "it has ended")
        assert service.wait_ended() == -signal.SIGINT
    assert service.start().metrics().accepted("bare") == 50


def test_drain_time_ends(start_service: ServiceMaker) -> None:
    """A worker that does not finish is killed when the drain time is over; its counts and lines are kept."""
    service = start_service(more=["--drain-timeout=1"])
    port = service.port("lines")
    with held(service.process.pid):
        assert Burst(lambda: half_close(port, LINE), 50).run() == (50, 0, 0)
    with service.workers_held():
        assert service.stop() == -signal.SIGTERM
    assert "did not finish in time" in service.log
    metrics = service.start().wait_for(50, "hits")
    assert metrics.accepted("lines") == sum(metrics.closed("lines").values()) == 50


def test_signals_to_workers(start_service: ServiceMaker) -> None:
    """Signals that reach a worker, as those to a process group do, do not touch it."""
    service = start_service()
    before = service.worker_pids()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(before[0], number)
    half_close(service.port("lines"), LINE)
    service.wait_for(1, "hits")
    assert service.worker_pids() == before


def test_signal_to_the_group(start_service: ServiceMaker) -> None:
    """An INT to the whole process group, as a terminal sends it, is a clean stop."""
    service = start_service(workers=2)
    port = service.port("lines")
    assert Burst(lambda: half_close(port, LINE), 50).run() == (50, 0, 0)
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.wait_ended() == -signal.SIGINT
    assert service.ledgers == []
    assert service.start().metrics().total("hits") == 50
