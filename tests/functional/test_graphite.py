"""Flushes to Graphite: a real carbon, and what is in its files afterwards."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.functional.carbon import Carbon, need_carbon
from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.service import Service, options
from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port

LINES = (
    b"hits:3|c\nhits:2|c|@0.5\ntime:320|ms\ntime:100|ms|@0.1\nlevel:5|g\nlevel:+3|g\nusers:a|s\nusers:b|s\n"
    b"a page/one:1|c\nby.tag:1|c|#code:200,env:prod\nbad\n"
)

PICKLED = "suffix=pickled"

FIN_WAIT1, FIN_WAIT2, GONE = 4, 5, 0
"""Of a connection whose one side has ended: the other has not heard of it, or its kernel has all; or of none at all."""

EXPECTED = {
    "stats_counts.hits": 7.0,
    "stats_counts.a_page-one": 1.0,
    "stats_counts.by.tag;code=200;env=prod": 1.0,
    "stats.timers.time.count": 11.0,
    "stats.timers.time.mean": 210.0,
    "stats.timers.time.upper_90": 320.0,
    "stats.gauges.level": 8.0,
    "stats.sets.users.count": 2.0,
    "stats_counts.statsd.metrics_received": 11.0,
    "stats_counts.statsd.bad_lines_seen": 1.0,
}


@pytest.fixture(scope="module", params=["carbon"])
def carbon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carbon]:
    """Yield a carbon that runs, for tests whose metrics have different names."""
    need_carbon()
    made = Carbon(tmp_path_factory.mktemp("folder") / request.param).start()
    yield made
    made.end()


@pytest.fixture
def own_carbon(tmp_path: Path) -> Iterator[Carbon]:
    """Yield a carbon that runs, for a test that ends it."""
    need_carbon()
    made = Carbon(tmp_path / "carbon").start()
    yield made
    made.end()


@pytest.fixture(scope="module")
def in_both_protocols(carbon: Carbon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that sends everything as text, and once more as pickles under names with a suffix."""
    folder = tmp_path_factory.mktemp("service")
    more = [*graphite(carbon.text_port, "protocol=text"), graphite(carbon.pickle_port, "protocol=pickle", PICKLED)[1]]
    made = Service(folder, options(folder / "state", more=more))
    try:
        yield made.start()
    finally:
        made.end()


def largest(carbon: Carbon, path: str) -> float:
    """Return the largest value that has arrived of a metric."""
    return max(carbon.points(path).values(), default=0.0)


def total(carbon: Carbon, path: str) -> float:
    """Add up what has arrived of a metric."""
    return sum(carbon.points(path).values())


def graphite(port: int, *more: str) -> list[str]:
    """Return the options for flushes of a second that go to carbon."""
    return ["--flush-interval=1", f"--graphite={':'.join(('tcp', '127.0.0.1', str(port), *more))}"]


@pytest.mark.parametrize("suffix", ["", ".pickled"], ids=["text", "pickle"])
def test_what_arrives_is_what_was_sent(carbon: Carbon, in_both_protocols: Service, suffix: str) -> None:
    """All that was sent in one connection is in whisper, under etsy's names, in either protocol."""
    expected = {with_suffix(path, suffix): value for path, value in EXPECTED.items()}
    half_close(in_both_protocols.port("lines"), LINES)
    until(lambda: largest(carbon, f"stats_counts.hits{suffix}") == 7.0, "the counter has arrived")
    # What was sent in one connection may be in two flushes, if it came at the end of one.
    until(lambda: {path: largest(carbon, path) for path in expected} == expected, "all has arrived")


def with_suffix(path: str, suffix: str) -> str:
    """Put a suffix behind a name, before its tags."""
    name, semicolon, tags = path.partition(";")
    return f"{name}{suffix}{semicolon}{tags}"


def test_the_new_namespace(carbon: Carbon, start_service: ServiceMaker) -> None:
    """Prefixes and the suffix stand where etsy puts them."""
    more = ("namespace=new", "prefix=acme", "counters=c", "suffix=eu")
    service = start_service(more=graphite(carbon.text_port, *more))
    half_close(service.port("lines"), b"hits:3|c\ntime:5|ms\n")
    until(lambda: largest(carbon, "acme.c.hits.count.eu") == 3.0, "the counter has arrived")
    until(lambda: largest(carbon, "acme.timers.time.sum.eu") == 5.0, "the timer has arrived")
    until(lambda: largest(carbon, "acme.statsd.numStats.eu") == 6.0, "their number has arrived")


def send_and_settle(service: Service, lines: bytes) -> None:
    """Send, and wait until the flush in which that came has ended."""
    half_close(service.port("lines"), lines)
    service.settled()


def test_a_carbon_that_is_away(own_carbon: Carbon, start_service: ServiceMaker) -> None:
    """While carbon is down its flushes wait; when it is back they are delivered in order, and none is missing."""
    carbon = own_carbon
    service = start_service(more=graphite(carbon.text_port))
    name = f"graphite:127.0.0.1:{carbon.text_port}"
    send_and_settle(service, b"hits:1|c\n")
    until(lambda: total(carbon, "stats_counts.hits") == 1.0, "the first has arrived")
    carbon.end()
    down = int(time.time())
    for _ in range(3):
        send_and_settle(service, b"hits:1|c\nlevel:+1|g\n")
    service.wait_for(3, "statscounter_output_queued", output=name)
    service.wait_for(1, "statscounter_output_failed_total", output=name)
    carbon.start()
    until(lambda: total(carbon, "stats_counts.hits") == 4.0, "the others have arrived")
    levels = [value for _, value in sorted(carbon.points("stats.gauges.level").items())]
    assert levels == sorted(levels), "in order, a gauge that only rises never falls"
    # What carbon had read, and not yet written when it was stopped, is its own loss.
    times = sorted(when for when in carbon.points("statsd.numStats") if when > down)
    assert times == list(range(down + 1, down + 1 + len(times))), "there is a point for every flush"


def test_a_restart_in_mid_flush(carbon: Carbon, start_service: ServiceMaker) -> None:
    """What came before and after a restart in the same flush is one point."""
    seconds = 8
    graphite = f"--graphite=tcp:127.0.0.1:{carbon.text_port}:suffix=restart"
    service = start_service(more=[f"--flush-interval={seconds}", graphite])
    half_close(service.port("lines"), b"hits:1|c\ntime:10|ms\n")
    service.settled()
    assert service.stop() in (0, -15)
    service.start()
    half_close(service.port("lines"), b"hits:2|c\ntime:20|ms\n")
    until(lambda: total(carbon, "stats_counts.hits.restart") == 3.0, "all has arrived")
    counts = carbon.points("stats_counts.hits.restart")
    assert all(when % seconds == 0 for when in counts)
    # The restart may have fallen on the end of a flush; then the two are in two.
    found = [value for value in counts.values() if value]
    assert found in ([3.0], [1.0, 2.0])
    if found == [3.0]:
        until(lambda: largest(carbon, "stats.timers.time.mean.restart") == 15.0, "the timer has arrived")


def test_kill_and_restart(carbon: Carbon, start_service: ServiceMaker) -> None:
    """What was counted but not yet committed when the service was killed is in the flushes too, once."""
    service = start_service(more=graphite(carbon.text_port, "suffix=kill"))
    for _ in range(5):
        half_close(service.port("lines"), b"hits:1|c\n")
    service.kill()
    service.start()
    half_close(service.port("lines"), b"hits:1|c\n")
    until(lambda: total(carbon, "stats_counts.hits.kill") >= 6.0, "all has arrived")
    service.settled()
    assert total(carbon, "stats_counts.hits.kill") == 6.0


def test_a_backend_that_ends_too_early(start_service: ServiceMaker) -> None:
    """A backend that ends in good order, while more is on its way to it, gets the whole flush again."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(PATIENCE)
        # Much less than the flush with most of the counters has, and more than one without.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        service = start_service(more=graphite(listener.getsockname()[1]))
        half_close(service.port("lines"), b"".join(b"some.longer.name.of.a.counter.%d:1|c\n" % n for n in range(400)))
        deserted, arrived = 0, 0.0
        while arrived < 400:
            connection, (_, port) = listener.accept()
            stack.enter_context(connection)
            state = _state_at_rest(port)
            if state == GONE:
                # On a busy machine this may look when the service has given the connection up; the flush comes again.
                continue
            if deserted < 2 and state == FIN_WAIT1:
                deserted += 1
                connection.shutdown(socket.SHUT_WR)
                continue
            sent = [line.split() for line in _read_to_the_end(connection).splitlines()]
            arrived += sum(float(value) for name, value, _ in sent if name.startswith(b"stats_counts.some."))
        assert (deserted, arrived) == (2, 400)


def _state_at_rest(port: int) -> int:
    """Wait until a port of the loopback interface has sent all and ended, or as much as the other side has room for.

    Return its state then: FIN_WAIT2 if all has arrived, FIN_WAIT1 if there is no room.
    """
    seen: list[tuple[int, int]] = [(0, 0)]

    def settled() -> bool:
        state, waiting = _tcp_state(port)
        seen.append((state, waiting))
        # One byte is the end itself. What still moves is no more than on its way.
        return state in (FIN_WAIT2, GONE) or (state == FIN_WAIT1 and waiting > 1 and seen[-2] == seen[-1])

    until(settled, "its end is on its way")
    return seen[-1][0]


def _tcp_state(port: int) -> tuple[int, int]:
    """Return the state of the connection from that port, as the kernel numbers it, and its bytes on the way."""
    local = f"0100007F:{port:04X}"
    # Thousands of connections of other tests may be there that have just ended.
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if local in line]
    found = [row for row in rows if row[1] == local]
    return (int(found[0][3], 16), int(found[0][4].partition(":")[0], 16)) if found else (GONE, 0)


def _read_to_the_end(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as file:
        return file.read()


def test_a_full_queue(start_service: ServiceMaker) -> None:
    """When more flushes wait than may, the oldest go, and they are counted."""
    port = free_port()
    service = start_service(more=[*graphite(port), "--output-queue=2"])
    name = f"graphite:127.0.0.1:{port}"
    service.wait_for(2, "statscounter_output_dropped_total", output=name)
    assert service.metrics().total("statscounter_output_queued", output=name) == 2
