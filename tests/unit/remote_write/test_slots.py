"""What a commit brings when a slot has ended."""

from __future__ import annotations

from tests.unit.remote_write.messages import read
from tests.unit.remote_write.outputs import START, OutputTestCase


class SlotEndsTests(OutputTestCase):
    """`SlotEnds`."""

    def test_within_a_slot(self) -> None:
        """Commits within a slot bring nothing."""
        snapshot = self.commit(("c", "a", 1.0))
        self.output.committed(snapshot)
        self.wait(9)
        self.output.committed(snapshot)
        self.assertEqual(len(self.receiver.bodies), 1)

    def test_first_zero(self) -> None:
        """A counter that comes when a receiver has taken something begins with 0."""
        self.commit(("c", "a", 1.0))
        self.commit(("c", "a", 1.0), ("c", "b", 2.0))
        values = [
            samples[0][0]
            for body in self.receiver.bodies
            for labels, samples in read(body)
            if dict(labels)["__name__"] == "b"
        ]
        self.assertEqual(values, [0.0, 2.0])

    def test_clock_behind(self) -> None:
        """A clock that is behind makes nothing, and says so, until it is right again."""
        self.commit(("c", "a", 1.0))
        self.wrong = -7200.0
        self.commit(("c", "a", 2.0))
        self.assertIn("behind", self.output.facts().error)
        self.wrong = 0.0
        self.commit(("c", "a", 2.0))
        times = [read(body)[0][1][0][1] for body in self.receiver.bodies]
        self.assertEqual(times, [round((START + 110) * 1000), round((START + 130) * 1000)])
