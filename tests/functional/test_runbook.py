"""The runbook: every command of docs/runbook.md, in the state that it is for, prints what the page says."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from statsd_tcp.files.shipped import shipped
from statsd_tcp.remote_write.encoding import EMPTY
from tests.functional.clients import connect, half_close
from tests.functional.processes import end_all, held
from tests.functional.service import CHECKOUT, LOOPBACK, Service, options
from tests.functional.serving import Serving
from tests.functional.small_disk import fill, mount, unmount
from tests.functional.test_console import ask
from tests.functional.waiting import until
from tests.ports import free_port
from tests.transcripts import Command, run, transcripts

RUNBOOK = CHECKOUT / "docs" / "runbook.md"
COMMANDS = transcripts(RUNBOOK)

PLACES = 16
"""Connections that may be open, few enough to be taken by a test."""

SERIES = 8
"""Series that are kept: those of `LINES` before the last."""

LINES = b"page.hits:1|c\npage.hits:-5|c\npage.hits:12x|c\n" + b"".join(b"users.%d:1|c\n" % user for user in range(7))
LAST = b"signups:1|c\n"

DISK = 24 << 20


class Node(NamedTuple):
    """A service, and the ports and the folder that stand in the document, with those that it has."""

    service: Service
    places: dict[str, str]

    def port(self, documented: str) -> int:
        """Return the port for one of the document."""
        return int(self.places[documented])

    def fits(self, command: Command, printed: list[str]) -> bool:
        """Run a command, put what it prints at the end of a list, and tell whether it is what the document says."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        here = command.translated(self.places)
        # What is printed as a table is as wide as the terminal.
        environ = {**self.service.environ, "PATH": path, "COLUMNS": "400", "LC_ALL": "C"}
        printed.append(run(here.text, environ, self.service.folder))
        return here.fits(printed[-1])


@contextmanager
def node(folder: Path, state: Path, more: Sequence[str] = ()) -> Iterator[Node]:
    """Start a service with little room for everything, and a backend that is away."""
    lines, http, admin, backend = (free_port() for _ in range(4))
    arguments = options(
        state,
        listen=[f"tcp:{lines}", f"udp:{lines}"],
        count=[],
        http=f"tcp:{http}:{LOOPBACK}",
        admin=f"tcp:{admin}:{LOOPBACK}",
        more=[
            f"--max-connections={PLACES}",
            f"--max-series={SERIES}",
            f"--graphite=tcp:127.0.0.1:{backend}",
            "--flush-interval=1",
            *more,
        ],
    )
    service = Service(folder, arguments)
    places = {"8125": lines, "9102": http, "8126": admin, "2003": backend, "/var/lib/statscounter": state}
    try:
        yield Node(service.start(), {word: str(here) for word, here in places.items()})
    finally:
        service.end()


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Skip the tests where a program is missing that the page asks for."""
    for name in ("bash", "curl", "nc", "ss", "ps"):
        if shutil.which(name) is None:
            pytest.skip(f"needs {name}")


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return the one service of most sections, to which came what the page shows."""
    folder = tmp_path_factory.mktemp("node")
    with node(folder, folder / "state") as made:
        half_close(made.port("8125"), LINES)
        made.service.wait_for(SERIES, "statscounter_series", type="c")
        half_close(made.port("8125"), LAST)
        made.service.wait_for(1, "statscounter_series_dropped_total", reason="overflow")
        yield made


@contextmanager
def as_it_is(_: Node) -> Iterator[None]:
    """Do nothing more."""
    yield


@contextmanager
def all_places_taken(on: Node) -> Iterator[None]:
    """Have many sources take all places, and some more wait."""
    with ExitStack() as stack:
        for last in range(1, PLACES + 5):
            stack.enter_context(connect(on.port("8125"), source=f"127.0.1.{last}"))
        yield


@contextmanager
def queue_overflown(on: Node) -> Iterator[None]:
    """Have had more clients than the accept queue takes, while the worker stood still."""
    number = int(on.service.metrics().total("statscounter_accept_queue_limit")) + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, number + 1000), hard))
    try:
        with ExitStack() as stack, on.service.workers_held():
            for _ in range(number):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", on.port("8125")))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield


@contextmanager
def said_to_be_down(on: Node) -> Iterator[None]:
    """Have an operator say that it is down, and take the page's remedy."""
    ask(on.port("8126"), "health down")
    yield
    assert ask(on.port("8126"), "health up") == "health: up\n"
    until(on.service.is_ready, "the service is ready again")


@contextmanager
def worker_stopped(on: Node) -> Iterator[None]:
    """Have no worker move, nor the one that takes its place meanwhile."""
    done = threading.Event()

    def stop_each() -> None:
        while not done.wait(0.1):
            for worker in on.service.status()["workers"]:
                if worker["state"] == "ready":
                    # It may have been killed since, for being silent.
                    with suppress(ProcessLookupError):
                        os.kill(worker["pid"], signal.SIGSTOP)

    thread = threading.Thread(target=stop_each)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    until(on.service.is_ready, "the service has mended itself")


@contextmanager
def workers_killed(on: Node) -> Iterator[None]:
    """Have had a worker killed, and another one in its place."""
    on.service.replace_worker()
    yield


@contextmanager
def killed(on: Node) -> Iterator[None]:
    """Have no process, and take the page's remedy: the store and the ledger have everything."""
    end_all(on.service.mark)
    on.service.process.wait()
    yield
    on.service.start()
    assert on.service.metrics().total("page_hits") == 1


@contextmanager
def supervisor_stopped(on: Node) -> Iterator[None]:
    """Have the supervisor stand still, and take the page's remedy."""
    with held(on.service.process.pid):
        yield
        os.kill(on.service.process.pid, signal.SIGCONT)
        until(on.service.is_ready, "the service is ready again")


STATES: dict[str, Callable[[Node], AbstractContextManager[None]]] = {
    "Clients are refused": all_places_taken,
    "Clients wait a second": queue_overflown,
    "A total is lower than expected": as_it_is,
    "Not ready": said_to_be_down,
    "A worker is silent": worker_stopped,
    "Workers are replaced": workers_killed,
    "Lag": as_it_is,
    "A node hangs": supervisor_stopped,
    "Two services are one node": as_it_is,
    "Memory": as_it_is,
    "Bad lines": as_it_is,
    "All clients seem to be one": as_it_is,
    "A limit of the kernel is hit": queue_overflown,
    # The last: what is counted since the start, and the bad lines, are gone then.
    "A node is silent": killed,
}
"""How each symptom comes about on the service that they share."""

ALONE = ("An engine does not take the data", "Samples are given up", "A ledger is set aside", "Disk full")
"""Symptoms that need a service of their own."""


def assert_printed(on: Node, heading: str) -> None:
    """Run the commands of a section, again while the state begins, until they print what the page says."""
    for command in COMMANDS[heading]:
        printed: list[str] = []
        try:
            until(lambda: on.fits(command, printed), "it prints this")  # noqa: B023 (called here only)
        except AssertionError:
            here = command.translated(on.places)
            pytest.fail(f"{here.text}\n" + "\n".join(here.output) + f"\n--- printed:\n{printed[-1]}")


def test_sections() -> None:
    """Each symptom has three commands, and a test that brings it about."""
    assert {heading: len(commands) for heading, commands in COMMANDS.items()} == dict.fromkeys((*STATES, *ALONE), 3)


@pytest.mark.parametrize("heading", STATES)
def test_symptom(shared_node: Node, heading: str) -> None:
    """In each state the commands print what the page shows."""
    with STATES[heading](shared_node):
        assert_printed(shared_node, heading)


def test_engine(tmp_path: Path) -> None:
    """While an engine is away the commands print what the page shows."""
    engine = free_port()
    more = [f"--remote-write=http://127.0.0.1:{engine}/api/v1/write:every=1"]
    with node(tmp_path / "service", tmp_path / "state", more) as on:
        on.places["9090"] = str(engine)
        assert_printed(on, "An engine does not take the data")


def test_disk_full(tmp_path: Path) -> None:
    """On a full disk the commands print what the page shows; with room the service goes on, and its store is whole."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, DISK):
        pytest.skip("needs to mount a small file system")
    try:
        with node(tmp_path / "service", folder / "state") as on:
            ballast = fill(folder)
            half_close(on.port("8125"), LINES)
            assert_printed(on, "Disk full")
            ballast.unlink()
            until(on.service.is_ready, "all is well again")
            check = Command("statscounter store check --state-dir /var/lib/statscounter", ("...: whole",))
            printed: list[str] = []
            assert on.fits(check, printed), printed
    finally:
        unmount(folder)


class Refusing(BaseHTTPRequestHandler):
    """A receiver that is there, and takes no sample."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take requests without samples, and refuse the others."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400 if len(body) > len(EMPTY) else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        """Answer, with the time."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def test_samples_are_given_up(tmp_path: Path) -> None:
    """When a receiver refuses all the commands print what the page shows."""
    with Serving(Refusing) as receiver:
        more = [f"--remote-write=http://127.0.0.1:{receiver.port}/api/v1/write:every=1"]
        with node(tmp_path / "service", tmp_path / "state", more) as on:
            on.places["9090"] = str(receiver.port)
            assert_printed(on, "Samples are given up")


def test_ledger_set_aside(tmp_path: Path) -> None:
    """With a file that is no ledger the commands print what the page shows; without it the next start finds none."""
    state = tmp_path / "state"
    (state / "ledgers").mkdir(parents=True)
    (state / "ledgers" / "00ff.ledger").write_bytes(b"no ledger at all" * 100)
    with node(tmp_path / "service", state) as on:
        assert_printed(on, "A ledger is set aside")
        (state / "ledgers" / "00ff.damaged").unlink()
        on.service.stop()
        assert on.service.start().metrics().total("statscounter_ledgers_set_aside") == 0


def test_alerts() -> None:
    """The table has every alert, with the section to which the alert itself leads."""
    rows = re.findall(r"^\| .* \| `(\w+)` \| \[.*\]\(#(.*)\) \|$", RUNBOOK.read_text(), re.MULTILINE)
    alerts = yaml.safe_load(shipped()["prometheus/alerts.yml"])["groups"][0]["rules"]
    leads = {rule["alert"]: rule["annotations"]["runbook_url"].partition("#")[2] for rule in alerts}
    assert leads.items() <= {*rows}
    assert {name for name, _ in rows} == leads.keys()
