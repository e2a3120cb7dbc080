"""Where a connection comes from: what is taken for one source when places are short.

A source is an IPv4 address, the /64 network of an IPv6 address (what one customer or one machine has), or a user of
this machine who connects over Unix sockets.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address
from typing import Any

__all__ = ["Source", "is_local", "is_loopback", "network_of", "source_of"]

Source = str | bytes | int

_CREDENTIALS = struct.Struct("3i")
_MAPPED = bytes(10) + b"\xff\xff"


def source_of(connection: socket.socket) -> Source:
    """Ask the kernel where a connection comes from. Those that are gone are one source."""
    try:
        if connection.family == socket.AF_UNIX:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(credentials)[1])
        return network_of(connection.getpeername()[0])
    except OSError:
        # Reset by its client, and not read since.
        return ""


def network_of(address: str) -> Source:
    """Return the source to which an internet address belongs."""
    if ":" not in address:
        return address
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return socket.inet_ntoa(packed[12:]) if packed.startswith(_MAPPED) else packed[:8]


def is_local(address: Any) -> bool:
    """Return whether a client's address, as Twisted gives it, is of this machine; a Unix socket has no host."""
    host = getattr(address, "host", None)
    return host is None or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Return whether an IP address is one that no other machine can have."""
    address = ip_address(host)
    # A socket for both families has IPv4 addresses in this form.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
