"""Where connections come from."""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.peers import source_of
from tests.unit.kernel.fakes import Named


class SourceTests(SynchronousTestCase):
    """Where a connection comes from."""

    def source(self, family: int, address: str) -> object:
        """Return the source of an address."""
        return source_of(Named(family, address))  # type: ignore[arg-type]

    def test_ipv4(self) -> None:
        """Each IPv4 address is a source, also when it is written as an IPv6 address."""
        self.assertEqual("192.0.2.1", self.source(socket.AF_INET, "192.0.2.1"))
        self.assertEqual("192.0.2.1", self.source(socket.AF_INET6, "::ffff:192.0.2.1"))

    def test_ipv6(self) -> None:
        """Each /64 network of IPv6 is one."""
        first, same, other = (
            self.source(socket.AF_INET6, address) for address in ("2001:db8::1", "2001:db8::2:0:0:1", "2001:db8:0:1::1")
        )
        self.assertEqual(first, same)
        self.assertNotEqual(first, other)

    def test_link_local(self) -> None:
        """The interface of an address is no part of it."""
        self.assertEqual(bytes.fromhex("fe80000000000000"), self.source(socket.AF_INET6, "fe80::1%eth0"))

    def test_unix(self) -> None:
        """A Unix socket comes from a user."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.assertEqual(os.getuid(), source_of(ours))

    def test_gone(self) -> None:
        """What is no longer connected has a source too."""
        with socket.socket() as one:
            self.assertEqual("", source_of(one))
