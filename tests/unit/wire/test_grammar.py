"""Tests of grammars and their names."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.grammar import DIALECTS, Grammar, grammar_of


class GrammarTests(SynchronousTestCase):
    """Settings of a listener."""

    def test_dialects(self) -> None:
        """The two dialects differ in what a sign means on a gauge, and in nothing else."""
        self.assertEqual(sorted(DIALECTS), ["dogstatsd", "etsy"])
        self.assertEqual(DIALECTS["etsy"], Grammar())
        self.assertEqual(DIALECTS["dogstatsd"], Grammar(signed_gauges=False))

    def test_with_limit(self) -> None:
        """A dialect can be had with another limit of length."""
        self.assertEqual(grammar_of("dogstatsd", 100), Grammar(signed_gauges=False, max_line=100))
        self.assertEqual(grammar_of("etsy"), Grammar())
        self.assertRaises(KeyError, grammar_of, "klingon")

    def test_equal_grammars_share(self) -> None:
        """Equal grammars are one key of a dictionary, different ones are two."""
        self.assertEqual(len({Grammar(), Grammar(), Grammar(influx=False)}), 2)
