"""A service and a reactor for tests of the HTTP side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface import implementer

from statsd_tcp.kernel.accept_queue import AcceptQueue
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.status.interfaces import Answer, ISources
from statsd_tcp.status.left_out import LeftOut
from statsd_tcp.status.moments import Moments
from statsd_tcp.status.own_metrics import ListenerFacts, OwnMetrics, RemoteFacts, WorkerQueue
from statsd_tcp.status.refusals import Refusals
from statsd_tcp.status.who import Listener, Who
from statsd_tcp.status.who_table import Spread
from statsd_tcp.store.snapshot import Snapshot, TotalKey
from statsd_tcp.who.memory import SourceBoard
from tests.unit import transports
from tests.unit.supervisor.fakes import ImmediatePool
from tests.unit.web.tables import make_snapshot

TOTALS = {
    TotalKey("accepted", "tcp:8125", "0"): 10,
    TotalKey("accepted", "tcp:8125", "1"): 5,
    TotalKey("accepted", "tcp:gone", "7"): 2,
    TotalKey("closed", "tcp:8125", "0", "eof"): 4,
    TotalKey("closed", "tcp:8125", "1", "eof"): 3,
    TotalKey("closed", "tcp:8125", "1", "killed"): 1,
    TotalKey("closed", "tcp:gone", "7", "idle"): 2,
    TotalKey("accept_errors", "tcp:8125", "0", "EMFILE"): 1,
    TotalKey("received_bytes", "tcp:8125"): 2**53 - 1,
    TotalKey("lines", "tcp:8125"): 9,
    TotalKey("datagrams", "udp:8125"): 6,
    TotalKey("samples", detail="ms"): 8,
    TotalKey("bad_lines", detail="truncated"): 1,
    TotalKey("recovered_lines"): 12,
}


def make_own() -> OwnMetrics:
    """Make the numbers of a service with two workers and three listeners."""
    return OwnMetrics(
        listeners=[
            ListenerFacts("tcp:8125", stream=True, takes_batches=True),
            ListenerFacts("tcp:8888", stream=True, count_only=True),
            ListenerFacts("udp:8125", stream=False),
        ],
        worker_slots=[0, 1],
        totals=TOTALS,
        workers={"running": 2, "starting": 0},
        worker_restarts={"signal": 1, "exit": 0},
        accept_paused={"tcp:8125": True},
        accept_queues=[WorkerQueue("tcp:8125", 0, AcceptQueue(length=3, limit=4096, drops=7))],
        receive_drops={"udp:8125": 4},
        worker_open_fds={0: 20},
        worker_resident_memory_bytes={0: 40_000_000},
        reactor_gap_seconds_max=0.25,
        series_dropped={"overflow": 5, "refused": 6},
        underway={"commit": 1.5, "delivery": 0.0},
        recovery_faults={"frame": 0, "missing": 1},
        outputs=[OutputFacts("graphite:h:2003", 3, 40, 5, 2, 1.5e9, "", None, 0.25)],
        sources=[Spread("tcp:8125", 3, 0.5), Spread("udp:8125", 0, 0.0)],
        remotes=[RemoteFacts("remote-write:h/w", 1, 2, {"batch": 3}, 1.5e9, 1000, 4.5, ((1.0, 6), (inf, 7)))],
    )


@implementer(ISources)
class FakeSources:
    """A service that a test can make unwell."""

    node = "web<1>"

    def __init__(self, board: SourceBoard | None = None, to: Sequence[str] = ()) -> None:
        """``board`` has the sources, if they are counted; the clock of what adds them up is ``who_clock``."""
        self.who_clock = Clock()
        listeners = [Listener("tcp:8125", may_have_header=True), Listener("tcp:8888", may_have_header=False)]
        self.who = Who(self.who_clock, board, listeners, None, to)
        self.current: Snapshot | None = make_snapshot(("c", "hits.page\nk\né", 5.0), ("ms", "t", 1500.0, 2.0))
        self.state = (True, "")
        self.readiness = (True, "")
        self.moments = Moments()
        self.refusals = Refusals()
        self.asked: list[Answer] = []
        self.rested = True
        self.commit_error = ""
        self.left_out: Sequence[LeftOut] = ()

    def snapshot(self) -> Snapshot | None:
        """Return the snapshot that the test chose."""
        return self.current

    def own_metrics(self, snapshot: Snapshot) -> OwnMetrics:
        """Return fixed numbers."""
        return make_own()

    def scraped(self, left_out: Sequence[LeftOut]) -> None:
        """Keep it."""
        self.left_out = left_out

    def healthy(self) -> tuple[bool, str]:
        """Return what the test chose."""
        return self.state

    def ready(self) -> tuple[bool, str]:
        """Return what the test chose."""
        return self.readiness

    def reload(self, answer: Answer) -> bool:
        """Keep who asks, unless the test says that it is too soon."""
        if self.rested:
            self.asked.append(answer)
        return self.rested

    def status(self) -> dict[str, Any]:
        """Return the status of a service with a worker that is avoided and one that is missing."""
        queue = {"worker": 0, "length": 3, "limit": 4096, "drops": 1234}
        worker = {"slot": 0, "pid": 4711, "state": "ready", "avoided": True, "leaving": 0, "cpu": None}
        worker |= {"heartbeat_age_seconds": 3.25, "resident_memory_bytes": 40 << 20, "open_fds": 16}
        graphite = OutputFacts("graphite:h:2003", 3, 40, 5, 2, 1.5e9, "nobody <b>listens</b>")
        return {
            "statscounter": "0.1.0",
            "node": "web<1>",
            "uptime_seconds": 93784.5,
            "listeners": [
                {"label": "tcp:8125", "addresses": ["0.0.0.0:8125"], "connections": 1500, "open": 2, "queues": [queue]},
                {"label": "udp:8125", "addresses": ["0.0.0.0:8125"], "lines": 6, "datagrams": 5, "drops": 4},
            ],
            "workers": [worker, {"slot": 1, "pid": None, "state": "waiting", "avoided": False}],
            "lines": 9000,
            "bad_lines": 12,
            "series": 345,
            "rates": {"connections_per_second": 12345.6, "lines_per_second": 7.0},
            "outputs": [graphite._asdict()],
            "examples": [
                {
                    "metric": "bad_lines",
                    "reason": "malformed_value",
                    "listener": "tcp:8125",
                    "text": "<script>x:y|c",
                    "cut": True,
                    "age_seconds": 3.2,
                },
            ],
            "conflicts": [
                {"reason": "type", "type": "c", "series": "<b>q", "holder_type": "g", "holder": "q;a=b"},
                {"reason": "reserved", "type": "g", "series": "process_open_fds", "holder_type": "", "holder": ""},
            ],
            "last_commit_error": self.commit_error,
            "findings": [{"text": "queues overflow", "command": "sysctl -w x=1"}],
        }


@implementer(IReactorThreads)
class FakeReactor(MemoryReactorClock):
    """A reactor without network, time or threads."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ImmediatePool()
        self.pool.held = True

    def getThreadPool(self) -> Any:
        """Return the pool that works when the test says so."""
        return self.pool

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call at once: there is only one thread."""
        callable(*args, **kwargs)

    def callInThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Complain: nothing here should use it."""
        raise AssertionError

    def suggestThreadPoolSize(self, size: int) -> None:
        """Do nothing."""


class Transport(transports.Transport):
    """A connection in memory that remembers how it was ended."""

    ended = False

    def loseWriteConnection(self) -> None:
        """Remember that nothing more will be written."""
        self.ended = True


class Client:
    """An HTTP client on a connection of its own."""

    transport_class: type[Transport] = Transport

    def __init__(self, site: Site, address: str = "127.0.0.1") -> None:
        self.protocol: Any = site.buildProtocol(None)
        self.transport = self.transport_class(peerAddress=IPv4Address("TCP", address, 1234))
        self.protocol.makeConnection(self.transport)

    def send_raw(self, *pieces: bytes) -> None:
        """Send bytes as they are, in as many pieces."""
        for piece in pieces:
            self.protocol.dataReceived(piece)

    def send(self, path: str, method: str = "GET", **headers: str) -> None:
        """Send a request."""
        lines = [f"{method} {path} HTTP/1.1", "Connection: close"]
        lines.extend(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())
        self.protocol.dataReceived("\r\n".join([*lines, "", ""]).encode())

    def hang_up(self) -> None:
        """End the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return the status, headers and body of the answer."""
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, body
