"""Headers of the PROXY protocol as the load generator writes them, read by the service's own reader."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.proxy import Proxy, ProxyVersion
from statsd_tcp.ingest.proxy_header import V1, V2, ProxyHeader, read_header

V2_BY_HAND = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c6120005 7f000001 0400 1fbd")
"""Client 198.18.0.5:1024 to 127.0.0.1:8125."""


class HeaderTests(SynchronousTestCase):
    """What a server reads."""

    @given(st.integers(0, 1 << 40), st.sampled_from(ProxyVersion), st.booleans(), st.booleans())
    def test_read_back(self, number: int, version: ProxyVersion, client_6: bool, server_6: bool) -> None:
        """The client is one of the network, whatever the families of both ends."""
        network = ip_network("fd00:1::/64" if client_6 else "198.18.0.0/15")
        written = Proxy(version, network).header(number, "::1" if server_6 else "127.0.0.1", 8125)
        client = str(network.network_address + number % network.num_addresses)
        versions = V1 if version is ProxyVersion.V1 else V2
        self.assertEqual(ProxyHeader(len(written), client), read_header(written, versions))

    def test_bytes(self) -> None:
        """The bytes are those of the specification."""
        network = ip_network("198.18.0.0/15")
        self.assertEqual(V2_BY_HAND, Proxy(ProxyVersion.V2, network).header(5, "127.0.0.1", 8125))
        line = b"PROXY TCP4 198.18.0.5 127.0.0.1 1024 8125\r\n"
        self.assertEqual(line, Proxy(ProxyVersion.V1, network).header(5, "127.0.0.1", 8125))

    def test_every_client_in_turn(self) -> None:
        """All addresses come before one comes again, then from another port."""
        proxy = Proxy(ProxyVersion.V1, ip_network("10.0.0.0/30"))
        words = [proxy.header(number, "127.0.0.1", 1).split()[2:5:2] for number in range(5)]
        self.assertEqual([b"10.0.0.0", b"10.0.0.1", b"10.0.0.2", b"10.0.0.3", b"10.0.0.0"], [word[0] for word in words])
        self.assertEqual([b"1024"] * 4 + [b"1025"], [word[1] for word in words])
