"""The transport of one connection with TLS: OpenSSL reads the socket and writes it, with nothing in between.

Twisted's own has OpenSSL work in memory, and a transport of TCP below: a handshake then takes two wake-ups of the
reactor more, only to write, and twice the Python.
"""

from __future__ import annotations

import socket
import struct
from _socket import socket as raw_socket
from contextlib import suppress
from typing import Any, Protocol, cast

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL.SSL import Connection, Context, Error, SysCallError, WantReadError, WantWriteError, ZeroReturnError
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.stream import LineStream

__all__ = ["HeadedTlsTransport", "TlsClient", "TlsTransport"]

RECORD = 1 << 14
"""Bytes that one record brings, at most."""

RECORDS = 64
"""Records of one connection in one read, so that one fast sender cannot own the reactor."""

_AT_ONCE = struct.pack("ii", 1, 0)

# Of OpenSSL, what pyOpenSSL has no names for.
_openssl = Binding().lib


class TlsClient(Protocol):
    """What the transport tells of its client, and asks."""

    stream: LineStream

    def handshakeCompleted(self) -> None:
        """Note that the handshake is through."""

    def dataReceived(self, data: bytes) -> None:
        """Take what the client sent."""

    def connectionLost(self, reason: Failure) -> None:
        """Note why the connection is gone."""

    def bad_header(self) -> None:
        """End the connection: what came before the handshake is no header."""


class TlsTransport(FileDescriptor):
    """One connection. It reads, pauses, writes and ends as a transport of the reactor does."""

    _is_aborted = False

    def __init__(self, reactor: Any, connection: raw_socket, context: Context, client: TlsClient) -> None:
        """Wait for a client's handshake on a socket, which must not block and is this transport's from now on."""
        super().__init__(reactor)
        self.connected = 1
        self.fileno = connection.fileno  # type: ignore[method-assign]
        self.is_secure = False
        self._socket = connection
        self._client = client
        self._tls = Connection(context, cast("socket.socket", connection))  # which is asked for its descriptor only
        self._tls.set_accept_state()
        # pyOpenSSL has a read go on after each new key, or request for a handshake: with 1 MB of them for seconds.
        _openssl.SSL_clear_mode(self._tls._ssl, _openssl.SSL_MODE_AUTO_RETRY)  # noqa: SLF001

    def getHandle(self) -> raw_socket:
        """Return the connection's socket."""
        return self._socket

    def doRead(self) -> None:
        """Go on with the handshake, pass on what has come, and be at the end if that was the last.

        The reactor would make more of an end than a TLS connection needs.
        """
        _, lost = self.take()
        if lost is not None:
            self.connectionLost(lost)

    def take(self) -> tuple[bool, Failure | None]:
        """Read, and return whether there is nothing more for now, and why there never will be, if that is so."""
        brought: list[bytes] = []
        is_all = True
        lost: Failure | None = None
        _forget_errors()
        try:
            is_all = self._read(brought)
        except (WantReadError, BlockingIOError):
            pass
        except ZeroReturnError:
            lost = connectionDone
        except (SysCallError, WantWriteError, OSError):
            # A client that makes OpenSSL write, and does not read that, is as good as gone.
            lost = Failure(ConnectionLost())
        except Error as error:
            lost = Failure(error)
        if brought:
            self._client.dataReceived(b"".join(brought))
        return is_all, lost

    def has_more(self) -> bool:
        """Return whether something has come, or the end, that `take` has not seen: it stops at a new key."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return not isinstance(error, BlockingIOError)
        return True

    def writeSomeData(self, data: bytes) -> int | Exception:
        """Write what there is room for, and return how much that was, or why none ever will be."""
        _forget_errors()
        try:
            return self._tls.send(data) if data and self.connected else 0
        except (WantReadError, WantWriteError):
            return 0
        except Error:
            return ConnectionLost()

    def loseConnection(self) -> None:
        """End the connection when all is written. Within the handshake there is no end that could be announced."""
        if self.is_secure:
            super().loseConnection()
        else:
            self.abortConnection()

    def abortConnection(self) -> None:
        """End the connection with a reset, after what runs now."""
        if self.connected and not self._is_aborted:
            self._is_aborted = True
            self.disconnecting = 1
            self.stopReading()
            self.stopWriting()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            cast("Any", self.reactor).callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def connectionLost(self, reason: Failure) -> None:
        """Close the connection in this moment. A clean end is announced."""
        if not self.connected:
            return
        super().connectionLost(reason)
        if self.is_secure and isinstance(reason.value, ConnectionDone):
            with suppress(Error):
                self._tls.shutdown()
        self._socket.close()
        client = self._client
        # Each knows the other.
        del self._client, self._tls
        client.connectionLost(reason)

    def _read(self, brought: list[bytes]) -> bool:
        """Read what has come into ``brought``; return whether that is all. What OpenSSL raises says more."""
        tls = self._tls
        if not self.is_secure:
            tls.do_handshake()
            self.is_secure = True
            self._client.handshakeCompleted()
        room = RECEIVE_SIZE
        for _ in range(RECORDS):
            data = tls.recv(RECORD)
            brought.append(data)
            room -= len(data)
            if room < RECORD:
                break
        return False


def _forget_errors() -> None:
    """Empty OpenSSL's queue of errors, which all connections share.

    pyOpenSSL leaves there what a system call has failed with, and would take it for an error of another connection.
    """
    _openssl.ERR_clear_error()


class HeadedTlsTransport(TlsTransport):
    """One whose handshake comes after a header of the PROXY protocol."""

    def _read(self, brought: list[bytes]) -> bool:
        if self._client.stream.awaits_header and not self._strip():
            return False
        return super()._read(brought)

    def _strip(self) -> bool:
        """Take what is the header's off the socket, and nothing after it; return whether it was whole, and good."""
        data = self._socket.recv(RECEIVE_SIZE, socket.MSG_PEEK)
        if not data:
            raise ConnectionResetError
        stream = self._client.stream
        rest = stream.strip(data)
        self._socket.recv(len(data) - len(rest or b""))
        if rest is None:
            self._client.bad_header()
            return False
        return not stream.awaits_header
