"""Names in /metrics that series of different types or units want."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.functional.clients import datagram, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.service import LOOPBACK, Service
from tests.functional.test_console import ask, console_port
from tests.functional.waiting import until

Sender = Callable[[Service, bytes], None]


def over_tcp(service: Service, line: bytes) -> None:
    """Send a line over a connection of its own."""
    half_close(service.port("lines"), line + b"\n")


def over_udp(service: Service, line: bytes) -> None:
    """Send a line as a datagram, and wait until it is read."""
    name = "statscounter_datagrams_total"
    before = service.metrics().total(name, listener="datagrams")
    datagram(service.port("datagrams"), line)
    service.wait_for(before + 1, name, listener="datagrams")


WAYS: dict[str, Sender] = {"tcp": over_tcp, "udp": over_udp}

CASES = [("tcp", 1), ("udp", 3), *(pytest.param(*case, marks=pytest.mark.proof) for case in (("tcp", 3), ("udp", 1)))]
"""Each way, and one worker and several; proofs are the other pairs."""


def send_until(service: Service, send: Sender, line: bytes, shown: str) -> None:
    """Send a line from commit to commit, until the page has a line that begins so."""

    def is_there() -> bool:
        send(service, line)
        return any(each.startswith(shown) for each in service.settled().text.splitlines())

    until(is_there, f"{shown} is shown")


@pytest.mark.parametrize("way, workers", CASES)
def test_a_mistake_of_one_line(start_service: ServiceMaker, way: str, workers: int) -> None:
    """A name that came once with a wrong type is shown with the right one, and goes on so after a restart."""
    service = start_service(workers=workers, admin=f"tcp:0:{LOOPBACK}", more=["--conflict-silence=5"])
    send = WAYS[way]
    send(service, b"queue.depth:1|c")
    assert service.settled().shown("queue_depth") == 1
    send_until(service, send, b"queue_depth:17|g", "queue_depth 17.0")
    metrics = service.metrics()
    assert metrics.by("statscounter_series_conflicts_total", "reason") == {"type": 2}
    assert metrics.total("statscounter_name_takeovers_total") == 1
    names = {"reason": "type", "type": "c", "series": "queue.depth", "holder_type": "g", "holder": "queue_depth"}
    assert service.status()["conflicts"] == [names]
    assert "<td>queue.depth</td><td>c</td><td>queue_depth</td><td>g</td>" in service.page("/").text
    port = console_port(service)
    assert ask(port, "conflicts") == "type: queue.depth (c); shown is queue_depth (g)\nEND\n\n"
    assert "name_takeovers: " in ask(port, "badlines")
    assert "queue_depth is a gauge now, was a counter" in service.log
    service.stop()
    assert service.start().metrics().shown("queue_depth") == 17


@pytest.mark.parametrize("way, workers", CASES)
def test_another_unit(start_service: ServiceMaker, way: str, workers: int) -> None:
    """A name that was a time and is a distribution from now on is shown as that, with all that came, over a restart."""
    # Longer than the test may take from the last time to the stop, on a machine that has much else to do.
    service = start_service(workers=workers, more=["--conflict-silence=15"])
    send = WAYS[way]
    for number in (1, 2, 3):
        send(service, b"app.request:120|ms")
        assert service.settled().shown("app_request_sum") == pytest.approx(0.12 * number)
    send(service, b"app.request:250|d")
    service.settled()
    service.stop()
    service.start()
    assert service.metrics().shown("app_request_sum") == pytest.approx(0.36)
    send_until(service, send, b"app.request:250|d", "app_request_sum 2")
    metrics = service.metrics()
    assert metrics.shown("app_request_sum") == 250 * metrics.shown("app_request_count")
    assert metrics.shown('statscounter_series{type="ms"}') == 1
    service.stop()
    assert service.start().metrics().shown("app_request_sum") == metrics.shown("app_request_sum")
