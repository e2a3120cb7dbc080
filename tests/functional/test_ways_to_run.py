"""All ways to start the service, and the kinds of listeners that it can have or do without."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.clients import Burst, bare, datagram, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.metrics import Difference
from tests.functional.processes import marked
from tests.functional.service import BARE, DATAGRAMS, LINES, LOOPBACK, Service, options, script
from tests.functional.waiting import PATIENCE, until

LINE = b"hits:1|c\n"

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (?:info |warn |error|critical) .+")


def has_ipv6() -> bool:
    """Return whether this machine has the address ::1."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def test_daemon(make_service: ServiceMaker, tmp_path: Path) -> None:
    """As a daemon it writes its process number and its log where it was told to, and a TERM to it is a clean stop."""
    pidfile, logfile = tmp_path / "daemon.pid", tmp_path / "daemon.log"
    service = make_service(program=("twistd", f"--pidfile={pidfile}", f"--logfile={logfile}"))
    service.launch()
    assert service.process.wait(PATIENCE) == 0
    assert service.log == ""
    service.log_file = logfile
    until(service.has_greeted, "it has started")
    assert int(pidfile.read_text()) in marked(service.mark)
    service.find_pages()
    half_close(service.port("lines"), LINE)
    service.wait_for(1, "hits")
    assert f"(pid {pidfile.read_text()})" not in service.log
    assert (service.state / "lock").read_text().strip() == pidfile.read_text()
    os.kill(int(pidfile.read_text()), signal.SIGTERM)
    until(lambda: not marked(service.mark), "all its processes have ended")
    assert not pidfile.exists()
    assert service.ledgers == []


def test_twist(start_service: ServiceMaker) -> None:
    """The other runner of Twisted takes the same options, counts the same way, and stops as cleanly."""
    service = start_service(program=("twist", "--log-format=text"), workers=2)
    lines, port = service.port("lines"), service.port("bare")
    assert Burst(lambda: bare(port), 50).run() == (50, 0, 0)
    assert Burst(lambda: half_close(lines, LINE), 50).run() == (50, 0, 0)
    metrics = service.wait_for(50, "hits")
    assert (metrics.accepted("bare"), metrics.accepted("lines")) == (50, 50)
    assert service.stop() in (0, -signal.SIGTERM)
    assert service.ledgers == []


def test_twist_start_error(make_service: ServiceMaker) -> None:
    """Under the other runner a start error is one line and status 1, too."""
    service = make_service(program=("twist",), count=["tcp:port"])
    service.launch()
    assert service.wait_ended() == 1
    assert service.log == "statscounter: --count tcp:port: 'port' is not a port (0 to 65535)\n"


def serving(service: Service) -> Service:
    """Have a service started by its own command, and not by twistd."""
    at = service.command.index("statscounter")
    service.command[: at + 1] = [script("statscounter"), "serve"]
    return service


def test_serve(make_service: ServiceMaker) -> None:
    """Started by `statscounter serve` it counts the same way, reloads on HUP and USR2, and stops as cleanly."""
    service = serving(make_service()).start()
    for number, how in enumerate((signal.SIGHUP, signal.SIGUSR2), 1):
        half_close(service.port("lines"), LINE)
        service.process.send_signal(how)
        until(lambda: service.log.count("the reload is complete") == number, "it has reloaded")  # noqa: B023
        until(service.is_ready, "it is ready")
    half_close(service.port("lines"), LINE)
    service.wait_for(3, "hits")
    ready = [script("statscounter"), "ready", f"--timeout={PATIENCE}", f"--url=http://127.0.0.1:{service.http_port}"]
    assert subprocess.run(ready, check=True, capture_output=True, text=True).stdout == "ready\n"
    assert service.stop() == -signal.SIGTERM
    assert service.ledgers == []


def test_serve_start_errors(make_service: ServiceMaker) -> None:
    """A start error under `statscounter serve` is one line and status 1, too."""
    for option, said in (
        ("--count=tcp:port", "statscounter: --count tcp:port: 'port' is not a port (0 to 65535)\n"),
        ("--nothing", "statscounter: option --nothing not recognized; twistd statscounter --help lists the options\n"),
    ):
        service = serving(make_service(more=[option]))
        service.launch()
        assert service.wait_ended() == 1
        assert service.log == said


def test_without_pages(start_service: ServiceMaker, make_service: ServiceMaker) -> None:
    """Without an HTTP port it counts all the same, as the next start shows."""
    service = start_service(http="")
    assert service.http_port == 0
    half_close(service.port("lines"), LINE)
    bare(service.port("bare"))
    service.stop()
    shown = make_service()
    shown.share_state(service)
    metrics = shown.start().metrics()
    assert (metrics.accepted("bare"), metrics.accepted("lines"), metrics.total("hits")) == (1, 1, 1)


def test_only_datagrams(start_service: ServiceMaker) -> None:
    """With nothing but UDP there are no connections, and the lines are counted."""
    service = start_service(listen=[DATAGRAMS], count=[])
    datagram(service.port("datagrams"), LINE)
    metrics = service.wait_for(1, "hits")
    assert metrics.by("statscounter_connections_total", "listener") == {}
    assert [listener["label"] for listener in service.status()["listeners"]] == ["datagrams"]
    assert service.stop() == -signal.SIGTERM


def test_only_counting(start_service: ServiceMaker) -> None:
    """With nothing but a counting port there are no lines, and the connections are counted."""
    service = start_service(listen=[], count=[BARE])
    port = service.port("bare")
    assert Burst(lambda: bare(port), 50).run() == (50, 0, 0)
    assert service.metrics().accepted("bare") == 50
    assert [listener["label"] for listener in service.status()["listeners"]] == ["bare"]
    assert service.stop() == -signal.SIGTERM


@pytest.fixture(scope="module", params=[2], ids=["2 workers"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service with listeners of several dialects, and on several kinds of addresses where there are those."""
    folder, six = tmp_path_factory.mktemp("service"), "interface=\\:\\:1"
    listen, count = [LINES, f"tcp:0:{LOOPBACK}:dialect=dogstatsd:name=dogs"], [BARE]
    if has_ipv6():
        listen += [f"tcp:0:{six}:name=lines6", f"udp:0:{six}:name=datagrams6"]
        listen += ["tcp:0:name=lines46", "udp:0:name=datagrams46"]
        count = [f"tcp:0:{six}", "tcp:0:name=bare46"]
    made = Service(folder, options(folder / "state", workers=request.param, listen=listen, count=count))
    try:
        yield made.start()
    finally:
        made.end()


def test_dialect(service: Service) -> None:
    """Each listener speaks its own dialect: a signed gauge is absolute to DogStatsD's clients, relative to others."""
    half_close(service.port("lines"), b"etsy:10|g\netsy:-4|g")
    half_close(service.port("dogs"), b"dogs:10|g\ndogs:-4|g")
    service.wait_for(1, "statscounter_lines_total", listener="dogs")
    metrics = service.settled()
    assert (metrics.total("etsy"), metrics.total("dogs")) == (6, -4)


@NEEDS_IPV6
def test_ipv6(service: Service) -> None:
    """On an IPv6 address it listens and counts, and names the listener by it."""
    counting = next(found for found in service.status()["listeners"] if found["label"].startswith("tcp:[::1]"))
    assert counting["label"] == f"tcp:[::1]:{counting['port']}"
    assert counting["count_only"]
    before = service.metrics()
    bare(counting["port"], "::1")
    half_close(service.port("lines6"), b"six:1|c\n", "::1")
    datagram(service.port("datagrams6"), b"six:1|c\n", "::1")
    added = Difference(before, service.wait_for(2, "six"))
    assert (added.connections("lines6")[0], added.connections(counting["label"])[0]) == (1, 1)


@NEEDS_IPV6
def test_all_addresses(service: Service) -> None:
    """Without an address it listens on IPv4 and IPv6, on the same port, and counts both together."""
    before = service.metrics()
    for host in ("127.0.0.1", "::1"):
        bare(service.port("bare46"), host)
        half_close(service.port("lines46"), b"both:1|c\n", host)
        datagram(service.port("datagrams46"), b"both:1|c\n", host)
    added = Difference(before, service.wait_for(4, "both"))
    assert (added.connections("lines46")[0], added.connections("bare46")[0]) == (2, 2)


def test_configuration_file(start_service: ServiceMaker, tmp_path: Path) -> None:
    """A configuration file takes the same names; the command line wins."""
    file = tmp_path / "statscounter.toml"
    file.write_text(f'count = ["{BARE}2", "{BARE}3"]\nworkers = 3\nidle-timeout = 7\n')
    service = start_service(more=[f"--config={file}"], workers=2, without=["--count"])
    assert {found["label"] for found in service.status()["listeners"]} == {"lines", "datagrams", "bare2", "bare3"}
    assert len(service.worker_pids()) == 2


def test_help(make_service: ServiceMaker) -> None:
    """The help names every option with its default, and the version is told."""
    service = make_service()
    command = service.command[: service.command.index("statscounter") + 1]
    helped = subprocess.run([*command, "--help"], env=service.environ, capture_output=True, text=True, check=True)
    for name in ("listen", "count", "workers", "http", "state-dir", "idle-timeout", "max-connections", "drain-timeout"):
        assert f"--{name}=" in helped.stdout
    told = subprocess.run([*command, "--version"], env=service.environ, capture_output=True, text=True, check=True)
    assert told.stdout.startswith("statscounter ")


@pytest.mark.parametrize("program", [("twistd", "-n", "--pidfile="), ("twist", "--log-format=text")])
def test_log_lines(start_service: ServiceMaker, program: tuple[str, ...]) -> None:
    """A line of the log is a time, a level and a text; the first 20 say what listens where, and what to try."""
    service = start_service(program=program, workers=2)
    assert service.stop() in (0, -signal.SIGTERM)
    lines = service.log.splitlines()
    assert [line for line in lines if not LOG_LINE.fullmatch(line)] == []
    first = "\n".join(lines[:20])
    assert re.search(r"info    StatsD lines +tcp 127\.0\.0\.1:\d+ as lines$", first, re.MULTILINE)
    assert re.search(r"info    try +\S*statscounter load --mode connect --target ", first)
    assert [line for line in lines if "statsd_tcp." in line or "twisted." in line] == []


def test_json_log(start_service: ServiceMaker) -> None:
    """With --log-format=json each line is an object with the text, the level and the module of an event."""
    service = start_service(more=["--log-format=json"])
    assert service.stop() == -signal.SIGTERM
    events = [json.loads(line) for line in service.log.splitlines()]
    (started,) = [event for event in events if event["text"].endswith(" has started")]
    assert started["log_level"]["name"] == "info"
    assert started["log_namespace"] == "statsd_tcp.status.greeting"
