"""The tables of docs/http.md, sent to the pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from statsd_tcp.settings.build import build_settings
from statsd_tcp.web.site import make_site
from tests.unit.web.fakes import Client, FakeReactor, FakeSources
from tests.unit.who.boards import small_board

TEXT = Path(__file__, "../../../docs/http.md").resolve().read_text()
METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"}


class Answer(NamedTuple):
    """The answer to a request, with header names and values in lower case."""

    code: int
    headers: dict[str, str]
    body: bytes
    ends: bool


def ask(head: str, *fields: str) -> Answer:
    """Send a request to a service on a port that other machines reach; a reload passes its rehearsal."""
    reactor, sources = FakeReactor(), FakeSources(small_board())
    client = Client(make_site(reactor, sources, build_settings({"http": ["tcp:9102"]}), ("web1",)))
    client.send_raw("".join(f"{line}\r\n" for line in (head, *fields, "")).encode())
    reactor.pool.release()
    while sources.who_clock.getDelayedCalls():
        sources.who_clock.advance(0)
    for answer in sources.asked:
        answer("")
    return Answer(*client.answer(), client.transport.disconnecting)


def rows(columns: str) -> list[list[str]]:
    """Return the cells of the table that has these columns."""
    table = TEXT.partition(f"| {columns} |\n")[2].partition("\n\n")[0]
    found = [line.strip("| ").split(" | ") for line in table.splitlines()[1:]]
    assert found
    return found


def quoted(cell: str) -> list[str]:
    """Return what is set as code in a cell."""
    return re.findall("`(.+?)`", cell)


@pytest.mark.parametrize("paths, methods", [row[:2] for row in rows("path | methods | answers")])
def test_methods(paths: str, methods: str) -> None:
    """Each page takes the methods that the table names, tells which they are, and refuses the others."""
    taken = set(quoted(methods))
    allowed = methods.replace("`", "").lower()
    for path in quoted(paths):
        for tail in ("", "/", "?a=b", "/?a=b"):
            codes = {method: ask(f"{method} {path}{tail} HTTP/1.1", "Host: localhost").code for method in METHODS}
            assert codes == {method: 200 if method in taken else 405 for method in METHODS}, path + tail
        for method in METHODS - taken | {"OPTIONS"}:
            answer = ask(f"{method} {path} HTTP/1.1")
            assert answer.headers["allow"] == allowed
            assert method == "HEAD" or int(answer.headers["content-length"]) == len(answer.body)


@pytest.mark.parametrize("path", ["/", "/healthz", "/-/ready", "/api/v1/status", "/metrics", "/-/reload", "/nothing"])
def test_head(path: str) -> None:
    """HEAD is answered with what GET is except for the body, and with its length, where that is known."""
    whole, head = (ask(f"{method} {path} HTTP/1.1") for method in ("GET", "HEAD"))
    fields = whole.headers if path != "/metrics" else whole.headers.keys() - {"content-length"}
    assert (head.code, head.body) == (whole.code, b"")
    assert {name: head.headers[name] for name in head.headers if name != "date"} == {
        name: whole.headers[name] for name in fields if name != "date"
    }


@pytest.mark.parametrize("who, request_, wanted", rows("who | request | answer"))
def test_checks_and_scrapers(who: str, request_: str, wanted: str) -> None:
    """Each check and each scraper gets the status, the format and the end of the connection that it expects."""
    head, *fields = quoted(request_)
    answer = ask(head, *fields)
    code, *more = wanted.split(", ")
    assert answer.code == int(code)
    form = {"text": "text/plain; version=0.0.4", "OpenMetrics": "application/openmetrics-text; version=1.0.0"}
    for name, content_type in form.items():
        assert answer.headers.get("content-type", "").startswith(content_type) == (name in more)
    assert answer.headers.get("content-encoding", "") == ("gzip" if "gzip" in more else "")
    assert bool(answer.body) == (head.split()[0] not in ("HEAD", "OPTIONS"))
    ends = "HTTP/1.0" in head or "Connection: close" in fields or "/-/reload" in head
    assert answer.ends == ends


def test_nothing_there() -> None:
    """What there is not is 404 to any method, also with a second slash at the end."""
    for path in ("/nothing", "/healthz//", "/-", "/-/", "/api/", "/metrics/x"):
        for method in METHODS:
            assert ask(f"{method} {path} HTTP/1.1").code == 404, (method, path)


def test_other_protocols() -> None:
    """A check over HTTP/2 or TLS, or with a proxy's own line first, is told that this is none of them."""
    for head in ("PRI * HTTP/2.0", "\x16\x03\x01\x02", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2"):
        assert ask(head) == (400, {}, b"", True)
