"""Accepted lines sent on to other servers."""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.functional.clients import Burst, datagram, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.service import Service
from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port

LARGEST = 1432
BURST = 60


class Target:
    """Another StatsD server, which keeps the lines that it gets. `end` must be called."""

    def __init__(self, kind: socket.SocketKind, port: int = 0) -> None:
        self.kind = kind
        self.lines: list[bytes] = []
        self.sizes: list[int] = []
        self.ends = 0
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def label(self) -> str:
        """Return its name among the service's outputs."""
        return f"repeat:{'udp' if self.kind == socket.SOCK_DGRAM else 'tcp'}:127.0.0.1:{self.port}"

    @property
    def option(self) -> str:
        """Return the option that names it."""
        return f"--{self.label.replace(':', '=', 1)}"

    def counter(self) -> Counter[bytes]:
        """Count the lines."""
        return Counter(self.lines)

    def end(self) -> None:
        """Take no more."""
        if self.kind == socket.SOCK_STREAM:
            self._socket.shutdown(socket.SHUT_RDWR)
        else:
            datagram(self.port, b"")
        self._thread.join(PATIENCE)
        self._socket.close()

    def _serve(self) -> None:
        if self.kind == socket.SOCK_DGRAM:
            while data := self._socket.recv(1 << 16):
                self.sizes.append(len(data))
                self.lines += data.split(b"\n")
            return
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            for line in stream:
                self.lines.append(line.removesuffix(b"\n"))
        self.ends += 1


@pytest.fixture
def targets() -> Iterator[tuple[Target, Target]]:
    """Return a server for datagrams and one for connections."""
    both = Target(socket.SOCK_DGRAM), Target(socket.SOCK_STREAM)
    yield both
    for target in both:
        target.end()


def sent(service: Service, target: Target) -> float:
    """Return how many lines were sent on, as the service says."""
    return service.metrics().total("statscounter_output_sent_total", output=target.label)


def test_accepted_lines(start_service: ServiceMaker, targets: tuple[Target, Target]) -> None:
    """Every accepted line is sent on, as often as it came and whatever its type, and no other; and that is counted."""
    service = start_service(workers=3, more=[target.option for target in targets])
    port = service.port("lines")
    lines = b"page.hits:1|c\npage.time:12|ms|@0.5\npage.users:bob|s\nload:2|g|#k:v\r\nbad\n\nalso.bad:x|c\n"
    # So few that all datagrams together have room in the receive buffer, however late they are read.
    assert Burst(lambda: half_close(port, lines), BURST).run().completed == BURST
    datagram(service.port("datagrams"), b"a:1|c\nworse\nb:2|c:3|ms")
    good = dict.fromkeys([b"page.hits:1|c", b"page.time:12|ms|@0.5", b"page.users:bob|s", b"load:2|g|#k:v"], BURST)
    expected = Counter({**good, b"a:1|c": 1, b"b:2|c:3|ms": 1})
    for target in targets:
        until(lambda target=target: target.counter() == expected, f"{target.label} has all lines")  # type: ignore[misc]
        until(lambda target=target: sent(service, target) == 4 * BURST + 2, "all are counted")  # type: ignore[misc]
    assert max(targets[0].sizes) <= LARGEST
    # Gauges apart, which are sent at once, all lines of a worker's second share datagrams.
    assert len(targets[0].sizes) < 2 * BURST
    facts = {output["name"]: output for output in service.status()["outputs"]}
    assert [facts[target.label]["error"] for target in targets] == ["", ""]


def test_order_of_gauges(start_service: ServiceMaker, targets: tuple[Target, Target]) -> None:
    """What happens to a gauge arrives in its order."""
    service = start_service(more=[target.option for target in targets])
    changes = [b"level:%d|g" % value if value % 3 else b"level:+1|g" for value in range(300)]
    half_close(service.port("lines"), b"".join(change + b"\n" for change in changes))
    for target in targets:
        until(lambda target=target: len(target.lines) == 300, f"{target.label} has all")  # type: ignore[misc]
        assert target.lines == changes


def test_nobody_there(start_service: ServiceMaker) -> None:
    """While no target listens, the service counts as ever; over TCP lines wait, and arrive when one does."""
    gone = Target(socket.SOCK_STREAM, free_port())
    gone.end()
    service = start_service(more=[gone.option, "--repeat=udp:127.0.0.1:9"])
    half_close(service.port("lines"), b"a:1|c\nb:1|c\n")
    service.wait_for(2, "statscounter_lines_total", listener="lines")
    service.wait_for(1, "statscounter_output_failed_total", output=gone.label)
    assert service.metrics().total("statscounter_output_queued", output=gone.label) == 2
    target = Target(socket.SOCK_STREAM, gone.port)
    try:
        until(lambda: target.counter() == Counter([b"a:1|c", b"b:1|c"]), "the lines have arrived")
        until(lambda: sent(service, target) == 2, "that is counted")
    finally:
        target.end()


def test_stop(start_service: ServiceMaker, targets: tuple[Target, Target]) -> None:
    """What came before the stop is sent on before the end."""
    service = start_service(workers=2, more=[target.option for target in targets])
    port = service.port("lines")
    half_close(port, b"a:1|c\n")
    with service.workers_held():
        service.process.send_signal(signal.SIGTERM)
        datagram(service.port("datagrams"), b"b:1|c\n" * 3)
    assert service.wait_ended() == -signal.SIGTERM
    for target in targets:
        expected = Counter({b"a:1|c": 1, b"b:1|c": 3})
        until(lambda target=target, expected=expected: target.counter() == expected, f"{target.label} has all")  # type: ignore[misc]
    until(lambda: targets[1].ends >= 1, "the connections were closed")


def test_killed_worker(start_service: ServiceMaker, targets: tuple[Target, Target]) -> None:
    """No line is sent on twice when a worker is killed, though it is counted from its journal; the next goes on."""
    service = start_service(more=[target.option for target in targets])
    port = service.port("lines")
    for number in range(30):
        half_close(port, b"n%d:1|c\n" % number)
        if number % 10 == 5:
            service.replace_worker()
    half_close(port, b"last:1|c\n")
    service.wait_for(31, "statscounter_lines_total", listener="lines")
    for target in targets:
        until(lambda target=target: b"last:1|c" in target.lines, f"{target.label} has the last")  # type: ignore[misc]
        assert set(target.counter().values()) == {1}
