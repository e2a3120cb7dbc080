"""A TLS lane over real sockets, and its clients."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from statsd_tcp.ingest import tls_lane
from statsd_tcp.ingest.giving import BalancedGivingLane, GivingLane
from statsd_tcp.ingest.protocol import MakeProtocol
from statsd_tcp.ingest.tls_lane import TlsFactory
from statsd_tcp.ingest.tls_transport import TlsTransport
from statsd_tcp.settings.endpoints import TlsFiles
from statsd_tcp.sockets.tls import read_tls, server_context
from tests.certificates import Authority
from tests.unit.folders import make_folder
from tests.unit.ingest.loopback import (
    IDLE_TIMEOUT,
    MAX_LINE,
    Client,
    IngestTestCase,
    VirtualTime,
    wait_for,
    wait_readable,
)
from tests.unit.ingest.new_keys import CIPHER, new_keys, secret_in

__all__ = ["TlsTestCase"]


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
        self.start_lane(self.keys)

    def start_lane(self, keys: dict[str, Any]) -> None:
        """Start the lane, with what it knows of balancers."""
        self.lane = (BalancedGivingLane if keys else GivingLane)(
            *self._common(),
            intake=self.intake,
            index=0,
            occupancy=self.occupancy,
            hand_over=self.factory.hand_over,
            max_line=MAX_LINE,
            **keys,
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
