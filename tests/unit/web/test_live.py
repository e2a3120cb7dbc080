"""The stream of moments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from statsd_tcp.settings.build import build_settings
from statsd_tcp.web.answer import LONGEST_PAUSE
from statsd_tcp.web.live import EVERY, MOST_VIEWERS
from statsd_tcp.web.site import make_site
from tests.unit.status.test_moments import reading
from tests.unit.web.fakes import Client, FakeReactor, FakeSources

_PATH = "/api/v1/live"


class Stage:
    """A site with its service and its clock."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.sources = FakeSources()
        self.site = make_site(
            self.reactor, self.sources, build_settings({"http-connections": [str(2 * MOST_VIEWERS)]}), ()
        )

    def watch(self) -> Client:
        """Let a viewer come."""
        client = Client(self.site)
        client.send_raw(f"GET {_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return client

    def go_on(self, seconds: int = 1) -> None:
        """Let seconds pass, each with a reading."""
        for _ in range(seconds):
            self.reactor.advance(1)
            self.sources.moments.note(reading(self.reactor.seconds(), {}))


@pytest.fixture
def stage() -> Stage:
    """Return a site where two moments have been."""
    made = Stage()
    made.go_on(3)
    return made


def producer(client: Client) -> Any:
    """Return what is asked to pause when a viewer does not read."""
    return client.transport.producer


def is_cut_off(client: Client) -> bool:
    """Return whether the connection was ended at once."""
    return client.transport.aborted


def events(client: Client) -> list[tuple[str, Any]]:
    """Return the events that a viewer was sent since the last time."""
    text = client.transport.value().partition(b"\r\n\r\n")[2]
    content = b"".join(text.split(b"\r\n")[1::2]).decode()
    client.transport.clear()
    client.transport.write(b"\r\n\r\n")
    found = [dict(line.split(": ", 1) for line in event.splitlines()) for event in content.split("\n\n") if event]
    return [(event["event"], json.loads(event["data"])) for event in found if "event" in event]


def test_what_a_viewer_gets(stage: Stage) -> None:
    """A viewer gets the past at once with the status and the page's parts, and then each moment as it comes."""
    viewer = stage.watch()
    assert b"content-type: text/event-stream" in viewer.transport.value().lower()
    (past, moments), (status, said), (parts, markup) = events(viewer)
    assert (past, [moment["at"] for moment in moments]) == ("past", [2.0, 3.0])
    assert (status, said) == ("status", {"version": 1, **stage.sources.status()})
    assert (parts, set(markup)) == ("parts", {"state", "tables"})
    stage.go_on()
    assert [(name, data["at"]) for name, data in events(viewer) if name == "moment"] == [("moment", 4.0)]


def test_the_status_comes_now_and_then(stage: Stage) -> None:
    """The status comes with every second moment."""
    viewer = stage.watch()
    events(viewer)
    stage.go_on(4 * EVERY)
    names = [name for name, _ in events(viewer)]
    assert (names.count("moment"), names.count("status"), names.count("parts")) == (4 * EVERY, 4, 4)


def test_nothing_is_made_for_nobody(stage: Stage) -> None:
    """Without viewers nothing is written, and one that has left gets nothing more."""
    viewer = stage.watch()
    viewer.hang_up()
    viewer.transport.clear()
    stage.sources.status = None  # type: ignore[assignment, method-assign]
    stage.go_on(2 * EVERY)
    assert viewer.transport.value() == b""


def test_a_viewer_that_does_not_read(stage: Stage) -> None:
    """A viewer that does not read gets what it has missed when it reads again."""
    viewer = stage.watch()
    events(viewer)
    producer(viewer).pauseProducing()
    stage.go_on(5)
    assert events(viewer) == []
    producer(viewer).resumeProducing()
    stage.go_on()
    assert [data["at"] for name, data in events(viewer) if name == "moment"] == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


def test_a_viewer_that_never_reads_again(stage: Stage) -> None:
    """A viewer that has not read for half a minute is cut off, and counted."""
    viewer = stage.watch()
    producer(viewer).pauseProducing()
    stage.go_on(int(LONGEST_PAUSE))
    assert not is_cut_off(viewer)
    stage.go_on(2)
    assert is_cut_off(viewer)
    assert stage.sources.refusals.counts["unread"] >= 1


def test_too_many_viewers(stage: Stage) -> None:
    """One more than there may be is told to come later, until one leaves."""
    viewers = [stage.watch() for _ in range(MOST_VIEWERS)]
    assert stage.watch().answer()[0] == 503
    assert stage.sources.refusals.counts["viewers"] == 1
    viewers[0].hang_up()
    assert b" 200 OK" in stage.watch().transport.value()
