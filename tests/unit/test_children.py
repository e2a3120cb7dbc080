"""What children say, as it comes through a pipe, and the environment that they are given."""

from __future__ import annotations

import fcntl
import os
import sysconfig
from pathlib import Path

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import statsd_tcp
from statsd_tcp.children import LONGEST_LINE, Lines, Pipe, environment

HOME = str(Path(statsd_tcp.__file__).parent.parent)


class EnvironmentTests(SynchronousTestCase):
    """The environment of a child."""

    def test_environment(self) -> None:
        """The child finds the package where we did, and what the operator has set."""
        self.patch(sysconfig, "get_path", lambda name: "/elsewhere")
        self.assertEqual({"A": "b", "PYTHONPATH": HOME}, environment({"A": "b"}))
        self.assertEqual(f"{HOME}:/x", environment({"PYTHONPATH": "/x"})["PYTHONPATH"])
        self.assertEqual(environment({}), environment({"PYTHONHASHSEED": "0"}))

    def test_installed(self) -> None:
        """An installed package is found without help."""
        self.patch(sysconfig, "get_path", lambda name: HOME)
        self.assertEqual({"A": "b"}, environment({"A": "b"}))

    def test_the_operator_s_environment_is_left_alone(self) -> None:
        """What was inherited is not changed."""
        inherited = {"PYTHONPATH": "/x"}
        environment(inherited)
        self.assertEqual({"PYTHONPATH": "/x"}, inherited)


class LinesTests(SynchronousTestCase):
    """Pieces become lines."""

    def test_pieces(self) -> None:
        """A line is given when it is whole, however it comes, and the last one at the end."""
        for pieces, lines in (
            ([b"one\ntw", b"o", b"\n\xff\n", b""], ["one", "two", "\N{REPLACEMENT CHARACTER}"]),
            ([b"one\nlast words"], ["one"]),
            ([b"one\nlast words", b""], ["one", "last words"]),
            ([b""], []),
            ([b"\n", b""], [""]),
        ):
            seen: list[str] = []
            receive = Lines(seen.append)
            for piece in pieces:
                receive(piece)
            self.assertEqual(lines, seen)

    def test_endless_line(self) -> None:
        """What has no end is given in parts, and nothing of it is lost; the next line is whole again."""
        seen: list[str] = []
        receive = Lines(seen.append)
        piece = b"x" * 4096
        for _ in range(3 * LONGEST_LINE // len(piece)):
            receive(piece)
        self.assertEqual([LONGEST_LINE] * 3, [len(line) for line in seen])
        receive(b"the rest\nnext\n")
        self.assertEqual(["the rest", "next"], seen[3:])


class PipeTests(SynchronousTestCase):
    """A pipe with a test at its other end."""

    def setUp(self) -> None:
        """Open it."""
        self.reactor = MemoryReactor()
        self.received: list[bytes] = []
        reading, self.writing = os.pipe()
        self.pipe = Pipe(self.reactor, reading, self.received.append)
        self.addCleanup(self.pipe.finish)

    def test_end(self) -> None:
        """What comes is given on, and the end as well; then the pipe is closed."""
        os.write(self.writing, b"one")
        self.pipe.doRead()
        self.assertEqual([b"one"], self.received)
        os.close(self.writing)
        self.pipe.doRead()
        self.assertEqual([b"one", b""], self.received)
        self.assertEqual((-1, []), (self.pipe.fileno(), self.reactor.getReaders()))

    def test_nothing_yet(self) -> None:
        """Being called without need does no harm."""
        self.pipe.doRead()
        self.assertEqual([], self.received)
        os.close(self.writing)

    def test_finished(self) -> None:
        """When the process has ended its last words are read, and nothing that another process may write after them."""
        os.write(self.writing, b"last words")
        self.pipe.finish()
        self.assertEqual(([b"last words", b""], -1), (self.received, self.pipe.fileno()))
        self.assertRaises(BrokenPipeError, os.write, self.writing, b"more")
        os.close(self.writing)

    def test_endless_writer(self) -> None:
        """Another process that goes on to write when the process has ended does not hold us up."""
        size = fcntl.fcntl(self.writing, fcntl.F_GETPIPE_SZ)
        os.set_blocking(self.writing, False)
        heard = 0

        def receive(data: bytes) -> None:
            nonlocal heard
            heard += len(data)
            # A test that would never end shall fail.
            assert heard <= 4 * size
            if data:
                os.write(self.writing, data)

        self.pipe = Pipe(self.reactor, os.dup(self.pipe.fileno()), receive)
        os.write(self.writing, b"x" * size)
        self.pipe.finish()
        self.assertEqual((size, -1), (heard, self.pipe.fileno()))
        os.close(self.writing)

    def test_dropped(self) -> None:
        """When the reactor finds the other end closed and drops the pipe, its descriptor is closed."""
        reading = self.pipe.fileno()
        os.close(self.writing)
        self.pipe.connectionLost(Failure(ConnectionDone()))
        self.assertRaises(OSError, os.fstat, reading)
