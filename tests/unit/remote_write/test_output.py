"""An output by remote write: from commits to a receiver, and what it does about each answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.remote_write.answers import Answer
from statsd_tcp.remote_write.clock_guard import ReceiverClock
from statsd_tcp.remote_write.conflict import cause_of
from statsd_tcp.remote_write.encoding import EMPTY
from statsd_tcp.remote_write.freezing import Freezer, Page
from statsd_tcp.remote_write.output import RemoteWrite
from statsd_tcp.remote_write.search import MOST_REQUESTS
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.frozen import Bounds, Queue
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.remote_write.messages import read
from tests.unit.web.tables import make_snapshot

START = 1_800_000_000.0


class Receiver:
    """A receiver that takes everything, unless a test says what it answers."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.bodies: list[bytes] = []
        self.probes = 0
        self.answer: Callable[[bytes], Answer | None] = lambda body: Answer(204)
        self.pending: Deferred[Answer] | None = None
        self.closed = False

    def post(self, body: bytes) -> Deferred[Answer]:
        """Take a request."""
        if body == EMPTY:
            self.probes += 1
        else:
            self.bodies.append(body)
        answer = self.answer(body)
        if answer is None:
            self.pending = Deferred()
            return self.pending
        return succeed(answer._replace(date=self.now()) if answer.status else answer)

    def close(self) -> Deferred[None]:
        """Note it."""
        self.closed = True
        return succeed(None)


def names(body: bytes) -> list[str]:
    """Return the names of the series of a request."""
    return [dict(labels)["__name__"] for labels, _ in read(body)]


class OutputTests(SynchronousTestCase):
    """`RemoteWrite`."""

    def setUp(self) -> None:
        """Start an output with slots of ten seconds."""
        self.reactor = Clock()
        self.reactor.advance(100)
        self.wrong = 0.0
        self.receiver = Receiver(lambda: START + self.reactor.seconds())
        self.database = sqlite3.connect(":memory:")
        self.addCleanup(self.database.close)
        self.broken = False
        self.families: list[Metric] = []
        self.output = self.make()

    def make(self) -> RemoteWrite:
        """Start an output."""
        output = RemoteWrite(
            self.reactor,
            Queue("a", Bounds(100, 1 << 20)),
            Freezer(Page(""), {}, 10),
            10,
            self.receiver,
            self.stored,
            lambda snapshot: self.families,
            ["a"],
            maybeDeferred,
            wall=lambda: START + self.reactor.seconds() + self.wrong,
            spread=lambda: 0.5,
        )
        output.startService()
        return output

    def stored(self, work: Callable[[sqlite3.Connection], Any]) -> Deferred[Any]:
        """Do something with the file."""
        if self.broken:
            return fail(StoreError("the disk is full"))
        return succeed(work(self.database))

    def commit(self, *series: tuple[str, str, float]) -> Snapshot:
        """Let a slot end, and commit."""
        self.reactor.advance(10)
        snapshot = make_snapshot(*series)
        self.output.committed(snapshot)
        return snapshot

    def wait(self, seconds: float) -> None:
        """Let time pass, by the second."""
        for _ in range(round(seconds)):
            self.reactor.advance(1)

    def sent(self) -> list[list[str]]:
        """Return the names of the series of all requests."""
        return [names(body) for body in self.receiver.bodies]

    def test_sent(self) -> None:
        """What a commit has is with the receiver, once, and nothing waits."""
        self.commit(("c", "a", 1.0), ("g", "b", 2.0))
        self.assertEqual(self.sent(), [["a", "b"]])
        facts = self.output.facts()
        self.assertEqual((facts.sent, facts.queued, facts.failed, facts.error), (1, 0, 0, ""))
        self.assertEqual(self.output.remote_facts().delivered, START + 110)
        self.assertIsNone(self.output.underway)

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

    def test_clock_asked_first(self) -> None:
        """Before anything else is sent, a request without series asks the receiver for the time."""
        self.commit(("c", "a", 1.0))
        self.commit(("c", "a", 2.0))
        self.assertEqual(self.receiver.probes, 1)

    def test_away(self) -> None:
        """While there is no receiver requests wait, in order; pauses grow; it is said once, and so is its end."""
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(0, "Connection refused")
        with capturedLogs() as logs:
            for number in range(2, 10):
                self.commit(("c", "a", float(number)))
            attempts = len(self.receiver.bodies)
            self.assertLess(attempts, 10)
            self.assertEqual(len(set(self.receiver.bodies[1:])), 1)
            self.assertEqual(self.output.facts().error, "Connection refused")
            self.assertGreater(self.output.underway or 0, 60)
            self.receiver.answer = lambda body: Answer(204)
            self.wait(60)
        values = [read(body)[0][1][0][0] for body in self.receiver.bodies[attempts:]]
        self.assertEqual(values, [float(number) for number in range(2, 10)])
        self.assertEqual(len([event for event in logs if event.get("text") == "Connection refused"]), 1)
        self.assertEqual(self.output.facts().error, "")

    def test_unknown_end(self) -> None:
        """What is refused when it may have arrived before has arrived: it is settled, and counted as repeated."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(0, "reset")
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(400, "duplicate sample")
        self.wait(2)
        self.assertEqual(self.output.facts().queued, 0)
        self.assertEqual(self.output.remote_facts().repeated, 1)

    def test_no_connection(self) -> None:
        """What is refused after attempts without a connection has not arrived: it is not counted as repeated."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(0, "refused", unsent=True)
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(400, "too old")
        self.wait(2)
        facts = self.output.remote_facts()
        self.assertEqual((facts.repeated, facts.skipped["batch"], facts.delivered), (0, 1, 0.0))

    def test_after_a_restart(self) -> None:
        """The request in front may have been sent by the process before: it comes again byte for byte."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else None
        self.commit(("c", "a", 1.0))
        self.output.stopService()
        self.assertTrue(self.receiver.closed)
        self.output = self.make()
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(409, "again")
        self.output.committed(make_snapshot())
        self.assertEqual(self.receiver.bodies[0], self.receiver.bodies[1])
        self.assertEqual(self.output.remote_facts().repeated, 1)

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

    def test_causes(self) -> None:
        """A request that is refused as a whole may be too old, or a clock is wrong."""
        for wrong, cause in ((-300.0, "clock"), (0.0, "cloned_store")):
            clock = ReceiverClock()
            clock.note(START, 0.0)
            self.assertEqual(cause_of(START - 60, START + wrong, clock, 0.0)[0], cause)
            self.assertEqual(cause_of(START - 3600, START + wrong, clock, 0.0)[0], "too_old")
        self.assertEqual(cause_of(START - 3600, START, ReceiverClock(), 0.0)[0], "too_old")

    def test_wait(self) -> None:
        """A receiver that has too much gets the request again when it said."""
        self.receiver.answer = lambda body: Answer(204) if body == EMPTY else Answer(429, wait=30.0)
        self.commit(("c", "a", 1.0))
        self.receiver.answer = lambda body: Answer(204)
        self.wait(29)
        self.assertEqual(len(self.receiver.bodies), 1)
        self.wait(1)
        self.assertEqual(self.output.facts().sent, 1)

    def test_held(self) -> None:
        """A receiver that does not know us gets the request again each minute; nothing is dropped."""
        self.receiver.answer = lambda body: Answer(401, "no such token")
        self.commit(("c", "a", 1.0))
        self.wait(120)
        self.assertEqual(len(self.receiver.bodies), 3)
        self.assertEqual(self.output.facts().error, "the answer is 401 (no such token)")
        self.receiver.answer = lambda body: Answer(204)
        self.wait(60)
        self.assertEqual((self.output.facts().sent, self.output.facts().queued), (1, 0))

    def test_outage_of_the_receiver(self) -> None:
        """While even a request without series fails with 5xx, ours waits and is not suspected."""
        self.receiver.answer = lambda body: Answer(500)
        self.commit(("c", "a", 1.0))
        self.wait(600)
        self.assertEqual(len(self.receiver.bodies), 3)
        self.receiver.answer = lambda body: Answer(204)
        self.wait(61)
        self.assertEqual((self.output.facts().sent, self.output.remote_facts().skipped["poison"]), (1, 0))

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

    def test_clock_ahead(self) -> None:
        """A clock that is ahead sends nothing; when it is right again what it made is dropped, and it goes on."""
        self.commit(("c", "a", 1.0))
        self.wrong = 10 * 365 * 86400.0
        self.commit(("c", "a", 2.0))
        self.wait(30)
        self.assertEqual(len(self.receiver.bodies), 1)
        self.assertIn("ahead of the receiver's", self.output.facts().error)
        self.wrong = 0.0
        self.commit(("c", "a", 2.0))
        self.commit(("c", "a", 4.0))
        self.wait(20)
        self.assertEqual([read(body)[0][1][0][0] for body in self.receiver.bodies], [1.0, 2.0, 4.0])
        self.assertEqual(self.output.remote_facts().skipped["clock"], 1)
        self.assertEqual(self.output.facts().error, "")

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

    def test_store_fails(self) -> None:
        """What could not be put into the store is told with the next slot."""
        self.commit(("c", "a", 1.0))
        self.broken = True
        self.commit(("c", "a", 2.0))
        self.broken = False
        self.commit(("c", "a", 2.0))
        self.assertEqual(read(self.receiver.bodies[-1])[0][1][0][0], 2.0)

    def test_stop(self) -> None:
        """A stop does not wait for an answer, and is no failure."""
        self.receiver.answer = lambda body: None
        with capturedLogs() as logs:
            self.commit(("c", "a", 1.0))
            stopped = self.output.stopService()
        self.successResultOf(stopped)
        self.assertEqual(logs, [])
        pending = self.receiver.pending
        assert pending
        self.assertTrue(pending.called)
