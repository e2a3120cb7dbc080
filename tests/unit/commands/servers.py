"""Small real servers for the load generator's tests: each answers connections in one way, on a port of its own."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from statsd_tcp.commands.load.proxy import Proxy
from statsd_tcp.commands.load.results import Progress
from statsd_tcp.commands.load.shapes import Close, Mix
from statsd_tcp.commands.load.workload import CONFIRMATION, Address, Mode, Share, Workload
from tests.patience import PATIENCE

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Seen:
    """What a server has seen, as far as it has got."""

    connections: int = 0
    lines: int = 0
    sources: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, source: str, lines: int) -> None:
        """Count a connection that is over."""
        with self.changed:
            self.connections += 1
            self.lines += lines
            self.sources.add(source)
            self.changed.notify_all()

    def wait_for(self, connections: int) -> None:
        """Wait until this many connections are over."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.connections >= connections, PATIENCE)


Behaviour = Callable[[socket.socket], int]


def close_at_once(sock: socket.socket) -> int:
    """Do as a count-only port: one look, then the end."""
    sock.setblocking(False)
    try:
        sock.recv(65536)
    except BlockingIOError:
        pass
    return 0


def read_to_the_end(sock: socket.socket) -> int:
    """Count the lines until the client's end."""
    lines = 0
    while data := sock.recv(65536):
        lines += data.count(b"\n")
    return lines


def read_a_header(sock: socket.socket) -> int:
    """Count the lines after a header of the PROXY protocol in version 1."""
    data = b""
    while more := sock.recv(65536):
        data += more
    assert data.startswith(b"PROXY TCP4 198.18.0.")
    return data.count(b"\n") - 1


def over_tls(key: Path) -> Behaviour:
    """Return how a server with TLS counts the lines, with the key and certificate in a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(key)

    def behave(sock: socket.socket) -> int:
        with context.wrap_socket(sock.dup(), server_side=True) as secure:
            return read_to_the_end(secure)

    return behave


def say_ok(sock: socket.socket) -> int:
    """Count the lines until the client's end, and say ok."""
    lines = read_to_the_end(sock)
    sock.sendall(CONFIRMATION)
    return lines


def greet(sock: socket.socket) -> int:
    """Speak first, then read until the client's end."""
    sock.sendall(b"220 this is another protocol\r\n")
    return read_to_the_end(sock)


def read_once(sock: socket.socket) -> int:
    """Read once, then end."""
    return sock.recv(65536).count(b"\n")


def say_too_much(sock: socket.socket) -> int:
    """Say something else."""
    lines = read_to_the_end(sock)
    sock.sendall(CONFIRMATION + b"\n")
    return lines


def reset_after_reading(sock: socket.socket) -> int:
    """Wait for some bytes, then abort."""
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return 0


def abort_at_once(sock: socket.socket) -> int:
    """Abort without a look."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return 0


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 512
    daemon_threads = True
    block_on_close = False


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[tuple[int, Seen]]:
    """Serve connections on a free port; gives the port and what is seen."""
    seen = Seen()

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            sock: socket.socket = self.request
            try:
                lines = behaviour(sock)
            except OSError:
                lines = 0
            seen.add(self.client_address[0], lines)

    class Abrupt(_Server):
        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            # Without the shutdown that the base class does first: it would send a FIN before any reset.
            assert isinstance(request, socket.socket)
            request.close()

    with Abrupt(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1], seen
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def pages(answer: Callable[[str], str | None]) -> Iterator[str]:
    """Serve what ``answer`` gives for a path (None: not found) over HTTP; gives the base address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = answer(self.path)
            body = (text or "").encode()
            self.send_response(404 if text is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def metrics_page(port: int, connections: int, lines: int) -> str:
    """Write the service's counts as its metrics page does, shared by two workers."""
    return (
        "# TYPE statscounter_connections_total counter\n"
        f'statscounter_connections_total{{listener="tcp:{port}",worker="0"}} {connections // 2}.0\n'
        f'statscounter_connections_total{{listener="tcp:{port}",worker="1"}} {connections - connections // 2}.0\n'
        'statscounter_connections_total{listener="tcp:1",worker="0"} 99999.0\n'
        "# TYPE statscounter_lines_total counter\n"
        f'statscounter_lines_total{{listener="tcp:{port}"}} {lines}.0\n'
        'load_hits{broken="\n'
    )


@contextmanager
def free_port() -> Iterator[int]:
    """Return a port at which connections are refused: bound, so that no other process takes it, but not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def share(
    port: int,
    *,
    mode: Mode = Mode.CONNECT,
    close: Close = Close.SERVER,
    connections: int | None = 20,
    lines: int = 0,
    late: float = 0.0,
    timeout: float = PATIENCE,
    rate: float | None = None,
    duration: float | None = None,
    concurrency: int = 8,
    sources: tuple[str, ...] = (),
    line: str = "a:1|c",
    confirm: bool = False,
    mix: Mix | None = None,
    proxy: Proxy | None = None,
) -> Share:
    """Describe a small run on loopback, done by one process."""
    work = Workload(
        address=Address(socket.AF_INET, "127.0.0.1", port),
        sources=sources,
        mode=mode,
        close=close,
        line=line,
        lines=lines,
        late=late,
        timeout=timeout,
        rate=rate,
        connections=connections,
        duration=duration,
        concurrency=concurrency,
        confirm=confirm,
        mix=mix,
        proxy=proxy,
    )
    return Share(work, 0, 1)


class MemoryLink:
    """A link that remembers the reports, and stops the run once ``stop_after`` connections have begun.

    That is at the report with the number ``at`` or later. Before the second one every connection had its turn, which is
    not so when the time of a run is short: it may be over before that, where the process stands still.
    """

    def __init__(self, stop_after: float = float("inf"), at: int = 1) -> None:
        self.reports: list[Progress] = []
        self._stop_after = stop_after
        self._at = at

    def report(self, progress: Progress) -> None:
        """Remember it."""
        self.reports.append(progress)

    def stopped(self) -> bool:
        """Return whether enough have begun."""
        return len(self.reports) >= self._at and self.reports[-1].begun >= self._stop_after
