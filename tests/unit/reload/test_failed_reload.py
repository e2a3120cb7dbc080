"""Reloads that fail after their rehearsal has passed: this image goes on as if it had not been asked."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.children import inheritable
from statsd_tcp.reload.command_line import Again
from statsd_tcp.reload.rehearsal import Wanted
from statsd_tcp.reload.reload import SIGNALS, Reload
from statsd_tcp.settings.endpoints import parse_listen
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.status.systemd import Notifier
from statsd_tcp.supervisor.manifest import VARIABLE
from tests.unit.descriptors import open_here
from tests.unit.supervisor.fakes import FakeChildren, FakeReactor

TOO_MANY = OSError(errno.EMFILE, "too many open files")
FULL = OSError(errno.ENOSPC, "no space left on device")


class Full:
    """A standard stream on a full disk."""

    def write(self, text: str) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Fail."""
        raise FULL


class FailedReloadTests(SynchronousTestCase):
    """A service with one listener whose next image wants one more, on a Unix socket."""

    def setUp(self) -> None:
        """Make the parts, with an exec that fails."""
        self.reactor, self.children = FakeReactor(), FakeChildren()
        self.events: list[str] = []
        self.supervisor: Any
        self.committer: Any
        self.supervisor = SimpleNamespace(
            draining=False,
            replacing=False,
            has_starting=False,
            waits_for_workers=False,
            restarts={},
            pause=lambda: self.events.append("pause"),
            resume=lambda: self.events.append("resume"),
            handed_on=lambda: ([], []),
        )
        self.committer = SimpleNamespace(failure="", commit=lambda: succeed(None), close=lambda: succeed(None))
        health: Any = SimpleNamespace(started_at=1.0, up=True)
        self.listener = bind_listener(parse_listen("tcp:0:interface=127.0.0.1"), 1)
        self.addCleanup(self.listener.close)
        plan: Any = SimpleNamespace(listeners=[self.listener], http=None, admin=None)
        common = (self.reactor, self.children, plan, self.supervisor, self.committer, health)
        lock = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.addCleanup(os.close, lock)
        self.reload = Reload(*common, Notifier({}, 1), Again(["twistd"], ""), lock)
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "socket"
        self.wanted = [self.listener.endpoint, parse_listen(f"unix:{self.path}")]
        self.breaks(os, "execve", OSError(errno.ENOENT, "no such program"))
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    def breaks(self, owner: Any, name: str, error: Exception, after: int = 0) -> None:
        """Have a function raise an error, each time or after a number of calls."""
        real: Callable[..., Any] = getattr(owner, name)
        left = [after]

        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise error
            return real(*arguments, **named)

        self.patch(owner, name, call)

    def rehearse(self) -> None:
        """Ask for a reload, and let its rehearsal pass."""
        self.reload.request()
        child = self.children.started[-1]
        child.say(b"statscounter-offer:" + msgspec.json.encode(Wanted(self.wanted, None, None, 1)) + b"\n", 1)
        child.end()

    def assert_unchanged(self) -> None:
        """Check that a reload which fails leaves the process as it was, and that the next one is taken up."""
        descriptors, left_open = open_here(), inheritable()
        self.rehearse()
        self.flushLoggedErrors()
        self.assertEqual(self.events, ["pause", "resume"])
        self.assertEqual((open_here() - descriptors, inheritable()), (set(), left_open))
        self.assertEqual((self.path.exists(), VARIABLE in os.environ), (False, False))
        self.assertFalse({signal.SIGTERM, signal.SIGINT, *SIGNALS} & signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        self.reload.request()
        self.assertEqual(len(self.children.started), 2)

    def test_exec(self) -> None:
        """A program that cannot be started."""
        self.assert_unchanged()

    def test_no_memory_file(self) -> None:
        """No descriptor is left for the manifest."""
        self.breaks(os, "memfd_create", TOO_MANY)
        self.assert_unchanged()

    def test_memory_file_cannot_be_written(self) -> None:
        """The manifest cannot be written."""
        self.breaks(os, "fdopen", FULL)
        self.assert_unchanged()

    def test_output(self) -> None:
        """Standard output is on a full disk."""
        self.patch(sys, "stdout", Full())
        self.assert_unchanged()

    def test_error_output(self) -> None:
        """Standard error is on a full disk."""
        self.patch(sys, "stderr", Full())
        self.assert_unchanged()

    def test_closed_output(self) -> None:
        """Standard output was closed, which is no `OSError`."""
        with Path(os.devnull).open("w") as closed:
            self.patch(sys, "stdout", closed)
        self.assert_unchanged()

    def test_descriptors(self) -> None:
        """The first, the second or the last descriptor cannot be left open for the next image."""
        for after in range(3):
            self.breaks(os, "set_inheritable", OSError(errno.EBADF, "bad descriptor"), after)
            self.assert_unchanged()
            self.children.started[-1].end()
            self.flushLoggedErrors()
            self.children.started.clear()
            self.events.clear()

    def test_manifest(self) -> None:
        """A worker that cannot be described."""
        self.breaks(self.supervisor, "handed_on", ZeroDivisionError())
        self.assert_unchanged()

    def test_commit(self) -> None:
        """The last commit, or closing the store, fails in an unexpected way."""
        for name in ("commit", "close"):
            with self.subTest(name):
                setattr(self.committer, name, lambda: fail(ZeroDivisionError()))
                self.events.clear()
                self.rehearse()
                self.assertEqual((self.events, self.path.exists()), (["pause", "resume"], False))
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                setattr(self.committer, name, lambda: succeed(None))

    def test_commit_that_cannot_be_made(self) -> None:
        """The disk got full after the rehearsal: the next image would find the store so, too."""

        def commit() -> Deferred[None]:
            self.committer.failure = "the disk is full"
            return succeed(None)

        self.patch(os, "execve", lambda *_: self.events.append("exec"))
        self.committer.commit = commit
        self.rehearse()
        self.assertEqual((self.events, self.path.exists()), (["pause", "resume"], False))

    def test_stop(self) -> None:
        """A service that is stopped in between does not leave the new listener's file."""
        for moment in ("commit", "close"):
            with self.subTest(moment):
                waiting: Deferred[None] = Deferred()
                setattr(self.committer, moment, lambda waiting=waiting: waiting)
                self.supervisor.draining = False
                self.rehearse()
                self.assertTrue(self.path.exists())
                self.supervisor.draining = True
                waiting.callback(None)
                self.assertFalse(self.path.exists())
                setattr(self.committer, moment, lambda: succeed(None))

    def test_stop_before_the_workers_are_silent(self) -> None:
        """The same while it waits for a worker to accept."""
        self.supervisor.has_starting = True
        self.rehearse()
        self.assertTrue(self.path.exists())
        self.supervisor.draining = True
        self.reactor.advance(1)
        self.assertEqual((self.events, self.path.exists()), ([], False))
