"""New keys of a client of TLS 1.3 (RFC 8446, 4.6.3), which neither Python nor pyOpenSSL can be told to send.

::

    record   17 03 03 length | key update 18 00 00 01 00, type 16, tag: with the key of the secret before it
    secrets  CLIENT_TRAFFIC_SECRET_0 of the key log, and from each the next one
"""

from __future__ import annotations

import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

__all__ = ["CIPHER", "RECORD_SIZE", "new_keys", "secret_in"]

CIPHER = "TLS_AES_256_GCM_SHA384"

RECORD_SIZE = 5 + 6 + 16
"""Bytes of the record of a new key."""

_UPDATE = bytes.fromhex("18 00 00 01 00 16")
_DATA = b"\x17"
_TAG = 16
_KEY, _IV, _SECRET = 32, 12, 48


def secret_in(log: Path) -> bytes:
    """Return the first secret that the only client in a key log encrypts with."""
    (line,) = (line for line in log.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0 "))
    return bytes.fromhex(line.split()[2])


def new_keys(secret: bytes, number: int, data: bytes) -> bytes:
    """Return what a client sends that has sent nothing yet, changes its key that often, and then sends data."""
    records = b""
    for _ in range(number):
        records += _record(secret, _UPDATE)
        secret = _expanded(secret, "traffic upd", _SECRET)
    return records + _record(secret, data + _DATA)


def _record(secret: bytes, content: bytes) -> bytes:
    """Encrypt the first record with a secret."""
    key, nonce = _expanded(secret, "key", _KEY), _expanded(secret, "iv", _IV)
    head = struct.pack(">BHH", 0x17, 0x0303, len(content) + _TAG)
    return head + AESGCM(key).encrypt(nonce, content, head)


def _expanded(secret: bytes, label: str, size: int) -> bytes:
    name = b"tls13 " + label.encode()
    info = struct.pack(">HB", size, len(name)) + name + b"\0"
    return HKDFExpand(SHA384(), size, info).derive(secret)
