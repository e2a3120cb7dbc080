"""Sockets that are bound early and join their group later, tried with real groups on loopback."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.accept_queue import queue_state
from statsd_tcp.settings.endpoints import parse_count, parse_listen
from statsd_tcp.sockets.listener import BoundListener, bind_listener
from statsd_tcp.sockets.spares import growing, lay_by, stop_listening
from statsd_tcp.sockets.steering import Instruction, attach, detach

_RETURN = 0x06

CLIENTS = 40


class SpareTests(SynchronousTestCase):
    """Two workers, and sockets for four."""

    def setUp(self) -> None:
        """Bind, and let the two listen."""
        self.listener = bind_listener(parse_count("tcp:0:interface=127.0.0.1"), 2)
        self.addCleanup(self.listener.close)
        lay_by(self.listener, 4)
        self.listener.listen(64)
        self.all = [row[0] for row in (*self.listener.sockets, *self.listener.spare)]

    def queues(self, listening: list[socket.socket]) -> list[int]:
        """Connect, and give how many connections each of these got; then empty the queues."""
        clients = [socket.create_connection(("127.0.0.1", self.listener.port)) for _ in range(CLIENTS)]
        lengths = [queue_state(one)[0] for one in listening]
        for one, length in zip(listening, lengths, strict=True):
            for _ in range(length):
                one.accept()[0].close()
        for client in clients:
            client.close()
        return lengths

    def indexes(self, listening: list[socket.socket]) -> list[int]:
        """Give the socket that the kernel takes for each index."""
        found = []
        for index in range(len(listening)):
            attach(listening[0], [Instruction(_RETURN, 0, 0, index)])
            found.append(self.queues(listening).index(CLIENTS))
        detach(listening[0])
        return found

    def test_no_connections(self) -> None:
        """A spare socket gets no connection, and those that listen keep their indexes."""
        self.assertEqual((2, 4), (len(self.listener.spare), len(self.all)))
        self.assertEqual(CLIENTS, sum(self.queues(self.all[:2])))
        self.assertEqual([0, 1], self.indexes(self.all[:2]))

    def test_joins_behind_all(self) -> None:
        """Indexes are in the order of listening, and not in that of binding."""
        first, second, third, fourth = self.all
        fourth.listen(64)
        self.assertEqual([0, 1, 2], self.indexes([first, second, fourth]))
        third.listen(64)
        self.assertEqual([0, 1, 2, 3], self.indexes([first, second, fourth, third]))

    def test_leaves_and_joins_again(self) -> None:
        """A socket that stops listening leaves the others as they are, and can listen again."""
        for one in self.all[2:]:
            one.listen(64)
        self.assertTrue(stop_listening([self.all[3]]))
        self.assertEqual([0, 1, 2], self.indexes(self.all[:3]))
        self.all[3].listen(64)
        self.assertEqual([0, 1, 2, 3], self.indexes(self.all))

    def test_somebody_waits(self) -> None:
        """A socket in whose queue a client waits goes on listening."""
        attach(self.all[0], [Instruction(_RETURN, 0, 0, 1)])
        client = socket.create_connection(("127.0.0.1", self.listener.port))
        self.addCleanup(client.close)
        self.assertFalse(stop_listening([self.all[1]]))
        self.all[1].accept()[0].close()
        self.assertTrue(stop_listening([self.all[1]]))

    def test_once(self) -> None:
        """What is there already is not bound again."""
        lay_by(self.listener, 4)
        lay_by(self.listener, 1)
        self.assertEqual(2, len(self.listener.spare))

    def test_both_families(self) -> None:
        """A listener on all addresses has spare sockets of each family."""
        listener = bind_listener(parse_listen("tcp:0"), 1)
        self.addCleanup(listener.close)
        lay_by(listener, 3)
        families = [one.family for one in listener.sockets[0]]
        self.assertEqual([families] * 2, [[one.family for one in row] for row in listener.spare])

    def test_which_can_grow(self) -> None:
        """Neither datagrams, nor Unix sockets, nor one socket that all share can have spare ones."""
        datagrams = bind_listener(parse_listen("udp:0:interface=127.0.0.1"), 2)
        unix = bind_listener(parse_listen("unix:@statscounter-test-spares"), 2)
        lone = socket.create_server(("127.0.0.1", 0))
        shared = [BoundListener(self.listener.endpoint, 1, [[lone]] * workers) for workers in (1, 2)]
        for listener in (datagrams, unix, *shared):
            self.addCleanup(listener.close)
        self.assertEqual([False] * 4, [growing(listener) for listener in (datagrams, unix, *shared)])
        self.assertTrue(growing(self.listener))
