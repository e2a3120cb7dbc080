"""What the workers say about targets, added up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.repeat.totals import RepeatTotals


class RepeatTotalsTests(SynchronousTestCase):
    """Two workers and two targets."""

    def setUp(self) -> None:
        """Know the targets."""
        self.now, self.uptime = 1000.0, 50.0
        self.totals = RepeatTotals(["repeat:a", "repeat:b"], lambda: self.uptime, lambda: self.now)

    def test_from_the_start(self) -> None:
        """Each target is there with zeros before anything was sent."""
        self.assertEqual(
            [OutputFacts(name, 0, 0, 0, 0, 0.0, "") for name in ("repeat:a", "repeat:b")], self.totals.facts()
        )

    def test_added(self) -> None:
        """What was sent, failed and dropped is added up; what waits is the sum of what each worker said last."""
        self.totals.add(0, [Repeated("repeat:a", 5, 1, 2, 7), Repeated("repeat:b", 0, 0, 0, 0)])
        self.totals.add(1, [Repeated("repeat:a", 1, 0, 0, 1)])
        self.now = 1001.0
        self.totals.add(0, [Repeated("repeat:a", 1, 0, 1, 3)])
        self.now, self.uptime = 0.0, 52.5
        self.assertEqual(OutputFacts("repeat:a", 4, 7, 1, 3, 1001.0, "", 2.5), self.totals.facts()[0])
        self.assertEqual(OutputFacts("repeat:b", 0, 0, 0, 0, 0.0, ""), self.totals.facts()[1])

    def test_errors(self) -> None:
        """An error is shown as long as a worker has one."""
        self.totals.add(0, [Repeated("repeat:a", 0, 1, 0, 0, "no process listens there")])
        self.totals.add(1, [Repeated("repeat:a", 1, 0, 0, 0)])
        self.assertEqual("no process listens there", self.totals.facts()[0].error)
        self.totals.add(0, [Repeated("repeat:a", 1, 0, 0, 0)])
        self.assertEqual("", self.totals.facts()[0].error)

    def test_another_target(self) -> None:
        """A target that a worker knows of after a change of the configuration is added."""
        self.totals.add(0, [Repeated("repeat:c", 1, 0, 0, 0)])
        self.assertEqual(["repeat:a", "repeat:b", "repeat:c"], [facts.name for facts in self.totals.facts()])
