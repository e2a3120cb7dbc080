"""What a receiver must be told and shown, read from files at the start: headers, and keys and certificates of TLS."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from statsd_tcp.settings.remote_write import RemoteTarget
from statsd_tcp.words import in_words

__all__ = ["Credentials", "CredentialsError", "TlsPolicy", "read_credentials"]

_T = TypeVar("_T")

_MOST_BYTES = 1 << 16
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~]*?)[ \t]*")
_TOKEN = re.compile(r"[!-~]+")
_OURS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding", "user-agent"}
)
_VERSION = "x-prometheus-remote-write-version"


class CredentialsError(ValueError):
    """A file that cannot be used; the text is one line that names the key and the file."""


class Credentials(NamedTuple):
    """Headers of each request, and how TLS is spoken; None for http."""

    headers: list[tuple[str, str]]
    policy: TlsPolicy | None


@implementer(IPolicyForHTTPS)
class TlsPolicy:
    """Verifies the receiver, and shows it our certificate if there is one."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """Return how TLS is spoken with a host."""
        return optionsForClientTLS(hostname.decode("ascii"), **self._options)


def read_credentials(target: RemoteTarget) -> Credentials:
    """Read all files of a target; raises `CredentialsError`."""
    headers = list(_headers(target))
    return Credentials(headers, _policy(target) if target.url.startswith("https:") else None)


def _headers(target: RemoteTarget) -> Iterator[tuple[str, str]]:
    if target.basic:
        text = _text("basic", target.basic).strip("\r\n")
        if ":" not in text or "\n" in text:
            raise CredentialsError(f"basic={target.basic}: the file is not one line NAME:PASSWORD")
        yield "Authorization", f"Basic {b64encode(text.encode()).decode()}"
    if target.bearer:
        token = _text("bearer", target.bearer).strip()
        if not _TOKEN.fullmatch(token):
            raise CredentialsError(f"bearer={target.bearer}: the file is not one line with a token")
        yield "Authorization", f"Bearer {token}"
    if target.headers:
        lines = _text("headers", target.headers).splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                yield _header(line, f"headers={target.headers}: line {number}", target)


def _header(line: str, where: str, target: RemoteTarget) -> tuple[str, str]:
    found = _HEADER.fullmatch(line)
    if found is None:
        raise CredentialsError(f"{where} is not of the form NAME: VALUE")
    name = found[1].lower()
    if name in _OURS or name == _VERSION:
        raise CredentialsError(f"{where}: {found[1]} is set by the service")
    if name == "authorization" and (target.basic or target.bearer):
        raise CredentialsError(f"{where}: Authorization is given twice")
    return found[1], found[2]


def _policy(target: RemoteTarget) -> TlsPolicy:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates
    from OpenSSL.crypto import X509

    tls = target.tls
    options: dict[str, Any] = {}
    own: dict[str, Any] = {}
    if tls.ca:
        trusted = _read_pem("ca", tls.ca, load_pem_x509_certificates)
        options["trustRoot"] = trustRootFromCertificates([Certificate(X509.from_cryptography(one)) for one in trusted])
    if tls.cert:
        own["certificate"], *chain = _read_pem("cert", tls.cert, load_pem_x509_certificates)
        # Without a password, and never asking the terminal for one.
        own["privateKey"] = _read_pem("key", tls.key, lambda content: load_pem_private_key(content, None))
        own["extraCertChain"] = chain or None
        options["extraCertificateOptions"] = own
    trust_root = options.get("trustRoot") or platformTrust()
    where = f"key={tls.key}" if tls.key else f"ca={tls.ca}"
    _tried(where, lambda: CertificateOptions(trustRoot=trust_root, **own).getContext())
    return TlsPolicy(**options)


def _read_pem(key: str, path: str, load: Callable[[bytes], _T]) -> _T:
    content = _bytes(key, path)
    return _tried(f"{key}={path}", lambda: load(content))


def _tried(where: str, use: Callable[[], _T]) -> _T:
    from OpenSSL.SSL import Error

    try:
        return use()
    except Error as error:
        reasons = [reason for *_, reason in error.args[0]] if error.args else []
        raise CredentialsError(f"{where} cannot be used: {', '.join(reasons) or 'OpenSSL does not say why'}") from None
    except (ValueError, TypeError) as error:
        # The first sentence says what is wrong; the others are advice to programmers.
        raise CredentialsError(f"{where} cannot be used: {in_words(error).partition('. ')[0]}") from None


def _text(key: str, path: str) -> str:
    try:
        return _bytes(key, path).decode()
    except UnicodeDecodeError:
        raise CredentialsError(f"{key}={path}: the file is not UTF-8") from None


def _bytes(key: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise CredentialsError(f"{key}={path}: {getattr(error, 'strerror', None) or in_words(error)}") from None
    if len(content) > _MOST_BYTES:
        raise CredentialsError(f"{key}={path}: the file has more than {_MOST_BYTES >> 10} KiB")
    return content
