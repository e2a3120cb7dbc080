"""Short connections against real servers on loopback: each ends in exactly one outcome, and the right one."""

from __future__ import annotations

import resource
import socket
import time
from ipaddress import ip_network
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.proxy import Proxy, ProxyVersion
from statsd_tcp.commands.load.results import Latencies, Outcome, Result
from statsd_tcp.commands.load.shapes import Close, read_mix
from statsd_tcp.commands.load.short import ShortConnections
from statsd_tcp.commands.load.workload import CONFIRMATION, Mode, Share, source_addresses
from statsd_tcp.ingest import confirming
from tests.certificates import Authority
from tests.unit.commands.servers import (
    MemoryLink,
    abort_at_once,
    close_at_once,
    free_port,
    greet,
    over_tls,
    read_a_header,
    read_once,
    read_to_the_end,
    reset_after_reading,
    say_ok,
    say_too_much,
    serving,
    share,
)
from tests.unit.folders import make_folder


def run(work: Share, link: MemoryLink | None = None) -> Result:
    """Do a share now, in this process, and check the books."""
    result = ShortConnections(work, time.monotonic(), link or MemoryLink()).run()
    assert result.begun == result.completed + result.failed
    assert Latencies(result.latencies).count == result.completed
    return result


class CompletedTests(SynchronousTestCase):
    """Connections that go well."""

    def test_connect_and_wait(self) -> None:
        """A bare connection is complete with the server's end, and then certainly was accepted."""
        with serving(close_at_once) as (port, seen):
            result = run(share(port))
            seen.wait_for(20)
        self.assertEqual((20, 20, 20), (result.completed, result.established, result.certain))
        self.assertEqual((0, 0), (result.lines, result.sent_bytes))

    def test_ways_to_close_first(self) -> None:
        """A client that ends a bare connection itself completes; only who waits knows that it was accepted."""
        for close, certain in ((Close.HALF, 20), (Close.FIN, 0), (Close.RESET, 0)):
            with serving(read_to_the_end) as (port, seen):
                result = run(share(port, close=close))
                seen.wait_for(20)
            self.assertEqual((20, 20, certain), (result.completed, result.established, result.certain), close)

    def test_lines_arrive(self) -> None:
        """What is reported as sent is what the server reads."""
        for mode, lines, close in ((Mode.LINE, 1, Close.HALF), (Mode.LINES, 7, Close.HALF), (Mode.LINES, 7, Close.FIN)):
            with serving(read_to_the_end) as (port, seen):
                result = run(share(port, mode=mode, lines=lines, close=close))
                seen.wait_for(20)
                self.assertEqual((20, 20 * lines), (seen.connections, seen.lines))
            self.assertEqual((20, 20 * lines, 120 * lines), (result.completed, result.lines, result.sent_bytes))
            self.assertEqual(20 * lines if close.waits else 0, result.certain_lines)

    def test_more_than_the_kernel_takes_at_once(self) -> None:
        """A payload larger than the send buffer arrives whole."""
        with serving(read_to_the_end) as (port, seen):
            result = run(share(port, mode=Mode.LINES, lines=2_000_000, close=Close.HALF, connections=1))
            self.assertEqual((2_000_000, 2_000_000), (seen.lines, result.certain_lines))

    def test_source_addresses(self) -> None:
        """Connections come from all the addresses, in turn."""
        sources = source_addresses(5)
        with serving(close_at_once) as (port, seen):
            run(share(port, sources=sources))
            seen.wait_for(20)
        self.assertEqual(set(sources), seen.sources)

    def test_late_clients(self) -> None:
        """A late client sends when its time has come, and the wait is not taken for the server's latency."""
        with serving(read_to_the_end) as (port, seen):
            began = time.monotonic()
            result = run(share(port, mode=Mode.LINE, lines=1, close=Close.HALF, late=0.2))
            self.assertEqual((20, 20), (seen.connections, seen.lines))
        self.assertGreaterEqual(result.ended - began, 0.2 * 3)  # twenty by eight
        # On a busy machine some take longer than they should; if the wait were in it, all would.
        self.assertLess(Latencies(result.latencies).percentile(10), 0.2)

    def test_late_end(self) -> None:
        """A bare connection may be ended late."""
        with serving(read_to_the_end) as (port, _):
            result = run(share(port, close=Close.FIN, late=0.05, concurrency=20))
        self.assertEqual(20, result.completed)
        self.assertGreaterEqual(result.elapsed, 0.05)

    def test_each_connection_its_own_line(self) -> None:
        """A template with {connection} makes payloads of their own length."""
        with serving(read_to_the_end) as (port, seen):
            result = run(share(port, mode=Mode.LINE, lines=1, close=Close.HALF, line="c{connection}:1|c"))
            self.assertEqual(20, seen.lines)
        self.assertEqual(10 * 7 + 10 * 8, result.sent_bytes)

    def test_given_rate(self) -> None:
        """At a given rate the connections take the time they should."""
        with serving(close_at_once) as (port, _):
            result = run(share(port, rate=100.0, connections=11))
        self.assertEqual(11, result.completed)
        self.assertGreaterEqual(result.elapsed, 0.1)

    def test_duration(self) -> None:
        """A rate and a duration give the number of connections."""
        with serving(close_at_once) as (port, _):
            result = run(share(port, rate=100.0, connections=None, duration=0.095))
        self.assertEqual(10, result.begun)

    def test_reports_and_stop(self) -> None:
        """It reports while it runs, and when told to stop it begins nothing more."""
        link = MemoryLink(stop_after=1)
        with serving(close_at_once) as (port, _):
            result = run(share(port, connections=None, duration=60.0), link)
        self.assertEqual(result.begun, result.completed)
        self.assertEqual((result.begun, 0), (link.reports[-1].begun, link.reports[-1].open))


class MixTests(SynchronousTestCase):
    """Connections of several shapes in one run."""

    def test_all_shapes(self) -> None:
        """Each shape does its own, at its own port, and the books hold for each: what is told is what was read."""
        folder = make_folder(self)
        key = Authority(folder).issue("server")
        with serving(read_to_the_end) as (port, seen), serving(over_tls(key)) as (secure, seen_secure):
            mix = read_mix(
                "bare 1\nline 1 lines=3\nlate 1 after=300\nkept 1 sends=3 every=150 lines=2\nreset 1\n"
                f"tls 1 port={secure}",
                "mix",
            )
            result = run(share(port, mode=Mode.MIX, close=Close.HALF, connections=60, mix=mix))
            begun = result.begun_of
            seen_secure.wait_for(begun["tls"])
            seen.wait_for(60 - begun["tls"])
            lines = 3 * begun["line"] + begun["late"] + 6 * begun["kept"]
            self.assertEqual((lines, begun["tls"]), (seen.lines, seen_secure.lines))
        self.assertEqual({"bare", "line", "late", "kept", "reset", "tls"}, set(begun))
        self.assertEqual((60, 60, 60 - begun["reset"]), (result.completed, result.established, result.certain))
        self.assertEqual([lines + begun["tls"]] * 2, [result.lines, result.certain_lines])
        self.assertEqual(begun, result.completed_of)
        # What a client waits by its own will is not the server's latency: if it were in it, a third would have it.
        self.assertLess(Latencies(result.latencies).percentile(60), 0.3)

    def test_each_connection_its_own_line(self) -> None:
        """A template with {connection} is for all shapes with lines."""
        with serving(read_to_the_end) as (port, seen):
            mix = read_mix("line 1\nkept 1 sends=2 every=1", "mix")
            result = run(share(port, mode=Mode.MIX, line="c{connection}:1|c", mix=mix))
            lines = 20 + result.begun_of["kept"]
            self.assertEqual((lines, lines), (seen.lines, result.lines))

    def test_cut_short(self) -> None:
        """A server that ends a kept connection between two sends has cut it short; the lines before it count."""
        with serving(read_once) as (port, _):
            result = run(share(port, mode=Mode.MIX, mix=read_mix("kept 1 sends=3 every=60000", "mix"), connections=5))
        self.assertEqual((5, 5), (result.failures[Outcome.CUT_SHORT], result.lines))

    def test_no_tls(self) -> None:
        """A server that does not speak TLS is told as such, and no line counts as sent."""
        with serving(greet) as (port, _):
            result = run(share(port, mode=Mode.MIX, mix=read_mix("tls 1", "mix"), connections=5))
        self.assertEqual(({"EPROTO": 5}, 0), (result.errors, result.lines))

    def test_end_in_the_handshake(self) -> None:
        """A server that ends instead of a handshake has cut the connection short."""
        with serving(read_once) as (port, _):
            result = run(share(port, mode=Mode.MIX, mix=read_mix("tls 1", "mix"), connections=5))
        self.assertEqual((5, 0), (result.failures[Outcome.CUT_SHORT], result.lines))

    def test_timeout(self) -> None:
        """Each is given up after its own time: one that waits by its own will has that much more."""
        mix = read_mix("line 1\nlate 1 after=200", "mix")
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            port = silent.getsockname()[1]
            result = run(share(port, mode=Mode.MIX, close=Close.HALF, mix=mix, timeout=0.3, connections=4))
        self.assertEqual(4, result.failures[Outcome.TIMED_OUT])
        self.assertGreaterEqual(result.elapsed, 0.5)


class ProxyTests(SynchronousTestCase):
    """Headers of a balancer."""

    def test_before_everything(self) -> None:
        """The header comes first in every shape, and is not taken for a line."""
        proxy = Proxy(ProxyVersion.V1, ip_network("198.18.0.0/24"))
        with serving(read_a_header) as (port, seen):
            mix = read_mix("bare 1\nline 1\nlate 1 after=10\nkept 1 sends=2 every=10", "mix")
            result = run(share(port, mode=Mode.MIX, mix=mix, proxy=proxy))
            lines = 20 - result.begun_of["bare"] + result.begun_of["kept"]
            self.assertEqual((20, lines), (seen.connections, seen.lines))
        self.assertEqual((20, lines, lines), (result.completed, result.lines, result.certain_lines))

    def test_waiting_for_the_server(self) -> None:
        """A client that only waits for the server's end still sends the header."""
        proxy = Proxy(ProxyVersion.V1, ip_network("198.18.0.0/24"))
        with serving(read_once) as (port, _):
            result = run(share(port, proxy=proxy))
        self.assertEqual((20, 0), (result.completed, result.lines))
        self.assertGreater(result.sent_bytes, 20 * len("PROXY TCP4 "))


class ScheduleTests(SynchronousTestCase):
    """Latency at a given rate."""

    def test_waiting_for_room_is_latency(self) -> None:
        """A connection that could not begin in time has waited since it was due, and the reason is kept."""
        with serving(read_to_the_end) as (port, _):
            # One at a time, each 30 ms, a thousand a second: the last is due after 9 ms, and ends after 300 ms.
            work = share(
                port, mode=Mode.LINE, lines=1, close=Close.HALF, late=0.03, rate=1000.0, connections=10, concurrency=1
            )
            result = run(work)
        self.assertEqual(10, result.completed)
        # On a busy machine the generator may be late by its own fault, too.
        self.assertGreater(result.held_back, result.behind)
        self.assertGreaterEqual(Latencies(result.latencies).percentile(100), 0.2)

    def test_own_slowness_is_said(self) -> None:
        """A start that lies in the past makes the generator late by its own fault."""
        with serving(close_at_once) as (port, _):
            result = ShortConnections(
                share(port, rate=1000.0, concurrency=20), time.monotonic() - 1.0, MemoryLink()
            ).run()
        self.assertEqual((20, 0), (result.behind, result.held_back))
        self.assertGreaterEqual(Latencies(result.latencies).percentile(50), 0.9)


class FailedTests(SynchronousTestCase):
    """Connections that do not go well."""

    def test_refused(self) -> None:
        """A closed port refuses; nothing was established."""
        with free_port() as port:
            for close in Close:
                result = run(share(port, close=close))
                self.assertEqual((20, 0), (result.failures[Outcome.REFUSED], result.established), close)
            result = run(share(port, mode=Mode.LINE, lines=1))
        self.assertEqual((20, 0, 0), (result.failures[Outcome.REFUSED], result.established, result.lines))

    def test_reset(self) -> None:
        """A server that aborts resets; the connection was established, and what was sent may have been counted."""
        with serving(reset_after_reading) as (port, _):
            result = run(share(port, mode=Mode.LINES, lines=5, close=Close.HALF))
        self.assertEqual((20, 20, 0), (result.failures[Outcome.RESET], result.established, result.certain))
        self.assertEqual((100, 0), (result.lines, result.certain_lines))

    def test_reset_of_a_bare_connection(self) -> None:
        """Also one that only waits sees the reset for what it is."""
        with serving(abort_at_once) as (port, _):
            result = run(share(port))
        self.assertEqual((20, 20, 0), (result.failures[Outcome.RESET], result.established, result.certain))

    def test_timed_out_after_the_handshake(self) -> None:
        """A server that never answers lets connections time out, established and perhaps counted."""
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            port = silent.getsockname()[1]
            result = run(share(port, timeout=1.0, concurrency=20))
            lines = run(share(port, mode=Mode.LINE, lines=1, close=Close.HALF, timeout=1.0, concurrency=20))
        self.assertEqual((20, 20, 0), (result.failures[Outcome.TIMED_OUT], result.established, result.certain))
        self.assertEqual((20, 20, 0), (lines.failures[Outcome.TIMED_OUT], lines.lines, lines.certain_lines))

    def test_timed_out_before_the_handshake(self) -> None:
        """A full queue drops the handshake: such a connection was never established."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            address = full.getsockname()
            with socket.create_connection(address):
                result = run(share(address[1], connections=4, timeout=0.1))
        self.assertEqual((4, 0), (result.failures[Outcome.TIMED_OUT], result.established))

    def test_cut_short(self) -> None:
        """A server's end before the client has sent anything is no completion, but the connection was accepted."""
        with serving(close_at_once) as (port, _):
            result = run(share(port, mode=Mode.LINE, lines=1, close=Close.HALF, late=60.0))
        self.assertEqual((20, 20, 0), (result.failures[Outcome.CUT_SHORT], result.certain, result.lines))

    def test_confirmed(self) -> None:
        """A connection that is confirmed is complete; after another end, or another answer, it is not certain."""
        work: dict[str, Any] = {"mode": Mode.LINES, "lines": 3, "close": Close.HALF, "confirm": True}
        with serving(say_ok) as (port, _):
            result = run(share(port, **work))
        self.assertEqual((20, 0, 20, 60), (result.completed, result.failed, result.certain, result.certain_lines))
        for server in (read_to_the_end, say_too_much):
            with serving(server) as (port, _):
                result = run(share(port, **work))
            self.assertEqual((20, 20), (result.failures[Outcome.UNCONFIRMED], result.established))
            self.assertEqual((0, 0, 60), (result.certain, result.certain_lines, result.lines))
        self.assertEqual(CONFIRMATION, confirming.CONFIRMATION)

    def test_out_of_descriptors(self) -> None:
        """Without descriptors the generator's own failure is told from the server's, and it does not run wild."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with free_port() as port:
            work, link = share(port, connections=None, duration=60.0), MemoryLink(stop_after=1, at=3)
            loop = ShortConnections(work, time.monotonic(), link)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                result = loop.run()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual({"EMFILE": result.begun}, result.errors)
        self.assertTrue(1 <= result.own_failures <= 20, result.own_failures)

    def test_out_of_ports(self) -> None:
        """Without a free port the failure has its errno, and counts as begun and ended."""
        with serving(close_at_once) as (port, _):
            # No machine has 192.0.2.1: binding to it fails as an exhausted range does.
            result = run(share(port, sources=("192.0.2.1",), connections=3))
        self.assertEqual(({"EADDRNOTAVAIL": 3}, 3, 0), (result.errors, result.own_failures, result.established))

    def test_reset_between_two_calls(self) -> None:
        """A call that finds the connection gone is a reset, not an error of its own."""
        with serving(close_at_once) as (port, _), mock.patch("statsd_tcp.commands.load.connections.Dialer") as dialer:
            gone = socket.socket()
            dialer.return_value.dial.return_value = gone
            dialer.return_value.is_through.return_value = True
            result = run(share(port, close=Close.HALF, connections=1))
        self.assertEqual({Outcome.RESET: 1}, {key: n for key, n in result.failures.items() if n})
