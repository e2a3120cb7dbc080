"""From release 0.1.0 to this version: by a reload of the service that runs, and with the state folder that it left."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from statsd_tcp.supervisor.manifest import Manifest
from statsd_tcp.workers import channel
from tests.functional.clients import Burst, bare, connect, half_close
from tests.functional.load import Load
from tests.functional.processes import held
from tests.functional.service import Service, options
from tests.functional.waiting import PATIENCE, until
from tests.packaging import release
from tests.packaging.environment import Environment

pytestmark = pytest.mark.skipif(not release.WHEEL.exists(), reason="release 0.1.0 is not in a source distribution")

LINE = b"hits:1|c\n"
COMPLETE = "the reload is complete"
REFUSED = "the reload is refused, and all stays as it is: statscounter: "


class Told:
    """A server that the service repeats lines to."""

    def __init__(self, stack: ExitStack) -> None:
        self._socket = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def of(self, line: bytes) -> bool:
        """Return whether the line is in what has come since this was asked last."""
        came = b""
        try:
            while True:
                came += self._socket.recv(1 << 16) + b"\n"
        except BlockingIOError:
            return line in came.splitlines()


def test_reload(wheel: Path, tmp_path: Path) -> None:
    """A HUP puts this version in the place of 0.1.0, also when a worker died between the installation and the HUP.

    No client is refused or cut off except by that death, and every connection and line is counted once.
    """
    environment = release.environment_with(release.WHEEL, tmp_path / "venv")
    with ExitStack() as stack:
        told = Told(stack)
        backends = [stack.enter_context(release.Backend()) for _ in range(2)]
        keywords = release.scene([backend.port for backend in backends], told.port)
        service = release.release_service(tmp_path / "service", environment, keywords)
        stack.enter_context(release.ended(service))
        service.start()
        lines, count = service.port("lines"), service.port("bare")
        kept = [stack.enter_context(connect(lines)) for _ in range(8)]
        say(kept)
        service.wait_for(8, "hits")
        release.install(environment, wheel)
        die_with_unread_lines(service)
        alive = [one for one in kept if not has_ended(one)]
        with raised_format(environment):
            os.kill(service.process.pid, signal.SIGHUP)
            until(lambda: REFUSED in service.log, "the reload is refused")
        (why,) = [line.partition(REFUSED)[2] for line in service.log.splitlines() if REFUSED in line]
        assert why == "this version cannot take over channel=1 from the one that runs: restart the service"
        half_close(lines, LINE)
        short, counted = Load(lambda: half_close(lines, LINE)), Load(lambda: bare(count), 1)
        with short, counted:
            os.kill(service.process.pid, signal.SIGHUP)
            until(lambda: COMPLETE in service.log, "the reload is complete", 2 * PATIENCE)
            until(service.is_ready, "the service is ready")
        say(alive)
        # Its buffer may be full of what came before.
        told.of(b"")
        half_close(lines, b"after:1|c\n")
        until(lambda: told.of(b"after:1|c"), "lines are repeated")
        assert (short.sent.failed, counted.sent.failed) == ([], [])
        hits = 8 + release.CLIENTS + 1 + short.completed + len(alive)
        service.wait_for(hits, "hits")
        for one in kept:
            one.close()
        metrics = service.settled()
        assert metrics.total("hits") == hits
        assert metrics.total("statscounter_recovered_lines_total") > 0
        assert metrics.accepted("lines") == 8 + release.CLIENTS + 2 + short.completed
        # The last connection may have been killed between its end and its being counted.
        assert metrics.closed("lines").get("killed", 0) - (len(kept) - len(alive)) in (0, 1)
        assert metrics.accepted("bare") == counted.completed
        assert min(short.completed, counted.completed) > 0
        until(lambda: len(service.ledgers) == 2, "the ledgers of 0.1.0 are gone")
        assert service.stop() == -signal.SIGTERM


def say(connections: Sequence[socket.socket]) -> None:
    """Send a line over each connection."""
    for one in connections:
        one.sendall(LINE)


def has_ended(connection: socket.socket) -> bool:
    """Return whether the other side, which sends nothing, has ended a connection."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable)


def die_with_unread_lines(service: Service) -> None:
    """Kill a worker with lines that only its journal has, and wait until another one and a first reading were tried."""
    lines, pid = service.port("lines"), service.worker_pids()[0]
    with held(service.process.pid):
        assert Burst(lambda: half_close(lines, LINE), release.CLIENTS).run().completed == release.CLIENTS
        os.kill(pid, signal.SIGKILL)
    until(lambda: service.worker_pids().get(0, pid) != pid and service.is_ready(), "another worker accepts")
    # The program that 0.1.0 reads journals with is no longer there: it tries again until it is replaced itself.
    until(lambda: "could not be read" in service.log, "reading the journal was tried")


@contextmanager
def raised_format(environment: Environment) -> Iterator[None]:
    """Have the installed code speak to workers in an unknown format."""
    (path,) = environment.root.glob("lib/python*/site-packages/statsd_tcp/formats.py")
    code = path.read_text()
    known = "frozenset({1, 2, 3, 4, CHANNEL})"
    assert known in code
    path.write_text(code.replace(known, "frozenset({99})"))
    yield
    path.write_text(code)


def test_state_folder(tmp_path: Path) -> None:
    """All totals of 0.1.0 are there, journals are read, flushes are delivered, and what was set aside is kept."""
    expected = release.read_expected()
    with ExitStack() as stack:
        backends = [stack.enter_context(release.Backend()) for _ in expected.delivered]
        ports = [backend.port for backend in backends]
        service = Service(tmp_path, options(tmp_path / "state", **release.scene(ports)))
        stack.enter_context(release.ended(service))
        release.unpack_state(service.state)
        aside = {path: path.read_bytes() for path in (service.state / "ledgers").glob("*.unread")}
        last = release.open_until(service.state)
        release.move_queues(service.state, ports)
        totals = release.go_on(service, backends, last)
        for backend, points in zip(backends, expected.delivered, strict=True):
            times = [point.time for point in backend.points]
            assert times == sorted(times)
            assert release.delivered(backend, last) == points
        half_close(service.port("lines"), LINE)
        assert service.wait_for(totals["hits"] + 1, "hits").total("hits") == totals["hits"] + 1
        assert service.stop() == -signal.SIGTERM
    # What 0.1.0 did not know, such as another reason, begins at 0.
    assert totals == dict.fromkeys(totals, 0.0) | expected.totals
    assert len(aside) == 1
    assert {path: path.read_bytes() for path in (tmp_path / "state" / "ledgers").iterdir()} == aside


@pytest.mark.parametrize("name", ["Boot", "Collect", "Committed", "Drain", "Retire", "Ready", "Gathered", "Manifest"])
def test_messages(name: str) -> None:
    """What 0.1.0 says to its workers, its supervisor and its next image is understood, and said in the same words."""
    said = release.read_expected().messages[name]
    understood = msgspec.msgpack.decode(said, type=Manifest if name == "Manifest" else channel.Message)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(understood))
    assert within(msgspec.msgpack.decode(said), again)


def within(less: Any, more: Any) -> bool:
    """Return whether all of one message is in another, which may have further fields."""
    if isinstance(less, dict) and isinstance(more, dict):
        return all(key in more and within(value, more[key]) for key, value in less.items())
    if isinstance(less, list) and isinstance(more, list):
        return len(less) == len(more) and all(map(within, less, more))
    return bool(less == more)
