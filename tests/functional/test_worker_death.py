"""A worker that is killed costs the connections that it had open, and nothing else; another one takes its place."""

from __future__ import annotations

import os
import signal

from tests.functional.clients import Burst, Outcome, bare, connect, half_close, queue_up, read_end
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import held
from tests.functional.service import Service
from tests.functional.waiting import until

LINE = b"hits:1|c\n"


def kill_worker(service: Service, slot: int = 0) -> None:
    """Kill a worker, and wait until another one accepts in its place."""
    before = service.worker_pids()[slot]
    os.kill(before, signal.SIGKILL)
    until(lambda: service.worker_pids().get(slot, before) != before, "the worker is replaced")
    until(service.is_ready, "the new worker accepts")


def test_kill_between_two_bursts(start_service: ServiceMaker) -> None:
    """What a worker had counted is exact after its death, and its replacement goes on counting."""
    service = start_service(workers=2)
    lines, port = service.port("lines"), service.port("bare")
    for burst in (1, 2):
        assert Burst(lambda: bare(port), 200).run() == (200, 0, 0)
        assert Burst(lambda: half_close(lines, LINE), 200).run() == (200, 0, 0)
        service.wait_for(burst * 200, "statscounter_connections_closed_total", listener="lines")
        kill_worker(service, slot=burst - 1)
    metrics = service.settled()
    assert metrics.closed("bare") == {"counted": 400}
    assert metrics.closed("lines") == {"eof": 400}
    assert metrics.accepted("bare") == metrics.accepted("lines") == 400
    assert metrics.total("statscounter_lines_total", listener="lines") == metrics.total("hits") == 400
    assert metrics.by("statscounter_worker_restarts_total", "reason") == {"signal": 2}


def test_lines_of_a_dead_worker_are_recovered(start_service: ServiceMaker) -> None:
    """Lines that a worker had read but not handed over are read from its journal, each of them once."""
    service = start_service()
    port = service.port("lines")
    half_close(port, LINE)
    service.settled()
    # A supervisor that stands still cannot ask for them: they are in the journal only.
    worker = service.worker_pids()[0]
    with held(service.process.pid):
        assert Burst(lambda: half_close(port, LINE * 2), 150).run() == (150, 0, 0)
        os.kill(worker, signal.SIGKILL)
    metrics = service.wait_for(301, "hits")
    assert metrics.total("statscounter_recovered_lines_total") == 300
    metrics = service.settled()
    assert metrics.total("statscounter_recovered_lines_total") == 300
    assert metrics.total("statscounter_lines_total", listener="lines") == metrics.total("hits") == 301
    assert metrics.total("statscounter_received_bytes_total", listener="lines") == 301 * len(LINE)
    assert len(service.ledgers) == 1


def test_open_connections_of_a_dead_worker(start_service: ServiceMaker) -> None:
    """Connections that were open in a worker that dies are booked as killed, with the lines that they had finished."""
    service = start_service()
    clients = [connect(service.port("lines")) for _ in range(5)]
    for client in clients:
        client.sendall(LINE + b"hits:1")
    service.wait_for(5 * 14, "statscounter_received_bytes_total", listener="lines")
    assert _open(service, "lines") == 5
    kill_worker(service)
    for client in clients:
        read_end(client)
    metrics = service.settled()
    assert metrics.accepted("lines") == 5
    assert metrics.closed("lines") == {"killed": 5}
    assert metrics.total("statscounter_connections_open", listener="lines") == 0
    assert metrics.total("hits") == 5


def test_queue_of_a_dead_worker(start_service: ServiceMaker) -> None:
    """Connections that were not accepted when their worker died are served by the next one, without a reset."""
    service = start_service()
    lines, port = service.port("lines"), service.port("bare")
    worker = service.worker_pids()[0]
    with held(worker):
        clients = [*queue_up(port, 30), *queue_up(lines, 30, LINE)]
        os.kill(worker, signal.SIGKILL)
    for client in clients:
        read_end(client)
    metrics = service.wait_for(30, "hits")
    assert metrics.closed("bare") == {"counted": 30}
    assert metrics.closed("lines") == {"eof": 30}


def test_kills_during_a_burst_of_bare_connections(start_service: ServiceMaker) -> None:
    """Under kills no client is refused or cut off, and each kill costs at most the count of the connection in hand."""
    service = start_service(workers=2)
    port = service.port("bare")
    outcome, kills = _kill_during(service, Burst(lambda: bare(port), 1200))
    until(lambda: _open(service, "bare") == 0, "all connections have ended")
    assert outcome.refused == 0
    assert outcome.broken <= kills
    assert 1200 - kills <= service.metrics().accepted("bare") <= 1200


def test_kills_during_a_burst_of_lines(start_service: ServiceMaker) -> None:
    """Under kills no client is refused; only connections open in a dead worker are lost, and counted as that."""
    service = start_service(workers=2)
    port = service.port("lines")
    outcome, kills = _kill_during(service, Burst(lambda: half_close(port, LINE), 1200))
    until(lambda: _open(service, "lines") == 0, "all connections have ended")
    metrics = service.settled()
    closed = metrics.closed("lines")
    killed = closed.get("killed", 0)
    assert set(closed) <= {"eof", "killed"}
    assert outcome.refused == 0
    assert outcome.broken <= killed + kills
    assert 1200 - kills <= metrics.accepted("lines") <= 1200
    assert sum(closed.values()) == metrics.accepted("lines")
    # A connection that ended well has its line in the journal, one that was killed may have.
    assert closed["eof"] <= metrics.total("hits") <= closed["eof"] + killed
    assert metrics.total("statscounter_lines_total", listener="lines") == metrics.total("hits")


def test_health_of_a_worker_that_keeps_dying(start_service: ServiceMaker) -> None:
    """A worker that dies again and again makes the service unhealthy, until one has lived for a while."""
    service = start_service()
    seen: set[int] = set()

    def kill_until_unhealthy() -> bool:
        for pid in set(service.worker_pids().values()) - seen:
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
        return service.page("/healthz")[::2] == (503, b"worker 0 keeps dying\n")

    until(kill_until_unhealthy, "the service calls itself unhealthy")
    until(lambda: service.page("/healthz").status == 200, "it is healthy again")
    half_close(service.port("lines"), LINE)
    assert service.wait_for(1, "hits").total("hits") == 1


def _open(service: Service, listener: str) -> float:
    return service.metrics().total("statscounter_connections_open", listener=listener)


def _kill_during(service: Service, burst: Burst) -> tuple[Outcome, int]:
    burst.start()
    kills = 0
    for done in (150, 500, 850):
        burst.reach(done)
        kill_worker(service, slot=kills % 2)
        kills += 1
    return burst.join(), kills
