"""Every transport but plain TCP: Unix sockets, packets with lengths, TLS, and UDP beyond its buffer. Exact counts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.functional.clients import ENDLESS, Burst, unix_client
from tests.functional.metrics import Difference, Metrics
from tests.functional.processes import descriptors
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE, until
from tests.short import make_short_folder

ServiceMaker = Callable[..., Service]

NUMBER = 300


WITH_THREE = pytest.mark.parametrize("service", [3], indirect=True, ids=["3 workers"])
WITH_ONE_AND_THREE = pytest.mark.parametrize("service", [1, 3], indirect=True, ids=["1 worker", "3 workers"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that signs certificates."""
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", params=[1], ids=["1 worker"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Service]:
    """Yield a service with that many workers and a listener of each kind, and see its sockets' files go in the end."""
    folder, sockets = tmp_path_factory.mktemp("service"), make_short_folder()
    key = authority.issue("server")
    listen = [
        f"unix:{sockets}/s:name=unix:mode=600",
        f"unix:@statscounter-test-{os.getpid()}-{request.param}:name=abstract",
        f"unix:{sockets}/l:name=lengths:framing=length:dialect=dogstatsd",
        f"unixgram:{sockets}/d:name=datagrams:mode=666",
        f"ssl:0:{LOOPBACK}:privateKey={key}:name=tls",
        f"ssl:0:{LOOPBACK}:privateKey={key}:clientCA={authority.path}:name=clients",
        f"udp:0:{LOOPBACK}:name=small:rcvbuf=8192",
    ]
    made = Service(folder, options(folder / "state", workers=request.param, listen=listen, count=()))
    try:
        yield made.start()
        made.stop()
        assert list(sockets.iterdir()) == []
    finally:
        made.end()
        shutil.rmtree(sockets)


def path_of(service: Service, label: str) -> str:
    """Return the path of a socket, or its abstract name behind an ``@``."""
    return next(word for word in service.command if f":name={label}" in word).split(":")[1]


def packet(data: bytes) -> bytes:
    """Write a packet with its length."""
    return struct.pack("<I", len(data)) + data


def tls_client(port: int, context: ssl.SSLContext, data: bytes) -> None:
    """Send everything over TLS, and end it as TLS wants it."""
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(data)
        client.unwrap()


@WITH_ONE_AND_THREE
def test_unix_stream(service: Service) -> None:
    """All workers share one socket; every connection and line on it counts once."""
    before, path = service.metrics(), path_of(service, "unix")
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    outcome = Burst(lambda: unix_client(path, b"a:1|c\nb:2|c"), NUMBER).run()
    assert outcome == (NUMBER, 0, 0)
    metrics = service.settled()
    added = Difference(before, metrics)
    assert added.connections("unix") == (NUMBER, {"eof": NUMBER})
    assert added.lines("unix")[0] == 2 * NUMBER
    assert (added.total("a"), added.total("b")) == (NUMBER, 2 * NUMBER)
    assert metrics.total("statscounter_accept_queue_length", listener="unix", worker="shared") == 0


def test_unix_stream_abstract(service: Service) -> None:
    """A name without a file works alike."""
    before = service.metrics()
    for _ in range(10):
        unix_client(path_of(service, "abstract").replace("@", "\0"), b"a:1|c\n")
    assert Difference(before, service.settled()).connections("abstract") == (10, {"eof": 10})


def test_unix_stream_that_stays(service: Service, tmp_path: Path) -> None:
    """A client that stays is served by the reactor; descriptors that it sends along are closed, not kept."""
    before = service.metrics()
    lines = before.total("statscounter_lines_total", listener="unix")
    (worker,) = service.worker_pids().values()
    with socket.socket(socket.AF_UNIX) as client, (tmp_path / "sent-along").open("wb") as sent:
        client.connect(path_of(service, "unix"))
        client.sendall(b"a:1|c\n")
        service.wait_for(lines + 1, "statscounter_lines_total", listener="unix")
        for _ in range(20):
            socket.send_fds(client, [b"a:1|c\n"], [sent.fileno()] * 3)
        service.wait_for(lines + 21, "statscounter_lines_total", listener="unix")
        assert not [link for link in descriptors(worker).values() if "sent-along" in link]
    assert Difference(before, service.settled()).connections("unix") == (1, {"eof": 1})


@WITH_THREE
def test_worker_killed(service: Service) -> None:
    """When a worker is killed in a burst no client is refused, and all but what it had in hand is served."""
    before, path = service.metrics(), path_of(service, "unix")
    burst = Burst(lambda: unix_client(path, b"a:1|c\n"), 4 * NUMBER).start()
    until(lambda: burst.done > NUMBER, "the burst has begun")
    victim = service.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    outcome = burst.join()
    until(lambda: service.worker_pids().get(0, victim) != victim, "the worker was replaced")
    until(lambda: len(service.ledgers) == 3, "the dead one's journal is read")
    added = Difference(before, service.settled())
    assert outcome.refused == 0
    accepted, closed = added.connections("unix")
    # One may have been accepted and not counted yet.
    assert 4 * NUMBER - 1 <= accepted <= 4 * NUMBER
    lost = closed.get("killed", 0) + 4 * NUMBER - accepted
    assert outcome.broken <= lost
    assert 4 * NUMBER - lost <= added.total("a") <= 4 * NUMBER


def test_stop_under_load(start_service: ServiceMaker, folder: Path) -> None:
    """A stop under load cuts off no client of a Unix socket: those that come too late are refused, and all counted."""
    service = start_service(workers=2, listen=[f"unix:{folder}/s:name=stream"])
    before = service.metrics()
    burst = Burst(lambda: unix_client(f"{folder}/s", b"a:1|c\n"), ENDLESS).start()
    burst.reach(500)
    service.stop()
    until(lambda: burst.refused, "one has come too late")
    completed, _, broken = burst.stop().join()
    assert broken == 0
    added = Difference(before, service.start().metrics())
    assert added.connections("stream")[0] == added.total("a") == completed


def test_killed_service(start_service: ServiceMaker, folder: Path) -> None:
    """A killed service leaves its files behind, and the next start replaces them; a stop removes them."""
    endpoints = [f"unix:{folder}/s:name=stream", f"unixgram:{folder}/d:name=datagrams"]
    service = start_service(listen=endpoints)
    service.kill()
    service.wait_ended()
    assert Path(folder, "s").is_socket()
    assert Path(folder, "d").is_socket()
    service.start()
    unix_client(f"{folder}/s", b"a:1|c\n")
    assert service.settled().accepted("stream") == 1
    service.stop()
    assert list(folder.iterdir()) == []


@WITH_ONE_AND_THREE
def test_unix_datagrams(service: Service) -> None:
    """Every datagram counts once, whichever worker reads them; a client that waits loses none."""
    before = service.metrics()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(path_of(service, "datagrams"))
        for _ in range(10 * NUMBER):
            client.send(b"a:1|c\nb:1|c")
    added = Difference(before, all_lines(service, before, 20 * NUMBER))
    assert added.total("statscounter_datagrams_total", listener="datagrams") == 10 * NUMBER
    assert (added.total("a"), added.total("b")) == (10 * NUMBER, 10 * NUMBER)
    assert added.total("statscounter_receive_drops_total", listener="datagrams") == 0


def all_lines(service: Service, before: Metrics, number: int) -> Metrics:
    """Wait until this many lines have come over the datagram socket, and give the scrape that says so."""
    name, listener = "statscounter_lines_total", "datagrams"
    return service.wait_for(before.total(name, listener=listener) + number, name, listener=listener)


@WITH_THREE
def test_order_of_gauges(service: Service) -> None:
    """Of a gauge that one client sets again and again over a datagram socket the last setting stays."""
    before = service.metrics()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(path_of(service, "datagrams"))
        for number in range(NUMBER + 1):
            client.send(b"order:%d|g" % number)
    assert all_lines(service, before, NUMBER + 1).total("order") == NUMBER


@WITH_THREE
def test_lengths(service: Service) -> None:
    """Packets with their lengths count, from short and from staying clients; a wrong length ends a connection."""
    before, path = service.metrics(), path_of(service, "lengths")
    data = packet(b"a:1|c\nb:1|c") + packet(b"g:-5|g")
    assert Burst(lambda: unix_client(path, data), 50).run() == (50, 0, 0)
    # How the end looks to such a client depends on how much of what it sent was read.
    with suppress(OSError, AssertionError):
        unix_client(path, b"a:1|c\n" * 10000)
    metrics = service.settled()
    added = Difference(before, metrics)
    assert added.connections("lengths") == (51, {"eof": 50, "error": 1})
    assert (added.total("a"), added.total("b"), metrics.total("g")) == (50, 50, -5)
    assert added.by("statscounter_bad_lines_total", "reason") == {"malformed_line": 1}


@WITH_THREE
def test_tls(service: Service, authority: Authority) -> None:
    """Lines over TLS count; clients that cannot do it are counted as errors."""
    before, port = service.metrics(), service.port("tls")
    context = ssl.create_default_context(cafile=str(authority.path))
    assert Burst(lambda: tls_client(port, context, b"a:1|c\nb:1|c"), 40).run() == (40, 0, 0)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        plain.sendall(b"a:1|c\n")
        failed = before.closed("tls").get("error", 0) + 1
        service.wait_for(failed, "statscounter_connections_closed_total", listener="tls", reason="error")
    added = Difference(before, service.settled())
    assert added.connections("tls") == (41, {"eof": 40, "error": 1})
    assert (added.total("a"), added.total("b")) == (40, 40)


def test_tls_with_certificates_of_clients(service: Service, authority: Authority) -> None:
    """With an authority for clients only those count whom it has signed."""
    before, port, good = service.metrics(), service.port("clients"), authority.issue("client")
    context = ssl.create_default_context(cafile=str(authority.path))
    # In TLS 1.3 the client's handshake is through before the server has seen its certificate.
    with suppress(OSError):
        tls_client(port, context, b"a:1|c\n")
    failed = before.closed("clients").get("error", 0) + 1
    service.wait_for(failed, "statscounter_connections_closed_total", listener="clients", reason="error")
    context.load_cert_chain(good)
    tls_client(port, context, b"b:1|c\n")
    added = Difference(before, service.settled())
    assert added.connections("clients") == (2, {"eof": 1, "error": 1})
    assert added.by("statscounter_samples_total", "type") == {"c": 1}


def test_stop_with_tls(start_service: ServiceMaker, authority: Authority) -> None:
    """A stop reads what TLS clients that stay have sent, and does not wait for them to agree to the end."""
    certificate = authority.issue("server")
    service = start_service(listen=[f"ssl:0:{LOOPBACK}:privateKey={certificate}:name=tls"])
    context = ssl.create_default_context(cafile=str(authority.path))
    plain = socket.create_connection(("127.0.0.1", service.port("tls")), PATIENCE)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(b"a:1|c\n")
        service.wait_for(1, "statscounter_lines_total", listener="tls")
        assert service.stop() == -signal.SIGTERM
    assert "did not finish in time" not in service.log


def test_overflow(service: Service) -> None:
    """Of datagrams that found no room in the receive buffer every one is counted as dropped by the kernel."""
    before = service.metrics()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", service.port("small")))
        with service.workers_held():
            for _ in range(1000):
                client.send(b"a:1|c")

    def numbers() -> tuple[float, float]:
        added = Difference(before, service.metrics())
        read = added.total("statscounter_datagrams_total", listener="small")
        return read, added.total("statscounter_receive_drops_total", listener="small")

    until(lambda: sum(numbers()) == 1000, "every datagram is read or dropped")
    read, dropped = numbers()
    assert read > 0
    assert dropped > 500
    assert Difference(before, service.settled()).total("a") == read
