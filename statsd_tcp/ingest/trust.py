"""The peers from which a header of the PROXY protocol is taken: balancers. A client could write anything in it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

__all__ = ["Trust"]

_MAPPED = IPv6Address("::ffff:0:0").packed[:12]
_MAPPED_BITS = 8 * len(_MAPPED)
_ALL_BITS = 128

_SO_PEERNAME = 28
_ADDRESSES = {socket.AF_INET: (16, slice(4, 8)), socket.AF_INET6: (28, slice(8, 24))}
"""The sizes of the kernel's structures with an address, and where it is in them."""


class Trust:
    """Some networks of IPv4 and IPv6. Each process that may use a Unix socket is trusted.

    ``packed`` has for each network its address, of IPv4 as the IPv6 address that stands for it, and one byte that says
    how many bits of it count.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        """Trust these networks, each as ``ADDRESS/BITS``."""
        packed = [_packed(ip_network(text)) for text in networks]
        self.packed = b"".join(packed)
        self._networks = [(int.from_bytes(one[:-1], "big"), _ALL_BITS - one[-1]) for one in packed]

    def covers(self, address: str) -> bool:
        """Return whether a peer with that address is trusted."""
        if ":" in address:
            number = int.from_bytes(socket.inet_pton(socket.AF_INET6, address.partition("%")[0]), "big")
        else:
            number = int.from_bytes(_MAPPED + socket.inet_pton(socket.AF_INET, address), "big")
        return any(number >> free == network >> free for network, free in self._networks)

    def stranger(self, connection: Any) -> str | None:
        """Return the address of a connection's peer if it is not trusted, None if it is."""
        if connection.family == socket.AF_UNIX:
            return None
        address = _peer_of(connection)
        return None if address and self.covers(address) else address or "a peer that is gone"


def _peer_of(connection: Any) -> str:
    """Return the address of a connection's peer, also when the peer has reset it; empty if the kernel does not say."""
    with suppress(OSError):
        return str(connection.getpeername()[0])
    # A connection that was reset has still what its peer sent before, and is asked for the peer in another way.
    size, place = _ADDRESSES[connection.family]
    with suppress(OSError):
        name: bytes = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERNAME, size)
        return socket.inet_ntop(connection.family, name[place])
    return ""


def _packed(network: IPv4Network | IPv6Network) -> bytes:
    address, bits = network.network_address.packed, network.prefixlen
    if network.version == 4:  # noqa: PLR2004
        address, bits = _MAPPED + address, bits + _MAPPED_BITS
    return address + bytes((bits,))
