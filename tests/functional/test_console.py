"""The management console of a running service, and next to it the one of etsy's server."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from statsd_tcp.commands.main import main
from tests.functional.clients import connect, datagram, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.etsy import Etsy
from tests.functional.service import LOOPBACK, Service, long_flush, options
from tests.functional.waiting import until

LINES = b"a.b:3|c\na.c:1|c\nbad\nfoo.bar:12|ms\nfoo.baz:1|ms|@0.5\ng1:5|g\nu:x|s\nplain:2|c"

COMMANDS = (
    "health",
    "health down",
    "health",
    "health nonsense",
    "health up",
    "delcounters",
    "delcounters nope",
    "delcounters a.b nope plain",
    "delcounters a.b",
    "delcounters a.*",
    "delcounters x.*",
    "deltimers foo.*",
    "deltimers foo.bar",
    "delgauges g1",
    "delgauges *",
    "HELP",
    "nothing",
    "  health  ",
    "quit",
)
"""What both servers answer with the same bytes."""


FLUSH = f"--flush-interval={long_flush()}"
"""So long that none ends in a test."""


def console_port(service: Service) -> int:
    """Return the port of the console."""
    address: str = service.status()["admin"][0]
    return int(address.rpartition(":")[2])


def ask(port: int, *commands: str) -> str:
    """Send commands, half-close, and give all that is answered."""
    with connect(port) as connection:
        connection.sendall("".join(f"{command}\n" for command in commands).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            return answers.read().decode()


def answers(port: int) -> bool:
    """Return whether the port is open."""
    try:
        return bool(ask(port, "health"))
    except ConnectionRefusedError:
        return False


def dump(port: int, kind: str) -> dict[str, Any]:
    """Return a dump."""
    text, end, rest = ask(port, kind).partition("\nEND\n\n")
    assert (end, rest) == ("\nEND\n\n", "")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield the one service, with a console."""
    folder = tmp_path_factory.mktemp("service")
    made = Service(folder, options(folder / "state", admin=f"tcp:0:{LOOPBACK}", more=[FLUSH]))
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def etsy(tmp_path: Path) -> Iterator[tuple[Etsy, int]]:
    """Return etsy's server, and the port of its console."""
    server = Etsy(tmp_path / "etsy", {"backends": ["./backends/console"], "flushInterval": 10**8})
    try:
        until(lambda: answers(server.mgmt_port), "etsy's console answers")
        yield server, server.mgmt_port
    finally:
        server.end()


def fill(service: Service) -> int:
    """Send the lines, wait until they are committed, and give the console's port."""
    before = service.metrics().total("statscounter_lines_total", listener="datagrams")
    datagram(service.port("datagrams"), LINES)
    service.wait_for(before + 8, "statscounter_lines_total", listener="datagrams")
    return console_port(service)


def bad_lines_seen(port: int) -> int:
    """Return how many bad lines there were, as the statistics tell."""
    return int(ask(port, "stats").partition("messages.bad_lines_seen: ")[2].partition("\n")[0])


def test_same_as_etsy(service: Service, etsy: tuple[Etsy, int]) -> None:
    """After the same lines both servers give the same replies, byte for byte."""
    server, theirs = etsy
    datagram(server.port, LINES)
    until(lambda: "plain" in ask(theirs, "counters"), "etsy's server has the lines")
    before = bad_lines_seen(console_port(service))
    ours = fill(service)
    expected = [(command, ask(theirs, command)) for command in COMMANDS]
    assert [(command, ask(ours, command)) for command in COMMANDS] == expected
    help_of_etsy = ask(theirs, "help")
    assert (
        ask(ours, "help").replace("sets, ", "").replace("workers, badlines, conflicts, ", "").replace("who, ", "")
        == help_of_etsy
    )
    for name in ("uptime: ", "messages.last_msg_seen: ", "messages.bad_lines_seen: ", "END\n\n"):
        assert (name in ask(theirs, "stats"), name in ask(ours, "stats")) == (True, True)
    assert (bad_lines_seen(theirs), bad_lines_seen(ours) - before) == (1, 1)


def test_dumps(service: Service) -> None:
    """The dumps are JSON of the flush that is open."""
    counters, timers = dump(console_port(service), "counters"), dump(console_port(service), "timers")
    port = fill(service)
    own = {"statsd.bad_lines_seen": 1, "statsd.packets_received": 1, "statsd.metrics_received": 8}
    added = {name: value - counters.get(name, 0) for name, value in dump(port, "counters").items()}
    assert {name: value for name, value in added.items() if value} == {"a.b": 3, "a.c": 1, "plain": 2} | own
    assert dump(port, "gauges") == {"g1": 5}
    assert dump(port, "sets") == {"u": 1}
    before, timers = timers, dump(port, "timers")
    assert timers.keys() == {"foo.bar", "foo.baz"}
    counts = {name: timer["count"] - before.get(name, {"count": 0})["count"] for name, timer in timers.items()}
    assert counts == {"foo.bar": 1, "foo.baz": 2}
    assert timers["foo.bar"]["mean_90"] == 12
    workers = json.loads(ask(port, "workers").removesuffix("END\n\n"))
    assert {worker["slot"]: worker["pid"] for worker in workers} == service.worker_pids()


def test_bad_lines(service: Service) -> None:
    """The console, the status and the page show the last rejected line of each reason, with its listener, harmless."""
    port = fill(service)
    half_close(service.port("lines"), b"\x1b[2J<b>:x|c\nq:1|c|#:x\n" + b"y" * 9000)
    rejected = ("line_too_long", "malformed_value", "malformed_line", "bad_tags")
    until(lambda: all(reason in ask(port, "badlines") for reason in rejected), "the examples have come")
    shown = dict(line.split(": ", 1) for line in ask(port, "badlines").removesuffix("END\n\n").splitlines())
    assert set(shown) == set(rejected)
    assert shown["malformed_line"].endswith(" s ago, datagrams: bad")
    assert shown["malformed_value"].endswith(r" s ago, lines: \x1b[2J<b>:x|c")
    assert shown["line_too_long"].endswith(f", lines: {'y' * 200} ...")
    found = {one["reason"]: one for one in service.status()["examples"]}
    assert (found["bad_tags"]["metric"], found["bad_tags"]["text"]) == ("bad_tags", "q:1|c|#:x")
    assert r"<td>\x1b[2J&lt;b&gt;:x|c</td>" in service.page("/").text


def test_hidden_bad_lines(start_service: ServiceMaker) -> None:
    """An operator in whose lines there are secrets has them shown nowhere."""
    service = start_service(admin=f"tcp:0:{LOOPBACK}", more=["--hide-bad-lines"])
    port = fill(service)
    half_close(service.port("lines"), b"page.hits:1|c\npage_hits:1|g\n")
    assert service.settled().by("statscounter_series_conflicts_total", "reason") == {"type": 1}
    status = service.status()
    assert (ask(port, "badlines"), status["examples"]) == ("END\n\n", [])
    assert (ask(port, "conflicts"), status["conflicts"]) == ("END\n\n", [])


def test_configuration(service: Service, tmp_path: Path) -> None:
    """What the console prints of the options is a file that a check takes, with the values in force."""
    file = tmp_path / "x.toml"
    file.write_text(ask(console_port(service), "config"))
    assert main(["check", f"--config={file}"]) == 0
    assert f"\n{FLUSH.removeprefix('--').replace('=', ' = ')}\n" in file.read_text()


def test_several_commands(service: Service) -> None:
    """Several commands in one piece are answered in their order."""
    port = fill(service)
    assert ask(port, "delgauges g1", "gauges", "health", "quit", "help") == (
        "deleted: g1\nEND\n\n{}\nEND\n\nhealth: up\n"
    )


def test_deleted_for_good(service: Service) -> None:
    """A deleted counter is gone from the metrics when the reply comes, begins again at 0, and that survives a kill."""
    port = console_port(service)
    half_close(service.port("lines"), b"gone:3|c\nkept:1|c\n")
    assert service.wait_for(1, "kept").total("gone") == 3
    ask(port, "delcounters gone")
    assert "\ngone " not in service.metrics().text
    datagram(service.port("datagrams"), b"gone:1|c")
    service.wait_for(1, "gone")
    service.kill()
    service.wait_ended()
    service.start()
    metrics = service.metrics()
    assert (metrics.total("gone"), metrics.total("kept")) == (1, 1)


def test_health(service: Service) -> None:
    """While the console says that it is down, the service is not ready, and works all the same."""
    port = console_port(service)
    ask(port, "health down")
    try:
        page = service.page("/readyz")
        assert (page.status, page.text) == (503, "the console has been told that it is down")
        assert service.page("/healthz").status == 200
        fill(service)
    finally:
        ask(port, "health up")
    assert service.page("/readyz").status == 200


def test_reload(service: Service) -> None:
    """A reload changes nothing about what the console was told, nor about its port and the time since the start."""
    port = console_port(service)
    ask(port, "health down")
    started, complete = (service.log.count(words) for words in ("starting up", "the reload is complete"))
    service.process.send_signal(signal.SIGHUP)
    until(lambda: service.log.count("starting up") > started, "the next image begins")
    # It listens all the time, and answers when it is there.
    assert ask(port, "health") == "health: down\n"
    assert service.page("/readyz").status == 503
    ask(port, "health up")
    until(lambda: service.log.count("the reload is complete") > complete, "the reload is complete")
