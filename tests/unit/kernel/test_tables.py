"""The kernel's tables of counters, taken apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.tables import (
    conntrack_events,
    cpu_list,
    cpu_mask,
    limits,
    named_lines,
    paired_lines,
    softnet_rows,
)

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)


class TableTests(SynchronousTestCase):
    """What is read from /proc/net."""

    def test_paired_lines(self) -> None:
        """A line of names and one of values become counters by name; a group without values is left out."""
        text = "TcpExt: A B\nTcpExt: 1 2\nIp: C\nIp: -1\nOdd: D\nEven: 7\n"
        self.assertEqual({"TcpExt.A": 1, "TcpExt.B": 2, "Ip.C": -1}, paired_lines(text))

    def test_paired_lines_that_are_wanted(self) -> None:
        """Only what is wanted is read; what this kernel lacks is not there."""
        text = "TcpExt: A B\nTcpExt: 1 2\nIp: C\nIp: odd\n"
        self.assertEqual({"TcpExt.B": 2}, paired_lines(text, {"TcpExt": ["B", "Z"], "Udp": ["C"]}))

    @given(st.dictionaries(NAMES, st.integers(0, 2**64 - 1), max_size=9))
    def test_paired_lines_keep_every_counter(self, counters: dict[str, int]) -> None:
        """Whatever counters a kernel has, each is found with its value."""
        text = f"X: {' '.join(counters)}\nX: {' '.join(map(str, counters.values()))}\n"
        self.assertEqual({f"X.{name}": value for name, value in counters.items()}, paired_lines(text))

    def test_named_lines(self) -> None:
        """Pairs of a name and a number become numbers by name."""
        self.assertEqual({"TCP.inuse": 3, "TCP.tw": 9, "UDP.mem": 0}, named_lines("TCP: inuse 3 tw 9\nUDP: mem 0\n"))

    def test_softnet_of_several_kernels(self) -> None:
        """Old kernels have fewer columns: their processors are numbered by line."""
        old = "0000000a 00000001 00000002 " + "00000000 " * 6
        new = old + "00000005 00000000 00000000 00000007 00000000 00000000"
        self.assertEqual([(0, 10, 1, 2)], [tuple(row) for row in softnet_rows(old)])
        self.assertEqual([(7, 10, 1, 2)], [tuple(row) for row in softnet_rows(new)])

    def test_conntrack_adds_processors(self) -> None:
        """Events of all processors are added; the number of entries is the same in each line and is not."""
        text = "entries drop early_drop\n0000000a 00000001 00000000\n0000000a 0000000f 00000002\n"
        self.assertEqual({"entries": 10, "drop": 16, "early_drop": 2}, conntrack_events(text))

    def test_limits(self) -> None:
        """Limits have a soft and a hard value; unlimited is None."""
        text = (
            "Limit                     Soft Limit           Hard Limit           Units     \n"
            "Max open files            1024                 unlimited            files     \n"
            "Max nice priority         0                    0                    \n"
        )
        self.assertEqual({"Max open files": (1024, None), "Max nice priority": (0, 0)}, limits(text))

    def test_lists_of_processors(self) -> None:
        """Lists and masks of processors are read as the kernel writes them."""
        for text, wanted in (("0-3,8", [0, 1, 2, 3, 8]), ("5\n", [5]), ("", [])):
            self.assertEqual(wanted, cpu_list(text))
        for text, wanted in (("00000001,00000003", [0, 1, 32]), ("0", []), ("f\n", [0, 1, 2, 3]), ("", [])):
            self.assertEqual(wanted, cpu_mask(text))
