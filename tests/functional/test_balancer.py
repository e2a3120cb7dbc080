"""The service behind a real balancer: headers of the PROXY protocol, health checks, and confirmations."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from statsd_tcp.native import BUILT, VARIABLE
from tests.certificates import Authority
from tests.functional.clients import connect, half_close, reset
from tests.functional.forwarding import Forwarding
from tests.functional.haproxy import HAPROXY
from tests.functional.metrics import Difference
from tests.functional.service import LOOPBACK, Service, options, script
from tests.functional.waiting import PATIENCE, until

LINES = b"hits:1|c\nhits:2|c\n"
CLIENTS = 20
CONFIRMED = b"ok\n"

HERE = f"tcp:0:{LOOPBACK}"


@pytest.fixture(scope="module", params=[False, True], ids=["in Python", "in C"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with a listener of each kind, in both languages."""
    if request.param and not BUILT:
        pytest.skip("the parts in C were not built")
    folder = tmp_path_factory.mktemp("service")
    key = Authority(folder).issue("server")
    listen = [f"{HERE}:name={name}:{keys}" for name, keys in KEYS.items()]
    listen += [f"ssl:0:{LOOPBACK}:name=tls:privateKey={key}:proxy=v2", f"{HERE}:name=plain"]
    environ = {} if request.param else {VARIABLE: "1"}
    service = Service(folder, options(folder / "state", workers=2, listen=listen, count=()), environ=environ)
    try:
        yield service.start()
    finally:
        service.end()


KEYS = {
    "v1": "proxy=v1",
    "v2": "proxy=v2:confirm=read",
    "any": "proxy=any:trust=127.0.0.1",
    "strange": "proxy=v2:trust=10.0.0.0/8",
    "confirmed": "confirm=read",
}


def confirmed(port: int, data: bytes = LINES) -> bytes:
    """Send everything and say that it was all; give what comes before the end."""
    with connect(port) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read()


@pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy")
def test_haproxy(service: Service, tmp_path: Path) -> None:
    """Clients of HAProxy are counted in every version, over TLS too, and get what the service says to them."""
    versions = {"v1": "send-proxy", "v2": "send-proxy-v2", "any": "send-proxy-v2", "tls": "send-proxy-v2"}
    versions |= {"confirmed": "", "plain": "send-proxy-v2"}
    servers = {name: (service.port(name), keys) for name, keys in versions.items()}
    context = ssl.create_default_context(cafile=str(service.folder / "ca.pem"))
    before = service.metrics()
    with Forwarding(tmp_path, servers) as balancer:
        for _ in range(CLIENTS):
            half_close(balancer.ports["v1"], LINES)
            half_close(balancer.ports["any"], LINES)
            half_close(balancer.ports["plain"], LINES)
            assert confirmed(balancer.ports["v2"]) == CONFIRMED
            assert confirmed(balancer.ports["confirmed"]) == CONFIRMED
            with connect(balancer.ports["tls"]) as connection:
                secure = context.wrap_socket(connection, server_hostname="localhost")
                secure.sendall(LINES)
                secure.unwrap().close()
    added = Difference(before, service.settled())
    for name in versions:
        assert added.connections(name) == (CLIENTS, {"eof": CLIENTS}), name
        bad = CLIENTS if name == "plain" else 0
        assert added.lines(name)[0] == 2 * CLIENTS + bad, name
    assert added.by("statscounter_bad_lines_total", "reason") == {"proxy_header": CLIENTS}
    assert added.total("hits") == 3 * CLIENTS * len(versions)


@pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy")
def test_load(service: Service, tmp_path: Path) -> None:
    """The load generator is confirmed through a balancer, and not by a listener that does not confirm."""
    with Forwarding(tmp_path, {"v2": (service.port("v2"), "send-proxy-v2")}) as balancer:
        assert load("--mode=line", f"--target=tcp:127.0.0.1:{balancer.ports['v2']}")["completed"] == 200
    found = load("--mode=kept", "--duration=0.2", f"--target=tcp:127.0.0.1:{service.port('confirmed')}")
    assert found["completed"] == found["begun"] > 0
    found = load("--mode=line", f"--target=tcp:127.0.0.1:{service.port('plain')}")
    assert (found["completed"], found["unconfirmed"]) == (0, 200)
    service.settled()


@pytest.mark.parametrize("service", [True], ids=["in C"], indirect=True)
def test_a_mix_of_many_clients(service: Service) -> None:
    """Connections of all kinds from many clients behind a balancer are counted exactly, on two listeners."""
    mix = service.folder / "mix"
    mix.write_text(
        f"bare 6\nline 2 lines=2\nlate 1 after=10\nkept 1 sends=2 every=20\nreset 1\ntls 1 port={service.port('tls')}\n"
    )
    target = f"--target=tcp:127.0.0.1:{service.port('v2')}"
    verify = [f"--verify=http://{service.host}:{service.http_port}", f"--verify-timeout={PATIENCE:g}"]
    done = generate("--mode=mix", f"--mix={mix}", "--proxy=v2", "--connections=240", target, *verify)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("every one, once") == 2


def load(*options: str) -> dict[str, int]:
    """Run the load generator, and give what became of its connections."""
    done = generate("--confirm", "--json", "--connections=200", *options)
    connections: dict[str, int] = json.loads(done.stdout)["connections"]
    return connections


def generate(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the load generator, whose connections have all the time that a busy machine needs."""
    command = [script("statscounter"), "load", f"--timeout={PATIENCE:g}", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=3 * PATIENCE)


@pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy")
def test_health_checks(service: Service, tmp_path: Path) -> None:
    """A check that says that it is one is no client. Version 1 has no words for that, so that it is one there."""
    before = service.metrics()
    servers = {
        "any": (service.port("any"), "send-proxy-v2 check inter 50"),
        "v1": (service.port("v1"), "send-proxy check inter 50"),
    }
    total = "statscounter_connections_closed_total"
    with Forwarding(tmp_path, servers):
        for name in servers:
            service.wait_for(before.total(total, listener=name) + 3, total, listener=name)
        # Those that have ended: the last one may be broken off before it has said what it is.
        difference = Difference(before, service.metrics())
    assert set(difference.connections("any")[1]) == {"proxy_check"}
    assert set(difference.connections("v1")[1]) <= {"eof", "reset"}
    service.settled()


def test_no_header(service: Service) -> None:
    """A client that comes past the balancer is closed and counted, and the status has an example."""
    before = service.metrics()
    for name, example in (("v1", "hits:1|c"), ("strange", "127.0.0.1 is not in trust=")):
        # A worker keeps one example for a second: of several clients it may be another one's.
        until(lambda name=name, example=example: _is_shown(service, name, example), f"{example} is shown")  # type: ignore[misc]
        accepted, closed = Difference(before, service.settled()).connections(name)
        assert closed == {"bad_proxy_header": accepted}


def _is_shown(service: Service, name: str, example: str) -> bool:
    """Let clients come past the balancer, which may not come to their end; return whether one is shown."""
    for client in (half_close, reset):
        with suppress(OSError):
            client(service.port(name), LINES)
    (row,) = [row for row in service.status()["examples"] if row["reason"] == "bad_proxy_header"] or [{}]
    return (row.get("metric"), row.get("listener"), row.get("text", "")[: len(example)]) == (
        "connections_closed",
        name,
        example,
    )


def test_what_was_confirmed_is_kept(service: Service) -> None:
    """Nothing that was confirmed is lost when all processes are killed at once, and nothing of it counts twice."""
    before = service.settled().total("statscounter_lines_total", listener="confirmed")
    number = 0
    for _ in range(3):
        for _ in range(CLIENTS):
            number += confirmed(service.port("confirmed")) == CONFIRMED
        victims = [*service.worker_pids().values(), service.process.pid]
        assert confirmed(service.port("confirmed"), b"hits:1|c") == CONFIRMED
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        service.wait_ended()
        service.start()
        before += 2 * CLIENTS + 1
        assert service.settled().total("statscounter_lines_total", listener="confirmed") == before
    assert number == 3 * CLIENTS
