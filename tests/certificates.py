"""Keys and certificates for the tests, made when they are needed, as RFC 5280 wants them.

A strict verifier, as Python's own from 3.13 on, takes nothing else: it asks for key identifiers and for each key's use.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "pem_key"]

_DAY = dt.timedelta(days=1)
_NAMES = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


def pem_key(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    """Write a key, encrypted if there is a password."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


class Authority:
    """Signs certificates; its own is in ``ca.pem`` of a folder, where it also writes all others."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"test {name}")
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._sign(self._name, self._key, ca=True).public_bytes(Encoding.PEM))

    def issue(self, name: str) -> Path:
        """Write ``NAME.pem`` with a key and a certificate for ``localhost`` and 127.0.0.1; give its path."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._folder / f"{name}.pem"
        path.write_bytes(pem_key(key) + self._sign(_named(name), key).public_bytes(Encoding.PEM))
        return path

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool = False) -> x509.Certificate:
        today = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - _DAY)
            .not_valid_after(today + _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_key_usage(ca=ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if not ca:
            builder = builder.add_extension(_NAMES, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
