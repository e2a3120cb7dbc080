"""The clients, in a process of their own, with the TLS of Python: each makes one connection after the other.

python -m benchmarks.tls.clients SPECIFICATION      prints one line of JSON
"""

import socket
import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

PATIENCE = 10.0
LINE = b"benchmark:1|c\n"


class Wanted(msgspec.Struct, frozen=True):
    """What the clients do: one line over each connection, for ``seconds``, or ``lines`` over ``connections`` that stay.

    ``resumes``: each connection resumes the session of the one before it. ``at_once``: how many
    clients do it.
    """

    port: int
    seconds: float
    resumes: bool = False
    at_once: int = 1
    lines: int = 0
    connections: int = 0


class Done(msgspec.Struct, frozen=True):
    """What came of it: connections, how many of them were resumed, and lines that were sent."""

    connections: int
    resumed: int
    lines: int
    elapsed: float


def context() -> ssl.SSLContext:
    """TLS 1.3 with whatever key the server has: it has signed its certificate itself."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


class Client:
    """One connection. TLS is done in memory, so that a session can be asked for at its end."""

    def __init__(self, tls: ssl.SSLContext, port: int, session: ssl.SSLSession | None = None) -> None:
        """Connect and shake hands; raises `OSError`."""
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.wrap_bio(self._in, self._out, session=session)
        self._until_done(self.tls.do_handshake)

    def send(self, data: bytes) -> None:
        """Send data in a record of their own."""
        self.tls.write(data)
        self.socket.sendall(self._out.read())

    def end(self) -> None:
        """Say the end, and take what the server still sends until its own."""
        self._until_done(self.tls.unwrap)

    def _until_done(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self._out.read())
                received = self.socket.recv(16384)
                if not received:
                    raise ConnectionResetError("the server has ended the connection") from None
                self._in.write(received)
            else:
                self.socket.sendall(self._out.read())
                return


def short(wanted: Wanted) -> Done:
    """All clients at once, each in a thread of its own."""
    with ThreadPoolExecutor(wanted.at_once) as threads:
        done = list(threads.map(one_client, [wanted] * wanted.at_once))
    return Done(
        sum(one.connections for one in done),
        sum(one.resumed for one in done),
        sum(one.lines for one in done),
        max(one.elapsed for one in done),
    )


def one_client(wanted: Wanted) -> Done:
    """One connection after the other: shake hands, send one line, end, and read to the server's end."""
    tls, session = context(), None
    connections = resumed = 0
    began = time.perf_counter()
    while time.perf_counter() < began + wanted.seconds:
        client = Client(tls, wanted.port, session)
        connections += 1
        resumed += bool(client.tls.session_reused)
        # A server that answers with nothing ends first, and one may end without saying so in TLS.
        with suppress(ssl.SSLError, ConnectionError):
            client.send(LINE)
            client.end()
        if wanted.resumes:
            session = client.tls.session
        client.socket.close()
    return Done(connections, resumed, connections, time.perf_counter() - began)


def kept(wanted: Wanted) -> Done:
    """Lines over connections that stay, each in a record of its own, in turns."""
    tls = context()
    clients = [Client(tls, wanted.port) for _ in range(wanted.connections)]
    began = time.perf_counter()
    for number in range(wanted.lines):
        clients[number % len(clients)].send(LINE)
    for client in clients:
        with suppress(ConnectionError):
            client.end()
        client.socket.close()
    return Done(len(clients), 0, wanted.lines, time.perf_counter() - began)


def main(text: str) -> None:
    """Do it, and print what came of it."""
    wanted = msgspec.json.decode(text, type=Wanted)
    print(msgspec.json.encode(kept(wanted) if wanted.lines else short(wanted)).decode())


if __name__ == "__main__":
    main(sys.argv[1])
