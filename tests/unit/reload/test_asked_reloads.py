"""Reloads that a client asks for and waits for: each is told how it went, before the next image takes over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.reload.askers import REST
from statsd_tcp.reload.command_line import Again
from statsd_tcp.reload.rehearsal import LONGEST_CHECK, Wanted
from statsd_tcp.reload.reload import Reload
from statsd_tcp.status.health import LONGEST_COMMIT
from statsd_tcp.status.systemd import Notifier
from tests.unit.supervisor.fakes import FakeChildren, FakeReactor

PASSED = b"statsd-tcp\nstatscounter-offer:" + msgspec.json.encode(Wanted([], None, None, 2)) + b"\n"


class AskingTests(SynchronousTestCase):
    """A service without workers and listeners, and a rehearsal that says what the test wants."""

    def setUp(self) -> None:
        """Make the parts, and keep the process as it is."""
        self.reactor, self.children = FakeReactor(), FakeChildren()
        self.supervisor: Any
        self.committer: Any
        self.supervisor = SimpleNamespace(
            draining=False,
            replacing=False,
            has_starting=False,
            waits_for_workers=False,
            pause=lambda: None,
            resume=lambda: None,
        )
        self.committer = SimpleNamespace(failure="", commit=lambda: succeed(None), close=lambda: succeed(None))
        health: Any = SimpleNamespace(started_at=1.0, up=True)
        plan: Any = SimpleNamespace(listeners=[], http=None, admin=None)
        self.reload = Reload(
            self.reactor,
            self.children,
            plan,
            self.supervisor,
            self.committer,
            health,
            Notifier({}, 1),
            Again(["twistd"], ""),
            0,
        )
        self.events: list[str] = []
        self.patch(self.reload, "_exec", lambda _: self.events.append("exec"))

    def ask(self, sent: Deferred[None] | None = None) -> bool:
        """Ask; the answer is on its way when ``sent`` says so, at once by default."""

        def answer(refusal: str) -> Deferred[None]:
            self.events.append(refusal)
            return succeed(None) if sent is None else sent

        return self.reload.ask(answer)

    def rehearsed(self, said: bytes) -> None:
        """Let the last rehearsal end with these words."""
        child = self.children.started[-1]
        child.say(said, 1)
        child.end()

    def test_a_commit_that_hangs(self) -> None:
        """A reload whose last commit does not return is given up, and the workers are asked again."""
        for part in ("commit", "close"):
            resumed: list[bool] = []
            self.supervisor.resume = lambda resumed=resumed: resumed.append(True)
            setattr(self.committer, part, Deferred[None])
            self.reload.request()
            self.rehearsed(PASSED)
            self.assertEqual(([], 0.0), (resumed, self.reload.underway))
            self.reactor.advance(LONGEST_COMMIT)
            self.assertEqual(([True], None), (resumed, self.reload.underway))
            setattr(self.committer, part, lambda: succeed(None))
        self.assertEqual([], self.events)

    def test_a_rehearsal_that_cannot_be_ended(self) -> None:
        """A rehearsal that does not even end when it is killed is not waited for for ever."""
        self.ask()
        self.reactor.advance(LONGEST_CHECK)
        self.assertEqual(1, self.children.started[-1].kills)
        self.reactor.advance(LONGEST_CHECK)
        self.assertIn("nor when it was killed", self.events[0])

    def test_a_rehearsal_that_takes_too_long(self) -> None:
        """A rehearsal that is killed for the time that it takes is refused with that as the cause."""
        self.ask()
        self.reactor.advance(LONGEST_CHECK)
        self.children.started[-1].end()
        self.assertTrue(self.events[0].endswith("the check had not ended in 60 s, and was killed"), self.events)

    def test_passed(self) -> None:
        """Who asks is told that the rehearsal has passed, and then the next image takes over."""
        self.assertTrue(self.ask())
        self.assertEqual(self.events, [])
        self.rehearsed(PASSED)
        self.assertEqual(self.events, ["", "exec"])

    def test_answer_before_the_exec(self) -> None:
        """The image is replaced when the answer is on its way; who does not read it holds that up for a moment."""
        for release in (True, False):
            sent: Deferred[None] = Deferred()
            self.ask(sent)
            self.rehearsed(PASSED)
            self.assertEqual(self.events, [""])
            if release:
                sent.callback(None)
            else:
                self.reactor.advance(REST)
            self.assertEqual(self.events, ["", "exec"])
            self.events.clear()
            self.reactor.advance(REST)

    def test_refused(self) -> None:
        """Who asks is told the line with which the rehearsal ended."""
        self.ask()
        self.rehearsed(b"statscounter: x.yml: line 3: no name\n")
        self.assertEqual(
            self.events, ["the reload is refused, and all stays as it is: statscounter: x.yml: line 3: no name"]
        )
        self.assertEqual(self.reload.successful, False)

    def test_no_child(self) -> None:
        """A rehearsal that cannot even begin is a refusal."""
        self.children.error = OSError(11, "no more processes")
        self.ask()
        self.assertIn("no more processes", self.events[0])

    def test_commits_fail(self) -> None:
        """While commits fail there is no rehearsal, and it is told at once."""
        self.committer.failure = "the disk is full"
        self.ask()
        self.assertEqual((self.events, self.children.started), (["the reload is refused while commits fail"], []))

    def test_unexpected(self) -> None:
        """An error in our own code is in the log, and who asks is told so."""

        def fail(*arguments: Any) -> None:
            raise ZeroDivisionError

        self.patch(self.children, "start", fail)
        self.ask()
        self.assertEqual(self.events, ["the reload failed, and all stays as it is; the log says why"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_too_soon(self) -> None:
        """No other client may ask while a rehearsal runs, nor within two seconds of its beginning."""
        self.ask()
        self.assertFalse(self.ask())
        self.rehearsed(b"no\n")
        self.reactor.advance(REST - 0.5)
        self.assertFalse(self.ask())
        self.reactor.advance(0.5)
        self.assertTrue(self.ask())

    def test_signals(self) -> None:
        """A signal is no question: it is never too soon for one."""
        self.ask()
        self.rehearsed(b"no\n")
        self.reload.request()
        self.assertEqual(len(self.children.started), 2)

    def test_while_workers_are_replaced(self) -> None:
        """Who asks while the last reload still replaces workers waits for that, and for a rehearsal of its own."""
        self.supervisor.replacing = True
        self.assertTrue(self.ask())
        self.reload.resume()
        self.assertEqual((self.events, self.children.started), ([], []))
        self.supervisor.replacing = False
        self.reload.resume()
        self.rehearsed(PASSED)
        self.assertEqual(self.events, ["", "exec"])

    def test_stop(self) -> None:
        """A service that stops no longer reloads, and says so, also if it began to during the rehearsal."""
        self.ask()
        self.supervisor.draining = True
        self.rehearsed(PASSED)
        self.reactor.advance(REST)
        self.ask()
        self.assertEqual(self.events, ["the service stops"] * 2)
