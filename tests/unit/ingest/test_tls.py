"""Lines over TLS: handshakes, records, and how connections end."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
from typing import Any
from unittest import mock

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost

from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.tls_lane import HANDSHAKE_TIMEOUT, TlsProtocol
from statsd_tcp.ingest.tls_transport import RECORDS
from tests.unit.ingest.loopback import (
    IDLE_TIMEOUT,
    wait_for,
)
from tests.unit.ingest.new_keys import RECORD_SIZE
from tests.unit.ingest.tls_clients import TlsTestCase


class TlsLaneTests(TlsTestCase):
    """Connections to a TLS port."""

    def test_lines(self) -> None:
        """Lines are counted as on any other port; a clean end makes a line of what has no newline."""
        client = self.secure(self.connect())
        client.send(b"a:1|c\nb:2|c\nc:3|c")
        self.assertFalse(self.attempt(client.unwrap))
        self.assertEqual({"eof": 1}, self.until_closed())
        self.assertEqual([b"a:1|c", b"b:2|c", b"c:3|c"], self.tally.lines)
        self.assertEqual((1, 0), (self.accepted, self.occupancy.open))

    def test_end_without_a_word(self) -> None:
        """An end that TLS has not announced is no clean one: half a line is dropped."""
        client = self.secure(self.connect())
        client.send(b"a:1|c\nb:2")
        client.close()
        self.assertEqual({"reset": 1}, self.until_closed())
        self.assertEqual(([b"a:1|c"], {"truncated": 1}), (self.tally.lines, dict(self.tally.rejected)))

    def test_no_handshake(self) -> None:
        """Plain lines are a failed handshake: counted, closed for an error, and none of them a line."""
        client = self.connect()
        client.send(b"a:1|c\n")
        self.assertEqual({"error": 1}, self.until_closed())
        self.assertEqual(([], 1, 0), (self.tally.lines, self.accepted, self.occupancy.open))

    def test_end_before_the_handshake(self) -> None:
        """So is a client that connects and goes."""
        self.connect().fin()
        self.assertEqual({"error": 1}, self.until_closed())

    def test_unknown_authority(self) -> None:
        """So is one that does not trust our certificate."""
        client = self.connect()
        context = ssl.create_default_context()
        client.socket.setblocking(False)
        wrapped = context.wrap_socket(client.socket, server_hostname="localhost", do_handshake_on_connect=False)
        with self.assertRaises(ssl.SSLCertVerificationError):
            wait_for(lambda: self.attempt(wrapped.do_handshake))
        wrapped.close()
        self.assertEqual({"error": 1}, self.until_closed())

    def test_late_handshake(self) -> None:
        """A handshake that is not through in time is broken off; one that is through stays."""
        silent = self.connect()
        self.run_reactor()
        secure = self.secure(self.connect())
        self.reactor.pump([1.0] * int(HANDSHAKE_TIMEOUT + 1))
        self.assertEqual({"error": 1}, self.until_closed())
        self.assertRaises(ConnectionResetError, silent.end)
        secure.send(b"a\n")
        self.await_records(1)
        self.run_reactor()
        self.intake.settle()
        self.assertEqual(([b"a"], 1), (self.tally.lines, self.occupancy.open))

    def test_handshake_in_time(self) -> None:
        """Just before its time is up a handshake is not broken off."""
        self.connect()
        self.run_reactor()
        self.reactor.pump([*[1.0] * int(HANDSHAKE_TIMEOUT - 1), 0.95])
        self.run_reactor()
        self.assertEqual(({}, 1), (self.closed, self.occupancy.open))

    def test_no_timer_without_handshakes(self) -> None:
        """While no handshake is under way nothing but the sweep of idle connections waits for its time."""
        self.secure(self.connect())
        self.reactor.pump([1.0] * 2)
        self.assertEqual(1, len(self.reactor.getDelayedCalls()))

    def test_idle(self) -> None:
        """An idle client is told that it was the end, and not waited for."""
        client = self.secure(self.connect())
        self.reactor.pump([IDLE_TIMEOUT / 8] * 9)
        self.assertEqual({"idle": 1}, self.until_closed())
        received: list[bytes] = []
        wait_for(lambda: self.attempt(lambda: received.append(client.recv(10))))
        self.assertEqual([b""], received)

    def test_evicted(self) -> None:
        """A client that has to go is told so as TLS wants it, and what it has sent is counted."""
        client = self.secure(self.connect())
        client.send(b"a\nb")
        self.await_records(1)
        (one,) = self.factory.kept
        one.evict()
        self.assertEqual(({"evicted": 1}, 0), (self.closed, self.occupancy.open))
        self.assertEqual(([b"a"], {"truncated": 1}), (self.tally.lines, self.tally.rejected))
        received: list[bytes] = []
        wait_for(lambda: self.attempt(lambda: received.append(client.recv(10))))
        self.assertEqual([b""], received)

    def test_evicted_in_the_handshake(self) -> None:
        """One whose handshake is under way sees a clean end."""
        client = self.connect()
        self.run_reactor()
        (one,) = self.factory.kept
        self.assertTrue(one.silent)
        one.evict()
        self.run_reactor()
        self.assertEqual(({"evicted": 1}, 0), (self.closed, self.occupancy.open))
        self.assertEqual(b"", client.end())

    def test_broken_off(self) -> None:
        """A client that resets its connection is counted so."""
        client = self.secure(self.connect())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.assertEqual({"reset": 1}, self.until_closed())

    def test_broken_record(self) -> None:
        """A record that is not what TLS would send ends in an error; what came before it counts."""
        client = self.secure(self.connect())
        client.send(b"a:1|c\nb:2")
        with socket.socket(fileno=os.dup(client.fileno())) as below:
            below.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.assertEqual({"error": 1}, self.until_closed())
        self.assertEqual(([b"a:1|c"], {"truncated": 1}), (self.tally.lines, dict(self.tally.rejected)))

    def test_byte_by_byte(self) -> None:
        """A handshake may come in any parts."""
        client, outgoing = self.connect(), ssl.MemoryBIO()
        greeting = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        self.assertRaises(ssl.SSLWantReadError, greeting.do_handshake)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in outgoing.read():
            client.socket.sendall(bytes([byte]))
            self.run_reactor(1)
        wait_for(lambda: self.attempt(self.run_reactor) and bool(select.select([client.socket], (), (), 0)[0]))
        self.assertEqual((b"\x16", {}), (client.socket.recv(1), self.closed))

    def test_reset_by_one(self) -> None:
        """A connection that was broken off does not disturb the next one."""
        for _ in range(2):
            client = self.secure(self.connect())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            other = self.secure(self.connect())
            client.close()
            other.send(b"a:1|c\n")
            self.assertFalse(self.attempt(other.unwrap))
        self.assertEqual({"reset": 2, "eof": 2}, self.until_closed(4))
        self.assertEqual([b"a:1|c"] * 2, self.tally.lines)

    def test_end_that_is_not_heard(self) -> None:
        """A client that is gone before its end is answered does not change why the next one ends."""
        client, other = self.secure(self.connect()), self.secure(self.connect())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assertRaises(ssl.SSLWantReadError, client.unwrap)
        client.close()
        self.assertEqual({"eof": 1}, self.until_closed())
        other.shutdown(socket.SHUT_WR)
        self.assertEqual({"eof": 1, "reset": 1}, self.until_closed(2))

    def test_new_keys(self) -> None:
        """A client that changes its key again and again has the worker for one of them at a time."""
        transport = self.change_keys(10, b"a\n")
        size = len(transport.getHandle().recv(1 << 16, socket.MSG_PEEK))
        for number in range(1, 11):
            self.assertEqual((True, None), transport.take())
            left = transport.getHandle().recv(1 << 16, socket.MSG_PEEK)
            self.assertEqual((size - number * RECORD_SIZE, True), (len(left), transport.has_more()))
        self.assertEqual((True, None), transport.take())
        self.intake.settle()
        self.assertEqual(([b"a"], False), (self.tally.lines, transport.has_more()))

    def test_many_records(self) -> None:
        """One read takes a bounded number of records, the next one goes on, and nothing is lost."""
        client = self.secure(self.connect())
        for number in range(RECORDS + 1):
            client.send(b"%d\n" % number)
        self.await_records(RECORDS + 1)
        (one,) = self.factory.kept
        transport: Any = one.transport
        self.assertEqual((False, None), transport.take())
        self.assertEqual((True, None), transport.take())
        self.intake.settle()
        self.assertEqual([b"%d" % number for number in range(RECORDS + 1)], self.tally.lines)

    def test_no_more_than_a_read_may_bring(self) -> None:
        """Large records end a read before it brings more than the journal is asked room for."""
        client = self.secure(self.connect())
        sizes: list[int] = []
        self.patch(TlsProtocol, "dataReceived", lambda _, data: sizes.append(len(data)))
        sent = 0

        def all_came() -> bool:
            nonlocal sent
            with contextlib.suppress(ssl.SSLWantWriteError):
                sent += client.send(bytes((1 << 18) - sent)) if sent < 1 << 18 else 0
            self.run_reactor(1)
            return sum(sizes) == 1 << 18

        wait_for(all_came)
        self.assertLessEqual(max(sizes), RECEIVE_SIZE)

    def test_a_client_that_does_not_read(self) -> None:
        """One that has TLS write, and reads none of it, is cut off."""
        self.secure(self.connect())
        (one,) = self.factory.kept
        transport: Any = one.transport
        full = mock.Mock(recv=mock.Mock(side_effect=SSL.WantWriteError()))
        with mock.patch.object(transport, "_tls", full):
            is_all, lost = transport.take()
        self.assertEqual((True, ConnectionLost), (is_all, lost.type))

    def test_ended_twice(self) -> None:
        """A connection that is to be aborted, and closed before that, is counted once."""
        client = self.connect()
        self.run_reactor()
        (one,) = self.factory.kept
        one.end(self.indexes.error)
        one.close(self.indexes.error)
        self.run_reactor()
        self.assertEqual(({"error": 1}, 0), (self.closed, self.occupancy.open))
        self.assertRaises(ConnectionResetError, client.end)

    def test_one_that_stays(self) -> None:
        """A connection waits in the reactor until it has brought something after a while, then with those that stay."""
        client = self.secure(self.connect())
        client.send(b"a\n")
        self.await_records(1)
        self.run_reactor()
        (one,) = self.factory.kept
        self.assertEqual({}, self.kept_lane._readers)
        self.reactor.pump([0.1])
        client.send(b"b\n")
        self.await_records(1)
        self.run_reactor()
        self.assertEqual([one.transport], list(self.kept_lane._readers.values()))
        client.send(b"c\n")
        self.assertFalse(self.attempt(client.unwrap))
        self.assertEqual({"eof": 1}, self.until_closed())
        self.assertEqual(([b"a", b"b", b"c"], {}), (self.tally.lines, self.kept_lane._readers))

    def until_lines(self, number: int) -> None:
        """Let the server work until it has that many lines."""

        def have_come() -> bool:
            self.run_reactor(1)
            return len(self.tally.lines) == number

        wait_for(have_come)

    def test_paused(self) -> None:
        """Of one that is paused nothing is read, wherever it waits; a handshake waits, too."""
        client = self.secure(self.connect())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reactor.pump([0.1])
        late = self.connect()
        for lines in ([b"a"], [b"a", b"b"]):
            self.factory.pause()
            client.send(lines[-1] + b"\n")
            self.run_reactor()
            self.assertEqual((lines[:-1], [self.lane]), (self.tally.lines, self.reactor.getReaders()))
            self.factory.resume()
            self.until_lines(len(lines))
        self.secure(late)
