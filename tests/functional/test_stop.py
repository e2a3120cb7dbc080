"""A stop counts all that had come, leaves nothing behind, and is over in time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.clients import ENDLESS, Burst, bare, connect, half_close, queue_up, read_end
from tests.functional.conftest import ServiceMaker
from tests.functional.metrics import Difference
from tests.functional.processes import held
from tests.functional.service import Service, options
from tests.functional.waiting import until

LINE = b"hits:1|c\n"


@pytest.fixture(scope="module", params=["2 workers"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that several tests stop."""
    folder = tmp_path_factory.mktemp("service")
    made = Service(folder, options(folder / "state", workers=int(request.param[0])))
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def service(shared: Service) -> Service:
    """Return that service, started again if the last test has left it stopped."""
    return shared if shared.process.poll() is None else shared.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(start_service: ServiceMaker, number: signal.Signals) -> None:
    """TERM and INT end the service by that signal, with nothing left of it but its state, and no error told."""
    service = start_service(workers=2)
    port = service.port("bare")
    assert Burst(lambda: bare(port), 50).run() == (50, 0, 0)
    # That of the reactor and that of the store: numpy has none of its own, however many processors there are. Pages
    # that were asked for would have one.
    assert len(list(Path(f"/proc/{service.process.pid}/task").iterdir())) == 2
    assert service.stop(number) == -number
    assert service.ledgers == []
    assert " error " not in service.log
    assert "Traceback" not in service.log


def test_what_waits_is_counted(service: Service) -> None:
    """Connections that wait in the queues at a stop are accepted, read and counted, and see a clean end."""
    before = service.settled()
    with service.workers_held():
        clients = [*queue_up(service.port("lines"), 40, LINE), *queue_up(service.port("bare"), 40)]
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.page("/readyz").text == "draining", "it drains")
    for client in clients:
        read_end(client)
    service.wait_ended()
    added = Difference(before, service.start().metrics())
    assert added.connections("lines") == (40, {"eof": 40})
    assert added.connections("bare") == (40, {"counted": 40})
    assert added.total("hits") == 40


def test_under_load(service: Service) -> None:
    """A stop under load resets no client: those that come too late are refused, and all others are counted."""
    before, port = service.settled(), service.port("lines")
    burst = Burst(lambda: half_close(port, LINE), ENDLESS).start()
    burst.reach(500)
    assert service.stop() == -signal.SIGTERM
    until(lambda: burst.refused, "one has come too late")
    completed, _, broken = burst.stop().join()
    assert broken == 0
    added = Difference(before, service.start().metrics())
    assert added.connections("lines")[0] == added.total("hits") == completed


def test_open_connections_are_read_and_closed(service: Service) -> None:
    """Connections that are open at a stop are read once more and then closed, which is counted."""
    before, name = service.settled(), "statscounter_received_bytes_total"
    clients = [connect(service.port("lines")) for _ in range(10)]
    for client in clients:
        client.sendall(LINE)
    service.wait_for(before.total(name, listener="lines") + 10 * len(LINE), name, listener="lines")
    with service.workers_held():
        for client in clients:
            client.sendall(LINE + b"half:1")
        service.process.send_signal(signal.SIGTERM)
    for client in clients:
        read_end(client)
    service.wait_ended()
    added = Difference(before, service.start().metrics())
    assert added.connections("lines") == (10, {"shutdown": 10})
    assert added.total("hits") == 20
    assert added.total("statscounter_bad_lines_total", reason="truncated") == 10


def test_pages_while_draining(service: Service) -> None:
    """While it drains the service is healthy but not ready, and its metrics can be read."""
    with service.workers_held():
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.page("/readyz")[::2] == (503, b"draining\n"), "it is not ready")
        assert service.page("/healthz").status == 200
        assert service.metrics().total("statscounter_workers", state="draining") == 2
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


def test_signals_to_workers(service: Service) -> None:
    """Signals that reach a worker, as those to a process group do, do not touch it."""
    hits, before = sum(service.metrics().values("hits")), service.worker_pids()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        for pid in before.values():
            os.kill(pid, number)
    half_close(service.port("lines"), LINE)
    service.wait_for(hits + 1, "hits")
    assert service.worker_pids() == before


def test_signal_to_the_group(service: Service) -> None:
    """An INT to the whole process group, as a terminal sends it, is a clean stop."""
    before, port = service.settled(), service.port("lines")
    assert Burst(lambda: half_close(port, LINE), 50).run() == (50, 0, 0)
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.wait_ended() == -signal.SIGINT
    assert service.ledgers == []
    assert Difference(before, service.start().metrics()).total("hits") == 50
