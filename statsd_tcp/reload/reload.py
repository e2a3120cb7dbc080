"""HUP and USR2: the supervisor replaces its own code and configuration, and stays the same process.

A child tries the new code and the new configuration first. If it refuses, nothing changes. Otherwise new sockets are
bound, the workers fall silent for a moment, and exec(2) puts the new image in the place of the old one, with every
descriptor that matters. The new image goes on where the old one was, and then replaces the workers one by one.

Both signals do the same. What a configuration says can change anything that the supervisor has built, and there would
be two ways to become a new supervisor otherwise, each tested half as well.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.children import Children
from statsd_tcp.commit.committer import Committer
from statsd_tcp.reload.askers import Askers
from statsd_tcp.reload.command_line import Again
from statsd_tcp.reload.new_listeners import bind_wanted
from statsd_tcp.reload.rehearsal import RefusedError, start_rehearsal
from statsd_tcp.sockets.inherited import InheritedListener
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.health import LONGEST_COMMIT, Health
from statsd_tcp.status.interfaces import Answer
from statsd_tcp.status.systemd import Notifier
from statsd_tcp.supervisor.manifest import VARIABLE as MANIFEST
from statsd_tcp.supervisor.manifest import Manifest, write_manifest
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.supervisor import Supervisor
from statsd_tcp.words import in_words

__all__ = ["SIGNALS", "Reload"]

SIGNALS = (signal.SIGHUP, signal.SIGUSR2)

_BLOCKED = (*SIGNALS, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

QUIET_CHECK = 0.02
QUIET_TRIES = 100
"""Seconds between two looks whether all workers have answered, and how many looks: two seconds in all. A worker that
has not answered then is silent for a reason of its own; what it says later is read by the next image."""

START_TRIES = 500
"""How many such looks whether every worker accepts. One that is only starting is not handed on, and must not have taken
clients when it is given up."""


_STOPS = "the service stops"


class Reload:
    """Replaces the running image on request. Requests that come meanwhile are one more, afterwards.

    request --> rehearsal --passed--> every worker accepts --> pause --> last commit --> exec
                    |                          |                 |            |            |
             refused, failed             service stops           '-- service stops, failed -'
                    v                          v                              v
             new listeners closed <---------------------------------- workers asked again

    ``_running`` is true from the request to the exec, or until the new listeners are closed. ``_once_more``: a request
    has come while it was, or while workers were being replaced; `resume` takes it up when both are over.

    ``again`` is the command line. ``successful`` tells about the last request, None before the first.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        children: Children,
        plan: Plan,
        supervisor: Supervisor,
        committer: Committer,
        health: Health,
        notifier: Notifier,
        again: Again,
        lock: int,
        reloads: int = 0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._children = children
        self._plan = plan
        self._supervisor = supervisor
        self._committer = committer
        self._health = health
        self._notifier = notifier
        self._lock = lock
        self._again = again
        self._wall = wall
        self._running = False
        self._once_more = False
        self._began: float | None = None
        self._askers = Askers(reactor)
        self.reloads = reloads
        self.successful: bool | None = None if reloads == 0 else True

    @property
    def underway(self) -> float | None:
        """Return for how many seconds the reload under way has been this image's, its rehearsal first; None if none."""
        return None if self._began is None else float(self._reactor.seconds() - self._began)

    def install(self) -> None:
        """Listen to the signals, and let through those that waited while this image was started."""
        for number in SIGNALS:
            signal.signal(number, self._handle)
        if self.reloads and self._again.pid_file:
            # The first image's twistd would have done it.
            self._reactor.addSystemEventTrigger("after", "shutdown", self._remove_pid_file)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)

    def request(self) -> None:
        """Reload as soon as possible."""
        if self._supervisor.draining:
            return
        if self._running or self._supervisor.replacing:
            self._once_more = True
            return
        self._running = True
        self._began = self._reactor.seconds()
        reloading = Deferred.fromCoroutine(self._reload())
        reloading.addErrback(self._failed)
        reloading.addCallback(lambda _: self._done())

    def ask(self, answer: Answer) -> bool:
        """Reload for a client that waits for the outcome. Return whether it is accepted: not twice within `REST`."""
        if self._running or not self._askers.rested:
            return False
        if self._supervisor.draining:
            answer(_STOPS)
            return True
        self._askers.add(answer)
        self.request()
        return True

    def resume(self) -> None:
        """Start what had to wait. To be called from time to time."""
        if self._once_more and not self._running and not self._supervisor.replacing:
            self._once_more = False
            self.request()

    def _failed(self, failure: Failure) -> Deferred[None]:
        self._log.failure("a reload failed", failure=failure)
        return Deferred.fromCoroutine(self._askers.tell("the reload failed, and all stays as it is; the log says why"))

    def _done(self) -> None:
        """Note that this image is still here: it was refused."""
        self._running = False
        self._began = None
        self.successful = False
        self._notifier.ready("reload refused")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.request)

    def _remove_pid_file(self) -> None:
        try:
            Path(self._again.pid_file).unlink()
        except OSError as error:
            self._log.warn("the file with our process number stays: {error}", error=in_words(error))

    async def _reload(self) -> None:
        made: list[BoundListener] = []
        try:
            refusal = await self._rehearse(made)
            if refusal:
                self._log.error("{refusal}", refusal=refusal)
            await self._askers.tell(refusal)
            if not refusal:
                await self._replace(made)
        finally:
            # This image goes on, and has no use for them.
            for listener in made:
                listener.close()

    async def _replace(self, made: list[BoundListener]) -> None:
        """Silence the workers and become the next image. Whatever prevents that, the workers are asked again."""
        await self._wait(lambda: not self._supervisor.has_starting, START_TRIES)
        if self._supervisor.draining:
            return
        try:
            self._supervisor.pause()
            await self._wait(lambda: not self._supervisor.waits_for_workers, QUIET_TRIES)
            await self._committer.commit().addTimeout(LONGEST_COMMIT, self._reactor)
            if self._committer.failure:
                self._log.error("the reload is given up, and all stays as it is: the last commit has failed")
                return
            await self._committer.close().addTimeout(LONGEST_COMMIT, self._reactor)
            if not self._supervisor.draining:
                self._exec(made)
        except DeferTimeoutError:
            self._log.error("the reload is given up, and all stays as it is: the last commit has not returned")
        finally:
            self._supervisor.resume()

    async def _rehearse(self, made: list[BoundListener]) -> str:
        """Try the next image, and bind what it wants. Return why it is refused, "" if it is not."""
        if self._committer.failure:
            return "the reload is refused while commits fail"
        self._notifier.reloading()
        self._log.info("a reload was asked for: the new code and configuration are tried in a child")
        self._askers.begin()
        command = [sys.executable, *self._again.arguments]
        try:
            bind_wanted(self._plan, await start_rehearsal(self._reactor, self._children, command, os.environ), made)
        except (OSError, RefusedError) as error:
            return f"the reload is refused, and all stays as it is: {in_words(error)}"
        return _STOPS if self._supervisor.draining else ""

    async def _wait(self, condition: Callable[[], bool], tries: int) -> None:
        for _ in range(tries):
            if condition() or self._supervisor.draining:
                return
            await deferLater(self._reactor, QUIET_CHECK)

    def _exec(self, made: list[BoundListener]) -> None:
        """Become the next image. Return only if that cannot be done; what was prepared for it is undone then."""
        manifest = self._manifest(made)
        self._log.info("the next image takes over")
        try:
            with ExitStack() as undo:
                written = write_manifest(manifest, os.environ)
                undo.callback(os.close, written)
                undo.callback(os.environ.pop, MANIFEST)
                sys.stdout.flush()
                sys.stderr.flush()
                # A signal between two images would find no handler, and end the process.
                undo.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, _BLOCKED)
                signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
                for descriptor in (*manifest.descriptors(), written):
                    os.set_inheritable(descriptor, True)
                    undo.callback(os.set_inheritable, descriptor, False)
                os.execve(sys.executable, [sys.executable, *self._again.arguments], os.environ)  # noqa: S606
        except OSError as error:
            why = in_words(error)
            self._log.error("the next image cannot be started, and all stays as it is: {why}", why=why)

    def _manifest(self, made: list[BoundListener]) -> Manifest:
        plan = self._plan
        services = [listener for listener in (plan.http, plan.admin) if listener is not None]
        workers, ending = self._supervisor.handed_on()
        return Manifest(
            lock=self._lock,
            listeners=[_inherited(listener) for listener in (*plan.listeners, *made)],
            services=[_inherited(listener) for listener in services],
            workers=workers,
            restarts=self._supervisor.restarts,
            # The next image's reactor reads as the wall clock does now.
            started_at=self._wall() - (self._reactor.seconds() - self._health.started_at),
            reloads=self.reloads + 1,
            pid_file=self._again.pid_file,
            up=self._health.up,
            ending=ending,
            start=self._health.start,
        )


def _inherited(listener: BoundListener) -> InheritedListener:
    rows = [[one.fileno() for one in row] for row in listener.sockets]
    return InheritedListener(listener.endpoint, listener.port, rows, ordered=listener.ordered, own=listener.own)
