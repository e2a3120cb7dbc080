"""Kept connections against real servers on loopback."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.kept import KeptConnections
from statsd_tcp.commands.load.proxy import Proxy, ProxyVersion
from statsd_tcp.commands.load.results import Latencies, Outcome, Result
from statsd_tcp.commands.load.shapes import Close
from statsd_tcp.commands.load.workload import Mode, Share
from tests.patience import PATIENCE
from tests.unit.commands.servers import (
    MemoryLink,
    close_at_once,
    free_port,
    read_a_header,
    read_to_the_end,
    reset_after_reading,
    serving,
    share,
)


def kept(
    port: int,
    *,
    rate: float | None = None,
    close: Close = Close.HALF,
    timeout: float = PATIENCE,
    lines: int = 10,
    duration: float = 0.2,
) -> Share:
    """Describe four kept connections, for a fifth of a second unless something else is said."""
    return share(
        port, mode=Mode.KEPT, close=close, connections=4, lines=lines, rate=rate, duration=duration, timeout=timeout
    )


def run(work: Share, link: MemoryLink | None = None) -> Result:
    """Do a share now, in this process, and check the books."""
    result = KeptConnections(work, time.monotonic(), link or MemoryLink()).run()
    assert result.begun == result.completed + result.failed
    assert Latencies(result.latencies).count == result.sends
    return result


class KeptTests(SynchronousTestCase):
    """Lines over connections that stay."""

    def test_as_fast_as_possible(self) -> None:
        """Every line that is reported arrives, over the four connections and no more."""
        with serving(read_to_the_end) as (port, seen):
            result = run(kept(port, duration=PATIENCE), MemoryLink(stop_after=4, at=2))
            self.assertEqual((4, result.lines), (seen.connections, seen.lines))
        self.assertEqual((4, 4, 4), (result.completed, result.established, result.certain))
        self.assertGreater(result.lines, 0)
        self.assertEqual((result.lines, 10 * result.sends), (result.certain_lines, result.lines))

    def test_behind_a_balancer(self) -> None:
        """The balancer's header comes once, before the first line, and is none."""
        proxy = Proxy(ProxyVersion.V1, ip_network("198.18.0.0/24"))
        with serving(read_a_header) as (port, seen):
            work = share(
                port, mode=Mode.KEPT, close=Close.HALF, connections=4, lines=10, rate=1000.0, duration=0.2, proxy=proxy
            )
            result = run(work)
            self.assertEqual((4, 200, 200), (seen.connections, seen.lines, result.lines))
        self.assertEqual(1200 + 4 * len(b"PROXY TCP4 198.18.0.0 127.0.0.1 1024 12345\r\n"), result.sent_bytes)

    def test_given_rate(self) -> None:
        """A rate of lines is divided into sends, each at its time, and holds to the number."""
        with serving(read_to_the_end) as (port, seen):
            result = run(kept(port, rate=1000.0))
            self.assertEqual((4, 200), (seen.connections, seen.lines))
        self.assertEqual((20, 200, 1200), (result.sends, result.lines, result.sent_bytes))

    def test_other_ends(self) -> None:
        """Connections that are closed or aborted complete, but it is unknown what arrived."""
        for close in (Close.FIN, Close.RESET):
            with serving(read_to_the_end) as (port, _):
                result = run(kept(port, rate=1000.0, close=close))
            self.assertEqual((4, 0, 0), (result.completed, result.certain, result.certain_lines))

    def test_refused(self) -> None:
        """A closed port ends the run at once."""
        with free_port() as port:
            result = run(kept(port))
        self.assertEqual((4, 0, 0), (result.failures[Outcome.REFUSED], result.established, result.lines))

    def test_reset(self) -> None:
        """A server that aborts ends the run, and what was sent may have been counted."""
        with serving(reset_after_reading) as (port, _):
            # It is over when all have ended.
            result = run(kept(port, duration=PATIENCE))
        self.assertEqual((4, 4, 0), (result.failures[Outcome.RESET], result.established, result.certain_lines))
        self.assertGreaterEqual(result.lines, 1)

    def test_cut_short(self) -> None:
        """A server that ends kept connections cuts them short."""
        with serving(close_at_once) as (port, _):
            # It is over when all have ended.
            result = run(kept(port, rate=1.0, duration=PATIENCE))
        self.assertEqual(4, result.failures[Outcome.CUT_SHORT] + result.failures[Outcome.RESET])
        self.assertGreaterEqual(result.failures[Outcome.CUT_SHORT], 3)

    def test_timed_out(self) -> None:
        """Connections that are not read from fill up, then time out; a partly sent line may have been counted."""
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            result = run(kept(silent.getsockname()[1], timeout=0.1, lines=1_000_000, duration=PATIENCE))
        self.assertEqual((4, 4), (result.failures[Outcome.TIMED_OUT], result.established))
        self.assertEqual((0, 0), (result.sends, result.certain_lines))
        self.assertGreater(result.sent_bytes, 0)
        self.assertTrue(0 <= result.lines * 6 - result.sent_bytes < 4 * 6, (result.lines, result.sent_bytes))

    def test_slow_to_the_end(self) -> None:
        """When the time is over, one timeout is all that a slow server gets, even if it goes on reading."""

        def read_slowly(sock: socket.socket) -> int:
            # At this pace all that is sent takes minutes.
            while sock.recv(16_384):
                threading.Event().wait(0.1)
            return 0

        with serving(read_slowly) as (port, _):
            began = time.monotonic()
            result = run(kept(port, timeout=0.3, lines=4_000_000, duration=PATIENCE), MemoryLink(stop_after=4, at=2))
        self.assertEqual(4, result.failures[Outcome.TIMED_OUT])
        self.assertLess(result.ended - began, 60)

    def test_stop(self) -> None:
        """When told to stop it ends its connections well."""
        with serving(read_to_the_end) as (port, seen):
            work = share(port, mode=Mode.KEPT, close=Close.HALF, connections=4, lines=1, duration=60.0, rate=50.0)
            result = run(work, MemoryLink(stop_after=1))
            self.assertEqual(result.lines, seen.lines)
        self.assertEqual(4, result.completed)
