"""Sockets that were there before us: taken, shared, grown, shrunk, or closed."""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.endpoints import Endpoint, parse_count, parse_listen
from statsd_tcp.ingest.activation import activated_descriptors, describe_sockets
from statsd_tcp.ingest.inheritance import Heritage, InheritedListener
from statsd_tcp.ingest.sockets import BoundListener, bind_listener


def left(listener: BoundListener) -> InheritedListener:
    """Describe a listener's sockets by copies of their descriptors, as if they came from elsewhere."""
    rows = [[os.dup(one.fileno()) for one in row] for row in listener.sockets]
    return InheritedListener(listener.endpoint, listener.port, rows)


class HeritageTests(SynchronousTestCase):
    """What an earlier image left."""

    def bind(self, text: str, workers: int = 2) -> BoundListener:
        """Bind a listener that the earlier image had, and have it listen."""
        listener = bind_listener(parse_listen(text), workers)
        self.addCleanup(listener.close)
        listener.listen(16)
        return listener

    def take(self, heritage: Heritage, endpoint: Endpoint, workers: int) -> BoundListener:
        """Take a listener that must be there."""
        found = heritage.take(endpoint, workers)
        assert found is not None
        self.addCleanup(found.close)
        return found

    def test_the_same(self) -> None:
        """A listener is found by its address, and keeps its sockets and its port."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        heritage = Heritage([left(before)])
        found = self.take(heritage, parse_listen("tcp:0:interface=127.0.0.1:dialect=dogstatsd"), 2)
        self.assertEqual((before.port, "dogstatsd"), (found.port, found.endpoint.dialect))
        self.assertEqual(
            [row[0].getsockname() for row in before.sockets], [row[0].getsockname() for row in found.sockets]
        )
        self.assertIsNone(heritage.take(before.endpoint, 2))

    def test_another_kind(self) -> None:
        """A port that carried lines can become one that only counts: it is the same sockets."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        found = self.take(Heritage([left(before)]), parse_count("tcp:0:interface=127.0.0.1"), 2)
        self.assertTrue(found.endpoint.count_only)

    def test_more_workers(self) -> None:
        """More workers than there were get sockets of the same group."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        found = self.take(Heritage([left(before)]), before.endpoint, 4)
        found.listen(16)
        self.assertEqual([before.port] * 4, [row[0].getsockname()[1] for row in found.sockets])
        self.assertTrue(found.in_groups)

    def test_fewer_workers(self) -> None:
        """Sockets of workers that are no more are left over, with how the group was."""
        before = self.bind("tcp:0:interface=127.0.0.1", 3)
        heritage = Heritage([left(before)])
        found = self.take(heritage, before.endpoint, 1)
        self.assertEqual((1, [1, 2]), (len(found.sockets), sorted(heritage.rest)))
        ((group, stay),) = heritage.shrunk
        self.assertEqual((3, 1), (len(group), stay))
        self.assertEqual(2, heritage.abandon())

    def test_not_wanted(self) -> None:
        """What nobody takes is left over, and closed when it is abandoned."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        inherited = left(before)
        heritage = Heritage([inherited])
        heritage.settle()
        self.assertEqual(2, heritage.abandon())
        self.assertRaises(OSError, os.fstat, inherited.rows[0][0])


class ActivationTests(SynchronousTestCase):
    """What systemd passes."""

    def test_environment(self) -> None:
        """The descriptors are those from 3 on, if the variables are for this process, and are taken once."""
        environ = {"LISTEN_PID": "7", "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""}
        self.assertEqual([], activated_descriptors(environ, 7))
        self.assertEqual({}, environ)

    def test_somebody_else(self) -> None:
        """Variables that are for another process are left alone."""
        environ = {"LISTEN_PID": "8", "LISTEN_FDS": "2"}
        self.assertEqual([], activated_descriptors(environ, 7))
        self.assertEqual({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, environ)

    def test_a_lone_socket(self) -> None:
        """One socket without a group is shared by all workers."""
        one = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(one.close)
        (listener,) = describe_sockets([os.dup(one.fileno())])
        found = Heritage([listener]).take(parse_listen(f"tcp:{one.getsockname()[1]}:interface=127.0.0.1"), 3)
        assert found is not None
        self.addCleanup(found.close)
        self.assertEqual((3, 1, False), (len(found.sockets), len(found.descriptors()), found.in_groups))

    def test_both_families(self) -> None:
        """An IPv4 and an IPv6 socket of every address and one port are one listener without an interface."""
        before = bind_listener(parse_listen("tcp:0"), 2)
        self.addCleanup(before.close)
        inherited = describe_sockets([os.dup(one.fileno()) for row in before.sockets for one in row])
        found = Heritage(inherited).take(parse_listen(f"tcp:{before.port}"), 2)
        assert found is not None
        self.addCleanup(found.close)
        self.assertEqual(
            [[one.getsockname() for one in row] for row in before.sockets],
            [[one.getsockname() for one in row] for row in found.sockets],
        )

    def test_no_socket(self) -> None:
        """A descriptor that is no socket is left alone."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.assertEqual([], describe_sockets([reader]))
