"""Headers of the PROXY protocol: those of clients, those of balancers that speak for themselves, and bad ones."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from statsd_tcp.ingest.proxy_header import LONGEST_V2, SIGNATURE, V1, V2, crc32c

__all__ = ["BAD", "GOOD", "LOCAL", "Good", "tlv", "v1", "v2", "with_checksum"]

CLIENT, CLIENT_6 = "192.0.2.7", "2001:db8::7"
_PORTS = struct.pack(">HH", 40000, 8125)
ADDRESSES_4 = socket.inet_aton(CLIENT) + socket.inet_aton("198.51.100.1") + _PORTS
ADDRESSES_6 = socket.inet_pton(socket.AF_INET6, CLIENT_6) + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + _PORTS
TCP4, TCP6, UNIX, UNSPECIFIED = 0x11, 0x21, 0x31, 0x00


class Good(NamedTuple):
    """A header of a client in one of the versions; ``address`` None: the balancer does not say where the client is."""

    data: bytes
    version: int
    address: str | None = None


def v1(rest: str) -> bytes:
    """Write a header in version 1."""
    return f"PROXY {rest}\r\n".encode()


def v2(addresses: bytes = ADDRESSES_4, family: int = TCP4, command: int = 0x21, length: int | None = None) -> bytes:
    """Write a header in version 2, by default one of a client with IPv4."""
    size = len(addresses) if length is None else length
    return SIGNATURE + struct.pack(">BBH", command, family, size) + addresses


def tlv(kind: int, value: bytes, length: int | None = None) -> bytes:
    """Write what may follow the addresses."""
    return struct.pack(">BH", kind, len(value) if length is None else length) + value


def with_checksum(before: bytes = b"", after: bytes = b"", wrong: int = 0) -> bytes:
    """Write a header with its checksum, and more TLVs before and after it."""
    header = v2(ADDRESSES_4 + before + tlv(3, bytes(4)) + after)
    place = len(v2(ADDRESSES_4 + before)) + 3
    return header[:place] + struct.pack(">I", crc32c(header) ^ wrong) + header[place + 4 :]


GOOD = {
    "v1": Good(v1(f"TCP4 {CLIENT} 198.51.100.1 40000 8125"), V1, CLIENT),
    "v1 IPv6": Good(v1(f"TCP6 {CLIENT_6} 2001:db8::1 0 65535"), V1, CLIENT_6),
    "v1 unknown": Good(v1("UNKNOWN"), V1),
    "v1 longest": Good(v1("UNKNOWN " + "f" * (107 - len(v1("UNKNOWN ")))), V1),
    "v2": Good(v2(), V2, CLIENT),
    "v2 IPv6": Good(v2(ADDRESSES_6, TCP6), V2, CLIENT_6),
    "v2 Unix": Good(v2(b"/run/x".ljust(216, b"\0"), UNIX), V2),
    "v2 datagrams": Good(v2(ADDRESSES_4, 0x12), V2, CLIENT),
    "v2 unspecified": Good(v2(b"", UNSPECIFIED), V2),
    "v2 unspecified with more": Good(v2(b"abc", UNSPECIFIED), V2),
    "v2 TLVs": Good(v2(ADDRESSES_4 + tlv(1, b"h2") + tlv(4, bytes(300)) + tlv(0xEA, b"")), V2, CLIENT),
    "v2 newlines": Good(v2(b"\n\n\n\n" + ADDRESSES_4[4:]), V2, "10.10.10.10"),
    "v2 checksum": Good(with_checksum(), V2, CLIENT),
    "v2 checksum among others": Good(with_checksum(tlv(1, b"h2"), tlv(4, bytes(30))), V2, CLIENT),
    "v2 longest": Good(v2(ADDRESSES_4 + tlv(4, bytes(LONGEST_V2 - len(v2()) - 3))), V2, CLIENT),
}
"""By what they are."""

LOCAL = {
    "v2 local": v2(b"", UNSPECIFIED, 0x20),
    "v2 local with addresses": v2(ADDRESSES_4, TCP4, 0x20),
    "v2 local with anything": v2(b"abc", 0x77, 0x20),
}

BAD = {
    "lines": b"hits:1|c\n",
    "another word": b"PROXI TCP4",
    "v1 lower case": b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "v1 family": v1("TCP5 1.2.3.4 1.2.3.4 1 2"),
    "v1 no family": v1(""),
    "v1 two words": v1("TCP4"),
    "v1 address of the other family": v1("TCP4 ::1 ::1 1 2"),
    "v1 no address": v1("TCP4 1.2.3 1.2.3.4 1 2"),
    "v1 zone": v1("TCP6 fe80::1%lo ::1 1 2"),
    "v1 port": v1("TCP4 1.2.3.4 1.2.3.4 1 65536"),
    "v1 six digits": v1("TCP4 1.2.3.4 1.2.3.4 1 000001"),
    "v1 no port": v1("TCP4 1.2.3.4 1.2.3.4 1"),
    "v1 empty port": v1("TCP4 1.2.3.4 1.2.3.4 1 "),
    "v1 signed port": v1("TCP4 1.2.3.4 1.2.3.4 1 +2"),
    "v1 more": v1("TCP4 1.2.3.4 1.2.3.4 1 2 3"),
    "v1 two blanks": v1("TCP4  1.2.3.4 1.2.3.4 1 2"),
    "v1 zero byte": v1("TCP4 1.2.3.4\0 1.2.3.4 1 2"),
    "v1 newline alone": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    "v1 too long": v1("UNKNOWN " + "f" * (108 - len(v1("UNKNOWN ")))),
    "v1 endless": b"PROXY UNKNOWN " + b"f" * 200,
    "v2 another signature": SIGNATURE[:-1] + b"\r" + v2()[12:],
    "v2 version": v2(command=0x11),
    "v2 command": v2(command=0x22),
    "v2 family": v2(bytes(216), 0x41),
    "v2 protocol": v2(family=0x13),
    "v2 too short for its addresses": v2(ADDRESSES_4[:-1]),
    "v2 too short for IPv6": v2(ADDRESSES_4, TCP6),
    "v2 too long": v2(bytes(10), length=LONGEST_V2 - 15),
    "v2 half a TLV": v2(ADDRESSES_4 + b"\x04\0"),
    "v2 TLV beyond the end": v2(ADDRESSES_4 + tlv(4, b"abc", 4)),
    "v2 wrong checksum": with_checksum(wrong=1),
    "v2 short checksum": v2(ADDRESSES_4 + tlv(3, bytes(3))),
}
"""Whole or not, none can become a good one."""
