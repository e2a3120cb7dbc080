"""The service's limits: what they hold back waits in the kernel's queue, and nothing is dropped uncounted."""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import pytest

from tests.functional.clients import bare, connect, half_close, read_end
from tests.functional.conftest import ServiceMaker
from tests.functional.metrics import Difference
from tests.functional.processes import descriptors
from tests.functional.service import LOOPBACK, Service, options
from tests.functional.waiting import until

LINE = b"hits:1|c\n"

PURE = {"STATSCOUNTER_PURE_PYTHON": "1"}


def low(descriptors: int, pages: int) -> dict[str, Any]:
    """Return the keywords of a service with a limit of open files, and of connections to its pages."""
    prefix = ["prlimit", f"--nofile={descriptors}:{descriptors}"]
    return {"prefix": prefix, "admin": f"tcp:0:{LOOPBACK}", "more": [f"--http-connections={pages}"]}


SERVICES: dict[str, dict[str, Any]] = {
    "low soft limit": {"prefix": ["prlimit", "--nofile=64:1000"]},
    "150 descriptors": low(150, 8),
    "300 descriptors": low(300, 128),
    "idle 4 s": {"more": ["--idle-timeout=4"]},
    "16 places": {"more": ["--max-connections=16"]},
    "16 places in Python": {"more": ["--max-connections=16"], "environ": PURE},
}
"""Keywords of `options` and `Service` for those that several tests use."""


def of(*names: str) -> pytest.MarkDecorator:
    """Mark a test of some of the services above: all tests of one service run on the same process."""
    return pytest.mark.parametrize("service", names, indirect=True)


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield the service with that name."""
    folder, keywords = tmp_path_factory.mktemp("service"), dict(SERVICES[request.param])
    of_service = {name: keywords.pop(name) for name in ("prefix", "environ") if name in keywords}
    made = Service(folder, options(folder / "state", **keywords), **of_service)
    try:
        yield made.start()
    finally:
        made.end()


class Added:
    """Waits for what comes to a service, of which others may have had some before, and tells what that is."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before = service.settled()

    def wait_for(self, wanted: float, name: str, **labels: str) -> Difference:
        """Wait until a total has grown that much."""
        metrics = self._service.wait_for(sum(self._before.values(name, **labels)) + wanted, name, **labels)
        return Difference(self._before, metrics)

    def wait_for_closed(self, wanted: float) -> dict[str, float]:
        """Wait until that many connections to the listener of lines have ended; return them by reason."""
        found = self.wait_for(wanted, "statscounter_connections_closed_total", listener="lines")
        return found.by("statscounter_connections_closed_total", "reason", listener="lines")

    def accepted(self, listener: str) -> float:
        """Return how many connections a listener has accepted."""
        return Difference(self._before, self._service.metrics()).connections(listener)[0]


def is_paused(service: Service, listener: str) -> bool:
    """Return whether accepting is paused for a listener."""
    return service.metrics().total("statscounter_accept_paused", listener=listener) == 1


def sources(number: int) -> list[str]:
    """Return that many different addresses of this machine."""
    return [f"127.0.1.{last}" for last in range(1, number + 1)]


@contextmanager
def spare_descriptors(pid: int, spare: int) -> Iterator[None]:
    """Leave a running process this many free descriptors, for a while."""
    used = descriptors(pid).keys()
    free = (number for number in range(len(used) + spare + 1) if number not in used)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # The limit is on the numbers of descriptors: the first one that must not be had.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(islice(free, spare, None)), before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@of("idle 4 s")
def test_idle_connections(service: Service) -> None:
    """A connection that says nothing, or stops in the middle of a line, is closed after a while and counted as idle."""
    added = Added(service)
    with service.workers_held():
        # Its time begins when it is accepted, and what it sends must be there by then.
        silent, stuck = connect(service.port("lines")), connect(service.port("lines"))
        stuck.sendall(LINE + b"half:1")
    read_end(silent)
    read_end(stuck)
    assert added.wait_for_closed(2) == {"idle": 2}
    found = added.wait_for(1, "statscounter_bad_lines_total", reason="truncated")
    assert (found.total("hits"), found.total("statscounter_bad_lines_total")) == (1, 1)


def test_old_connections(start_service: ServiceMaker) -> None:
    """A connection that is too old gets its end, and what its client sends then still counts, unless it goes on."""
    service = start_service(more=["--max-age=1"])
    port = service.port("lines")
    with connect(port) as polite, connect(port) as deaf:
        for one in (polite, deaf):
            one.sendall(LINE)
            assert one.recv(1) == b""
            one.sendall(LINE)
        polite.shutdown(socket.SHUT_WR)
        # At once: it is closed five seconds after it was told.
        deaf.sendall(LINE)
        service.wait_for(2, "statscounter_connections_closed_total", listener="lines")
    metrics = service.settled()
    assert metrics.closed("lines") == {"max_age": 2}
    assert metrics.total("hits") == 5


def test_limits_of_a_source(start_service: ServiceMaker) -> None:
    """Two workers limit a source together: its rate, and its open connections, which a killed worker gives back."""
    limits = ["--source-rate=0.01:30", "--source-open=4", "--source-limit-mode=close", "--source-exempt=127.0.0.3"]
    service = start_service(workers=2, more=limits)
    port = service.port("lines")
    kept = [connect(port, source="127.0.0.2") for _ in range(4)]
    service.wait_for(4, "statscounter_connections_open", listener="lines")
    with connect(port, source="127.0.0.2") as over:
        read_end(over)
    killed = set(service.worker_pids().values())
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    for one in kept:
        read_end(one)
    until(lambda: service.is_ready() and killed.isdisjoint(service.worker_pids().values()), "other workers accept")
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(port, source="127.0.0.2"))
        service.wait_for(4, "statscounter_connections_open", listener="lines")
        before = service.metrics()
        for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
            for _ in range(40):
                with connect(service.port("bare"), source=source) as client:
                    read_end(client)
        closed = Difference(before, service.metrics()).connections("bare")[1]
    # Listeners have limits of their own; so have sources.
    assert closed == {"counted": 30 + 40 + 30, "limited": 10 + 10}
    metrics = service.settled()
    assert metrics.closed("lines") == {"limited": 1, "killed": 4, "eof": 4}
    assert metrics.by("statscounter_source_limited_total", "action") == {"close": 21}


@of("idle 4 s")
def test_busy_connection_is_not_idle(service: Service) -> None:
    """A connection that keeps sending stays for longer than the idle timeout."""
    added, closed = Added(service), threading.Event()
    with connect(service.port("lines")) as busy, connect(service.port("lines")) as silent:

        def keep_sending() -> None:
            while not closed.wait(0.01):
                busy.sendall(LINE)

        # All by itself, so that it never waits for anything else.
        thread = threading.Thread(target=keep_sending)
        thread.start()
        try:
            read_end(silent)
            assert added.wait_for_closed(1) == {"idle": 1}
            assert service.metrics().total("statscounter_connections_open", listener="lines") == 1
        finally:
            closed.set()
            thread.join()


@of("16 places")
def test_most_connections(service: Service) -> None:
    """Where no source holds more than a sixteenth of the places accepting pauses, and goes on as soon as one ends."""
    added, port = Added(service), service.port("lines")
    with ExitStack() as stack:
        addresses = sources(20)
        first = [stack.enter_context(connect(port, source=source)) for source in addresses[:16]]
        service.wait_for(16, "statscounter_connections_open", listener="lines")
        late = [stack.enter_context(connect(port, source=source)) for source in addresses[16:]]
        until(lambda: is_paused(service, "lines"), "accepting has paused")
        for client in late:
            client.sendall(LINE)
        service.wait_for(4, "statscounter_accept_queue_length", listener="lines")
        assert added.accepted("lines") == 16
        # A counting port does not keep connections: it has no part in this.
        assert not is_paused(service, "bare")
        bare(service.port("bare"))
        for client in first[:3]:
            client.close()
        assert added.wait_for(3, "hits").connections("lines")[0] == 19
        late[0].close()
        assert added.wait_for(4, "hits").connections("lines")[0] == 20
    until(lambda: not is_paused(service, "lines"), "nothing holds accepting")
    assert added.wait_for_closed(20) == {"eof": 20}


@of("16 places", "16 places in Python")
def test_one_client_holds_all_places(service: Service) -> None:
    """A client that holds all places in silence keeps no other out; its connections end cleanly and its lines count."""
    added, port = Added(service), service.port("lines")
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(port, source="127.0.0.2")) for _ in range(16)]
        service.wait_for(16, "statscounter_connections_open", listener="lines")
        with service.workers_held():
            # Unread when its connection is chosen: the first poll accepts before it reads from those that are open.
            for client in silent:
                client.sendall(LINE + b"half:1")
            others = [stack.enter_context(connect(port)) for _ in range(5)]
            for client in others:
                client.sendall(b"served:1|c\n")
        added.wait_for(5, "served")
        added.wait_for(16, "hits")
        # What is no line is in no journal, and may come with a later commit.
        found = added.wait_for(5, "statscounter_bad_lines_total", reason="truncated")
        assert found.total("hits") == 16
        assert found.connections("lines")[1] == {"evicted": 5}
        assert found.total("statscounter_bad_lines_total", reason="truncated") == 5
        assert service.metrics().total("statscounter_connections_open", listener="lines") == 16
        readable, _, _ = select.select(silent, [], [], 0)
        assert [client.recv(1) for client in readable] == [b""] * 5
    assert added.wait_for_closed(21) == {"evicted": 5, "eof": 16}


def test_first_byte(start_service: ServiceMaker) -> None:
    """While three quarters of the places are taken a client that never sends is let go; one that has sent stays."""
    service = start_service(more=["--max-connections=2", "--first-byte-timeout=1"])
    port = service.port("lines")
    with connect(port) as spoken:
        # While it is the only one, it may take its time.
        spoken.sendall(LINE)
        service.wait_for(1, "hits")
        with connect(port) as silent:
            read_end(silent)
            metrics = service.wait_for(1, "statscounter_connections_closed_total", listener="lines")
            assert metrics.closed("lines") == {"first_byte": 1}
            assert metrics.total("statscounter_connections_open", listener="lines") == 1


@of("low soft limit")
def test_out_of_descriptors(service: Service) -> None:
    """Without a free descriptor connections wait, which is counted; none is lost, and none is cut off."""
    added = Added(service)
    worker = service.worker_pids()[0]
    with spare_descriptors(worker, 0):
        clients = [connect(service.port(label)) for label in ("bare", "lines") for _ in range(5)]
        for label in ("bare", "lines"):
            added.wait_for(1, "statscounter_accept_errors_total", listener=label, errno="EMFILE")
            service.wait_for(1, "statscounter_accept_paused", listener=label)
        assert added.accepted("bare") == added.accepted("lines") == 0
        service.wait_for(10, "statscounter_accept_queue_length")
    for client in clients[:5]:
        read_end(client)
    for client in clients[5:]:
        client.sendall(LINE)
        client.close()
    found = added.wait_for(5, "hits")
    assert found.connections("bare")[0] == found.connections("lines")[0] == 5
    until(lambda: not is_paused(service, "lines") and not is_paused(service, "bare"), "nothing holds accepting")
    assert service.worker_pids() == {0: worker}


@of("low soft limit")
def test_one_free_descriptor(service: Service) -> None:
    """A connection that is accepted but finds no descriptor for its transport is kept, and served later."""
    added = Added(service)
    with spare_descriptors(service.worker_pids()[0], 1):
        client = connect(service.port("lines"))
        added.wait_for(1, "statscounter_accept_errors_total", listener="lines", errno="EMFILE")
        assert added.accepted("lines") == 1
        client.sendall(LINE)
        added.wait_for(1, "hits")
    until(lambda: not is_paused(service, "lines"), "nothing holds accepting")
    client.sendall(LINE)
    added.wait_for(2, "hits")
    client.close()
    assert added.wait_for_closed(1) == {"eof": 1}


@of("150 descriptors")
def test_low_limit_of_open_files(service: Service) -> None:
    """Under a low limit of open files the service allows fewer connections, and the rest wait for their turn."""
    added = Added(service)
    limit = service.status()["connection_limit_per_worker"]
    assert 0 < limit < 150
    with ExitStack() as stack:
        for source in sources(limit + 5):
            stack.enter_context(connect(service.port("lines"), source=source))
        until(lambda: is_paused(service, "lines"), "accepting has paused")
        service.wait_for(5, "statscounter_accept_queue_length", listener="lines")
        assert added.accepted("lines") == limit
    assert added.wait_for_closed(limit + 5) == {"eof": limit + 5}
    errors = "statscounter_accept_errors_total"
    assert added.wait_for(0, errors, listener="lines").total(errors, listener="lines") == 0


@of("150 descriptors", "300 descriptors")
def test_descriptors_for_the_service_itself(service: Service) -> None:
    """However many connections there are to the pages and the console, a dead worker is replaced at once."""
    added = Added(service)
    descriptors, _ = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    worker = service.worker_pids()[0]
    console = int(re.findall(r"console +tcp \S+:(\d+)$", service.log, re.MULTILINE)[0])
    with ExitStack() as stack:
        for port in (service.http_port, console):
            for _ in range(descriptors):
                stack.enter_context(connect(port))
        os.kill(worker, signal.SIGKILL)
        until(lambda: replaced(service, worker), "the worker is replaced")
        half_close(service.port("lines"), LINE)
    added.wait_for(1, "hits")
    assert "cannot be" not in service.log
    assert "Too many open files" not in service.log


def replaced(service: Service, worker: int) -> bool:
    """Return whether there is another worker. Who asks may have to make room, as one of too many of one source."""
    try:
        return service.worker_pids().get(0, worker) != worker
    except OSError:
        return False


@of("low soft limit")
def test_soft_limit_is_raised(service: Service) -> None:
    """The soft limit of open files does not matter: it is raised to the hard one, in the workers, too."""
    added = Added(service)
    limits = resource.prlimit(service.worker_pids()[0], resource.RLIMIT_NOFILE)
    assert limits == (1000, 1000)
    half_close(service.port("lines"), LINE)
    added.wait_for(1, "hits")


@of("low soft limit")
def test_many_lines_at_once(service: Service) -> None:
    """A client that sends more than a journal holds is slowed down, and none of its lines is lost."""
    added = Added(service)
    block = b"many:1|c\n" * 100_000
    with connect(service.port("lines")) as client:
        for _ in range(25):
            client.sendall(block)
    found = added.wait_for(2_500_000, "many")
    assert found.total("many") == 2_500_000
    assert found.lines("lines")[1] == 25 * len(block)
