"""Where connections, lines and datagrams come from: exact while there is room, on every transport."""

from __future__ import annotations

import os
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from statsd_tcp.native import BUILT, VARIABLE
from tests.certificates import Authority
from tests.functional.clients import connect, read_end, reset_at_close
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import descriptors
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.sources import PREFIX, count_all, memories, records_of
from tests.functional.waiting import until

SOURCES = 200
NAME = f"statscounter-sources-{os.getpid()}"
LINE = b"hits:1|c\n"
HEALTH_CHECK = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
"""The header of a balancer that speaks for itself."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that signs certificates."""
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", params=[False, True], ids=["in Python", "in C"])
def language(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the environment of a service in each of both languages."""
    if request.param and not BUILT:
        pytest.skip("the parts in C were not built")
    return {} if request.param else {VARIABLE: "1"}


@pytest.fixture(scope="module")
def service(
    language: dict[str, str], tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Service]:
    """Return a service with a listener of each kind, in both languages."""
    folder = tmp_path_factory.mktemp("service")
    listen = [
        f"tcp:0:{LOOPBACK}:name=lines",
        f"ssl:0:{LOOPBACK}:name=tls:privateKey={authority.issue('server')}",
        f"tcp:0:{LOOPBACK}:name=proxied:proxy=v2",
        f"unix:@{NAME}:name=unix",
        f"udp:0:{LOOPBACK}:name=datagrams",
    ]
    bare = f"tcp:0:{LOOPBACK}:name=bare"
    arguments = options(folder / "state", workers=2, listen=listen, count=[bare], more=["--who=all"])
    service = Service(folder, arguments, environ=language)
    try:
        yield service.start()
    finally:
        service.end()


def address(number: int) -> str:
    """Return one of the addresses of this machine."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def visits(source: random.Random) -> Iterator[tuple[str, int]]:
    """Yield each address with how often it comes: most a few times, some often."""
    for number in range(SOURCES):
        yield address(number), 1 + int(source.paretovariate(1.2)) % 12


def send(connection: socket.socket, data: bytes) -> None:
    """Send everything, say that it was all, and wait for the end."""
    with connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        read_end(connection)


def proxied(client: str) -> bytes:
    """Write a header that a balancer sends for a client."""
    ends = socket.inet_aton(client) + socket.inet_aton("127.0.0.1") + b"\x9c\x40\x1f\xbd"
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + ends


def test_every_transport(service: Service, authority: Authority) -> None:
    """Each address has exactly its connections and lines, on each listener for itself."""
    port = {name: service.port(name) for name in ("lines", "tls", "proxied", "datagrams", "bare")}
    context = ssl.create_default_context(cafile=str(authority.path))
    came: dict[str, dict[str, int]] = {name: {} for name in (*port, "unix")}
    for client, times in visits(random.Random(5)):
        for _ in range(times):
            send(connect(port["lines"], source=client), 2 * LINE)
            read_end(connect(port["bare"], source=client))
        send(connect(port["proxied"]), proxied(client) + LINE)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((client, 0))
            sender.sendto(3 * LINE, ("127.0.0.1", port["datagrams"]))
        with context.wrap_socket(connect(port["tls"], source=client), server_hostname="localhost") as secure:
            secure.sendall(LINE)
            secure.unwrap()
        for name in port:
            came[name][client] = times if name in {"lines", "bare"} else 1
    for _ in range(9):
        with socket.socket(socket.AF_UNIX) as user:
            user.connect(f"\0{NAME}")
            send(user, LINE)
    send(connect(port["proxied"]), HEALTH_CHECK)
    came["unix"] = {f"uid {os.getuid()}": 9}
    until(lambda: {name: count_all(service, name) for name in came} == came, "all are counted")
    for name, lines in (("lines", 2), ("tls", 1), ("proxied", 1), ("datagrams", 3), ("unix", 1), ("bare", 0)):
        brought = {client: lines * times for client, times in came[name].items() if lines}
        assert count_all(service, name, "lines") == brought, name


def test_what_went_wrong(service: Service) -> None:
    """Bad lines and resets are those of their sources."""
    port = service.port("lines")
    bad, reset = [f"127.9.0.{number}" for number in (1, 2, 3)], "127.9.0.4"
    for number, client in enumerate(bad, 1):
        for _ in range(number):
            send(connect(port, source=client), LINE + b"bad\n" + LINE)
    with connect(port, source=reset) as connection:
        connection.sendall(LINE)
        reset_at_close(connection)
    wanted = {"bad": dict(zip(bad, (1, 2, 3), strict=True)), "resets": {reset: 1}}
    seen: dict[str, dict[str, int]] = {}

    def all_is_told() -> bool:
        for column in wanted:
            numbers = count_all(service, "lines", column)
            seen[column] = {client: number for client, number in numbers.items() if client.startswith("127.9.")}
        return seen == wanted

    until(all_is_told, "all is told")


def test_a_silent_one(language: dict[str, str], start_service: ServiceMaker) -> None:
    """A connection that the service has closed is its source's, too."""
    service = start_service(more=["--idle-timeout=1", "--who=all"], environ=language)
    read_end(connect(service.port("lines"), source="127.9.0.5"))
    until(lambda: count_all(service, "lines", "evicted") == {"127.9.0.5": 1}, "it is told")


def test_a_killed_worker(service: Service) -> None:
    """What a worker has counted until it is killed stays, and its successor adds to it."""
    port, clients = service.port("bare"), [f"127.8.0.{number}" for number in range(1, 30)]

    def visit(times: int) -> None:
        for client in clients:
            read_end(connect(port, source=client))
        wanted = dict.fromkeys(clients, times)
        until(lambda: wanted.items() <= count_all(service, "bare").items(), f"each has come {times} times")

    visit(1)
    before = memories(service).keys()
    service.replace_worker()
    visit(2)
    after = memories(service)
    (new,) = after.keys() - before
    assert {record.connections for record in records_of(after[new])} == {1}


def test_without(tmp_path: Path) -> None:
    """Without them there is no such memory, in the supervisor and in the workers."""
    service = Service(tmp_path, options(tmp_path / "state", more=["--who=no"]))
    try:
        service.start()
        send(connect(service.port("lines")), LINE)
        pids = [service.process.pid, *service.worker_pids().values()]
        assert not [link for pid in pids for link in descriptors(pid).values() if PREFIX in link]
    finally:
        service.end()
