"""Sockets that were there before us: taken, shared, grown, shrunk, or closed."""

from __future__ import annotations

import errno
import os
import socket

import msgspec
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.settings.endpoints import Endpoint, parse_count, parse_listen
from statsd_tcp.sockets import inherited as inherited_module
from statsd_tcp.sockets.activation import Passed, activated_descriptors, describe_sockets, kept_name
from statsd_tcp.sockets.binding import bind_listener, bind_row
from statsd_tcp.sockets.bpf import Instruction, attach
from statsd_tcp.sockets.inherited import InheritedListener, InheritedSockets
from statsd_tcp.sockets.listener import BoundListener
from tests.unit.ingest.loopback import wait_for


def left(listener: BoundListener) -> InheritedListener:
    """Describe a listener's sockets by copies of their descriptors, as if they came from elsewhere."""
    rows = [[os.dup(one.fileno()) for one in row] for row in listener.sockets]
    return InheritedListener(listener.endpoint, listener.port, rows)


def same(listener: BoundListener) -> InheritedListener:
    """Describe a listener's sockets by their own descriptors, which they give away."""
    numbers = {one: one.detach() for one in {one for row in listener.sockets for one in row}}
    rows = [[numbers[one] for one in row] for row in listener.sockets]
    return InheritedListener(listener.endpoint, listener.port, rows)


class InheritedSocketsTests(SynchronousTestCase):
    """What an earlier image left."""

    def bind(self, text: str, workers: int = 2) -> BoundListener:
        """Bind a listener that the earlier image had, and have it listen."""
        listener = bind_listener(parse_listen(text), workers)
        self.addCleanup(listener.close)
        listener.listen(16)
        return listener

    def take(self, inherited: InheritedSockets, endpoint: Endpoint, workers: int) -> BoundListener:
        """Take a listener that must be there."""
        found = inherited.take(endpoint, workers)
        assert found is not None
        self.addCleanup(found.close)
        return found

    def test_the_same(self) -> None:
        """A listener is found by its address, and keeps its sockets and its port."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        inherited = InheritedSockets([left(before)])
        found = self.take(inherited, parse_listen("tcp:0:interface=127.0.0.1:dialect=dogstatsd"), 2)
        self.assertEqual((before.port, "dogstatsd"), (found.port, found.endpoint.dialect))
        self.assertEqual(
            [row[0].getsockname() for row in before.sockets], [row[0].getsockname() for row in found.sockets]
        )
        self.assertIsNone(inherited.take(before.endpoint, 2))

    def test_another_kind(self) -> None:
        """A port that carried lines can become one that only counts: it is the same sockets."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        found = self.take(InheritedSockets([left(before)]), parse_count("tcp:0:interface=127.0.0.1"), 2)
        self.assertTrue(found.endpoint.count_only)

    def test_more_workers(self) -> None:
        """More workers than there were get sockets of the same group."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        found = self.take(InheritedSockets([left(before)]), before.endpoint, 4)
        found.listen(16)
        self.assertEqual([before.port] * 4, [row[0].getsockname()[1] for row in found.sockets])
        self.assertTrue(found.in_groups)

    def test_datagrams_that_nobody_can_join(self) -> None:
        """Where no UDP socket more can be bound the new workers have none, and the others read on."""
        udp = self.bind("udp:0:interface=127.0.0.1")

        def refuse(*_: object) -> list[socket.socket]:
            raise OSError(errno.EADDRINUSE, "Address already in use")

        self.patch(inherited_module, "bind_row", refuse)
        with capturedLogs() as logs:
            datagrams = self.take(InheritedSockets([left(udp)]), udp.endpoint, 3)
        self.assertEqual([1, 1, 0], [len(row) for row in datagrams.sockets])
        self.assertEqual([2], [len(group) for group in datagrams.groups])
        self.assertEqual([2], [event["worker"] for event in logs])

    def test_laid_by(self) -> None:
        """Sockets that release 0.1.0 bound ahead are left over, to be closed."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        (ahead,) = bind_row(before.endpoint, before.sockets[0])
        listener = msgspec.structs.replace(left(before), spare=[[ahead.detach()]])
        inherited = InheritedSockets([listener])
        self.assertEqual(2, len(self.take(inherited, before.endpoint, 2).sockets))
        self.assertEqual(1, inherited.abandon())

    def test_sockets_that_nobody_can_join(self) -> None:
        """Where no more can be bound workers share what there is, in turn, and nothing is left over when they go."""
        before = self.bind("tcp:0:interface=127.0.0.1")

        def refuse(*_: object) -> list[socket.socket]:
            raise OSError(errno.EADDRINUSE, "Address already in use")

        self.patch(inherited_module, "bind_row", refuse)
        with capturedLogs() as logs:
            found = self.take(InheritedSockets([left(before)]), before.endpoint, 5)
        ((first,), (second,)) = found.sockets[:2]
        self.assertEqual([[first], [second], [first], [second], [first]], found.sockets)
        self.assertEqual(([2, 3, 4], False), ([event["worker"] for event in logs], found.in_groups))
        inherited = InheritedSockets([same(found)])
        self.assertEqual(2, len(self.take(inherited, before.endpoint, 2).sockets))
        self.assertEqual(({}, []), (inherited.rest, inherited.shrunk))

    def test_no_memory(self) -> None:
        """Any other error is not borne."""
        before = self.bind("tcp:0:interface=127.0.0.1", 1)

        def refuse(*_: object) -> list[socket.socket]:
            raise OSError(errno.ENOBUFS, "No buffer space available")

        self.patch(inherited_module, "bind_row", refuse)
        inherited = InheritedSockets([same(before)])
        self.assertRaises(OSError, inherited.take, before.endpoint, 2)
        for one in inherited._opened.values():
            one.close()

    def test_a_shared_socket_and_fewer_workers(self) -> None:
        """One socket that all workers share stays open when there are fewer of them."""
        one = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(one.close)
        (before,) = describe_sockets([Passed(os.dup(one.fileno()))])
        endpoint = parse_listen(f"tcp:{one.getsockname()[1]}:interface=127.0.0.1")
        two = InheritedSockets([before]).take(endpoint, 2)
        assert two is not None
        inherited = InheritedSockets([same(two)])
        found = self.take(inherited, endpoint, 1)
        self.assertEqual(({}, []), (inherited.rest, inherited.shrunk))
        self.assertGreaterEqual(found.sockets[0][0].fileno(), 0)

    def test_who_waits_is_not_reset(self) -> None:
        """A socket with a client in its queue is left over too: its worker may still read it."""
        before = self.bind("tcp:0:interface=127.0.0.1", 2)
        attach(before.sockets[0][0], [Instruction(0x06, 0, 0, 1)])
        client = socket.create_connection(("127.0.0.1", before.port))
        self.addCleanup(client.close)
        wait_for(lambda: read_queue(before.sockets[1][0]).length == 1)
        inherited = InheritedSockets([left(before)])
        found = self.take(inherited, before.endpoint, 1)
        self.assertEqual(1, len(found.sockets))
        self.assertEqual(1, inherited.abandon())
        before.sockets[1][0].accept()[0].close()

    def test_fewer_workers(self) -> None:
        """Sockets of workers that are no more are left over, with how the group was."""
        before = self.bind("tcp:0:interface=127.0.0.1", 3)
        inherited = InheritedSockets([left(before)])
        found = self.take(inherited, before.endpoint, 1)
        self.assertEqual((1, [1, 2]), (len(found.sockets), sorted(inherited.rest)))
        ((group, stay),) = inherited.shrunk
        self.assertEqual((3, 1), (len(group), stay))
        self.assertEqual(2, inherited.abandon())

    def test_not_wanted(self) -> None:
        """What is not taken is left over, and closed when it is abandoned."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        listener = left(before)
        inherited = InheritedSockets([listener])
        inherited.settle()
        self.assertEqual([before.port], [one.port for one in inherited.given_up])
        self.assertEqual((2, []), (inherited.abandon(), inherited.given_up))
        self.assertRaises(OSError, os.fstat, listener.rows[0][0])

    def test_whose(self) -> None:
        """A listener that an earlier image made is our own; one that systemd or an earlier release left may not be."""
        before = self.bind("tcp:0:interface=127.0.0.1")
        self.assertTrue(before.own)
        for own in (True, False):
            listeners = [msgspec.structs.replace(left(before), own=own) for _ in range(2)]
            inherited = InheritedSockets(listeners)
            self.assertEqual(own, self.take(inherited, before.endpoint, 2).own)
            inherited.settle()
            self.assertEqual([own], [one.own for one in inherited.given_up])
            inherited.abandon()


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
        (listener,) = describe_sockets([Passed(os.dup(one.fileno()))])
        found = InheritedSockets([listener]).take(parse_listen(f"tcp:{one.getsockname()[1]}:interface=127.0.0.1"), 3)
        assert found is not None
        self.addCleanup(found.close)
        self.assertEqual((3, 1, False), (len(found.sockets), sum(map(len, found.descriptors())), found.in_groups))

    def test_both_families(self) -> None:
        """An IPv4 and an IPv6 socket of every address and one port are one listener without an interface."""
        before = bind_listener(parse_listen("tcp:0"), 2)
        self.addCleanup(before.close)
        inherited = describe_sockets([Passed(os.dup(one.fileno())) for row in before.sockets for one in row])
        found = InheritedSockets(inherited).take(parse_listen(f"tcp:{before.port}"), 2)
        assert found is not None
        self.addCleanup(found.close)
        self.assertEqual(
            [[one.getsockname() for one in row] for row in before.sockets],
            [[one.getsockname() for one in row] for row in found.sockets],
        )

    def passed(self, listener: BoundListener, names: list[str], order: list[int]) -> InheritedListener:
        """Describe copies of a listener's sockets that come in some order under some names."""
        rows = [listener.sockets[place] for place in order]
        passed = [Passed(os.dup(row[0].fileno()), name) for row, name in zip(rows, names, strict=True)]
        (found,) = describe_sockets(passed)
        for descriptor in (one for row in found.rows for one in row):
            self.addCleanup(os.close, descriptor)
        return found

    def test_order(self) -> None:
        """Sockets that were kept for us are put in the order of their indexes; of others the order is not known."""
        before = bind_listener(parse_listen("tcp:0:interface=127.0.0.1"), 3)
        self.addCleanup(before.close)
        names = [kept_name("tcp:8125", place) for place in range(3)]
        self.assertEqual("tcp_8125#2", names[2])
        found = self.passed(before, [names[2], names[0], names[1]], [2, 0, 1])
        inodes = [os.fstat(row[0]).st_ino for row in found.rows]
        self.assertEqual([os.fstat(row[0].fileno()).st_ino for row in before.sockets], inodes)
        self.assertTrue(found.ordered)
        for unknown in (
            ["x.socket"] * 3,
            [names[0], names[0], names[1]],
            [names[0], names[1], "x"],
            [*names[1:], "x#3"],
        ):
            with self.subTest(unknown):
                self.assertFalse(self.passed(before, unknown, [0, 1, 2]).ordered)

    def test_copies(self) -> None:
        """A socket that comes twice, from its unit and from those that were kept, is one, by the name we gave it."""
        before = bind_listener(parse_listen("tcp:0:interface=127.0.0.1"), 2)
        self.addCleanup(before.close)
        names = ["x.socket", "x.socket", kept_name("lines", 1), kept_name("lines", 0)]
        found = self.passed(before, names, [0, 1, 1, 0])
        self.assertEqual((2, True, False), (len(found.rows), found.ordered, found.own))

    def test_own(self) -> None:
        """What systemd has kept for us is our own; what belongs to a unit is not."""
        before = bind_listener(parse_listen("tcp:0:interface=127.0.0.1"), 2)
        self.addCleanup(before.close)
        for names, own in (([kept_name("lines", place) for place in range(2)], True), (["x.socket"] * 2, False)):
            self.assertEqual(own, self.passed(before, names, [0, 1]).own)

    def test_without_a_name(self) -> None:
        """A socket that is not bound, which no client can know, is left alone."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            pair = socket.socketpair(socket.AF_UNIX, kind)
            for one in pair:
                self.addCleanup(one.close)
                self.assertEqual([], describe_sockets([Passed(one.fileno())]))

    def test_no_socket(self) -> None:
        """A descriptor that is no socket is left alone."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.assertEqual([], describe_sockets([Passed(reader)]))
