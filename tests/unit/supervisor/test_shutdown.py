"""What happens to the listening sockets when the service stops."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.supervisor.shutdown import Shutdown

ATTACH, DETACH = 26, 27
"""SO_ATTACH_FILTER and SO_DETACH_FILTER."""


DRAIN_TIMEOUT = 7.0


class Sockets:
    """A listener with one socket, and the log of what is done to it and to the workers."""

    def __init__(self, path: str = "", *, stream: bool = True, fails: bool = False) -> None:
        self.log: list[object] = []
        self.stream = stream
        self.endpoint = SimpleNamespace(path=path)
        self.sockets = [[self]]
        self._fails = fails

    def setsockopt(self, level: int, option: int, value: object) -> None:
        """Note the option."""
        self.log.append(option)
        if self._fails:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    def close(self) -> None:
        """Note that it is closed."""
        self.log.append("closed")

    def stop(self, seconds: float) -> None:
        """Note that the workers are asked to end, and within which time."""
        self.log.append("workers end" if seconds == DRAIN_TIMEOUT else f"workers end after {seconds} s")


def stopped(sockets: Sockets, *, kept: bool = False) -> list[object]:
    """Stop a service with these sockets, and return what was done."""
    slots = Slots([sockets])
    committer = SimpleNamespace(finish=lambda seconds: succeed(None), close=lambda: succeed(None), failure="")
    shutdown = Shutdown(Clock(), cast(Any, slots), [cast(Any, sockets)], cast(Any, committer), kept=kept)
    done: Deferred[None] = shutdown.begin(DRAIN_TIMEOUT)
    slots.are_empty = True
    shutdown.check()
    assert done.called
    return sockets.log


class Slots(list[Sockets]):
    """Workers that end when the test says so."""

    are_empty = False


class ShutdownTests(SynchronousTestCase):
    """Clients that come while the queues are read to their end."""

    def test_turned_away(self) -> None:
        """No handshake begins until the sockets are closed; the filter goes first, for there may be copies."""
        self.assertEqual([ATTACH, "workers end", DETACH, "closed"], stopped(Sockets()))

    def test_kept(self) -> None:
        """Where systemd keeps the sockets clients may wait in their queues."""
        self.assertEqual(["workers end", "closed"], stopped(Sockets(), kept=True))

    def test_others(self) -> None:
        """Datagrams and Unix sockets know no handshake."""
        for sockets in (Sockets(stream=False), Sockets("/run/socket")):
            self.assertEqual(["workers end", "closed"], stopped(sockets))

    def test_refused(self) -> None:
        """A kernel that has no such filter keeps no service from stopping."""
        self.assertEqual([ATTACH, "workers end", DETACH, "closed"], stopped(Sockets(fails=True)))
