"""TLS for stream listeners: keys and certificates read at start, and what a worker makes of them.

The supervisor reads the files, when it may still do so, and sends what is in them to its workers. What TLS needs is
imported only where it is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from statsd_tcp.settings.endpoints import TlsFiles

__all__ = ["TlsError", "TlsMaterial", "reactor_without_tls", "read_tls", "server_context"]

_T = TypeVar("_T")


class TlsError(Exception):
    """Keys or certificates cannot be used; the text is one line that names the endpoint's key and the file."""


class TlsMaterial(msgspec.Struct, frozen=True):
    """What is in the files of a `TlsFiles`, in PEM."""

    private_key: bytes
    certificates: bytes
    client_ca: bytes | None = None


def read_tls(files: TlsFiles) -> TlsMaterial:
    """Read the files, and try whether TLS can be done with what is in them; raises `TlsError`."""
    key = _read("privateKey", files.private_key)
    certificates = _read("certKey", files.cert_key)
    client_ca = None if files.client_ca is None else _read("clientCA", files.client_ca)
    _checked("privateKey", files.private_key, lambda: _load_key(key))
    _checked("certKey", files.cert_key, lambda: _load_certificates(certificates))
    if client_ca is not None:
        _checked("clientCA", files.client_ca or "", lambda: _load_certificates(client_ca))
    material = TlsMaterial(key, certificates, client_ca)
    pair = f"{files.private_key} and {files.cert_key}"
    _checked("privateKey and certKey", pair, lambda: server_context(material).getContext())
    return material


def server_context(material: TlsMaterial) -> Any:
    """Make Twisted's factory of TLS contexts; raises what the libraries raise."""
    from OpenSSL.crypto import X509
    from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates

    ours, *chain = _load_certificates(material.certificates)
    # Sessions are resumed by tickets, which clients keep. A cache of sessions here would grow with every client.
    options: dict[str, Any] = {"enableSessionTickets": True}
    if chain:
        options["extraCertChain"] = chain
    if material.client_ca is not None:
        authorities = [Certificate(X509.from_cryptography(one)) for one in _load_certificates(material.client_ca)]
        options["trustRoot"] = trustRootFromCertificates(authorities)
    return CertificateOptions(privateKey=_load_key(material.private_key), certificate=ours, **options)


@contextmanager
def reactor_without_tls() -> Iterator[None]:
    """Make a reactor that is first imported in here do without TLS, which takes half of a worker's start to import.

    Its transports cannot start TLS, and it has no ``connectSSL``. `server_context` and Twisted's own wrappers work.
    """
    modules: dict[str, Any] = sys.modules
    is_first = modules.setdefault("OpenSSL", None) is None
    try:
        yield
    finally:
        if is_first:
            del modules["OpenSSL"]


def _load_key(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # Without a password, and never asking the terminal for one, as OpenSSL itself does.
    return load_pem_private_key(pem, None)


def _load_certificates(pem: bytes) -> list[Any]:
    from cryptography.x509 import load_pem_x509_certificates

    return list(load_pem_x509_certificates(pem))


def _read(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsError(f"{key}={path} cannot be read: {error.strerror}") from None


def _checked(key: str, path: str, load: Callable[[], _T]) -> _T:
    from OpenSSL.SSL import Error

    try:
        return load()
    except Error as error:
        reasons = [reason for *_, reason in error.args[0]] if error.args else []
        raise TlsError(f"{key}={path}: {', '.join(reasons) or 'OpenSSL can not use that'}") from None
    except (ValueError, TypeError) as error:
        # The first line says what is wrong; the others are advice to programmers.
        why = " ".join(str(error).split()).partition(". ")[0]
        raise TlsError(f"{key}={path}: {why}") from None
