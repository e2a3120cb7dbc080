"""Tests of grammars and their names."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.grammar import DIALECTS, Grammar


class GrammarTests(SynchronousTestCase):
    """Settings of a listener."""

    def test_dialects(self) -> None:
        """The two dialects differ in what a sign means on a gauge, and in nothing else."""
        self.assertEqual(sorted(DIALECTS), ["dogstatsd", "etsy"])
        self.assertEqual(DIALECTS["etsy"], Grammar())
        self.assertEqual(DIALECTS["dogstatsd"], Grammar(signed_gauges=False))

    def test_equal_grammars_share(self) -> None:
        """Equal grammars are one key of a dictionary, different ones are two."""
        self.assertEqual(len({Grammar(), Grammar(), Grammar(influx=False)}), 2)
