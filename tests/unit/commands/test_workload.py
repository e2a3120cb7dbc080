"""The plan of a run: shares, times, addresses and payloads."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.workload import Mode, Share, payload, per_connection, source_addresses, touched_lines
from tests.unit.commands.servers import share


class ShareTests(SynchronousTestCase):
    """How a run is divided."""

    @given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 9))
    def test_shares_make_the_whole(self, connections: int, concurrency: int, of: int) -> None:
        """All shares together have every connection once, and the whole concurrency."""
        work = share(1, connections=connections, concurrency=concurrency).work
        shares = [Share(work, position, of) for position in range(of)]
        numbers = [each.number(index) for each in shares for index in range(int(each.connections))]
        self.assertEqual(list(range(connections)), sorted(numbers))
        self.assertEqual(concurrency, sum(each.concurrency for each in shares))

    def test_times_are_interleaved(self) -> None:
        """At a given rate the shares take turns."""
        work = share(1, rate=10.0).work
        times = sorted(Share(work, position, 2).offset(index) for index in range(3) for position in range(2))
        self.assertEqual([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], times)

    def test_kept_rate_counts_lines(self) -> None:
        """Where connections are kept, the rate is of lines and each send has several."""
        work = replace(share(1, rate=1000.0, lines=100).work, mode=Mode.KEPT)
        self.assertEqual(10.0, Share(work, 0, 1).begins_per_second)


class SourceTests(SynchronousTestCase):
    """Source addresses."""

    @given(st.integers(0, 60_000))
    def test_distinct_loopback_addresses(self, count: int) -> None:
        """There are as many as asked for, all different, all loopback, none special."""
        addresses = source_addresses(count)
        self.assertEqual(count, len(set(addresses)))
        self.assertNotIn("127.0.0.1", addresses)
        for address in addresses[-300:]:
            self.assertTrue(ip_address(address).is_loopback)
            self.assertNotIn(address.rsplit(".")[-1], {"0", "255"})


class PayloadTests(SynchronousTestCase):
    """What is sent."""

    def test_numbers_are_filled_in(self) -> None:
        """{connection} and {line} become numbers; other braces stay."""
        self.assertEqual(b"c7.0{x}:1|c\nc7.1{x}:1|c\n", payload("c{connection}.{line}{x}:1|c", 2, 7))

    def test_constant_lines(self) -> None:
        """A line without placeholders is repeated."""
        self.assertEqual(b"a:1|c\na:1|c\n", payload("a:1|c", 2, 7))
        self.assertEqual(b"", payload("a:1|c", 0, 7))

    def test_which_templates_differ(self) -> None:
        """Only {connection} makes payloads differ between connections."""
        self.assertTrue(per_connection("a{connection}:1|c"))
        self.assertFalse(per_connection("a{line}:1|c"))

    @given(st.integers(0, 30), st.integers(0, 5))
    def test_touched_lines(self, cut: int, lines: int) -> None:
        """A line counts as touched from its first byte on."""
        data = payload("a:1|c", lines, 0)
        self.assertEqual(min(lines, -(-cut // 6)), touched_lines(data[:cut]))
