"""A receiver of remote write over real connections: what is posted, and what comes of each answer."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from statsd_tcp.remote_write.answers import Answer
from statsd_tcp.remote_write.credentials import Credentials, read_credentials
from statsd_tcp.remote_write.receiver import Receiver
from statsd_tcp.settings.remote_write import parse_remote_write
from tests.certificates import Authority
from tests.ports import free_port
from tests.reactor.waiting import until

Make = Callable[[str], Receiver]


class Server(ThreadingHTTPServer):
    """Answers each request with some bytes."""

    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0
        self.more: list[bytes] = []
        self.was_cut_off = False
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def port(self) -> int:
        """Return its port."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients hang up."""


class Answering(BaseHTTPRequestHandler):
    """Speaks with one client."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        """Count the connection."""
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
        try:
            for part in (self.server.answer, *self.server.more):
                self.wfile.write(part)
        except OSError:
            self.server.was_cut_off = True
            raise
        self.close_connection = b"Content-Length" not in self.server.answer

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def serving(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Have a server."""
    server = Server(answer)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(status: str, *fields: str, body: str = "") -> bytes:
    """Write an answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", body]
    return "\r\n".join(lines).encode()


@pytest_twisted.async_yield_fixture
async def make(reactor: Any) -> AsyncIterator[Make]:
    """Make receivers, and close them."""
    made: list[Receiver] = []

    def make_one(text: str) -> Receiver:
        target = parse_remote_write(text)
        made.append(Receiver(reactor, target.url, read_credentials(target)))
        return made[-1]

    yield make_one
    for each in made:
        await each.close()


@pytest_twisted.ensureDeferred
async def test_request(make: Make, tmp_path: Path) -> None:
    """A request has the fields that remote write asks for and the operator's, and one connection serves all."""
    headers = tmp_path / "headers"
    headers.write_text("X-Scope-OrgID: us\n")
    with serving(answer("204 No Content")) as server:
        receiver = make(f"http://127.0.0.1:{server.port}/w?a=b:headers={headers}")
        for body in (b"\x00", b"x" * 1_000_000):
            assert (await receiver.post(body)).status == 204
        assert server.connections == 1
        assert [len(body) for _, body in server.requests] == [1, 1_000_000]
        fields, _ = server.requests[0]
        assert fields["content-encoding"] == "snappy"
        assert fields["content-type"] == "application/x-protobuf"
        assert fields["x-prometheus-remote-write-version"] == "0.1.0"
        assert fields["user-agent"].startswith("statscounter/")
        assert fields["x-scope-orgid"] == "us"


@pytest.mark.parametrize(
    "text,expected",
    [
        (answer("400 Bad", body="out of order\nmore"), Answer(400, "out of order")),
        (answer("429 Slow", "Retry-After: 7"), Answer(429, "", 7.0)),
        (answer("200 OK", "Date: Thu, 01 Jan 1970 00:01:00 GMT"), Answer(200, "", None, 60.0)),
        (answer("302 Found", "Location: http://127.0.0.1:1/"), Answer(302)),
        (answer("200 OK", body="a" * 1_000_000), Answer(200, "a" * 200)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", Answer(200, "ab")),
    ],
    ids=["refused", "wait", "date", "redirect", "long", "broken off"],
)
@pytest_twisted.ensureDeferred
async def test_answers(make: Make, text: bytes, expected: Answer) -> None:
    """An answer has its status, the first words of its text and what its header says, however it ends."""
    with serving(text) as server:
        assert await make(f"http://127.0.0.1:{server.port}/").post(b"\x00") == expected


@pytest.mark.parametrize("text", [b"", b"\0\1 what?\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nDa"])
@pytest_twisted.ensureDeferred
async def test_no_answer(make: Make, text: bytes) -> None:
    """What is no answer of HTTP is none, with a cause in one line."""
    with serving(text) as server:
        found = await make(f"http://127.0.0.1:{server.port}/").post(b"\x00")
        assert found.status == 0
        assert not found.unsent
        assert found.text
        assert "\n" not in found.text


@pytest.mark.parametrize(
    "text,cause",
    [
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000_000, "the answer has no end"),
        (b"220 mail.example ESMTP\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", "the answer is not HTTP"),
    ],
    ids=["endless", "other protocol", "no field"],
)
@pytest_twisted.ensureDeferred
async def test_strange_answer(make: Make, text: bytes, cause: str) -> None:
    """An answer without an end is not kept until its end, and one of another protocol is told as that."""
    with serving(text) as server:
        assert await make(f"http://127.0.0.1:{server.port}/").post(b"\x00") == Answer(0, cause)


@pytest_twisted.ensureDeferred
async def test_endless_over_tls(reactor: Any, make: Make, tmp_path: Path) -> None:
    """The connection of an answer without an end is closed, though the other side does not care for its end."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("server"))
    with serving(b"HTTP/1.1 200 OK\r\n", context) as server:
        server.more = [b"X: y\r\n" * 10_000] * 5_000
        found = await make(f"https://localhost:{server.port}/:ca={authority.path}").post(b"\x00")
        assert found == Answer(0, "the answer has no end")
        await until(reactor, lambda: server.was_cut_off, "the connection is closed")


@pytest_twisted.ensureDeferred
async def test_nobody_there(make: Make) -> None:
    """A port without a server is told as what it is, and that it cannot have the request."""
    found = await make(f"http://127.0.0.1:{free_port()}/").post(b"\x00")
    assert found.status == 0
    assert found.unsent
    assert "refused" in found.text.lower()


@pytest_twisted.ensureDeferred
async def test_tls(make: Make, tmp_path: Path) -> None:
    """A receiver is verified: by its authority, which is not the system's, and by its name; it sees our certificate."""
    authority = Authority(tmp_path)
    server_pair, client_pair = authority.issue("server"), authority.issue("client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_pair)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    keys = f"ca={authority.path}:cert={client_pair}:key={client_pair}"
    with serving(answer("204 No Content"), context) as server:
        assert (await make(f"https://localhost:{server.port}/:{keys}").post(b"\x00")).status == 204
        stranger = await make(f"https://localhost:{server.port}/:cert={client_pair}:key={client_pair}").post(b"\x00")
        assert stranger.status == 0
        assert "certificate verify failed" in stranger.text
        assert len(server.requests) == 1


@pytest_twisted.ensureDeferred
async def test_cancelled(reactor: Any) -> None:
    """A request that is given up lets go of its connection."""
    receiver = Receiver(reactor, f"http://127.0.0.1:{free_port()}/", Credentials([], None))
    posted = receiver.post(b"\x00")
    posted.addErrback(lambda failure: None)
    posted.cancel()
    await receiver.close()
