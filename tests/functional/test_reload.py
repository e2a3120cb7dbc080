"""HUP, USR2 and their page: new code and configuration, with no client refused or cut off, and nothing miscounted."""

from __future__ import annotations

import http.client
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from statsd_tcp.reload.rehearsal import VARIABLE
from tests.functional.clients import Burst, bare, connect, half_close, read_end, unix_client
from tests.functional.conftest import ServiceMaker
from tests.functional.load import Load, Sent
from tests.functional.metrics import Difference, Metrics
from tests.functional.processes import marked
from tests.functional.service import DATAGRAMS, LINES, LOOPBACK, Service, options
from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port

LINE = b"hits:1|c\n"
COMPLETE = "the reload is complete"
MOST = 200_000
"""Clients of a load that is stopped sooner."""

SIGNALS = (signal.SIGHUP, signal.SIGUSR2)


def reloaded(service: Service, number: int = 1) -> None:
    """Wait until this many reloads are complete since the start."""
    until(lambda: service.log.count(COMPLETE) >= number, f"{number} reloads are complete")
    until(service.is_ready, "the service is ready")


def hup(service: Service, how: signal.Signals = signal.SIGHUP) -> None:
    """Have it reload, and wait until that is complete."""
    before = service.log.count(COMPLETE)
    os.kill(service.process.pid, how)
    reloaded(service, before + 1)


WITH_TWO = pytest.mark.parametrize("shared", ["2 workers"], indirect=True)


@pytest.fixture(scope="module", params=["1 worker"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that several tests reload."""
    folder = tmp_path_factory.mktemp("service")
    made = Service(folder, options(folder / "state", workers=int(request.param[0])))
    try:
        yield made.start()
    finally:
        made.end()


def exact(service: Service, before: Metrics, lines: Sent, bares: Sent) -> Difference:
    """Check that no client failed, and that all were counted once; return what has come."""
    assert (lines.failed, bares.failed) == ([], [])
    assert min(lines.completed, bares.completed) > 0
    service.wait_for(sum(before.values("hits")) + lines.completed, "hits")
    added = Difference(before, service.settled())
    assert added.total("hits") == lines.completed
    assert added.connections("lines") == (lines.completed, {"eof": lines.completed})
    assert added.connections("bare") == (bares.completed, {"counted": bares.completed})
    return added


def under_load(service: Service) -> tuple[Load, Load]:
    """Make the load of both kinds."""
    lines, port = service.port("lines"), service.port("bare")
    return Load(lambda: half_close(lines, LINE)), Load(lambda: bare(port), 1)


@WITH_TWO
def test_again_and_again_under_load(shared: Service) -> None:
    """Reloads under load refuse and reset no client, and every connection and line is counted once."""
    before, pid, workers = shared.settled(), shared.process.pid, set(shared.worker_pids().values())
    lines, bares = under_load(shared)
    with lines, bares:
        for how in SIGNALS:
            hup(shared, how)
    added = exact(shared, before, lines.sent, bares.sent)
    assert shared.process.pid == pid
    assert workers.isdisjoint(shared.worker_pids().values())
    assert added.total("statscounter_worker_restarts_total") == 0
    assert shared.metrics().total("statscounter_config_last_reload_successful") == 1
    assert len(shared.ledgers) == 2


def test_page(start_service: ServiceMaker, tmp_path: Path) -> None:
    """A POST or PUT to the page does what HUP does, and its answer tells how the rehearsal went."""
    mapping = tmp_path / "mapping.yml"
    mapping.write_text("mappings:\n- match: a.*\n  name: a\n")
    service = start_service(more=[f"--mapping={mapping}"])
    before = service.worker_pids()
    assert service.page("/-/reload").status == 405
    assert ask(service, "POST") == (200, "the rehearsal has passed: the next image takes over")
    reloaded(service)
    assert before != service.worker_pids()
    mapping.write_text("mappings:\n- match: a.*\n  nam: a\n")
    status, text = until(lambda: not_too_soon(ask(service, "PUT")), "it may be asked for again")
    assert status == 500
    refusal = f"the reload is refused, and all stays as it is: statscounter: --mapping: {mapping}:3: unknown key 'nam'"
    assert text.startswith(refusal)


def ask(service: Service, method: str) -> tuple[int, str]:
    """Ask for a reload, and give the answer's status and text."""
    connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=PATIENCE)
    try:
        connection.request(method, "/-/reload")
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


def not_too_soon(answer: tuple[int, str]) -> tuple[int, str] | None:
    """Return an answer that is one."""
    return None if answer[0] == 429 else answer


def test_bad_configuration(start_service: ServiceMaker, tmp_path: Path) -> None:
    """A configuration that is refused leaves everything as it was, and says so; the next good one is taken."""
    file = tmp_path / "statscounter.toml"
    file.write_text("idle-timeout = 60\n")
    service = start_service(more=[f"--config={file}"])
    workers = service.worker_pids()
    for wrong in ("idle-timeout = -1\n", "no-such-option = 1\n"):
        refused = service.log.count("the reload is refused")
        file.write_text(wrong)
        os.kill(service.process.pid, signal.SIGHUP)
        until(lambda: service.log.count("the reload is refused") > refused, "it is refused")  # noqa: B023
        assert service.metrics().total("statscounter_config_last_reload_successful") == 0
        assert service.worker_pids() == workers
        half_close(service.port("lines"), LINE)
    assert "and all stays as it is: statscounter: " in service.log
    assert "no-such-option" in service.log
    file.write_text("idle-timeout = 30\n")
    hup(service)
    service.wait_for(2, "hits")
    assert service.metrics().total("statscounter_config_last_reload_successful") == 1
    assert service.worker_pids() != workers


def test_formats_that_cannot_be_taken_over(make_service: ServiceMaker) -> None:
    """A rehearsal for a supervisor with a format that is not known fails with one line that says to restart."""
    service = make_service(environ={VARIABLE: "manifest=1 channel=99 ledger=1"})
    service.launch()
    assert service.wait_ended() == 1
    said = "statscounter: this version cannot take over channel=99 from the one that runs: restart the service\n"
    assert service.log == said
    assert not service.state.exists()


def test_listener_that_cannot_be_had(start_service: ServiceMaker, tmp_path: Path) -> None:
    """A new listener whose port is taken is a refused reload."""
    file = tmp_path / "statscounter.toml"
    file.write_text(f'listen = ["{LINES}"]\n')
    service = start_service(more=[f"--config={file}"], without=["--listen"])
    with connect(service.http_port):
        file.write_text(f'listen = ["{LINES}", "tcp:{service.http_port}:{LOOPBACK}:name=more"]\n')
        os.kill(service.process.pid, signal.SIGHUP)
        until(lambda: "the reload is refused" in service.log, "it is refused")
    half_close(service.port("lines"), LINE)
    service.wait_for(1, "hits")


def test_many_at_once(shared: Service) -> None:
    """Requests that come while a reload runs become one more."""
    before = shared.log

    def said(words: str) -> int:
        return shared.log.count(words) - before.count(words)

    def ask() -> bool:
        os.kill(shared.process.pid, signal.SIGHUP)
        return said("the next image takes over") > 0

    until(ask, "the reload is under way")
    reloaded(shared, before.count(COMPLETE) + 1)
    # Whatever was asked for meanwhile is done by then: the next request is the last one.
    until(lambda: said(COMPLETE) == said("a reload was asked for"), "all are complete")
    complete = said(COMPLETE)
    assert complete <= 3
    hup(shared)
    assert said(COMPLETE) == complete + 1


AT_ONCE = pytest.param("", marks=pytest.mark.proof)
"""Nearly the same as what comes first in the log."""


@pytest.mark.parametrize("behind", [AT_ONCE, "a reload was asked for", "the next image takes over", "starting up"])
@WITH_TWO
def test_stop_in_the_middle(shared: Service, behind: str) -> None:
    """A TERM in the middle of a reload is a clean stop, whenever it comes."""
    before, lines = shared.settled(), shared.port("lines")
    for _ in range(50):
        half_close(lines, LINE)
    started = shared.log.count(behind)
    os.kill(shared.process.pid, signal.SIGHUP)
    if behind:
        until(lambda: shared.log.count(behind) > started, f"it says {behind!r}")
    assert shared.stop() == -signal.SIGTERM
    assert shared.ledgers == []
    added = Difference(before, shared.start().metrics())
    assert (added.total("hits"), added.connections("lines")[1]) == (50, {"eof": 50})


def test_long_lived_connection(shared: Service) -> None:
    """A connection that was open before a reload stays, and what it sends later counts, over several reloads."""
    before = shared.settled()
    with connect(shared.port("lines")) as connection:
        connection.sendall(b"long:1|c\nlong:")
        shared.wait_for(1, "long")
        for number, how in enumerate(SIGNALS, 1):
            hup(shared, how)
            connection.sendall(b"1|c\nlong:")
            metrics = shared.wait_for(1 + number, "long")
            assert metrics.total("statscounter_connections_open", listener="lines") == 1
        connection.sendall(b"1|c")
        connection.shutdown(1)
        read_end(connection)
    shared.wait_for(4, "long")
    assert Difference(before, shared.settled()).connections("lines") == (1, {"eof": 1})
    until(lambda: len(shared.ledgers) == 1, "the old worker's ledger is gone")


def test_names_said_before(shared: Service) -> None:
    """Names that a worker has said to the old image count in the new one, also in what it sends without being asked."""
    before, port = shared.settled(), shared.port("lines")
    # Workers with much of it do not wait until they are asked.
    much = b"".join(b"time:%d|ms\n" % (number % 1000) for number in range(8_000))
    load = Load(lambda: half_close(port, LINE + much), 2)
    with load, connect(port) as connection:
        connection.sendall(b"kept:1|c\n" + LINE)
        shared.wait_for(1, "kept")
        for number, how in enumerate(SIGNALS, 1):
            hup(shared, how)
            connection.sendall(b"kept:1|c\nnew%d:1|c\n" % number)
            shared.wait_for(1 + number, "kept")
    assert load.sent.failed == []
    added = Difference(before, shared.settled())
    assert added.total("hits") == load.completed + 1
    assert [added.total(name) for name in ("kept", "new1", "new2")] == [3, 1, 1]
    assert added.total("time_count") == load.completed * 8_000
    assert added.total("statscounter_recovery_faults_total") == 0


def test_grow_and_shrink(start_service: ServiceMaker, tmp_path: Path) -> None:
    """More and fewer workers under load: no client is refused or cut off, and all is counted."""
    file = tmp_path / "statscounter.toml"
    file.write_text("workers = 1\n")
    service = start_service(more=[f"--config={file}"], without=["--workers"])
    before, (lines, bares) = service.metrics(), under_load(service)
    with lines, bares:
        for workers in (3, 1):
            file.write_text(f"workers = {workers}\n")
            hup(service)
            until(lambda: len(service.worker_pids()) == workers, f"{workers} workers")  # noqa: B023
    exact(service, before, lines.sent, bares.sent)
    until(lambda: len(service.ledgers) == 1, "the old workers' ledgers are gone")


def test_other_listeners(start_service: ServiceMaker, tmp_path: Path) -> None:
    """Listeners come and go, and clients of the others do not notice."""
    file = tmp_path / "statscounter.toml"
    listen = f'listen = ["{LINES}", "{DATAGRAMS}"]\n'
    file.write_text(listen)
    more = free_port()
    service = start_service(more=[f"--config={file}"], without=["--listen"], workers=2)
    before, (lines, bares) = service.metrics(), under_load(service)
    with lines, bares:
        file.write_text(f'listen = ["{LINES}", "tcp:{more}:{LOOPBACK}:name=more"]\n')
        hup(service)
        half_close(more, b"others:1|c\n")
        service.wait_for(1, "others")
        file.write_text(listen)
        hup(service)
        # An old worker that has stood still meanwhile may have the socket a little longer.
        until(lambda: len(service.ledgers) == 2, "the old workers have ended")
        with pytest.raises(ConnectionRefusedError):
            connect(more)
    assert exact(service, before, lines.sent, bares.sent).connections("more") == (1, {"eof": 1})


def test_listeners_that_go(start_service: ServiceMaker, folder: Path) -> None:
    """Clients of listeners that a reload gives up are served or refused, and none is cut off."""
    file, more = folder / "statscounter.toml", free_port()
    goes = [f"tcp:{more}:{LOOPBACK}:name=more", f"unix:{folder}/s:name=path"]
    file.write_text(f'listen = ["{LINES}", "{goes[0]}", "{goes[1]}"]\n')
    service = start_service(more=[f"--config={file}"], without=["--listen"], workers=2)
    before = service.metrics()
    clients = {"more": lambda: half_close(more, LINE), "path": lambda: unix_client(f"{folder}/s", LINE)}
    bursts = {label: Burst(client, MOST, 2).start() for label, client in clients.items()}
    file.write_text(f'listen = ["{LINES}"]\n')
    hup(service)
    for label, burst in bursts.items():
        until(lambda: burst.refused, f"clients of {label} are refused")  # noqa: B023 (called here only)
    outcomes = {label: burst.stop().join() for label, burst in bursts.items()}
    added = Difference(before, service.settled())
    for label, (completed, _, broken) in outcomes.items():
        assert broken == 0
        assert added.connections(label) == (completed, {"eof": completed})
    assert added.total("hits") == sum(outcome.completed for outcome in outcomes.values())


def test_daemon(make_service: ServiceMaker, tmp_path: Path) -> None:
    """A daemon stays the process of its pid file over reloads, logs to the same file, and removes it at its end."""
    pidfile, logfile = tmp_path / "daemon.pid", tmp_path / "daemon.log"
    service = make_service(program=("twistd", f"--pidfile={pidfile}", f"--logfile={logfile}"))
    service.launch()
    assert service.process.wait(PATIENCE) == 0
    service.log_file = logfile
    until(service.has_greeted, "it has started")
    service.find_pages()
    pid = int(pidfile.read_text())
    for number in (1, 2):
        os.kill(pid, signal.SIGHUP)
        reloaded(service, number)
    assert int(pidfile.read_text()) == pid
    assert pid in marked(service.mark)
    half_close(service.port("lines"), LINE)
    service.wait_for(1, "hits")
    os.kill(pid, signal.SIGTERM)
    until(lambda: not marked(service.mark), "all its processes have ended")
    assert not pidfile.exists()
    assert service.ledgers == []


def test_tac(make_service: ServiceMaker) -> None:
    """From a tac file it reloads as well."""
    tac = Path(__file__).parents[2] / "etc" / "statscounter.tac"
    service = make_service(program=("twistd", "--pidfile=", "-ny", str(tac)))
    at = service.command.index("statscounter")
    service.command, arguments = service.command[:at], service.command[at + 1 :]
    service.environ["STATSCOUNTER_ARGS"] = " ".join(f"'{argument}'" for argument in arguments)
    service.start()
    before, (lines, bares) = service.metrics(), under_load(service)
    with lines, bares:
        hup(service, signal.SIGUSR2)
    exact(service, before, lines.sent, bares.sent)


def test_reload_while_commits_fail_is_refused(shared: Service) -> None:
    """A reload is refused while the store cannot be written, and works when it can."""
    before = shared.log.count(COMPLETE)
    with closing(sqlite3.connect(shared.state / "totals.sqlite", PATIENCE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        half_close(shared.port("lines"), b"refused:1|c\n")
        until(lambda: shared.status()["last_commit_error"], "commits fail")
        os.kill(shared.process.pid, signal.SIGHUP)
        until(lambda: "the reload is refused while commits fail" in shared.log, "it is refused")
        other.execute("ROLLBACK")
    shared.wait_for(1, "refused")
    assert shared.log.count(COMPLETE) == before
    hup(shared)
    assert shared.settled().total("refused") == 1
