"""Listeners behind a balancer: headers of the PROXY protocol before the lines, on each lane; and after them "ok"."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

from statsd_tcp.ingest import balanced, confirming
from statsd_tcp.ingest.balanced import BalancedLineLane
from statsd_tcp.ingest.confirming import CONFIRMATION, ConfirmingProtocol
from statsd_tcp.ingest.protocol import HEADER_TIMEOUT
from statsd_tcp.ingest.proxy_header import SIGNATURE
from statsd_tcp.wire.reasons import PROXY_HEADER
from tests.unit.ingest.headers import ADDRESSES_6, BAD, GOOD, LOCAL, TCP6, v1, v2
from tests.unit.ingest.loopback import IDLE_TIMEOUT, MAX_LINE, Client, IngestTestCase

LINES = b"a:1|c\nb:2|c\n"
TRUSTED = ("127.0.0.0/8",)
LATE_POLLS = 20
"""Milliseconds after which the reactor has a connection, also under load."""


class PollingTestCase(IngestTestCase):
    """A test that lets the server read."""

    def poll(self, times: int = 3) -> None:
        """Let the server read what has come."""
        for _ in range(times):
            self.reactor.turn()
            self.moderator._run_if_needed(0)
            self.tick()
        self.intake.settle()

    def forget(self) -> None:
        """Begin with the next case."""
        self.intake.release(self.journal.head)
        self.tally.lines.clear()
        self.tally.bad_headers.clear()
        self.tally.bytes = 0
        for reason in self.closed:
            self.cells[getattr(self.indexes, reason)] = 0


class BalancedTestCase(PollingTestCase):
    """A test with a lane that expects headers of any version."""

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.factory = self.make_factory(is_headed=True)
        self.lane = self.line_lane(proxy="any", trust=TRUSTED)

    def serve(self, pieces: list[bytes]) -> None:
        """Let a client send pieces, with polls in between, and end."""
        client = self.connect()
        for data in pieces[:-1]:
            client.send(data)
            self.poll()
        client.socket.sendall(pieces[-1])
        client.fin()
        self.poll()
        client.socket.close()


def deliveries(header: bytes) -> Iterator[list[bytes]]:
    """Yield the ways in which a header and lines may come: at once, apart, and in parts."""
    yield [header + LINES]
    yield [header, LINES]
    yield [header + LINES[:3], LINES[3:]]
    yield [header[:1], header[1:] + LINES]
    yield [header[:14], header[14:-1], header[-1:], LINES]
    yield [header + LINES, LINES]


class HeaderTests(BalancedTestCase):
    """Headers in all the ways in which they may come."""

    def test_good(self) -> None:
        """After a good header lines are lines, however both come; the header is bytes and no line."""
        for name, good in GOOD.items():
            for pieces in deliveries(good.data):
                self.serve(pieces)
                sent = b"".join(pieces)
                lines = sent[len(good.data) :].splitlines()
                self.assertEqual((lines, len(sent)), (self.tally.lines, self.tally.bytes), (name, pieces))
                self.assertEqual(({"eof": 1}, []), (self.closed, self.tally.bad_headers), (name, pieces))
                self.forget()
        self.assertEqual(0, self.occupancy.open)
        self.assertEqual({}, dict(self.tally.rejected))

    def test_unterminated(self) -> None:
        """What comes after a header without a newline is a line after a clean end, as everywhere."""
        self.serve([v2() + b"a:1|c"])
        self.assertEqual(([b"a:1|c"], {"eof": 1}), (self.tally.lines, self.closed))

    def test_none_but_a_header(self) -> None:
        """A client that sends nothing is a client."""
        self.serve([v2()])
        self.assertEqual(([], {"eof": 1}, 28), (self.tally.lines, self.closed, self.tally.bytes))

    def test_local(self) -> None:
        """A balancer that checks whether the service lives is no client, in whatever way it ends the connection."""
        for name, data in LOCAL.items():
            for pieces in deliveries(data):
                self.serve(pieces)
                self.assertEqual(({"proxy_check": 1}, []), (self.closed, self.tally.bad_headers), (name, pieces))
                self.forget()
            client = self.connect()
            client.send(data)
            self.poll()
            client.reset()
            self.poll()
            self.assertEqual({"proxy_check": 1}, self.closed, name)
            self.forget()

    def test_bad(self) -> None:
        """A bad header closes the connection at once, and is kept as an example; no line counts."""
        for name, data in BAD.items():
            for split in (0, len(data) - 1):
                client = self.connect()
                client.socket.sendall(data[:split])
                self.poll()
                if not self.closed:
                    client.socket.sendall(data[split:] + LINES)
                self.poll()
                self.assertEqual({"bad_proxy_header": 1}, self.closed, (name, split))
                (example,) = self.tally.bad_headers
                self.assertTrue((data + LINES).startswith(example) or example in data + LINES, name)
                client.socket.close()
                self.assertEqual([], self.tally.lines)
                self.forget()
        self.assertEqual(0, self.occupancy.open)

    def test_ends_before_the_header(self) -> None:
        """A connection that ends before its header is whole had none, in whatever way it ends."""
        for data in (b"", v2()[:5], v2()[:20], b"PROXY TCP4 "):
            for end in (Client.fin, Client.reset):
                for polls in (0, LATE_POLLS):
                    client = self.connect()
                    if data:
                        client.send(data)
                    self.poll(polls)
                    end(client)
                    self.poll()
                    self.assertEqual({"bad_proxy_header": 1}, self.closed, (data, end, polls))
                    self.assertEqual([data] if data else [], self.tally.bad_headers)
                    client.socket.close()
                    self.forget()

    def test_a_version_that_is_not_expected(self) -> None:
        """With one version the other one is a bad header."""
        self.lane.stop()
        for proxy, version in (("v1", 1), ("v2", 2)):
            self.line_lane(proxy=proxy, trust=TRUSTED)
            for name, good in GOOD.items():
                self.serve([good.data + LINES])
                expected = "eof" if good.version == version else "bad_proxy_header"
                self.assertEqual({expected: 1}, self.closed, name)
                self.forget()
            self.moderator._lanes[0].stop()  # type: ignore[attr-defined]

    def test_many_at_once(self) -> None:
        """In one poll some have headers, some have not, and each is counted as what it is."""
        for number in range(30):
            client = self.connect()
            client.socket.sendall((v2(), v1("TCP4 1.2.3.4 1.2.3.4 1 2"), b"", v2(b"", 0, 0x20))[number % 4] + LINES)
            client.socket.shutdown(socket.SHUT_WR)
        self.poll(5)
        self.assertEqual({"eof": 16, "bad_proxy_header": 7, "proxy_check": 7}, self.closed)
        self.assertEqual(23 * LINES.splitlines(), self.tally.lines)
        self.assertEqual(30, self.accepted)


class TrustTests(BalancedTestCase):
    """Peers that are no balancers."""

    def test_a_stranger(self) -> None:
        """A peer from another network is closed whatever it sends, and the example says where it is."""
        self.lane.stop()
        self.line_lane(proxy="any", trust=("10.0.0.0/8", "::1/128"))
        for data in (v2() + LINES, b"", LINES):
            self.serve([data])
            self.assertEqual({"bad_proxy_header": 1}, self.closed)
            self.assertEqual(([b"127.0.0.1 is not in trust="], []), (self.tally.bad_headers, self.tally.lines))
            self.assertEqual(len(data), self.tally.bytes)
            self.forget()

    def test_a_stranger_that_is_gone(self) -> None:
        """A peer that has reset its connection is judged as before: what it sent can still be read."""
        for trust, reason in ((("10.0.0.0/8",), "bad_proxy_header"), (TRUSTED, "reset")):
            for data in (v2() + LINES, v2() + LINES[:-1], b"PROXY UNKNOWN\r\n" + LINES):
                self.lane.stop()
                self.lane = self.line_lane(proxy="any", trust=trust)
                client = self.connect()
                client.socket.sendall(data)
                client.reset()
                self.poll()
                lines = [] if trust != TRUSTED else LINES.splitlines()[: data.count(b"|c\n")]
                self.assertEqual(({reason: 1}, lines), (self.closed, self.tally.lines), data)
                examples = [b"127.0.0.1 is not in trust="] if trust != TRUSTED else []
                self.assertEqual(examples, self.tally.bad_headers)
                self.forget()

    def test_a_clean_end(self) -> None:
        """Even such a peer sees the end of the connection and no reset."""
        self.lane.stop()
        self.line_lane(proxy="any", trust=("10.0.0.0/8",))
        client = self.connect()
        client.send(v2() + LINES)
        self.poll()
        self.assertEqual(b"", client.end())

    def test_one_of_several(self) -> None:
        """One network of several is enough, and a part of an address may be a network."""
        self.lane.stop()
        self.line_lane(proxy="any", trust=("10.0.0.0/8", "::/0", "127.0.0.0/31"))
        self.serve([v2() + LINES])
        self.assertEqual({"eof": 1}, self.closed)


class LateTests(BalancedTestCase):
    """Connections that the reactor has before their header is whole."""

    def test_too_late(self) -> None:
        """A header that does not come in time is none; one that comes in parts has no more time."""
        client, slow = self.connect(), self.connect()
        self.poll(LATE_POLLS)
        slow.send(b"PROXY UNKNOWN")
        for _ in range(9):
            slow.send(b" ")
            self.poll()
            self.reactor.advance(1)
        self.assertEqual({}, self.closed)
        self.reactor.advance(HEADER_TIMEOUT / 4)
        self.assertEqual({"bad_proxy_header": 2}, self.closed)
        self.assertEqual((b"", b""), (client.end(), slow.end()))

    def test_in_time(self) -> None:
        """One that comes after some seconds is as good, and the client may stay."""
        client = self.connect()
        self.poll(LATE_POLLS)
        self.reactor.advance(HEADER_TIMEOUT / 2)
        client.send(v2() + LINES)
        self.poll()
        self.reactor.advance(HEADER_TIMEOUT * 2)
        self.assertEqual((2, {}), (len(self.tally.lines), self.closed))
        self.reactor.advance(IDLE_TIMEOUT)
        self.assertEqual({"idle": 1}, self.closed)

    def test_in_time_for_a_full_journal(self) -> None:
        """A header that came while nothing could be read is in time, and so is one that comes after that."""
        early, late = self.connect(), self.connect()
        self.poll(LATE_POLLS)
        self.factory.pause()
        early.send(v2() + LINES)
        self.reactor.advance(HEADER_TIMEOUT * 2)
        self.factory.resume()
        self.reactor.advance(HEADER_TIMEOUT / 4)
        late.send(v2() + LINES)
        for client in (early, late):
            client.fin()
        self.poll()
        self.assertEqual(({"eof": 2}, 2 * LINES.splitlines()), (self.closed, self.tally.lines))

    def test_source(self) -> None:
        """The address in the header says which source holds the most places; before it the source is not known."""
        clients = [self.connect() for _ in range(4)]
        self.poll(LATE_POLLS)
        kept = list(self.factory.kept)
        for protocol in kept:
            protocol.find_source()
        self.assertEqual({None}, {protocol.source for protocol in kept})
        headers = (v2(), v1("TCP6 2001:db8:0:0:1::9 ::1 1 2"), v2(ADDRESSES_6, TCP6), v2(b"", 0))
        for client, header in zip(clients, headers, strict=True):
            client.send(header)
        self.poll()
        for protocol in kept:
            protocol.find_source()
        expected = {"192.0.2.7", bytes.fromhex("20010db800000000"), "127.0.0.1"}
        self.assertEqual(expected, {protocol.source for protocol in kept})

    def test_shutdown(self) -> None:
        """A service that stops reads headers that have come, and closes."""
        late, check, client = (self.connect() for _ in range(3))
        self.poll(LATE_POLLS)
        check.send(v2(b"", 0, 0x20))
        client.send(v2() + LINES)
        self.factory.drain()
        self.poll()
        self.assertEqual({"shutdown": 2, "proxy_check": 1}, self.closed)
        self.assertEqual(LINES.splitlines(), self.tally.lines)
        late.socket.close()


class UnaskedTests(PollingTestCase):
    """Headers on a listener that expects none."""

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.lane = self.line_lane()

    def test_version_2(self) -> None:
        """A header is one bad line, whenever it comes whole in front of lines; those count."""
        headers = [good.data for good in GOOD.values() if good.version == 2] + list(LOCAL.values())
        number = 0
        for header in headers:
            for pieces in ([header + LINES], [header, LINES], [header[:20], header[20:] + LINES]):
                for polls in (0, LATE_POLLS):
                    client = self.connect()
                    self.poll(polls)
                    for data in pieces:
                        client.send(data)
                        self.poll()
                    client.fin()
                    self.poll()
                    number += 1
                    self.assertEqual(
                        (LINES.splitlines(), {PROXY_HEADER: number}), (self.tally.lines, dict(self.tally.rejected))
                    )
                    self.assertTrue(self.tally.beginnings[-1].startswith(SIGNATURE))
                    self.tally.lines.clear()
                    self.intake.release(self.journal.head)
                    client.socket.close()
        self.assertEqual({"eof": number}, self.closed)

    def test_bad(self) -> None:
        """One that is not good closes the connection: where lines would begin is not known."""
        client = self.connect()
        client.send(v2(command=0x55) + LINES)
        self.poll()
        self.assertEqual(
            ({"error": 1}, {PROXY_HEADER: 1}, []), (self.closed, dict(self.tally.rejected), self.tally.lines)
        )

    def test_lines_that_begin_alike(self) -> None:
        """Empty lines that end as in DOS are empty lines."""
        client = self.connect()
        client.send(b"\r\n\r\n" + LINES)
        client.fin()
        self.poll()
        self.assertEqual(([b"\r", b"\r", *LINES.splitlines()], {}), (self.tally.lines, dict(self.tally.rejected)))


class UnixTests(PollingTestCase):
    """The same over a Unix socket."""

    def setUp(self) -> None:
        """Listen under an abstract name."""
        super().setUp()
        self.listener.close()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.listener.bind(f"\0statscounter-balanced-{os.getpid()}")
        self.listener.listen(100)
        self.listener.setblocking(False)
        self.factory = self.make_factory(is_headed=True, protocol=ConfirmingProtocol)

    def connect_here(self) -> socket.socket:
        """Make a client."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.connect(self.listener.getsockname())
        client.settimeout(10)
        return client

    def test_all(self) -> None:
        """Headers are read, balancers' own connections told apart, and bad ones closed; none is a stranger."""
        self.line_lane(proxy="any", confirms=True)
        cases = [(good.data, "eof") for good in GOOD.values()]
        cases += [(data, "proxy_check") for data in LOCAL.values()] + [
            (data, "bad_proxy_header") for data in BAD.values()
        ]
        for data, reason in cases:
            for polls in (0, LATE_POLLS):
                client = self.connect_here()
                self.poll(polls)
                client.sendall(data + LINES)
                client.shutdown(socket.SHUT_WR)
                self.poll()
                self.assertEqual({reason: 1}, self.closed, data)
                self.assertEqual([] if reason == "bad_proxy_header" else LINES.splitlines(), self.tally.lines)
                self.assertEqual(CONFIRMATION if reason == "eof" else b"", client.recv(100), data)
                client.close()
                self.forget()

    def test_packets(self) -> None:
        """A header may come before packets with their lengths, too."""
        lane = BalancedLineLane(
            *self._common(),
            intake=self.intake,
            index=0,
            occupancy=self.occupancy,
            hand_over=self.factory.hand_over,
            max_line=MAX_LINE,
            framing="length",
            proxy="v2",
            confirms=True,
        )
        lane.start()
        client = self.connect_here()
        client.sendall(v2() + len(LINES).to_bytes(4, "little") + LINES)
        client.shutdown(socket.SHUT_WR)
        self.poll()
        self.assertEqual((LINES.splitlines(), {"eof": 1}), (self.tally.lines, self.closed))
        self.assertEqual(CONFIRMATION, client.recv(100))


class ConfirmTests(PollingTestCase):
    """A listener with ``confirm=read``."""

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.factory = self.make_factory(protocol=ConfirmingProtocol)
        self.lane = self.line_lane(confirms=True)

    def confirmed(self, client: Client) -> bytes:
        """Return what a client gets that ends its side."""
        client.fin()
        self.poll()
        return client.end()

    def test_at_once(self) -> None:
        """A client that has sent lines, half a line or nothing and has ended its side is told; then comes the end."""
        for data in (LINES, b"a:1|c", LINES + b"a:1|c", b""):
            client = self.connect()
            if data:
                client.send(data)
            self.assertEqual(CONFIRMATION, self.confirmed(client), data)
            self.assertEqual(data.split(), self.tally.lines)
            self.tally.lines.clear()
        self.assertEqual({"eof": 4}, self.closed)

    def test_later(self) -> None:
        """So is one that ends its side later, when it was polled again or the reactor has it."""
        for polls in (1, LATE_POLLS):
            for data in (LINES, LINES + b"a:1|c", b""):
                client = self.connect()
                self.poll(polls)
                if data:
                    client.send(data)
                self.poll()
                self.assertEqual(CONFIRMATION, self.confirmed(client))
                self.assertEqual(data.split(), self.tally.lines)
                self.tally.lines.clear()
        self.assertEqual(({"eof": 6}, 0), (self.closed, self.occupancy.open))

    def test_under_load(self) -> None:
        """So is one that is parked."""
        self.moderator._begin()
        client = self.connect()
        self.poll(2)
        client.send(LINES)
        self.poll(2)
        self.assertEqual(CONFIRMATION, self.confirmed(client))

    def test_in_the_journal(self) -> None:
        """What it says is so: also the last line without its newline is in the journal before it is sent."""
        sent: list[bool] = []

        def send(connection: Any) -> None:
            sent.append(b"unterminated:1|c\n" in bytes(self.journal.ring[: self.journal.head]))

        for module in (balanced, confirming):
            self.patch(module, "confirm", send)
        for polls in (1, LATE_POLLS):
            client = self.connect()
            self.poll(polls)
            client.send(b"unterminated:1|c")
            client.fin()
            self.poll()
            self.journal.ring[: self.journal.head] = bytes(self.journal.head)
        self.assertEqual(({"eof": 2}, [True, True]), (self.closed, sent))

    def test_not_otherwise(self) -> None:
        """No other end is confirmed: not the idle one, not the service's, not one whose place is needed."""
        silent, stopped = self.connect(), self.connect()
        self.poll(LATE_POLLS)
        self.reactor.advance(IDLE_TIMEOUT / 2)
        stopped.send(LINES)
        self.poll()
        self.reactor.advance(IDLE_TIMEOUT / 2 + 10)
        self.poll()
        self.assertEqual(({"idle": 1}, b""), (self.closed, silent.end()))
        evicted = self.connect()
        self.poll(LATE_POLLS)
        newest = max(self.factory.kept, key=lambda one: one.begun)
        newest.evict()
        self.factory.drain()
        self.assertEqual((b"", b""), (stopped.end(), evicted.end()))
        self.assertEqual({"idle": 1, "evicted": 1, "shutdown": 1}, self.closed)

    def test_at_the_last_moment(self) -> None:
        """A client that has ended its side when the service stops, or needs its place, is told that all was read."""
        for act in (self.factory.drain, self.evict_one):
            client = self.connect()
            self.poll(LATE_POLLS)
            client.send(LINES + b"a:1|c")
            client.fin()
            act()
            self.assertEqual(CONFIRMATION, client.end())
        self.intake.settle()
        self.assertEqual({"eof": 2}, self.closed)
        self.assertEqual(6, len(self.tally.lines))

    def evict_one(self) -> None:
        """Close the only connection for another client."""
        (one,) = self.factory.kept
        one.evict()

    def test_a_client_that_is_gone(self) -> None:
        """A client that has closed its socket, and takes nothing, is counted as any other."""
        for polls in (0, LATE_POLLS):
            client = self.connect()
            self.poll(polls)
            client.send(LINES)
            client.socket.close()
            self.poll(5)
        self.assertEqual({"eof": 2}, self.closed)
        self.assertEqual([], self.failures)

    def test_behind_a_balancer(self) -> None:
        """With a header too, a client is told; a check and a bad header are not."""
        self.lane.stop()
        self.factory = self.make_factory(is_headed=True, protocol=ConfirmingProtocol)
        self.line_lane(proxy="v2", trust=TRUSTED, confirms=True)
        for data, expected in ((v2(), CONFIRMATION), (v2(b"", 0, 0x20), b""), (v2()[:-1], b"")):
            for polls in (0, LATE_POLLS):
                client = self.connect()
                self.poll(polls)
                client.send(data)
                self.assertEqual(expected, self.confirmed(client), data)
