"""The header that a balancer sends before its client's first byte: the PROXY protocol, as a sender. Pure.

Source: HAProxy's specification, doc/proxy-protocol.txt, sections 2.1 (version 1) and 2.2 (version 2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["Proxy", "ProxyVersion"]

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
# Version 2, command PROXY; then the family of the addresses, with streams.
_COMMAND: Final = 0x21
_TCP4, _TCP6 = 0x11, 0x21
# Client ports are taken from above those that need a right.
_FIRST_PORT: Final = 1024
_PORTS: Final = 65536 - _FIRST_PORT


class ProxyVersion(StrEnum):
    """The versions of the protocol: a line, or a binary header."""

    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Headers of one version, whose client addresses are all those of a network in turn."""

    version: ProxyVersion
    network: IPv4Network | IPv6Network

    def header(self, number: int, host: str, port: int) -> bytes:
        """Write the header of connection ``number`` to a numeric host and port.

        A server of another family than the clients is written as that family's unspecified address.
        """
        client = self.network.network_address + number % self.network.num_addresses
        server = ip_address(host)
        is_v4 = isinstance(client, IPv4Address)
        if server.version != client.version:
            server = IPv4Address(0) if is_v4 else IPv6Address(0)
        client_port = _FIRST_PORT + number // self.network.num_addresses % _PORTS
        if self.version is ProxyVersion.V1:
            return f"PROXY TCP{client.version} {client} {server} {client_port} {port}\r\n".encode()
        addresses = client.packed + server.packed + struct.pack(">HH", client_port, port)
        family = _TCP4 if is_v4 else _TCP6
        return _SIGNATURE + struct.pack(">BBH", _COMMAND, family, len(addresses)) + addresses
