"""Programs that report to a StatsD server by themselves: what they have done is what is counted.

gunicorn comes with the test dependencies, proftpd with ``make system-packages``. The lines of Airflow and Flink are
retyped. They share a service.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from ftplib import FTP, error_perm
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.functional.metrics import Difference, Metrics
from tests.functional.retyped import RETYPED
from tests.functional.running import running
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE
from tests.ports import free_port
from tests.short import make_short_folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder that everybody may enter, with a path short enough for a socket."""
    made = make_short_folder()
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    """Return a service with a listener for each transport that the programs use."""
    listen = [
        f"tcp:0:{LOOPBACK}:name=tcp",
        f"udp:0:{LOOPBACK}:name=udp",
        f"udp:0:{LOOPBACK}:name=dogstatsd:dialect=dogstatsd",
        f"unixgram:{folder}/datagrams:name=datagrams",
    ]
    mapping = folder / "mapping.yml"
    mapping.write_text(MAPPING)
    service = Service(folder, options(folder / "state", workers=2, listen=listen, more=[f"--mapping={mapping}"]))
    try:
        yield service.start()
    finally:
        service.end()


@pytest.fixture
def before(service: Service) -> Metrics:
    """Return a scrape from before the test."""
    return service.metrics()


def check_good(before: Metrics, after: Metrics, **bad: float) -> None:
    """Check that no series was hidden by another one, and no line bad except a number of them for a reason."""
    found = Difference(before, after)
    assert found.by("statscounter_bad_lines_total", "reason") == bad
    assert found.by("statscounter_bad_tags_total", "listener") == {}
    assert found.by("statscounter_series_conflicts_total", "reason") == {}


# gunicorn (PyPI): UDP, Unix datagrams; tags.

APP = """
def app(environ, start_response):
    start_response(environ["PATH_INFO"][1:] + " said", [])
    return []
"""


@pytest.mark.parametrize("kind", ["udp", "datagrams"])
def test_gunicorn(service: Service, before: Metrics, folder: Path, kind: str) -> None:
    """Requests to gunicorn are counted and timed, by status, with its tags."""
    if find_spec("gunicorn") is None:
        pytest.skip("there is no gunicorn")
    home = folder / f"web-{kind}"
    home.mkdir()
    (home / "website.py").write_text(APP)
    port = free_port()
    place = f"unix://{folder}/datagrams" if kind == "datagrams" else f"127.0.0.1:{service.port('udp')}"
    command = [sys.executable, "-m", "gunicorn", "--chdir", str(home), "--bind", f"127.0.0.1:{port}", "website:app"]
    given = ["--statsd-host", place, "--statsd-prefix", f"{kind}.", "--dogstatsd-tags", "env:test,web"]
    with running([*command, *given], home / "log", "Listening at", {"HOME": str(home)}):
        for status in (200, 404, 200):
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", f"/{status}")
            assert connection.getresponse().status == status
            connection.close()
        service.wait_for(1, f"{kind}_gunicorn_workers", env="test", web="true")
        metrics = service.wait_for(2, f"{kind}_gunicorn_request_status_200", env="test", web="true")
    names = ["requests", "request_status_404", "request_duration_count", "workers"]
    assert [metrics.total(f"{kind}_gunicorn_{name}", env="test", web="true") for name in names] == [3, 1, 3, 1]
    assert 0 < metrics.total(f"{kind}_gunicorn_request_duration_sum") < PATIENCE
    check_good(before, metrics)


# proftpd (Debian) with its module mod_statsd: UDP, TCP. It gives a counter, a time and a gauge the same name.

PROFTPD = shutil.which("proftpd") or shutil.which("proftpd", path="/usr/sbin")
MOD_STATSD = Path("/usr/lib/proftpd/mod_statsd.so")

MAPPING = """
mappings:
- {match: "*.ftp.command.*.*", match_metric_type: counter, name: ftp_commands,
   labels: {site: $1, command: $2, status: $3}}
- {match: "*.ftp.command.*.*", match_metric_type: observer, name: ftp_command_seconds,
   labels: {site: $1, command: $2, status: $3}}
- {match: "*.ftp.connection", match_metric_type: gauge, name: ftp_open, labels: {site: $1}}
- {match: "*.ftp.ftp.connection", match_metric_type: counter, name: ftp_sessions, labels: {site: $1}}
- {match: "*.ftp.ftp.connection", match_metric_type: gauge, name: ftp_sessions_open, labels: {site: $1}}
- {match: "*.ftp.ftp.connection", match_metric_type: observer, name: ftp_session_seconds, labels: {site: $1}}
"""

CONFIG = """
LoadModule mod_statsd.c
ServerName test
ServerType standalone
DefaultAddress 127.0.0.1
Port {port}
UseIPv6 off
UseReverseDNS off
User nobody
Group nogroup
PidFile {home}/pid
ScoreboardFile {home}/scoreboard
SystemLog {home}/log
TransferLog none
WtmpLog off
DelayEngine off
AuthPAM off
RequireValidShell off
UseFtpUsers off
<Anonymous {home}/files>
  User nobody
  Group nogroup
  UserAlias anonymous nobody
</Anonymous>
StatsdEngine on
StatsdServer {kind}://127.0.0.1:{statsd} {kind}.ftp
"""


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_proftpd(service: Service, before: Metrics, folder: Path, kind: str) -> None:
    """Each command to proftpd is counted and timed, by its outcome, and sessions are a gauge that rises and falls."""
    if PROFTPD is None or not MOD_STATSD.exists():
        pytest.skip("there is no proftpd with mod_statsd: make system-packages")
    if os.geteuid() != 0:
        pytest.skip("needs root, for proftpd becomes another user")
    home = folder / f"ftp-{kind}"
    (home / "files").mkdir(parents=True)
    (home / "files/file").write_text("content\n")
    port = free_port()
    (home / "config").write_text(CONFIG.format(home=home, port=port, kind=kind, statsd=service.port(kind)))
    read: list[str] = []
    with running([PROFTPD, "-n", "-c", str(home / "config")], home / "log", "STARTUP"):
        with FTP() as client:  # noqa: S321  # on loopback
            client.connect("127.0.0.1", port, PATIENCE)
            client.login()
            client.retrlines("RETR file", read.append)
            with pytest.raises(error_perm):
                client.retrlines("RETR gone", read.append)
        service.wait_for(1, "ftp_session_seconds_count", site=kind)
    assert read == ["content"]
    commands = {"CONNECT": 1, "USER": 1, "PASS": 1, "TYPE": 2, "PASV": 2, "RETR": 2, "QUIT": 1, "EXIT": 1}
    counted = ("ftp_commands_total", "ftp_command_seconds_count")
    for name in counted:
        # What came over connections of their own, or as datagrams, another worker may read later.
        service.wait_for(sum(commands.values()), name, site=kind)
    metrics = service.settled()
    for name in counted:
        assert metrics.by(name, "command", site=kind) == commands
        assert metrics.by(name, "status", site=kind, command="RETR") == {"226": 1, "550": 1}
    assert [metrics.total(f"ftp_{name}", site=kind) for name in ("sessions", "sessions_open", "open")] == [1, 0, 0]
    check_good(before, metrics)


# Airflow, with its loggers for StatsD and DogStatsD; Flink, with its `StatsDReporter`: retyped, UDP.


@pytest.mark.parametrize("program", RETYPED)
def test_retyped(service: Service, before: Metrics, program: str) -> None:
    """What Airflow and Flink count has one series each, and only what is no number to anybody is refused."""
    listener, lines, expected, bad = RETYPED[program]
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        for line in lines:
            client.sendto(line.encode(), ("127.0.0.1", service.port(listener)))
    name = "statscounter_lines_total"
    service.wait_for(sum(before.values(name, listener=listener)) + len(lines), name, listener=listener)
    metrics = service.settled()
    assert {series: metrics.shown(series) for series in expected} == expected
    check_good(before, metrics, **bad)
