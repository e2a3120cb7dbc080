"""A client's side of TLS over a socket that is read and written elsewhere."""

from __future__ import annotations

import errno
import ssl
from contextlib import suppress

__all__ = ["TlsTalk", "tls_context"]


def tls_context() -> ssl.SSLContext:
    """Return a context that takes any certificate: the server is under test, not its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsTalk:
    """One connection: the handshake, what it has to say, and the notice that this was all.

    Its methods return the bytes that are to be sent. ``spoken`` says that the last ones hold what it had to say.
    """

    __slots__ = ("_data", "_incoming", "_outgoing", "_session", "spoken")

    def __init__(self, context: ssl.SSLContext, data: bytes) -> None:
        self._data = data
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing)
        self.spoken = False

    def hear(self, data: bytes = b"") -> bytes:
        """Take what the server sent, nothing at first. Raises OSError (EPROTO) where it does not speak TLS."""
        self._incoming.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read()
        except ssl.SSLError as error:
            # The number in an SSLError is OpenSSL's, not the system's.
            raise OSError(errno.EPROTO, str(error)) from None
        self.spoken = True
        self._session.write(self._data)
        # The notice is written at once. The server's own is not waited for: its end is the socket's.
        with suppress(ssl.SSLWantReadError):
            self._session.unwrap()
        return self._outgoing.read()
