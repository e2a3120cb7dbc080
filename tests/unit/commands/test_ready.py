"""``statscounter ready``."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from statsd_tcp.commands.main import main
from statsd_tcp.commands.usage import EX_USAGE
from tests.functional.serving import Serving
from tests.ports import free_port


def answering(status: int, text: str) -> Serving:
    """Serve one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/readyz"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(f"{text}\n".encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    return Serving(Answer)


@pytest.mark.parametrize(
    "status, text, said, exit_status",
    [
        (200, "ok", "ready", 0),
        (503, "no worker accepts", "not ready: no worker accepts", 1),
        (503, "", "not ready: 503", 1),
    ],
)
def test_an_answer(capsys: pytest.CaptureFixture[str], status: int, text: str, said: str, exit_status: int) -> None:
    """What the page says is printed in one line, and decides the exit status."""
    with answering(status, text) as server:
        assert main(["ready", "--url", f"http://127.0.0.1:{server.port}"]) == exit_status
    assert capsys.readouterr().out == f"{said}\n"


def test_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an answer the exit status is 2."""
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["ready", "--url", url]) == 2
    assert capsys.readouterr().out == f"no answer from {url}: [Errno 111] Connection refused\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "127.0.0.1:9102"],
        ["--url", "http://"],
        ["--url", "ftp://host"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--timeout", "soon"],
    ],
)
def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """A wrong command line is one line that names the option."""
    assert main(["ready", *arguments]) == EX_USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"statscounter ready: {arguments[0]}")
    assert said.count("\n") == 1
