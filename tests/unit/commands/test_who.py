"""``statscounter who``."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from statsd_tcp.commands.main import main
from statsd_tcp.commands.usage import EX_USAGE
from tests.functional.serving import Serving
from tests.ports import free_port

RATES = {"connections": 12.34, "err": 0.0, "lines": 1.0, "bytes": 2.0, "bad": 0.0}
SOURCE = {"source": "10.0.0.1", "name": "", "listener": "tcp:8125", "per_second": RATES, "connections": 1500, "err": 0}
NUMBERS = {"lines": 1, "bytes": 2, "bad": 0, "resets": 0, "evicted": 0, "limited": 0}
ANSWER: dict[str, Any] = {
    "version": 1,
    "node": "web-1",
    "seconds": 3.0,
    "by": "connections",
    "listeners": [
        {"listener": "tcp:8125", "sources": 1234, "share": 0.5},
        {"listener": "tcp:8888", "sources": 0, "share": 0.0},
    ],
    "sources": [{**SOURCE, **NUMBERS, "new": "a field that comes later"}],
}


def answering(status: int, text: str, asked: list[str] | None = None) -> Serving:
    """Serve one answer to everything, and note what is asked for."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(f"{text}\n".encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    return Serving(Answer)


def run(status: int, text: str, *arguments: str) -> int:
    """Run the command with a service that answers so."""
    with answering(status, text) as server:
        return main(["who", "--url", f"http://127.0.0.1:{server.port}", *arguments])


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Sources are a table, below how many each listener has; what is new in an answer does no harm."""
    assert run(200, json.dumps(ANSWER)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "web-1: sources in the last minute: tcp:8125 1,234",
        "source    listener  conn/s  total  lines  bytes",
        "10.0.0.1  tcp:8125      12  1,500      1      2",
    ]


def test_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A service without sources says so."""
    assert run(200, json.dumps({**ANSWER, "listeners": [], "sources": []})) == 0
    assert capsys.readouterr().out == "web-1: sources in the last minute: none\n"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer is printed as it came."""
    assert run(200, json.dumps(ANSWER), "--json") == 0
    assert json.loads(capsys.readouterr().out) == ANSWER


def test_what_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """The options become the query."""
    asked: list[str] = []
    with answering(200, json.dumps(ANSWER), asked) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert main(["who", "--url", url, "--top=7", "--by=bad", "--listener=unix:/a b"]) == 0
    assert asked == ["/api/v1/who?top=7&by=bad&listener=unix%3A%2Fa+b"]


@pytest.mark.parametrize(
    "status, text, why",
    [
        (
            403,
            "sources are shown to clients on this machine\nor so",
            "403: sources are shown to clients on this machine",
        ),
        (404, "", "404: Not Found"),
        (200, "no JSON", "something else: JSON is malformed: invalid character (byte 4)"),
        (200, "{}", "something else: Object missing required field `version`"),
    ],
)
def test_no_sources(capsys: pytest.CaptureFixture[str], status: int, text: str, why: str) -> None:
    """What the service says instead is one line, and the exit status is 1."""
    assert run(status, text) == 1
    said = capsys.readouterr().err
    assert said.startswith("statscounter who: http://127.0.0.1:")
    assert said.endswith(f" answers {why}\n")


def test_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an answer the exit status is 2."""
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["who", "--url", url]) == 2
    said = f"statscounter who: no answer from {url}: [Errno 111] Connection refused\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("option", ["--url=ftp://host", "--top=0", "--top=some", "--by=age", "--timeout=0"])
def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str], option: str) -> None:
    """A wrong command line is one line that names the option."""
    assert main(["who", option]) == EX_USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"statscounter who: {option.partition('=')[0]}")
    assert said.count("\n") == 1
