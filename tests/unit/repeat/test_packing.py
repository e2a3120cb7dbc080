"""Lines in datagrams."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.repeat.datagrams import LARGEST_DATAGRAM, cut

_lines = st.lists(st.binary(min_size=1, max_size=12).map(lambda line: line.replace(b"\n", b"x")), max_size=40)


class CutTests(SynchronousTestCase):
    """Datagrams of whole lines."""

    def test_fits(self) -> None:
        """What fits goes in one piece, without the last newline."""
        self.assertEqual([b"a:1|c\nb:2|c"], list(cut(b"a:1|c\nb:2|c\n")))
        self.assertEqual([], list(cut(b"")))

    def test_to_the_byte(self) -> None:
        """A datagram is filled to the byte, and not beyond."""
        self.assertEqual([b"aaa\nbbb"], list(cut(b"aaa\nbbb\n", 7)))
        self.assertEqual([b"aaa", b"bbb"], list(cut(b"aaa\nbbb\n", 6)))
        self.assertEqual([b"aaa\nbbb", b"c"], list(cut(b"aaa\nbbb\nc\n", 7)))

    def test_too_long(self) -> None:
        """A line that is longer than a datagram goes alone, whole."""
        self.assertEqual([b"a", b"bbbbb", b"c\nd"], list(cut(b"a\nbbbbb\nc\nd\n", 3)))

    def test_usual_size(self) -> None:
        """Unless told otherwise no datagram of short lines is larger than what passes undivided."""
        sizes = [len(one) for one in cut(b"page.hits:1|c\n" * 1000)]
        self.assertLessEqual(max(sizes), LARGEST_DATAGRAM)
        self.assertGreater(min(sizes[:-1]), LARGEST_DATAGRAM - len(b"page.hits:1|c\n"))

    @given(_lines, st.integers(1, 40))
    def test_nothing_is_lost(self, lines: list[bytes], size: int) -> None:
        """The datagrams have all lines in their order, and only one of a single line is larger than asked for."""
        datagrams = list(cut(b"".join(line + b"\n" for line in lines), size))
        self.assertEqual(lines, [line for one in datagrams for line in one.split(b"\n")])
        self.assertEqual([], [one for one in datagrams if len(one) > size and b"\n" in one])
