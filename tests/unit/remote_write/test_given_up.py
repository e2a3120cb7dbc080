"""What is given up of requests that are refused."""

from __future__ import annotations

from prometheus_client.core import GaugeMetricFamily
from twisted.logger import capturedLogs

from statsd_tcp.remote_write.answers import Answer
from statsd_tcp.remote_write.encoding import EMPTY
from statsd_tcp.remote_write.search import MOST_REQUESTS
from tests.unit.remote_write.messages import read
from tests.unit.remote_write.outputs import OutputTestCase, names


class GivenUpTests(OutputTestCase):
    """`GivenUp`."""

    def test_one_bad_series(self) -> None:
        """A series that is refused is found with few requests, and left out for an hour; all others are taken."""
        series = [("c", f"s{number}", 1.0) for number in range(100)]
        self.receiver.answer = lambda body: Answer(400 if "s37" in names(body) else 204)
        with capturedLogs() as logs:
            self.commit(*series)
        taken = {name for body in self.receiver.bodies if "s37" not in names(body) for name in names(body)}
        self.assertEqual(len(taken), 99)
        self.assertLessEqual(len(self.receiver.bodies), 16)
        self.assertEqual(self.output.remote_facts().refused, 1)
        self.assertTrue([event for event in logs if "__name__=s37" in event.get("names", "")])
        before = len(self.receiver.bodies)
        self.commit(*[(kind, name, 2.0) for kind, name, _ in series])
        self.assertEqual(len(self.receiver.bodies), before + 1)
        self.assertEqual(self.output.remote_facts().refused, 2)
        self.reactor.advance(3600)
        self.commit(*[(kind, name, 3.0) for kind, name, _ in series])
        self.assertGreater(len(self.receiver.bodies), before + 2)

    def test_nothing_taken(self) -> None:
        """A request of which nothing is taken is skipped after few requests, and the next one follows."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(400, "too old")
        with capturedLogs() as logs:
            self.commit(*[("c", f"s{number}", 1.0) for number in range(200)])
        self.assertLessEqual(len(self.receiver.bodies), MOST_REQUESTS + 1)
        self.assertEqual(self.output.remote_facts().skipped["batch"], 200)
        self.assertEqual((self.output.facts().dropped, self.output.facts().queued), (1, 0))
        # Nothing in it tells a clone from series that are at fault themselves.
        self.assertEqual((self.output.findings(), self.output.facts().error), ([], ""))
        self.assertEqual(len([event for event in logs if "__name__=s0" in event.get("names", "")]), 1)
        self.receiver.answer = lambda body: Answer(204)
        self.commit(*[("c", f"s{number}", 2.0) for number in range(200)])
        self.assertEqual(self.output.facts().sent, 1)

    def test_conflict(self) -> None:
        """If the moment of the last commit is refused no series is left out; it is said once, and shown for a while."""
        self.families = [GaugeMetricFamily("statscounter_last_commit_timestamp_seconds", "Text.", value=7)]
        self.commit(("c", "a", 1.0), ("c", "b", 1.0))
        self.receiver.answer = lambda body: Answer(
            400 if body != EMPTY and "statscounter_last_commit_timestamp_seconds" in names(body) else 204
        )
        with capturedLogs() as logs:
            for number in (8, 9):
                self.families = [GaugeMetricFamily("statscounter_last_commit_timestamp_seconds", "Text.", value=number)]
                self.commit(("c", "a", float(number)), ("c", "b", 1.0))
        self.assertEqual([event["cause"] for event in logs if "cause" in event], ["cloned_store"])
        facts = self.output.remote_facts()
        self.assertEqual((facts.refused, facts.skipped["batch"]), (0, 4))
        (finding,) = self.output.findings()
        self.assertEqual((finding["id"], finding["count"]), ("remote_write.cloned_store", 2))
        self.receiver.answer = lambda body: Answer(204)
        self.reactor.advance(601)
        self.assertEqual((self.output.findings(), self.output.facts().error), ([], ""))

    def test_clone_refuses_some_first_samples(self) -> None:
        """What is refused of first samples is named and skipped: no series is left out before its value is refused."""
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(
            400 if body != EMPTY and "b" in names(body) and read(body)[0][1][0][0] == 0.0 else 204
        )
        with capturedLogs() as logs:
            self.commit(("c", "a", 2.0), ("c", "b", 2.0), ("c", "c", 2.0))
        facts = self.output.remote_facts()
        self.assertEqual((facts.refused, facts.skipped["batch"]), (0, 1))
        said = [event["text"] for event in logs if "__name__=b" in event.get("names", "")]
        self.assertEqual(said, ["1 of 2 series of a request are refused, and skipped"])
        self.assertEqual(self.sent()[-1], ["a", "b", "c"])

    def test_some_first_samples_by_a_wrong_clock(self) -> None:
        """While a clock is wrong the finding, and the log once, say how many first samples were refused."""
        self.wrong = -300.0
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(
            400 if body != EMPTY and {"b", "d"} & set(names(body)) and read(body)[0][1][0][0] == 0.0 else 204
        )
        with capturedLogs() as logs:
            self.commit(("c", "a", 1.0), ("c", "b", 2.0), ("c", "c", 2.0))
            self.commit(("c", "a", 1.0), ("c", "b", 2.0), ("c", "c", 2.0), *[("c", name, 2.0) for name in "def"])
        why = "our clock is 5 min behind the receiver's (clock)"
        self.assertEqual(
            [event["text"] for event in logs if "cause" in event],
            [f"1 of 2 series of a request are refused, and skipped: {why}"],
        )
        (finding,) = self.output.findings()
        self.assertEqual((finding["id"], finding["count"]), ("remote_write.clock", 2))
        self.assertEqual(finding["text"], f"output a: 1 of 3 series of a request are refused, and skipped: {why}")
        self.assertEqual(self.output.remote_facts().skipped["batch"], 2)

    def test_poison(self) -> None:
        """A request that alone fails with 5xx, again and again, is searched, and what is at fault is left out."""
        self.receiver.answer = lambda body: Answer(500 if body != EMPTY and "bad" in names(body) else 204)
        self.commit(("c", "good", 1.0), ("c", "bad", 1.0))
        self.wait(200)
        self.assertEqual(self.output.remote_facts().refused, 1)
        self.assertEqual(self.output.facts().queued, 0)
        self.assertIn(["good"], self.sent())

    def test_all_poison(self) -> None:
        """A request of which every part fails is skipped."""
        self.receiver.answer = lambda body: Answer(204 if body == EMPTY else 500)
        self.commit(("c", "a", 1.0), ("c", "b", 1.0))
        self.wait(200)
        self.assertEqual(self.output.remote_facts().skipped["poison"], 2)
