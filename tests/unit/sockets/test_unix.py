"""Unix sockets: their files, modes and owners, stale and living ones, and who reads them."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.doctor.checks import memory
from statsd_tcp.kernel.accept_queue import read_queue
from statsd_tcp.settings.endpoints import Endpoint, parse_listen
from statsd_tcp.sockets import unix as unix_sockets
from statsd_tcp.sockets.binding import UDP_BUFFER, bind_listener
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.sockets.unix import PathInUseError, bind_unix, is_stale, remove_path
from tests.unit.folders import make_folder


class UnixSocketTestCase(SynchronousTestCase):
    """A test with a folder for sockets."""

    def setUp(self) -> None:
        """Name a path that is short enough."""
        self.path = make_folder(self) / "s"
        # sockaddr_un has no room for the path of a deep folder.
        self.folder = os.open(self.path.parent, os.O_RDONLY)
        self.addCleanup(os.close, self.folder)

    @property
    def short(self) -> str:
        """Name the same file in few letters."""
        return f"/proc/self/fd/{self.folder}/s"

    def endpoint(self, scheme: str = "unix", **fields: object) -> Endpoint:
        """Make an endpoint at the path."""
        return Endpoint(scheme, path=self.short, **fields)  # type: ignore[arg-type]

    def bind(self, scheme: str = "unix", **fields: object) -> socket.socket:
        """Bind it."""
        one = bind_unix(self.endpoint(scheme, **fields))
        self.addCleanup(one.close)
        return one

    def leave_stale(self, kind: int = socket.SOCK_STREAM) -> None:
        """Leave a socket's file behind."""
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.bind(self.short)


class BindTests(UnixSocketTestCase):
    """Binding at a path."""

    def test_mode(self) -> None:
        """The file has exactly the mode that was asked for, whatever the umask."""
        for umask in (0o000, 0o077):
            for mode in (0o660, 0o666, 0o600):
                self.addCleanup(os.umask, os.umask(umask))
                self.bind(mode=mode).close()
                self.assertEqual(mode, stat.S_IMODE(self.path.lstat().st_mode))

    def test_never_open_before(self) -> None:
        """Between its making and its final mode the file is its owner's alone."""
        seen = []
        chown = os.chown

        def look(path: Path, *owner: int) -> None:
            seen.append(stat.S_IMODE(Path(path).stat().st_mode))
            chown(path, *owner)

        self.patch(os, "chown", look)
        self.addCleanup(os.umask, os.umask(0))
        self.bind(mode=0o666, user=os.geteuid())
        self.assertEqual([0o600], seen)

    def test_replaced(self) -> None:
        """A link that takes the place of the new file is not followed: what it leads to stays as it is."""
        precious, mode = self.path.with_name("precious"), 0o640
        precious.touch()
        precious.chmod(mode)
        opened = os.open

        def swap(path: Path, flags: int) -> int:
            path.unlink()
            path.symlink_to(precious)
            return opened(path, flags)

        self.patch(os, "open", swap)
        self.assertRaises(PathInUseError, self.bind, mode=0o666, user=os.geteuid())
        self.assertEqual(mode, stat.S_IMODE(precious.stat().st_mode))

    def test_owner(self) -> None:
        """The file belongs to whom was asked for."""
        self.bind(user=os.geteuid(), group=os.getegid())
        found = self.path.lstat()
        self.assertEqual((os.geteuid(), os.getegid()), (found.st_uid, found.st_gid))

    def test_owner_that_is_denied(self) -> None:
        """Where the owner cannot be set no file stays behind."""

        def deny(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "chown", deny)
        self.assertRaises(PermissionError, bind_unix, self.endpoint(user=1))
        self.assertFalse(self.path.exists())

    def test_stale(self) -> None:
        """A socket file that no process has is replaced, whatever its kind."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for scheme in ("unix", "unixgram"):
                self.leave_stale(kind)
                self.bind(scheme).close()
                self.assertTrue(is_stale(self.short))
                self.path.unlink()

    def test_living(self) -> None:
        """A socket that a process has is left alone, also one that does not listen yet, and whatever its kind."""
        for mine in ("unix", "unixgram"):
            one = self.bind(mine)
            for scheme in ("unix", "unixgram"):
                error = self.assertRaises(PathInUseError, bind_unix, self.endpoint(scheme))
                self.assertIn("in use by another process", str(error))
            one.close()

    def test_a_look_is_no_connection(self) -> None:
        """Finding out that a listener lives does not connect to it."""
        one = self.bind()
        one.listen(5)
        self.assertFalse(is_stale(self.short))
        self.assertRaises(BlockingIOError, one.accept)

    def test_other_files(self) -> None:
        """Anything else that is there is left alone: files, folders, links."""
        for make in (self.path.touch, self.path.mkdir, lambda: self.path.symlink_to("elsewhere")):
            make()
            error = self.assertRaises(PathInUseError, bind_unix, self.endpoint())
            self.assertIn("is there and is no socket", str(error))
            self.path.rmdir() if self.path.is_dir() else self.path.unlink()

    def test_overtaken(self) -> None:
        """If another process puts its socket there while ours looks, it stays."""
        self.leave_stale()
        others: list[os.stat_result] = []

        def stale(path: str) -> bool:
            if not others:
                self.path.unlink()
                other = socket.socket(socket.AF_UNIX)
                self.addCleanup(other.close)
                other.bind(self.short)
                others.append(self.path.lstat())
            return True

        self.patch(unix_sockets, "is_stale", stale)
        self.assertRaises(PathInUseError, bind_unix, self.endpoint())
        self.assertEqual(others[0].st_mtime_ns, self.path.lstat().st_mtime_ns)
        self.assertEqual(["s"], [one.name for one in self.path.parent.iterdir()])

    def test_abstract(self) -> None:
        """An abstract name has no file; taken twice it is in use."""
        endpoint = Endpoint("unix", path=f"@statscounter-test-{os.getpid()}")
        one = bind_unix(endpoint)
        self.addCleanup(one.close)
        self.assertEqual(b"\0" + endpoint.path[1:].encode(), one.getsockname())
        self.assertRaises(OSError, bind_unix, endpoint)


class RemoveTests(UnixSocketTestCase):
    """Taking the file away at the end."""

    def test_ours(self) -> None:
        """A file whose socket is closed is removed."""
        self.bind().close()
        remove_path(self.short)
        self.assertFalse(self.path.exists())

    def test_taken_over(self) -> None:
        """A file that another process has by now stays, and so does one that is no socket."""
        self.bind()
        remove_path(self.short)
        self.assertTrue(self.path.is_socket())
        self.path.unlink()
        self.path.touch()
        remove_path(self.short)
        self.assertTrue(self.path.is_file())

    def test_gone(self) -> None:
        """A file that is no longer there is nothing to complain about."""
        remove_path(self.short)


class ListenerTests(UnixSocketTestCase):
    """What the supervisor has."""

    def listener(self, scheme: str, workers: int) -> BoundListener:
        """Bind for this many workers."""
        listener = bind_listener(self.endpoint(scheme), workers)
        self.addCleanup(listener.close)
        return listener

    def test_stream(self) -> None:
        """All workers have the same stream socket, whose one queue is shared."""
        listener = self.listener("unix", 3)
        listener.listen(7)
        (one,) = listener.sockets[0]
        self.assertEqual([[one]] * 3, listener.sockets)
        self.assertEqual([("shared", [one])], listener.queues)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.short)
            self.assertEqual((1, 7), read_queue(one)[:2])

    def test_datagrams(self) -> None:
        """One worker has the datagram socket, the same one each time."""
        places = set()
        for _ in range(3):
            listener = bind_listener(Endpoint("unixgram", path=f"@statscounter-test-{os.getpid()}"), 3)
            places.add(tuple(len(row) for row in listener.sockets))
            self.addCleanup(listener.close)
            listener.close()
        (place,) = places
        self.assertEqual([0, 0, 1], sorted(place))

    def test_turned_away(self) -> None:
        """No further connection begins, and what waits is accepted; a socket that may be another's stays as it is."""
        listener = self.listener("unix", 2)
        listener.listen(7)
        listener.own = False
        listener.turn_away()
        with socket.socket(socket.AF_UNIX) as waiting, socket.socket(socket.AF_UNIX) as late:
            waiting.connect(self.short)
            waiting.sendall(b"a:1|c")
            listener.own = True
            listener.turn_away()
            self.assertRaises(ConnectionRefusedError, late.connect, self.short)
            accepted, _ = listener.sockets[0][0].accept()
            with accepted:
                self.assertEqual(b"a:1|c", accepted.recv(16))
        self.assertRaises(BlockingIOError, listener.sockets[0][0].accept)

    def test_datagrams_go_on(self) -> None:
        """Who sends datagrams is not turned away: there is no queue that a client believes to be served."""
        listener = self.listener("unixgram", 1)
        listener.turn_away()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"a:1|c", self.short)
        self.assertEqual(b"a:1|c", listener.sockets[0][0].recv(16))

    def test_end(self) -> None:
        """At the end the file is gone, and nothing is said to be wrong if it was already."""
        listener = self.listener("unix", 2)
        listener.close()
        self.assertFalse(self.path.exists())
        listener.close()

    def test_usual_receive_buffer(self) -> None:
        """Without a wish a UDP socket asks for 4 MiB, as the doctor believes, and gets what anybody may have."""
        self.assertEqual(memory.UDP_BUFFER, UDP_BUFFER)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            usual = other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
            allowed = other.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        listener = bind_listener(parse_listen("udp:0:interface=127.0.0.1"), 2)
        self.addCleanup(listener.close)
        for (one,) in listener.sockets:
            self.assertEqual(max(usual, allowed), one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

    def test_receive_buffer(self) -> None:
        """A UDP socket gets the receive buffer that was asked for, as far as the kernel allows."""
        listener = bind_listener(parse_listen("udp:0:interface=127.0.0.1:rcvbuf=100000"), 1)
        self.addCleanup(listener.close)
        self.assertEqual(200000, listener.sockets[0][0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
