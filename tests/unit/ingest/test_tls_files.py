"""The files of a TLS listener, and sessions that are resumed."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.endpoints import TlsFiles
from statsd_tcp.sockets.tls import TlsError, read_tls, server_context
from tests.certificates import Authority, pem_key
from tests.unit.folders import make_folder


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
