"""Every transport but plain TCP: Unix sockets, packets with lengths, TLS, and UDP beyond its buffer. Exact counts."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.functional.clients import Burst
from tests.functional.service import LOOPBACK, Service
from tests.functional.waiting import PATIENCE, until

ServiceMaker = Callable[..., Service]

NUMBER = 300


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that signs certificates."""
    return Authority(tmp_path)


def unix_client(path: str, data: bytes) -> None:
    """Send everything over a Unix stream socket, and wait for the server to close."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def packet(data: bytes) -> bytes:
    """Write a packet with its length."""
    return struct.pack("<I", len(data)) + data


def tls_client(port: int, context: ssl.SSLContext, data: bytes) -> None:
    """Send everything over TLS, and end it as TLS wants it."""
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(data)
        client.unwrap()


def tls_port(service: Service) -> int:
    """Return the port of the TLS listener."""
    (port,) = [one["port"] for one in service.status()["listeners"] if one["scheme"] == "ssl"]
    return int(port)


@pytest.mark.parametrize("workers", [1, 3])
def test_unix_stream(start_service: ServiceMaker, folder: Path, workers: int) -> None:
    """All workers share one socket; every connection and line on it counts once."""
    path = f"{folder}/s"
    service = start_service(workers=workers, listen=[f"unix:{path}:name=unix:mode=600"])
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    outcome = Burst(lambda: unix_client(path, b"a:1|c\nb:2|c"), NUMBER).run()
    assert outcome == (NUMBER, 0, 0)
    metrics = service.settled()
    assert metrics.accepted("unix") == NUMBER
    assert metrics.closed("unix") == {"eof": NUMBER}
    assert metrics.total("statscounter_lines_total", listener="unix") == 2 * NUMBER
    assert (metrics.total("a"), metrics.total("b")) == (NUMBER, 2 * NUMBER)
    assert metrics.total("statscounter_accept_queue_length", listener="unix", worker="shared") == 0
    service.stop()
    assert not Path(path).exists()


def test_unix_stream_abstract(start_service: ServiceMaker) -> None:
    """A name without a file works alike."""
    name = f"statscounter-test-{os.getpid()}"
    service = start_service(listen=[f"unix:@{name}"])
    for _ in range(10):
        unix_client(f"\0{name}", b"a:1|c\n")
    assert service.settled().accepted(f"unix:@{name}") == 10


def test_unix_stream_that_stays(start_service: ServiceMaker, folder: Path) -> None:
    """A client that stays is served by the reactor; descriptors that it sends along are closed, not kept."""
    path = f"{folder}/s"
    service = start_service(listen=[f"unix:{path}:name=unix"])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"a:1|c\n")
        service.wait_for(1, "statscounter_lines_total", listener="unix")
        before = open_descriptors(service)
        for _ in range(20):
            socket.send_fds(client, [b"a:1|c\n"], [0, 1, 2])
        service.wait_for(21, "statscounter_lines_total", listener="unix")
        assert open_descriptors(service) == before
    assert service.settled().closed("unix") == {"eof": 1}


def open_descriptors(service: Service) -> int:
    """Count the descriptors of the only worker."""
    (pid,) = service.worker_pids().values()
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_worker_killed(start_service: ServiceMaker, folder: Path) -> None:
    """When a worker is killed in a burst no client is refused, and all but what it had in hand is served."""
    path = f"{folder}/s"
    service = start_service(workers=2, listen=[f"unix:{path}:name=unix"])
    burst = Burst(lambda: unix_client(path, b"a:1|c\n"), 4 * NUMBER).start()
    until(lambda: burst.done > NUMBER, "the burst has begun")
    victim = service.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    outcome = burst.join()
    until(lambda: service.worker_pids().get(0, victim) != victim, "the worker was replaced")
    until(lambda: len(service.ledgers) == 2, "the dead one's journal is read")
    metrics = service.settled()
    assert outcome.refused == 0
    assert metrics.accepted("unix") == 4 * NUMBER
    killed = metrics.closed("unix").get("killed", 0)
    assert outcome.broken <= killed
    assert 4 * NUMBER - killed <= metrics.total("a") <= 4 * NUMBER


def test_killed_service(start_service: ServiceMaker, folder: Path) -> None:
    """A killed service leaves its files behind, and the next start replaces them."""
    endpoints = [f"unix:{folder}/s:name=stream", f"unixgram:{folder}/d:name=datagrams"]
    service = start_service(listen=endpoints)
    service.kill()
    service.wait_ended()
    assert Path(folder, "s").is_socket()
    assert Path(folder, "d").is_socket()
    service.start()
    unix_client(f"{folder}/s", b"a:1|c\n")
    assert service.settled().accepted("stream") == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_unix_datagrams(start_service: ServiceMaker, folder: Path, workers: int) -> None:
    """Every datagram counts once, whichever worker reads them; a client that waits loses none."""
    path = f"{folder}/d"
    service = start_service(workers=workers, listen=[f"unixgram:{path}:name=datagrams:mode=666"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        for _ in range(10 * NUMBER):
            client.send(b"a:1|c\nb:1|c")
    metrics = service.wait_for(20 * NUMBER, "statscounter_lines_total", listener="datagrams")
    assert metrics.total("statscounter_datagrams_total", listener="datagrams") == 10 * NUMBER
    assert (metrics.total("a"), metrics.total("b")) == (10 * NUMBER, 10 * NUMBER)
    assert metrics.total("statscounter_receive_drops_total", listener="datagrams") == 0


def test_order_of_gauges(start_service: ServiceMaker, folder: Path) -> None:
    """Of a gauge that one client sets again and again over a datagram socket the last setting stays."""
    path = f"{folder}/d"
    service = start_service(workers=3, listen=[f"unixgram:{path}:name=datagrams"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        for number in range(NUMBER + 1):
            client.send(b"g:%d|g" % number)
    metrics = service.wait_for(NUMBER + 1, "statscounter_lines_total", listener="datagrams")
    assert metrics.total("g") == NUMBER


def test_lengths(start_service: ServiceMaker, folder: Path) -> None:
    """Packets with their lengths count, from short and from staying clients; a wrong length ends a connection."""
    path = f"{folder}/s"
    service = start_service(workers=2, listen=[f"unix:{path}:name=unix:framing=length:dialect=dogstatsd"])
    data = packet(b"a:1|c\nb:1|c") + packet(b"g:-5|g")
    assert Burst(lambda: unix_client(path, data), 50).run() == (50, 0, 0)
    # How the end looks to such a client depends on how much of what it sent was read.
    with suppress(OSError, AssertionError):
        unix_client(path, b"a:1|c\n" * 10000)
    metrics = service.settled()
    assert metrics.closed("unix") == {"eof": 50, "error": 1}
    assert (metrics.total("a"), metrics.total("b"), metrics.total("g")) == (50, 50, -5)
    assert metrics.by("statscounter_bad_lines_total", "reason") == {"malformed_line": 1}


def test_tls(start_service: ServiceMaker, authority: Authority) -> None:
    """Lines over TLS count; clients that cannot do it are counted as errors."""
    certificate = authority.issue("server")
    service = start_service(workers=2, listen=[f"ssl:0:{LOOPBACK}:privateKey={certificate}:name=tls"])
    port = tls_port(service)
    context = ssl.create_default_context(cafile=str(authority.path))
    assert Burst(lambda: tls_client(port, context, b"a:1|c\nb:1|c"), 40).run() == (40, 0, 0)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        plain.sendall(b"a:1|c\n")
        until(lambda: service.metrics().closed("tls").get("error"), "the failed handshake is counted")
    metrics = service.settled()
    assert metrics.accepted("tls") == 41
    assert metrics.closed("tls") == {"eof": 40, "error": 1}
    assert (metrics.total("a"), metrics.total("b")) == (40, 40)


def test_tls_with_certificates_of_clients(start_service: ServiceMaker, authority: Authority) -> None:
    """With an authority for clients only those count whom it has signed."""
    certificate, good = authority.issue("server"), authority.issue("client")
    endpoint = f"ssl:0:{LOOPBACK}:privateKey={certificate}:clientCA={authority.path}:name=tls"
    service = start_service(listen=[endpoint])
    port = tls_port(service)
    context = ssl.create_default_context(cafile=str(authority.path))
    # In TLS 1.3 the client's handshake is through before the server has seen its certificate.
    with suppress(OSError):
        tls_client(port, context, b"a:1|c\n")
    service.wait_for(1, "statscounter_connections_closed_total", listener="tls", reason="error")
    context.load_cert_chain(good)
    tls_client(port, context, b"b:1|c\n")
    metrics = service.settled()
    assert metrics.closed("tls") == {"eof": 1, "error": 1}
    assert metrics.by("statscounter_samples_total", "type") == {"c": 1}


def test_stop_with_tls(start_service: ServiceMaker, authority: Authority) -> None:
    """A stop reads what TLS clients that stay have sent, and does not wait for them to agree to the end."""
    certificate = authority.issue("server")
    service = start_service(listen=[f"ssl:0:{LOOPBACK}:privateKey={certificate}:name=tls"])
    context = ssl.create_default_context(cafile=str(authority.path))
    plain = socket.create_connection(("127.0.0.1", tls_port(service)), PATIENCE)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(b"a:1|c\n")
        service.wait_for(1, "statscounter_lines_total", listener="tls")
        assert service.stop() == -signal.SIGTERM
    assert "did not finish in time" not in service.log


def test_overflow(start_service: ServiceMaker) -> None:
    """Of datagrams that found no room in the receive buffer every one is counted as dropped by the kernel."""
    service = start_service(listen=[f"udp:0:{LOOPBACK}:name=datagrams:rcvbuf=8192"])
    (worker,) = service.worker_pids().values()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", service.port("datagrams")))
        os.kill(worker, signal.SIGSTOP)
        try:
            for _ in range(1000):
                client.send(b"a:1|c")
        finally:
            os.kill(worker, signal.SIGCONT)

    def numbers() -> tuple[float, float]:
        metrics = service.metrics()
        read = metrics.total("statscounter_datagrams_total", listener="datagrams")
        return read, metrics.total("statscounter_receive_drops_total", listener="datagrams")

    until(lambda: sum(numbers()) == 1000, "every datagram is read or dropped")
    read, dropped = numbers()
    assert read > 0
    assert dropped > 500
    assert service.settled().total("a") == read
