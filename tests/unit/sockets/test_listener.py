"""Listening sockets: groups that share a port, ports that are taken, and what the kernel tells of a queue."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import native
from statsd_tcp.kernel.accept_queue import read_queue, receive_drops
from statsd_tcp.kernel.segments import ask_for_segments, gives_segments
from statsd_tcp.settings.endpoints import Endpoint, parse_count, parse_listen
from statsd_tcp.sockets import binding
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.sockets.listener import BoundListener, listen_backlog, stop_listening
from tests.unit.ingest.loopback import wait_for

LOOPBACK = "tcp:0:interface=127.0.0.1"


def has_ipv6() -> bool:
    """Return whether this machine can bind IPv6 addresses."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


class SocketTestCase(SynchronousTestCase):
    """A test that binds."""

    def bind(self, endpoint: Endpoint, workers: int = 1) -> BoundListener:
        """Bind, for the time of the test."""
        listener = bind_listener(endpoint, workers)
        self.addCleanup(listener.close)
        return listener


class BindTests(SocketTestCase):
    """Binding an endpoint."""

    def test_a_group(self) -> None:
        """Every worker has a socket of its own, all on the one port that the kernel chose."""
        listener = self.bind(parse_listen(LOOPBACK), 3)
        self.assertEqual([1, 1, 1], [len(row) for row in listener.sockets])
        self.assertEqual({listener.port}, {row[0].getsockname()[1] for row in listener.sockets})
        self.assertNotEqual(0, listener.port)
        self.assertEqual(f"tcp:127.0.0.1:{listener.port}", listener.label)
        self.assertEqual([f"127.0.0.1:{listener.port}"], listener.addresses)

    def test_may_grow(self) -> None:
        """More sockets may be bound by the user who bound the first, also on all addresses."""
        for endpoint in (LOOPBACK, "tcp:0", "udp:0"):
            listener = self.bind(parse_listen(endpoint), 2)
            listener.listen(16)
            self.assertTrue(listener.can_grow)

    def test_may_not_grow(self) -> None:
        """After a change of user the kernel would refuse one more socket, and we know that before."""
        listener = self.bind(parse_listen("tcp:0"), 2)
        self.patch(os, "geteuid", lambda: os.fstat(listener.sockets[0][0].fileno()).st_uid + 1)
        self.assertFalse(listener.can_grow)

    def test_leaves_its_group(self) -> None:
        """A socket that stops listening refuses clients, unless one waits in its queue already."""
        listener = self.bind(parse_count(LOOPBACK), 1)
        listener.listen(16)
        ((one,),) = listener.sockets
        with socket.create_connection(("127.0.0.1", listener.port)):
            wait_for(lambda: read_queue(one).length == 1)
            stop_listening(one)
            one.accept()[0].close()
        stop_listening(one)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", listener.port))

    def test_turned_away(self) -> None:
        """No further connection begins at a TCP listener until they are let in; what waits is accepted."""
        listener = self.bind(parse_listen(LOOPBACK))
        listener.listen(16)
        ((one,),) = listener.sockets
        self.addCleanup(socket.create_connection(("127.0.0.1", listener.port)).close)
        wait_for(lambda: read_queue(one).length == 1)
        listener.turn_away()
        one.accept()[0].close()
        with socket.socket() as client:
            client.setblocking(False)
            self.assertEqual(errno.EINPROGRESS, client.connect_ex(("127.0.0.1", listener.port)))
            self.assertEqual(errno.EALREADY, client.connect_ex(("127.0.0.1", listener.port)))
        listener.let_in()
        socket.create_connection(("127.0.0.1", listener.port)).close()
        wait_for(lambda: read_queue(one).length == 1)

    def test_every_connection_has_one_socket(self) -> None:
        """Connections to a group are spread over its queues, each in exactly one."""
        listener = self.bind(parse_count(LOOPBACK), 3)
        listener.listen(64)
        clients = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(60)]
        for client in clients:
            self.addCleanup(client.close)
        queues = [row[0] for row in listener.sockets]
        wait_for(lambda: sum(read_queue(one).length for one in queues) == 60)
        self.assertTrue(all(read_queue(one).length for one in queues))

    def test_all_addresses(self) -> None:
        """Without an interface a port is open on IPv4, and on IPv6 where there is one, under one label."""
        for text in ("tcp:0", "udp:0"):
            listener = self.bind(parse_listen(text), 2)
            families = [int(one.family) for one in listener.sockets[1]]
            self.assertEqual([socket.AF_INET, socket.AF_INET6][: 1 + has_ipv6()], families)
            self.assertEqual({listener.port}, {one.getsockname()[1] for row in listener.sockets for one in row})
            self.assertEqual(f"{text[:3]}:{listener.port}", listener.label)

    def test_without_ipv6(self) -> None:
        """A machine without IPv6 has the IPv4 sockets alone."""
        bind_group = binding._bind_group

        def without_ipv6(endpoint: Endpoint, family: int, *rest: object) -> list[socket.socket]:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no such family")
            return bind_group(endpoint, family, *rest)  # type: ignore[arg-type]

        self.patch(binding, "_bind_group", without_ipv6)
        self.assertEqual([1, 1], [len(row) for row in self.bind(parse_listen("tcp:0"), 2).sockets])

    def test_another_error_of_ipv6(self) -> None:
        """Any other error is reported as it is, even when the kernel may choose the port."""
        bind_group = binding._bind_group

        def out_of_descriptors(endpoint: Endpoint, family: int, *rest: object) -> list[socket.socket]:
            if family == socket.AF_INET6:
                raise OSError(errno.EMFILE, "too many")
            return bind_group(endpoint, family, *rest)  # type: ignore[arg-type]

        self.patch(binding, "_bind_group", out_of_descriptors)
        self.assertEqual(errno.EMFILE, self.assertRaises(OSError, self.bind, parse_listen("tcp:0")).errno)

    def test_ipv6_only(self) -> None:
        """An IPv6 address is written in brackets."""
        if not has_ipv6():
            self.skipTest("this machine has no IPv6")
        listener = self.bind(parse_listen(r"tcp:0:interface=\:\:1"))
        self.assertEqual([f"[::1]:{listener.port}"], listener.addresses)
        self.assertEqual(f"tcp:[::1]:{listener.port}", listener.label)

    def test_a_port_in_use(self) -> None:
        """A port that anybody has is an error, even if it is another group of ours that would share it."""
        for scheme in ("tcp", "udp"):
            first = self.bind(parse_listen(f"{scheme}:0:interface=127.0.0.1"), 2)
            first.listen(1)
            endpoint = parse_listen(f"{scheme}:{first.port}:interface=127.0.0.1")
            self.assertEqual(errno.EADDRINUSE, self.assertRaises(OSError, self.bind, endpoint, 2).errno)

    def test_options(self) -> None:
        """Lines may come for hours, so dead peers are looked for; bare connections are too short for that."""
        for parse, keepalive in ((parse_listen, 1), (parse_count, 0)):
            one = self.bind(parse(LOOPBACK)).sockets[0][0]
            self.assertEqual(keepalive, one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            self.assertFalse(one.getblocking())
            self.assertFalse(one.get_inheritable())


class KernelTests(SocketTestCase):
    """What the kernel tells."""

    def test_queue(self) -> None:
        """The queue's length is the number of connections that wait, its limit the backlog."""
        listener = self.bind(parse_count(LOOPBACK))
        listener.listen(7)
        (one,) = listener.sockets[0]
        self.assertEqual((0, 7), read_queue(one)[:2])
        for length in (1, 2, 3):
            client = socket.create_connection(("127.0.0.1", listener.port))
            self.addCleanup(client.close)
            wait_for(lambda length=length: read_queue(one).length == length)  # type: ignore[misc]
        self.assertEqual(0, receive_drops(one))

    def test_drops(self) -> None:
        """Datagrams that find no room are counted."""
        (one,) = self.bind(parse_listen("udp:0:interface=127.0.0.1")).sockets[0]
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(100):
                client.sendto(b"x" * 1000, one.getsockname())
        received = 0

        def are_all_there() -> bool:
            nonlocal received
            try:
                while one.recv(2000):
                    received += 1
            except BlockingIOError:
                pass
            return received + receive_drops(one) == 100

        wait_for(are_all_there)
        self.assertGreater(receive_drops(one), 0)

    def test_datagrams_together(self) -> None:
        """The kernel keeps datagrams together that came together, where the parts in C read them; streams have none."""
        for in_c in (False, True):
            self.patch(native, "is_used", lambda environ, in_c=in_c: in_c)
            for text, together in (("udp:0", in_c), (LOOPBACK, False)):
                found = {gives_segments(one) for row in self.bind(parse_listen(text)).sockets for one in row}
                self.assertEqual({together}, found)

    def test_datagrams_together_or_not(self) -> None:
        """A socket of another kind is left as it is, as one is by a kernel that cannot do it."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with one, other:
            ask_for_segments(one)
            self.assertFalse(gives_segments(one))

    def test_backlog(self) -> None:
        """The longest queue is what the kernel's setting says."""
        with TemporaryDirectory() as folder:
            setting = Path(folder) / "sys/net/core/somaxconn"
            setting.parent.mkdir(parents=True)
            setting.write_text("1234\n")
            self.assertEqual(1234, listen_backlog(Path(folder)))
