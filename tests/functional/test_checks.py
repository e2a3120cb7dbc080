"""Real checks of a running service: those that come with etsy's server, Nagios's plugins, HAProxy, and some retyped."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.clients import connect, datagram
from tests.functional.haproxy import HAPROXY, HAProxy
from tests.functional.service import LOOPBACK, Service, long_flush, options
from tests.functional.waiting import PATIENCE, until
from tests.npm import node_path

LINES = b"a.b:3|c\na.c:1|c\nfoo.bar:12|ms\nfoo.bar:13|ms\nfoo.baz:1|ms\ng1:5|g"

PLUGINS = Path("/usr/lib/nagios/plugins")

OK, WARNING, CRITICAL = range(3)
"""Exit statuses of checks for Nagios."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with a console, to which a few lines have come, in a flush that no test sees the end of."""
    folder = tmp_path_factory.mktemp("service")
    more = [f"--flush-interval={long_flush()}"]
    service = Service(folder, options(folder / "state", admin=f"tcp:0:{LOOPBACK}", more=more))
    try:
        service.start()
        datagram(service.port("datagrams"), LINES)
        service.wait_for(6, "statscounter_lines_total", listener="datagrams")
        yield service
    finally:
        service.end()


@pytest.fixture(scope="module")
def console(service: Service) -> int:
    """Return the port of the console."""
    address: str = service.status()["admin"][0]
    return int(address.rpartition(":")[2])


def run(*command: object) -> tuple[int, str]:
    """Run a check, and give its exit status and what it says."""
    arguments = [str(argument) for argument in command]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout + done.stderr


def answered(*command: object) -> tuple[int, str]:
    """Run a check until it had an answer: what waits a second for one hears nothing of a service without processor."""

    def found() -> tuple[int, str] | None:
        status, said = run(*command)
        return None if "responded: ''" in said else (status, said)

    return until(found, "the check has an answer")


def etsys(name: str) -> str:
    """Return the text of a check that comes with etsy's server: the package has it with Windows line ends."""
    return (node_path(f"statsd/utils/{name}") / "statsd/utils" / name).read_text()


def tell(console: int, command: bytes) -> None:
    """Send the console a command, and wait until it is done."""
    with connect(console) as connection:
        connection.sendall(command + b"\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


@pytest.fixture
def down(console: int) -> Iterator[None]:
    """Have the console told that the service is down."""
    tell(console, b"health down")
    yield
    tell(console, b"health up")


@pytest.mark.skipif(shutil.which("nc") is None, reason="there is no nc (Debian package netcat-openbsd)")
@pytest.mark.parametrize(
    "option, failed, netcat", [("", CRITICAL, "-q1"), ("-k", 1, "-N")], ids=["nagios", "keepalived"]
)
def test_health_as_etsys(console: int, option: str, failed: int, netcat: str) -> None:
    """The check of etsy's server, for Nagios and for keepalived's MISC_CHECK, tells up from down.

    Whether netcat ends its side at once or goes after a second differs between the kinds of it.
    """
    script = f'nc() {{ command nc {netcat} "$@"; }}\n' + etsys("check_statsd_health")
    check = ["bash", "-c", script, "check", "-P", console, *option.split()]
    assert answered(*check) == (OK, f"Statsd '127.0.0.1:{console}' responded: 'health: up'\n")
    tell(console, b"health down")
    try:
        assert answered(*check) == (failed, f"Statsd '127.0.0.1:{console}' responded: 'health: down'\n")
    finally:
        tell(console, b"health up")


@pytest.mark.skipif(shutil.which("perl") is None, reason="there is no perl (Debian package perl)")
def test_number_as_etsys(console: int) -> None:
    """The other check of etsy's server reads a number of the statistics, in a line that ends as Windows ends it."""
    check = ["perl", "-we", etsys("check_statsd.pl"), "--", "--port", console, "--crit", 1 << 30, "--metric"]
    for metric in ("uptime", "messages.last_msg_seen", "messages.bad_lines_seen"):
        status, said = run(*check, metric, "--warning", 1 << 30)
        assert (status, re.sub(r"\d+", "N", said)) == (OK, f"OK: {metric} = N")
    assert run(*check, "nothing", "--warning", 1)[0] == CRITICAL


def agent(console: int, command: str) -> list[str]:
    """Ask as the Datadog agent's check does: it reads pieces until one has the end of a reply in it, and goes."""
    with connect(console) as connection:
        connection.sendall(f"{command}\n".encode())
        whole, piece = b"", b""
        while not re.search(rb"^(END|health: (up|down))\n$", piece, re.MULTILINE):
            assert b"ERROR\n" not in piece
            piece = connection.recv(1024)
            assert piece, whole
            whole += piece
        return whole.decode().splitlines()


def test_agent_of_datadog(console: int) -> None:
    """The Datadog agent's check sees the health, only numbers in the statistics, and a line for each series."""
    assert agent(console, "health") == ["health: up"]
    numbers = dict(line.split(":") for line in agent(console, "stats") if line.count(":") == 1)
    assert {"uptime", "messages.last_msg_seen", "messages.bad_lines_seen"} <= {
        name for name in numbers if float(numbers[name]) >= 0
    }
    # Besides the series there are the braces, the end and an empty line. Counters have three of the service's own.
    found = {kind: len(agent(console, kind)) - 4 for kind in ("counters", "gauges", "timers")}
    assert found == {"counters": 5, "gauges": 1, "timers": 2}


def test_connects_alone(service: Service, console: int) -> None:
    """The log says nothing of those that connect and go, or reset, as keepalived's TCP_CHECK and balancers do."""
    before = told(service)
    for port in (console, service.http_port):
        for reset in (False, True):
            with connect(port) as connection:
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert agent(console, "health") == ["health: up"]
    assert service.page("/healthz").status == 200
    assert told(service) == before


def told(service: Service) -> list[str]:
    """Return what the log says of the service itself: the kernel's counters, and workers, feel other tests, too."""
    return [line for line in service.log.splitlines() if not re.search(" kernel: | signs? of life", line)]


@pytest.mark.skipif(
    not (PLUGINS / "check_tcp").exists(),
    reason="there are no plugins of Nagios (Debian package monitoring-plugins-basic)",
)
class TestPlugins:
    """The plugins of Nagios, Icinga and others."""

    def test_tcp(self, console: int) -> None:
        """A check that sends a command and expects its reply gets it, with a newline, without one, and with `quit`."""
        check = [PLUGINS / "check_tcp", "-H", "127.0.0.1", "-p", console, "-t", f"{PATIENCE:g}", "-E"]
        for send in ("health\\n", "health", "health\\r\\n\\r\\n"):
            for more in ((), ("-q", "quit\\n")):
                status, said = run(*check, "-s", send, "-e", "health: up", *more)
                assert (status, said[:6]) == (OK, "TCP OK"), (send, said)
        assert run(*check, "-s", "health\\n", "-e", "health: down")[0] == WARNING

    def test_http(self, service: Service) -> None:
        """A check of the pages sees them, also with HEAD or a slash at the end."""
        check = [PLUGINS / "check_http", "-H", "127.0.0.1", "-p", service.http_port, "-t", f"{PATIENCE:g}"]
        for more in (["-u", "/healthz", "-s", "ok"], ["-u", "/readyz/", "-e", "200"], ["-u", "/readyz", "-j", "HEAD"]):
            status, said = run(*check, *more)
            assert (status, said[:7]) == (OK, "HTTP OK"), said
        assert run(*check, "-u", "/-/reload")[0] == WARNING

    def test_not_ready(self, service: Service, down: None) -> None:
        """A service that is said to be down is critical."""
        check = [PLUGINS / "check_http", "-H", "127.0.0.1", "-p", service.http_port, "-t", f"{PATIENCE:g}"]
        assert run(*check, "-u", "/readyz")[0] == CRITICAL


@pytest.mark.skipif(HAPROXY is None, reason="there is no haproxy (Debian package haproxy)")
def test_haproxy(service: Service, console: int, folder: Path) -> None:
    """HAProxy finds each port up with each kind of its checks, and the one that is not there down."""
    pages, http = service.http_port, "mode http"
    checks = {
        "options": (pages, [http, "option httpchk"]),
        "get": (pages, [http, "option httpchk GET /readyz"]),
        "head": (
            pages,
            [http, "option httpchk", "http-check send meth HEAD uri /readyz/ ver HTTP/1.1 hdr Host localhost"],
        ),
        "body": (pages, [http, "option httpchk GET /healthz?from=haproxy", "http-check expect string ok"]),
        "missing": (pages, [http, "option httpchk GET /nothing"]),
        "console": (console, ["option tcp-check", "tcp-check send health\\n", "tcp-check expect string health:\\ up"]),
        "connect": (console, []),
    }
    with HAProxy(folder, checks) as haproxy:
        found = haproxy.results()
    assert found == dict.fromkeys(checks, "L7OK") | {"missing": "L7STS", "connect": "L4OK"}
