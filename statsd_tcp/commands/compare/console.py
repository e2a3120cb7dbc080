"""Asks etsy's management console."""

from __future__ import annotations

import socket

__all__ = ["Console", "ConsoleError"]

_ANSWER = 10.0
"""Seconds that an answer may take: a dump of a large server takes a while to write."""

_LARGEST = 1 << 30
"""Bytes of the largest answer."""

_END = b"END\n\n"


class ConsoleError(Exception):
    """The console cannot be asked, or is none; the text says why, in one line."""


class Console:
    """A session. `close` must be called. What it gives is UTF-8, with anything else replaced."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._socket = self._connect()

    def close(self) -> None:
        """End the session."""
        self._socket.close()

    def ask(self, command: str) -> str:
        """Return the answer to a command whose answer ends in END; raises `ConsoleError`."""
        return self._exchange(self._socket, command, _END).removesuffix(_END.decode())

    def config(self) -> dict[str, str]:
        """Return its configuration, flat; raises `ConsoleError`. It takes a session, because the answer has no end."""
        with self._connect() as session:
            text = self._exchange(session, "config", b"")
        pairs = (line.partition(": ") for line in text.splitlines())
        return {name: value for name, colon, value in pairs if colon}

    def _connect(self) -> socket.socket:
        try:
            return socket.create_connection(self._address, _ANSWER)
        except OSError as error:
            raise self._error(error.strerror or str(error)) from None

    def _exchange(self, session: socket.socket, command: str, end: bytes) -> str:
        """Send a command, and read up to ``end``, or to the end of the session if there is none."""
        data = bytearray()
        try:
            session.sendall(command.encode() + b"\n")
            if not end:
                session.shutdown(socket.SHUT_WR)
            while not (end and data.endswith(end)):
                # The server writes END apart, and only when the dump before it is acknowledged.
                session.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                piece = session.recv(1 << 20)
                if not piece:
                    if end:
                        raise self._error(f"the session ended instead of an answer to {command!r}")
                    break
                data += piece
                if data == b"ERROR\n" or len(data) > _LARGEST:
                    raise self._error(f"no answer of etsy's server to {command!r}: {bytes(data[:40])!r}")
        except OSError as error:
            raise self._error(f"{command!r}: {error.strerror or error}") from None
        return data.decode(errors="replace")

    def _error(self, why: str) -> ConsoleError:
        host, port = self._address
        return ConsoleError(f"--etsy {host}:{port}: {why}")
