"""Clients that send batches, and are told which are stored: each counts once, whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from statsd_tcp.crash_points import VARIABLE
from tests.certificates import Authority
from tests.functional.batching import BatchClient, Stored
from tests.functional.clients import connect, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import held
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE, until

STORED = f"tcp:0:{LOOPBACK}:name=lines:confirm=stored"
LINE = b"hits:1|c\n"


ClientMaker = Callable[[Service | Callable[[], socket.socket]], BatchClient]


@pytest.fixture
def new_client() -> Iterator[ClientMaker]:
    """Return a function that makes a client of a service, or with a function that connects. It connects when needed."""
    made: list[BatchClient] = []

    def make(where: Service | Callable[[], socket.socket]) -> BatchClient:
        made.append(BatchClient((lambda: connect(where.port("lines"))) if isinstance(where, Service) else where))
        return made[-1]

    yield make
    for client in made:
        client.break_off()


def settled(*clients: BatchClient) -> int:
    """Let clients go on until all is answered; return how many batches they know to be stored."""
    for client in clients:
        assert client.settle(PATIENCE), client.unanswered
    return sum(len(client.stored) for client in clients)


def hits(service: Service) -> float:
    """Return the total of the counter."""
    return sum(service.metrics().values("hits"))


def outcomes(service: Service) -> dict[str, float]:
    """Return what became of batches."""
    return service.metrics().by("statscounter_batches_total", "outcome")


@pytest.fixture(scope="module", params=[2], ids=["2 workers"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service for all tests that do it no lasting harm, with listeners of each kind."""
    folder = tmp_path_factory.mktemp("confirm")
    good = str(Authority(folder).issue("good"))
    listen = (
        STORED,
        f"unix:{folder}/s:name=unix:confirm=stored",
        f"ssl:0:{LOOPBACK}:privateKey={good}:certKey={good}:name=tls:confirm=stored",
        f"tcp:0:{LOOPBACK}:name=proxied:proxy=v1:trust=127.0.0.0/8:confirm=stored",
    )
    service = Service(folder / "service", options(folder / "service" / "state", workers=request.param, listen=listen))
    service.start()
    yield service
    service.end()


def test_stored(shared: Service, new_client: ClientMaker) -> None:
    """A client hears how many of its lines are good and bad, and then the totals have them; others count as ever."""
    before = hits(shared)
    client = new_client(shared)
    client.add(LINE + b"g:5|g\n\nnonsense\n")
    client.add(LINE * 10_000)
    settled(client)
    assert client.stored == [Stored(1, 2, 1), Stored(2, 10_000, 0)]
    assert hits(shared) - before == 10_001
    half_close(shared.port("lines"), LINE)
    shared.wait_for(before + 10_002, "hits")
    assert client.node in shared.page("/metrics").text


def connect_unix(path: str) -> socket.socket:
    """Connect to a Unix socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def connect_tls(port: int) -> socket.socket:
    """Connect with TLS, to whom it may be."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connect(port))


def connect_proxied(port: int) -> socket.socket:
    """Connect as a balancer does."""
    connection = connect(port)
    connection.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
    return connection


def test_kinds_of_listeners(shared: Service, new_client: ClientMaker) -> None:
    """It is the same over Unix sockets, TLS, and behind a balancer."""
    path = next(word for word in shared.command if "name=unix" in word).split(":")[1]
    before = hits(shared)
    for make in (
        lambda: connect_unix(path),
        lambda: connect_tls(shared.port("tls")),
        lambda: connect_proxied(shared.port("proxied")),
    ):
        client = new_client(make)
        client.add(LINE)
        assert settled(client) == 1
        client.break_off()
    assert hits(shared) - before == 3


def test_refused(shared: Service) -> None:
    """What is no batch is refused: nothing of it counts, the reason does, and the status has an example."""
    before, refused = hits(shared), outcomes(shared).get("refused", 0)
    with connect(shared.port("lines")) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"!hello 1 " + b"0" * 32 + b"\n" + LINE + b"!batch 1 1 00000000\n")
        assert answers.readlines()[1:] == [b"!refused 1 crc\n"]
    metrics = shared.wait_for(1, "statscounter_batches_refused_total", reason="crc")
    assert hits(shared) == before
    assert metrics.by("statscounter_batches_total", "outcome")["refused"] == refused + 1
    assert "!batch 1 1 00000000" in shared.page("/api/v1/status").text


def test_answers_swallowed(shared: Service, new_client: ClientMaker) -> None:
    """A client that lost its connection with the answers sends again, and is told; nothing counts twice."""
    before, repeated = hits(shared), outcomes(shared).get("repeated", 0)
    client = new_client(shared)
    for number in range(3):
        client.add(LINE)
        while client.under_way < client.unanswered:
            client.work()
        shared.wait_for(before + number + 1, "hits")
        client.break_off()
    assert settled(client) == 3
    assert hits(shared) - before == 3
    assert outcomes(shared).get("repeated", 0) > repeated


def test_killed_worker(shared: Service, new_client: ClientMaker) -> None:
    """What only the journal of a dead worker has counts once, though its client sends it again."""
    before, stored = hits(shared), outcomes(shared).get("stored", 0)
    clients = [new_client(shared) for _ in range(4)]
    for client in clients:
        client.add(LINE)
    settled(*clients)
    pids = shared.worker_pids()
    with held(shared.process.pid):
        for client in clients:
            client.add(LINE)
            client.work(0.05)
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        for client in clients:
            client.work(0.05)
    assert settled(*clients) == 8
    assert hits(shared) - before == 8
    assert outcomes(shared)["stored"] - stored == 8


@pytest.mark.parametrize(
    "point",
    [
        "after-frame:20",
        "after-commit:3",
        pytest.param("before-commit:3", marks=pytest.mark.proof),
        pytest.param("before-release:3", marks=pytest.mark.proof),
    ],
)
def test_crash_points(start_service: ServiceMaker, new_client: ClientMaker, point: str, tmp_path: Path) -> None:
    """Processes die at the worst moments, and start again: the books of the clients are equal to the totals."""
    service = start_service(workers=2, listen=(STORED,), count=(), environ={VARIABLE: f"{point}@{tmp_path / 'armed'}"})
    (tmp_path / "armed").touch()
    # As many batches as they may have under way do not kill a worker each time.
    clients = [new_client(service) for _ in range(2)]
    for _ in range(15):
        for client in clients:
            client.add(LINE)
            client.work(0.03)
    if "commit" in point:
        until(lambda: service.process.poll() is not None, "the supervisor is dead")
        del service.environ[VARIABLE]
        service.start_again()
    assert settled(*clients) == 30
    assert hits(service) == 30


def test_reload(shared: Service, new_client: ClientMaker) -> None:
    """A connection goes on over a reload, and its batches are confirmed; so are those of new connections."""
    before, reloads = hits(shared), shared.log.count("the reload is complete")
    client, other = new_client(shared), new_client(shared)
    for number in range(4):
        client.add(LINE)
        client.work(0.05)
        if number == 1:
            os.kill(shared.process.pid, signal.SIGHUP)
    until(lambda: shared.log.count("the reload is complete") > reloads, "the reload is complete")
    client.add(LINE)
    other.add(LINE)
    assert settled(client, other) == 6
    assert (client.breaks, hits(shared) - before) == (0, 6)


def test_stop(start_service: ServiceMaker, new_client: ClientMaker) -> None:
    """A batch that was read is confirmed before the service ends; the next start knows it."""
    service = start_service(listen=(STORED,), count=())
    client = new_client(service)
    client.add(LINE)
    client.work(0.02)
    os.kill(service.process.pid, signal.SIGTERM)
    client.work(0.5)
    if client.unanswered:
        client.break_off()
    assert service.process.wait(PATIENCE) is not None
    service.start_again()
    client.add(LINE)
    assert settled(client) == 2
    assert hits(service) == 2
