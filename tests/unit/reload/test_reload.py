"""What is prepared for the next image, and what the one before leaves to it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import msgspec
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.children import Children
from statsd_tcp.formats import FormatError
from statsd_tcp.reload.command_line import Again
from statsd_tcp.reload.new_listeners import bind_wanted
from statsd_tcp.reload.rehearsal import RefusedError, Wanted
from statsd_tcp.reload.reload import Reload
from statsd_tcp.settings.endpoints import parse_listen
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.systemd import Notifier
from statsd_tcp.supervisor.manifest import VARIABLE, Manifest, read_manifest, write_manifest

NOW = 1_700_000_000.0


def reload(plan: Any, lock: int = 0) -> Reload:
    """Make a reload of a service without workers."""
    supervisor: Any = SimpleNamespace(restarts={}, handed_on=lambda: ([], []))
    health: Any = SimpleNamespace(started_at=-59.0, up=True, start="x")
    committer: Any = None
    reactor = MemoryReactorClock()
    children = Children(reactor)
    common = (reactor, children, plan, supervisor, committer, health, Notifier({}, 1), Again([], ""), lock)
    return Reload(*common, wall=lambda: NOW)


class NewListenersTests(SynchronousTestCase):
    """A supervisor with two listeners for two workers."""

    def setUp(self) -> None:
        """Bind them."""
        self.tcp = self.bind("tcp:0:interface=127.0.0.1")
        self.udp = self.bind("udp:0:interface=127.0.0.1")
        self.plan: Any = SimpleNamespace(listeners=[self.tcp, self.udp], http=None, admin=None)

    def bind(self, text: str) -> BoundListener:
        """Bind a listener for two workers."""
        listener = bind_listener(parse_listen(text), 2)
        self.addCleanup(listener.close)
        return listener

    def wanted(self, workers: int) -> Wanted:
        """Want the same listeners for this many workers."""
        return Wanted([self.tcp.endpoint, self.udp.endpoint], None, None, workers)

    def test_more_workers(self) -> None:
        """Sockets for more workers are left to the next image: this one binds none."""
        made: list[BoundListener] = []
        bind_wanted(self.plan, self.wanted(4), made)
        self.assertEqual(([], 2, 2), (made, len(self.tcp.sockets), len(self.udp.sockets)))

    def test_more_workers_after_a_change_of_user(self) -> None:
        """More workers are refused where their sockets could not be bound; as many as before are not."""
        self.patch(os, "geteuid", lambda: os.getuid() + 1)
        error = self.assertRaises(RefusedError, bind_wanted, self.plan, self.wanted(3), [])
        self.assertIn(f"{self.tcp.label} has sockets for 2 workers", str(error))
        self.assertIn("restart the service", str(error))
        bind_wanted(self.plan, self.wanted(2), [])


class ManifestTests(SynchronousTestCase):
    """What goes through the memory file."""

    def test_descriptors(self) -> None:
        """All descriptors come back as they were written."""
        listener = bind_listener(parse_listen("tcp:0:interface=127.0.0.1"), 1)
        self.addCleanup(listener.close)
        plan = SimpleNamespace(listeners=[listener], http=None, admin=None)
        manifest: Manifest = reload(plan, listener.sockets[0][0].fileno())._manifest([])
        numbers = [row[0].fileno() for row in listener.sockets]
        self.assertEqual([numbers[0], *numbers], manifest.descriptors())
        environ: dict[str, str] = {}
        write_manifest(manifest, environ)
        self.assertEqual(manifest, read_manifest(environ))

    def test_another_format(self) -> None:
        """A manifest of a format that this version does not know is refused in one line, whatever else is in it."""
        descriptor = os.memfd_create("manifest")
        os.write(descriptor, msgspec.msgpack.encode({"format": 2, "lock": "another type"}))
        error = self.assertRaises(FormatError, read_manifest, {VARIABLE: str(descriptor)})
        self.assertIn("manifest=2", str(error))

    def test_started_at(self) -> None:
        """The next image is told for how long the service has run, whatever the wall clock was when it began."""
        plan = SimpleNamespace(listeners=[], http=None, admin=None)
        self.assertEqual(NOW - 59.0, reload(plan)._manifest([]).started_at)
