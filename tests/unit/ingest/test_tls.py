"""TLS: the files, the handshake, its end in time, and the ways in which a connection ends."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.batches import BatchTally
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.ingest import tls_lane
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.giving import BalancedGivingLane, GivingLane
from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.protocol import MakeProtocol
from statsd_tcp.ingest.tls_lane import HANDSHAKE_TIMEOUT, StoringTlsProtocol, TlsFactory, TlsProtocol
from statsd_tcp.ingest.tls_transport import RECORDS, TlsTransport
from statsd_tcp.settings.endpoints import TlsFiles
from statsd_tcp.sockets.tls import TlsError, read_tls, server_context
from tests.certificates import Authority, pem_key
from tests.unit.folders import make_folder
from tests.unit.ingest.batches import batch, hello
from tests.unit.ingest.headers import BAD, GOOD, LOCAL, v2
from tests.unit.ingest.loopback import (
    IDLE_TIMEOUT,
    MAX_LINE,
    Client,
    IngestTestCase,
    VirtualTime,
    wait_for,
    wait_readable,
)
from tests.unit.ingest.new_keys import CIPHER, RECORD_SIZE, new_keys, secret_in


class FilesTests(SynchronousTestCase):
    """What is found out at start."""

    def setUp(self) -> None:
        """Make an authority and a good certificate."""
        self.folder = make_folder(self)
        self.authority = Authority(self.folder)
        self.good = self.authority.issue("good")

    def fault(self, private_key: object, cert_key: object, client_ca: object = None) -> str:
        """Return what is said about these files, which is one line."""
        files = TlsFiles(str(private_key), str(cert_key), None if client_ca is None else str(client_ca))
        said = str(self.assertRaises(TlsError, read_tls, files))
        self.assertNotIn("\n", said)
        return said

    def write(self, name: str, data: bytes) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def test_good(self) -> None:
        """Good files make a context, with and without an authority for clients, and with a chain."""
        chain = self.write("chain.pem", self.good.read_bytes() + self.authority.path.read_bytes())
        for client_ca in (None, str(self.authority.path)):
            server_context(read_tls(TlsFiles(str(self.good), str(chain), client_ca))).getContext()

    def test_missing(self) -> None:
        """A missing file is named, with the key that names it."""
        nowhere = self.folder / "nowhere"
        self.assertEqual(
            f"privateKey={nowhere} cannot be read: No such file or directory", self.fault(nowhere, self.good)
        )
        self.assertIn("certKey=", self.fault(self.good, nowhere))
        self.assertIn("clientCA=", self.fault(self.good, self.good, nowhere))

    def test_rubbish(self) -> None:
        """So is a file that holds something else."""
        rubbish = self.write("rubbish", b"no key\n")
        self.assertIn(f"privateKey={rubbish}: ", self.fault(rubbish, self.good))
        self.assertIn(f"certKey={rubbish}: ", self.fault(self.good, rubbish))
        self.assertIn(f"clientCA={rubbish}: ", self.fault(self.good, self.good, rubbish))

    def test_encrypted(self) -> None:
        """A key with a password is refused, and the operator is not asked for it."""
        path = self.write("locked", pem_key(ec.generate_private_key(ec.SECP256R1()), b"secret"))
        self.assertIn("Password was not given", self.fault(path, self.good))

    def test_another_key(self) -> None:
        """A key that is not the certificate's is refused."""
        said = self.fault(self.authority.issue("other"), self.good)
        self.assertIn("privateKey and certKey=", said)
        self.assertIn("mismatch", said)


class ResumptionTests(SynchronousTestCase):
    """A client that comes again."""

    def setUp(self) -> None:
        """Make a client that takes every certificate."""
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def shake_hands(self, context: Any, session: ssl.SSLSession | None) -> ssl.SSLObject:
        """Shake hands in memory; give the client's side once it has all that the server said."""
        server = SSL.Connection(context)
        server.set_accept_state()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.tls.wrap_bio(incoming, outgoing, session=session)
        for _ in range(3):
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            if outgoing.pending:
                server.bio_write(outgoing.read())
            with contextlib.suppress(SSL.WantReadError):
                server.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                incoming.write(server.bio_read(1 << 16))
        with contextlib.suppress(ssl.SSLWantReadError):
            client.read(1)
        return client

    def test_a_session_is_resumed(self) -> None:
        """A client resumes its session with a ticket. The server keeps none: they would grow with its clients."""
        authority = Authority(make_folder(self))
        good = str(authority.issue("good"))
        context = server_context(read_tls(TlsFiles(good, good))).getContext()
        first = self.shake_hands(context, None)
        self.assertFalse(first.session_reused)
        self.assertTrue(self.shake_hands(context, first.session).session_reused)
        self.assertEqual(SSL.SESS_CACHE_OFF, context.get_session_cache_mode())


class TlsTestCase(IngestTestCase):
    """A test with a TLS lane on the loopback device."""

    max_age = 0.0
    keys: dict[str, Any] = {}
    """Those of a listener behind a balancer."""

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        self.patch(tls_lane, "time", VirtualTime(self.reactor))
        folder = make_folder(self)
        self.authority = Authority(folder)
        good = str(self.authority.issue("good"))
        self.factory = TlsFactory(
            self.reactor,
            self.cells,
            self.indexes,
            self.moderator,
            self.occupancy,
            IDLE_TIMEOUT,
            max_age=self.max_age,
            context=server_context(read_tls(TlsFiles(good, good))),
            is_headed=bool(self.keys),
            protocol=self.make_protocol(),
            keep=self.kept_lane.keep,
        )
        self.lane = (BalancedGivingLane if self.keys else GivingLane)(
            *self._common(),
            intake=self.intake,
            index=0,
            occupancy=self.occupancy,
            hand_over=self.factory.hand_over,
            max_line=MAX_LINE,
            **self.keys,
        )
        self.lane.start()

    def make_protocol(self) -> MakeProtocol | None:
        """Return what makes the protocol of a connection; None: as usual."""
        return None

    def _close_transports(self) -> None:
        for one in list(self.factory._protocols):
            transport: Any = one.transport
            transport.connectionLost(Failure(ConnectionLost()))
        self.moderator.stop()

    def run_reactor(self, times: int = 10) -> None:
        """Let the server do what there is to do."""
        for _ in range(times):
            self.reactor.turn()
            self.reactor.advance(0.001)

    def secure(self, client: Client, key_log: Path | None = None) -> ssl.SSLSocket:
        """Do a client's side of the handshake."""
        context = ssl.create_default_context(cafile=str(self.authority.path))
        if key_log is not None:
            context.keylog_filename = str(key_log)
        client.socket.setblocking(False)
        wrapped = context.wrap_socket(client.socket, server_hostname="localhost", do_handshake_on_connect=False)
        self.addCleanup(wrapped.close)
        wait_for(lambda: self.attempt(wrapped.do_handshake))
        self.run_reactor()
        return wrapped

    def change_keys(self, number: int, data: bytes) -> TlsTransport:
        """Have a client change its key that often, and then send data; return the transport when all has come."""
        log = make_folder(self) / "keys"
        client = self.secure(self.connect(), log)
        if (client.cipher() or ("none",))[0] != CIPHER:
            self.skipTest("no cipher that the test can use")
        records = new_keys(secret_in(log), number, data)
        with socket.socket(fileno=os.dup(client.fileno())) as below:
            below.sendall(records)
        (one,) = self.factory.kept
        transport = cast("TlsTransport", one.transport)
        wait_for(lambda: len(transport.getHandle().recv(1 << 16, socket.MSG_PEEK)) == len(records))
        return transport

    def await_records(self, number: int) -> None:
        """Wait until this many records of the one connection can be read: the kernel may take a moment."""
        (one,) = self.factory.kept
        transport: Any = one.transport
        wait_readable(transport.getHandle())
        wait_for(lambda: transport.getHandle().recv(1 << 16, socket.MSG_PEEK).count(b"\x17\x03\x03") >= number)

    def attempt(self, act: Callable[[], object]) -> bool:
        """Try something that may have to wait for the server; tell whether it was done."""
        try:
            act()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self.run_reactor(1)
            return False
        return True

    def until_closed(self, number: int = 1) -> dict[str, int]:
        """Let the server work until this many connections are closed, and return why."""

        def all_closed() -> bool:
            self.run_reactor(1)
            return sum(self.closed.values()) == number

        wait_for(all_closed)
        return self.closed


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


class BalancedTlsTests(TlsTestCase):
    """A TLS port behind a balancer, whose header comes before the handshake."""

    keys = {"proxy": "any", "trust": ("127.0.0.0/8",)}

    def forget(self) -> None:
        """Begin with the next case, at rest."""
        self.reactor.pump([0.001] * 200)
        self.tally.lines.clear()
        self.tally.bad_headers.clear()
        for reason in self.closed:
            self.cells[getattr(self.indexes, reason)] = 0

    def test_good(self) -> None:
        """After a good header, whole or in parts, come the handshake and the lines."""
        for name, good in GOOD.items():
            client = self.connect()
            client.send(good.data[:9])
            self.run_reactor()
            client.send(good.data[9:])
            secure = self.secure(client)
            secure.send(b"a:1|c\nb:2|c")
            self.assertFalse(self.attempt(secure.unwrap))
            self.assertEqual({"eof": 1}, self.until_closed(), name)
            self.assertEqual(([b"a:1|c", b"b:2|c"], []), (self.tally.lines, self.tally.bad_headers), name)
            self.forget()

    def test_bad(self) -> None:
        """A bad header, or a handshake without one, ends the connection and is an example."""
        for name, data in (BAD | {"a handshake": b"\x16\x03\x01"}).items():
            client = self.connect()
            client.socket.sendall(data + bytes(100))
            self.assertEqual({"bad_proxy_header": 1}, self.until_closed(), name)
            (example,) = self.tally.bad_headers
            self.assertTrue((data + bytes(100)).startswith(example), name)
            self.forget()

    def test_local(self) -> None:
        """A balancer's own connection is a check, with a handshake or without."""
        for data in LOCAL.values():
            client = self.connect()
            client.send(data)
            client.fin()
            self.assertEqual({"proxy_check": 1}, self.until_closed())
            self.forget()
        client = self.connect()
        client.send(v2(b"", 0, 0x20))
        secure = self.secure(client)
        self.assertFalse(self.attempt(secure.unwrap))
        self.assertEqual({"proxy_check": 1}, self.until_closed())

    def test_none(self) -> None:
        """A connection that ends, or stays, without a header had none."""
        self.connect().fin()
        self.assertEqual({"bad_proxy_header": 1}, self.until_closed())
        self.connect()
        self.run_reactor()
        self.reactor.pump([1.0] * int(HANDSHAKE_TIMEOUT + 2))
        self.assertEqual({"bad_proxy_header": 2}, self.until_closed(2))

    def test_no_handshake(self) -> None:
        """After a good header a failed handshake is an error."""
        client = self.connect()
        client.send(v2() + b"a:1|c\n")
        self.assertEqual({"error": 1}, self.until_closed())

    def test_a_stranger(self) -> None:
        """A peer that is no balancer is turned away."""
        self.lane.stop()
        keys = dict(self.keys, trust=("10.0.0.0/8",))
        self.lane = BalancedGivingLane(
            *self._common(),
            intake=self.intake,
            index=0,
            occupancy=self.occupancy,
            hand_over=self.factory.hand_over,
            max_line=MAX_LINE,
            **keys,
        )
        self.lane.start()
        client = self.connect()
        client.send(v2())
        self.assertEqual({"bad_proxy_header": 1}, self.until_closed())
        self.assertEqual(([b"127.0.0.1 is not in trust="], b""), (self.tally.bad_headers, client.end()))

    def test_source(self) -> None:
        """The source is the one in the header."""
        client = self.connect()
        client.send(v2())
        self.secure(client)
        (one,) = self.factory.kept
        one.find_source()
        self.assertEqual("192.0.2.7", one.source)


class TlsAgeTests(TlsTestCase):
    """The greatest age of connections with TLS."""

    max_age = 40.0

    def test_closed(self) -> None:
        """What has come is read, and the client is told that it was the end."""
        client = self.secure(self.connect())
        self.reactor.pump([1.0] * 30)
        client.send(b"a\n")
        self.await_records(1)
        self.assertEqual({}, self.closed)
        self.reactor.pump([1.0] * 16)
        self.assertEqual(({"max_age": 1}, [b"a"]), (self.until_closed(), self.tally.lines))
        received: list[bytes] = []
        wait_for(lambda: self.attempt(lambda: received.append(client.recv(10))))
        self.assertEqual([b""], received)


class TlsEndTests(TlsTestCase):
    """The end of the service."""

    def drain(self) -> None:
        """Have everything read, and ended."""
        self.lane.stop()
        self.factory.drain()
        self.intake.settle()

    def test_what_has_come(self) -> None:
        """What has come is read and decrypted; then the connection is closed."""
        client = self.secure(self.connect())
        client.send(b"a\nb")
        self.await_records(1)
        self.drain()
        self.assertEqual({"shutdown": 1}, self.until_closed())
        self.assertEqual(([b"a"], {"truncated": 1}), (self.tally.lines, dict(self.tally.rejected)))

    def test_clients_that_have_ended(self) -> None:
        """Who has ended already is counted for that."""
        client = self.secure(self.connect())
        # Otherwise the end waits for an answer to the data.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.send(b"a\nb")
        self.assertFalse(self.attempt_once(client))
        self.await_records(2)
        self.drain()
        self.assertEqual({"eof": 1}, self.until_closed())
        self.assertEqual([b"a", b"b"], self.tally.lines)

    def attempt_once(self, client: ssl.SSLSocket) -> bool:
        """Announce the end, without letting the server see it."""
        try:
            client.unwrap()
        except ssl.SSLWantReadError:
            return False
        return True

    def test_new_keys(self) -> None:
        """What has come after a new key is read as well."""
        self.change_keys(2, b"a\n")
        self.drain()
        self.assertEqual({"shutdown": 1}, self.until_closed())
        self.assertEqual([b"a"], self.tally.lines)

    def test_handshakes(self) -> None:
        """A handshake that is not through is broken off."""
        self.connect()
        self.run_reactor()
        self.drain()
        self.assertEqual({"shutdown": 1}, self.until_closed())
        self.assertEqual([], self.reactor.getDelayedCalls())


class BatchTests(TlsTestCase):
    """Batches over TLS."""

    def make_protocol(self) -> MakeProtocol:
        """Take batches."""
        tally = BatchTally(tally_for([("tcp:1", "etsy")]))
        self.batches = BatchIntake(self.intake, tally, ["tcp:1"], list)
        self.batches.be("node")
        return partial(StoringTlsProtocol, self.batches)

    def is_taken(self) -> bool:
        """Let the server read, and return whether a batch is under way."""
        self.run_reactor(1)
        return self.batches.are_under_way

    def heard(self, client: ssl.SSLSocket) -> bytes:
        """Read until the end that TLS announces."""
        parts: list[bytes] = []

        def ended() -> bool:
            try:
                parts.append(client.recv(4096))
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                self.run_reactor(1)
            return parts[-1:] == [b""]

        wait_for(ended)
        return b"".join(parts)

    def test_drain(self) -> None:
        """At the end of the service what has come is confirmed before the end is announced."""
        client = self.secure(self.connect())
        client.send(hello() + batch(1))
        wait_for(self.is_taken)
        self.factory.drain()
        self.run_reactor()
        self.assertEqual({}, self.closed)
        self.batches.committed(self.journal.head, whole=True)
        self.assertEqual(b"!node node\n!stored 1 2 0\n", self.heard(client))
        self.assertEqual({"shutdown": 1}, self.until_closed())

    def test_refused(self) -> None:
        """What is no batch is refused, and the end announced."""
        client = self.secure(self.connect())
        client.send(b"!hello 3\n")
        self.assertEqual(b"!refused 0 version\n", self.heard(client))
        self.assertEqual({"error": 1}, self.until_closed())

    def test_age(self) -> None:
        """One that is too old is told of what is under way, too."""
        client = self.secure(self.connect())
        client.send(hello() + batch(1))
        wait_for(self.is_taken)
        (connection,) = self.factory.kept
        connection.part_for_age(0)
        self.batches.committed(self.journal.head, whole=True)
        self.assertEqual(b"!node node\n!stored 1 2 0\n", self.heard(client))
        self.assertEqual({"max_age": 1}, self.until_closed())

    def test_answers_are_not_read(self) -> None:
        """A client that does not read its answers is cut off; what waits to be written goes out in parts until then."""
        client = self.secure(self.connect())
        client.send(hello())
        self.run_reactor()
        (one,) = self.factory.kept
        transport: Any = one.transport
        sent = 0
        while not one.is_ending:
            transport.write(b"!" * 60_000)
            sent += 60_000
            self.run_reactor(2)
        self.assertLess(1 << 16, sent)
        self.assertEqual({"error": 1}, self.until_closed())
