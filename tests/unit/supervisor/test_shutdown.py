"""What happens to the listening sockets when the service stops."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.endpoints import parse_listen
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.supervisor.shutdown import Shutdown

DRAIN_TIMEOUT = 7.0


class Listener(BoundListener):
    """A listener without sockets, and the log of what is done to it and to the workers."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(parse_listen("tcp:0:interface=127.0.0.1"), 0, [[]])
        self.log: list[str] = []
        self._fails = fails

    def turn_away(self) -> None:
        """Note it, and fail if it has to."""
        self.log.append("turned away")
        if self._fails:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    def let_in(self) -> None:
        """Note it."""
        self.log.append("let in")

    def close(self) -> None:
        """Note that it is closed."""
        self.log.append("closed")

    def stop(self, seconds: float) -> None:
        """Note that the workers are asked to end, and within which time."""
        self.log.append("workers end" if seconds == DRAIN_TIMEOUT else f"workers end after {seconds} s")


def stopped(listener: Listener, *others: Listener, given_up: Sequence[Listener] = (), kept: bool = False) -> list[str]:
    """Stop a service with these listeners, and return what was done with the first."""
    slots = Slots([listener])
    committer = SimpleNamespace(finish=lambda seconds: succeed(None), close=lambda: succeed(None), failure="")
    shutdown = Shutdown(Clock(), cast(Any, slots), [listener, *others], given_up, cast(Any, committer), kept=kept)
    done: Deferred[None] = shutdown.begin(DRAIN_TIMEOUT)
    slots.are_empty = True
    shutdown.check()
    assert done.called
    return listener.log


class Slots(list[Listener]):
    """Workers that end when the test says so."""

    are_empty = False


class ShutdownTests(SynchronousTestCase):
    """Clients that come while the queues are read to their end."""

    def test_turned_away(self) -> None:
        """No connection begins until the sockets are closed; they are let in at the end, for there may be copies."""
        self.assertEqual(["turned away", "workers end", "let in", "closed"], stopped(Listener()))

    def test_kept(self) -> None:
        """Where systemd keeps the sockets clients may wait in their queues."""
        self.assertEqual(["workers end", "let in", "closed"], stopped(Listener(), kept=True))

    def test_refused(self) -> None:
        """A kernel that has no such filter keeps no service from stopping, nor clients from being turned away."""
        other = Listener()
        self.assertEqual(["turned away", "workers end", "let in", "closed"], stopped(Listener(fails=True), other))
        self.assertEqual(["turned away", "let in", "closed"], other.log)

    def test_in_a_reload(self) -> None:
        """What a reload was giving up is let in and closed as well: another process may have copies of it."""
        for kept in (False, True):
            listener = Listener()
            stopped(Listener(), given_up=[listener], kept=kept)
            self.assertEqual(["let in", "closed"], listener.log)
