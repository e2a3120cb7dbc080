"""Tests of the memory for shapes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.memo import ShapeMemo


class ShapeMemoTests(SynchronousTestCase):
    """What is remembered, and for how long."""

    def test_remembers(self) -> None:
        """A shape that was learnt is found, the very same object."""
        memo = ShapeMemo(Grammar())
        shape = memo.learn((b"a", b"c"))
        self.assertIs(memo.young[b"a", b"c"], shape)
        self.assertEqual((shape.kind, shape.series), ("c", "a"))

    def test_comes_back(self) -> None:
        """A shape of the old generation moves to the young one without being read again."""
        memo = ShapeMemo(Grammar(), limit=10_000)
        shape = memo.learn((b"a", b"c"))
        number = 0
        while (b"a", b"c") in memo.young:
            memo.learn((b"b%d" % number, b"c"))
            number += 1
        self.assertIs(memo.learn((b"a", b"c")), shape)
        self.assertIn((b"a", b"c"), memo.young)

    def test_forgets(self) -> None:
        """A flood of shapes leaves no more than two generations."""
        memo = ShapeMemo(Grammar(), limit=10_000)
        for number in range(1000):
            memo.learn((b"name%d" % number, b"c"))
        self.assertLess(len(memo.young), 30)
        self.assertLess(len(memo._old), 30)

    def test_large_shapes_count_for_more(self) -> None:
        """A line of thousands of samples takes up as much of the memory as it needs."""
        memo = ShapeMemo(Grammar(), limit=1_000_000)
        for number in range(100):
            memo.learn((b"name%d" % number, b"c" + b":1|c" * 1000))
        self.assertLess(len(memo.young) + len(memo._old), 20)

    def test_depends_on_the_grammar(self) -> None:
        """Each grammar has shapes of its own."""
        learnt = [ShapeMemo(grammar).learn((b"a,k=v", b"c")) for grammar in (Grammar(), Grammar(tags=frozenset()))]
        self.assertEqual([shape.series for shape in learnt], ["a\nk\nv", "a,k=v"])
