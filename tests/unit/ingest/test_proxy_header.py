"""The header of the PROXY protocol, read from bytes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ingest import native_lanes
from statsd_tcp.ingest.proxy_header import V1, V2, BadHeaderError, ProxyHeader, crc32c, read_header
from statsd_tcp.ingest.trust import Trust
from tests.unit.ingest.headers import BAD, GOOD, LOCAL

ANY = V1 | V2
LINES = b"hits:1|c\n"


class ReadTests(SynchronousTestCase):
    """Good and bad headers, and parts of them."""

    def test_good(self) -> None:
        """A good header is as long as it is, with and without lines after it, and says where the client is."""
        for name, good in GOOD.items():
            expected = ProxyHeader(len(good.data), good.address)
            for more in (b"", LINES):
                self.assertEqual(expected, read_header(good.data + more, good.version), name)
                self.assertEqual(expected, read_header(good.data + more, ANY), name)

    def test_local(self) -> None:
        """Of a header of the balancer itself nothing but the length matters."""
        for name, data in LOCAL.items():
            self.assertEqual(ProxyHeader(len(data), None, local=True), read_header(data + LINES, V2), name)

    def test_another_version(self) -> None:
        """A header in a version that is not expected is a bad one, from its first byte on."""
        for name, good in GOOD.items():
            for size in (1, len(good.data)):
                with self.assertRaises(BadHeaderError, msg=name):
                    read_header(good.data[:size], ANY ^ good.version)

    def test_bad(self) -> None:
        """A bad header is refused."""
        for name, data in BAD.items():
            with self.assertRaises(BadHeaderError, msg=name):
                read_header(data, ANY)

    def test_parts(self) -> None:
        """A part of a good header is one that is not whole."""
        whole = [good.data for good in GOOD.values()] + list(LOCAL.values())
        for data in whole:
            for size in (*range(min(len(data), 120)), len(data) - 1):
                self.assertIsNone(read_header(data[:size], ANY), data[:size])

    def test_in_c(self) -> None:
        """What the lane in C takes for a client's good header is one, and it finds all of them but those unknown."""
        if not native_lanes.BUILT:
            self.skipTest("the parts in C were not built")
        from statsd_tcp.ingest import _burst

        for name, good in GOOD.items():
            expected = 0 if name in {"v1 unknown", "v1 longest"} else len(good.data)
            self.assertEqual(expected, _burst.header(good.data + LINES, ANY)[0], name)
            self.assertEqual(0, _burst.header(good.data + LINES, ANY ^ good.version)[0], name)
            self.assertEqual(0, _burst.header(good.data[:-1], ANY)[0], name)
        for name, data in (LOCAL | BAD).items():
            self.assertEqual(0, _burst.header(data + LINES, ANY)[0], name)

    def test_checksum(self) -> None:
        """The checksum is the one of Castagnoli, whose check value is known."""
        self.assertEqual(0xE3069283, crc32c(b"123456789"))


class TrustTests(SynchronousTestCase):
    """Networks that are trusted."""

    def test_covers(self) -> None:
        """An address is covered by its network, of either family, and an IPv4 address also where IPv6 stands for it."""
        trust = Trust(("10.0.0.0/8", "192.0.2.4/30", "fd00::/8", "::1/128"))
        for address in ("10.255.0.1", "192.0.2.7", "::ffff:10.1.1.1", "fd12::1", "::1", "fd00::1%lo"):
            self.assertTrue(trust.covers(address), address)
        for address in ("11.0.0.1", "192.0.2.8", "::ffff:11.1.1.1", "fe80::1%lo", "::2", "0.0.0.1"):
            self.assertFalse(trust.covers(address), address)
        self.assertTrue(Trust(("0.0.0.0/0",)).covers("8.8.8.8"))
        self.assertFalse(Trust(("0.0.0.0/0",)).covers("2001:db8::1"))
        self.assertTrue(Trust(("::/0",)).covers("8.8.8.8"))
