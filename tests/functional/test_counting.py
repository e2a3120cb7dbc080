"""Every connection is counted once, and so is every line, byte and datagram, whatever way it comes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence

import pytest

from tests.functional.clients import (
    Burst,
    bare,
    connect,
    datagram,
    half_close,
    in_pieces,
    queue_up,
    read_end,
    reset,
    reset_at_close,
)
from tests.functional.conftest import ServiceMaker
from tests.functional.metrics import Difference, Metrics
from tests.functional.service import Service, options
from tests.functional.waiting import until

MANY = 400


WITH_ONE_AND_THREE = pytest.mark.parametrize("service", [1, 3], indirect=True, ids=["1 worker", "3 workers"])


@pytest.fixture(scope="module", params=[3], ids=["3 workers"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service with that many workers, which the tests of this module share."""
    folder = tmp_path_factory.mktemp("service")
    service = Service(folder, options(folder / "state", workers=request.param))
    try:
        yield service.start()
    finally:
        service.end()


class Watch:
    """Looks at the service before and after."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before = service.metrics()

    def difference(self, listener: str, connections: int) -> Difference:
        """Wait until a listener has accepted this many and all are closed and committed; return what has changed."""
        wanted = self._before.accepted(listener) + connections
        self._service.wait_for(wanted, "statscounter_connections_total", listener=listener)
        ended = wanted - self._before.total("statscounter_connections_open", listener=listener)
        self._service.wait_for(ended, "statscounter_connections_closed_total", listener=listener)
        return Difference(self._before, self._service.settled())


@WITH_ONE_AND_THREE
def test_bare_connections(service: Service) -> None:
    """All connections to a counting port are counted, by all workers together."""
    watch, port = Watch(service), service.port("bare")
    assert Burst(lambda: bare(port), MANY).run() == (MANY, 0, 0)
    assert watch.difference("bare", MANY).connections("bare") == (MANY, {"counted": MANY})


@WITH_ONE_AND_THREE
def test_every_worker_has_a_share(service: Service) -> None:
    """The kernel spreads connections over the workers, and each one's are told apart."""
    port = service.port("bare")
    Burst(lambda: bare(port), MANY).run()
    shares = service.metrics().by("statscounter_connections_total", "worker", listener="bare")
    assert sorted(shares) == sorted(str(slot) for slot in service.worker_pids())


def test_bare_connection_that_talks(service: Service) -> None:
    """A client that had sent something to a counting port when it was accepted sees a clean end, and is counted."""
    watch, port = Watch(service), service.port("bare")
    with service.workers_held():
        clients = queue_up(port, 20, b"GET / HTTP/1.0\r\n\r\n")
    for client in clients:
        read_end(client)
    assert watch.difference("bare", 20).connections("bare") == (20, {"counted": 20})


@WITH_ONE_AND_THREE
def test_one_line_each(service: Service) -> None:
    """Connections with one line each give as many connections, lines, samples and bytes, and the counter's sum."""
    line = b"one.line:2|c\n"
    watch, port = Watch(service), service.port("lines")
    assert Burst(lambda: half_close(port, line), MANY).run() == (MANY, 0, 0)
    found = watch.difference("lines", MANY)
    assert found.connections("lines") == (MANY, {"eof": MANY})
    assert found.lines("lines") == (MANY, MANY * len(line))
    assert found.total("statscounter_samples_total", type="c") == MANY
    assert service.metrics().total("one_line") == 2 * MANY


def test_split_lines(service: Service) -> None:
    """Lines count once wherever they are cut, with and without CR, and the unterminated last one too."""
    pieces = [b"spl", b"it:1|c\r", b"\n\nsplit:1", b"0|c\nsplit:100|c"]
    watch, port = Watch(service), service.port("lines")
    for _ in range(4):
        # A scrape takes longer than the accept lane looks at a connection: the reactor has it then.
        in_pieces(port, pieces, service.metrics)
    found = watch.difference("lines", 4)
    assert found.connections("lines") == (4, {"eof": 4})
    assert found.lines("lines") == (4 * 3, 4 * sum(len(piece) for piece in pieces))
    assert found.total("statscounter_empty_lines_total", listener="lines") == 4
    assert service.metrics().total("split") == 4 * 111


def test_bad_lines(service: Service) -> None:
    """Bad lines cost a count with the reason, and nothing else: the good ones around them are taken."""
    data = b"bad.ok:1|c\nnonsense\nbad.ok:x|c\n:1|c\nbad.ok:1|?\nbad.ok:1|c|@2\n" + b"x" * 9000 + b"\nbad.ok:1|c\n"
    watch, port = Watch(service), service.port("lines")
    half_close(port, data)
    found = watch.difference("lines", 1)
    reasons = (
        "malformed_line",
        "malformed_value",
        "empty_name",
        "unknown_type",
        "invalid_sample_rate",
        "line_too_long",
    )
    counted = {reason: found.total("statscounter_bad_lines_total", reason=reason) for reason in reasons}
    assert counted == dict.fromkeys(reasons, 1)
    assert found.lines("lines") == (8, len(data))
    assert service.metrics().total("bad_ok") == 2


@pytest.mark.parametrize("pure", ["", "1"], ids=["c", "python"])
def test_most_tags_and_longest_identity(start_service: ServiceMaker, pure: str) -> None:
    """The tags of a line, and the bytes of name and tags, are limited; also when read from a journal."""
    service = start_service(environ={"STATSCOUNTER_PURE_PYTHON": pure})
    many = [b"tags:1|c|#" + b",".join(b"k%d:v" % number for number in range(most)) for most in (256, 257)]
    bare_tags = b",".join(b"b%03d" % number for number in range(256))
    long = [b"n" * size + b":1|c|#" + bare_tags for size in (6656, 6657)]
    sent = b"\n".join([*many, *long]) + b"\n"
    half_close(service.port("lines"), sent * 2)
    for line in [*many, *long]:
        datagram(service.port("datagrams"), line)
    reasons = ("too_many_tags", "identity_too_long")
    for reason in reasons:
        service.wait_for(3, "statscounter_bad_lines_total", reason=reason)
    assert service.wait_for(3, "tags").total("n" * 6656) == 3
    (worker,) = service.worker_pids().values()
    with service.supervisor_held():
        half_close(service.port("lines"), sent)
        os.kill(worker, signal.SIGKILL)
    for reason in reasons:
        service.wait_for(4, "statscounter_bad_lines_total", reason=reason)
    assert service.settled().total("tags") == 4


def test_reset_connections(service: Service) -> None:
    """A client that resets is counted as such; the lines that it had finished count, half a line does not."""
    watch, port = Watch(service), service.port("lines")
    in_pieces(port, [b"reset:1|c\n", b"reset:1|c\n"], service.metrics)
    for _ in range(10):
        reset(port)
    found = watch.difference("lines", 11)
    accepted, closed = found.connections("lines")
    assert accepted == 11
    assert closed == {"eof": 1, "reset": 10}
    assert found.lines("lines")[0] == 2


def test_half_a_line_before_a_reset(service: Service) -> None:
    """Half a line before a reset is dropped and counted as truncated: half a number must not become a value."""
    watch, port = Watch(service), service.port("lines")
    before = service.metrics().total("statscounter_received_bytes_total", listener="lines")
    sent = b"whole:1|c\nhalf:1"
    with connect(port) as connection:
        connection.sendall(sent)
        service.wait_for(before + len(sent), "statscounter_received_bytes_total", listener="lines")
        reset_at_close(connection)
    found = watch.difference("lines", 1)
    assert found.connections("lines") == (1, {"reset": 1})
    assert found.total("statscounter_bad_lines_total", reason="truncated") == 1
    assert "half" not in service.metrics().text


def test_reset_bare_connections(service: Service) -> None:
    """Connections that are reset before anybody accepts them are counted all the same."""
    watch, port = Watch(service), service.port("bare")
    for _ in range(50):
        reset(port, b"gone")
    accepted, closed = watch.difference("bare", 50).connections("bare")
    assert accepted == sum(closed.values()) == 50
    assert set(closed) <= {"counted", "reset"}


@WITH_ONE_AND_THREE
def test_datagrams(service: Service) -> None:
    """Datagrams, their bytes and their lines are counted, the unterminated last one of each too."""
    data = b"udp:1|c\nudp:1|c"
    watch, port = Watch(service), service.port("datagrams")
    before = service.metrics().total("statscounter_datagrams_total", listener="datagrams")
    for _ in range(100):
        datagram(port, data)
    service.wait_for(before + 100, "statscounter_datagrams_total", listener="datagrams")
    found = watch.difference("lines", 0)
    assert found.total("statscounter_datagrams_total", listener="datagrams") == 100
    assert found.lines("datagrams") == (200, 100 * len(data))
    assert service.metrics().total("udp") == 200


def test_gauge_over_all_workers(service: Service) -> None:
    """The last setting of a gauge holds, whichever worker got it, and relative ones add to it."""
    lines = (b"level:1|g", b"level:7|g", b"level:+5|g", b"level:-2|g")
    assert until(lambda: level_of_one_commit(service, lines), "all is in one commit") == 10


def level_of_one_commit(service: Service, lines: Sequence[bytes]) -> float | None:
    """Return the level after these lines came with one commit, None if they may have come with two.

    A commit does not wait for a worker without a processor, and a setting that comes late wins.
    """
    scrapes = [service.metrics()]

    def come(scrape: Metrics) -> float:
        """Return how many lines came since the first scrape."""
        name, listener = "statscounter_lines_total", "lines"
        return scrape.total(name, listener=listener) - scrapes[0].total(name, listener=listener)

    def have_come() -> bool:
        scrapes.append(service.metrics())
        return come(scrapes[-1]) >= len(lines)

    with service.supervisor_held():
        for line in lines:
            half_close(service.port("lines"), line)
    until(have_come, "all lines are committed")
    commits = [scrape.total("statscounter_commits_total") for scrape in scrapes[-2:]]
    is_one = (come(scrapes[-2]), come(scrapes[-1]), commits[1] - commits[0]) == (0, len(lines), 1)
    return scrapes[-1].total("level") if is_one else None


def test_tags_become_labels(service: Service) -> None:
    """Tags are labels in the scrape."""
    half_close(service.port("lines"), b"tagged:1|c|#colour:red,fast\n")
    assert service.settled().total("tagged", colour="red", fast="true") == 1
