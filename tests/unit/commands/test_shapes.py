"""What connections of a mix do, and the file that says so."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.shapes import DEFAULT_MIX, Close, Mix, MixError, Shape, read_mix


class MixTests(SynchronousTestCase):
    """Shapes by weight."""

    @given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers(1, 4))
    def test_weights(self, weights: list[int], of: int) -> None:
        """Each shape has its part of the connections, in every process's share of them too."""
        mix = Mix((Shape(str(at), Close.HALF, 0), float(weight)) for at, weight in enumerate(weights))
        for position in range(of):
            found = Counter(mix.shape(index * of + position).name for index in range(2000))
            for at, weight in enumerate(weights):
                self.assertLess(abs(2000 * weight / sum(weights) - found[str(at)]), 20)

    def test_same_in_every_run(self) -> None:
        """A number has one shape, in every run and process."""
        first, second = (read_mix(DEFAULT_MIX, "mix") for _ in range(2))
        self.assertEqual([first.shape(n).name for n in range(99)], [second.shape(n).name for n in range(99)])


class FileTests(SynchronousTestCase):
    """The file of weights."""

    def test_all_kinds(self) -> None:
        """Each kind has its settings; comments and empty lines are no connections."""
        mix = read_mix(
            "# what our clients do\n\nbare 6.5 port=8888\nline 2 lines=3\nlate 1 after=2.5 # a slow one\n"
            "kept 1 sends=5 every=50 lines=2\nreset 1\ntls 1 port=8127\n",
            "mix",
        )
        self.assertEqual(
            (
                Shape("bare", Close.HALF, 0, port=8888),
                Shape("line", Close.HALF, 3),
                Shape("late", Close.HALF, 1, late=0.0025),
                Shape("kept", Close.HALF, 2, sends=5, every=0.05),
                Shape("reset", Close.RESET, 0),
                Shape("tls", Close.HALF, 1, tls=True, port=8127),
            ),
            mix.shapes,
        )
        self.assertEqual([0, 0, 0.0025, 0.2, 0, 0], [shape.idle for shape in mix.shapes])

    def test_faults(self) -> None:
        """A fault is told in one line, with the file, the line and the word."""
        table = {
            "# nothing": "mix: no line has a kind and a weight",
            "bare 1\nudp 1": "mix:2: 'udp' is not a kind of connection (bare, line, late, kept, reset, tls)",
            "bare": "mix:1: the weight '' is not a number above 0 and up to 1,000,000",
            "bare 0": "mix:1: the weight '0' is not a number above 0 and up to 1,000,000",
            "bare nan": "mix:1: the weight 'nan' is not a number above 0 and up to 1,000,000",
            "bare inf": "mix:1: the weight 'inf' is not a number above 0 and up to 1,000,000",
            "bare 1 lines=3": "mix:1: 'lines=3' is not a setting of bare (port=)",
            "late 1 after": "mix:1: 'after' is not a setting of late (lines=, after=, port=)",
            "late 1 after=": "mix:1: after= is not a number above 0 and up to 1,000,000",
            "kept 1 sends=1.5": "mix:1: sends=1.5 is not a whole number from 1 to 1,000,000",
            "line 1 port=65536": "mix:1: port=65536 is not a whole number from 1 to 65,535",
        }
        for text, message in table.items():
            self.assertEqual(message, str(self.assertRaises(MixError, read_mix, text, "mix")))
