"""How a worker is started: its command, its environment, its descriptors, its first message; and adopted."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Mapping, Sequence

from statsd_tcp.children import Received
from statsd_tcp.ledger import folder as ledger_folder
from statsd_tcp.ledger.file import lock_ledger
from statsd_tcp.supervisor.launcher import Launcher, LaunchError, command
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.worker_process import WorkerProcess
from statsd_tcp.who.limit_board import LimitBoard
from statsd_tcp.who.limit_memory import LimitPlan
from statsd_tcp.who.limits import SourceLimits
from statsd_tcp.who.memory import SourceBoard, SourcePlan
from statsd_tcp.workers.channel import CHANNEL_DESCRIPTOR, FIRST_SOCKET, LEDGER_DESCRIPTOR, Boot, Gathered
from tests.unit.descriptors import open_here
from tests.unit.supervisor.fakes import LISTENERS, FakeChild, WorkersTestCase, heard


class Unheard:
    """Hears of a process what no test here is about."""

    def accepts(self, process: WorkerProcess) -> None:
        """Do nothing."""

    def gathered(self, process: WorkerProcess, message: Gathered) -> None:
        """Do nothing."""

    def over(self, process: WorkerProcess) -> None:
        """Do nothing."""


class LauncherTestCase(WorkersTestCase):
    """A test with a launcher for the slot number 4."""

    def setUp(self) -> None:
        """Make it, with one socket."""
        super().setUp()
        self.socket = socket.socket()
        self.addCleanup(self.socket.close)
        self.launcher = Launcher(
            self.reactor,
            self.children,
            4,
            [self.socket],
            LISTENERS,
            lambda path: Boot(path, (), 10, 60.0),
            self.ledger_folder,
        )

    def start(self) -> FakeChild:
        """Start a worker, and give its process."""
        self.launcher.start(Unheard())
        return self.children.started[-1]


class StartTests(LauncherTestCase):
    """A worker is started."""

    def test_command(self) -> None:
        """The worker runs under our interpreter, imports nothing from the current folder, and shows its number."""
        self.assertEqual([sys.executable, "-P", "-m", "statsd_tcp.workers", "4"], command(4))
        self.assertEqual(command(4), self.start().command)

    def test_own_environment(self) -> None:
        """The worker has our environment."""
        self.patch(os, "environ", {"A": "b"})
        self.assertEqual("b", self.start().environ["A"])

    def test_descriptors(self) -> None:
        """Channel, ledger and sockets are where the worker expects them, and nothing else is given."""
        given = self.start().descriptors
        self.assertEqual({CHANNEL_DESCRIPTOR, LEDGER_DESCRIPTOR, FIRST_SOCKET}, set(given))
        self.assertEqual(self.socket.fileno(), given[FIRST_SOCKET])

    def test_boot(self) -> None:
        """A new worker has a ledger of its own, and is told the rest."""
        self.start()
        (ledger,) = self.ledger_folder.ledgers.values()
        self.assertEqual(4, ledger.worker)
        self.assertEqual([Boot(str(ledger.path), (), 10, 60.0)], heard(self.reactor.channels[0]))

    def test_the_lock_is_the_worker_s(self) -> None:
        """While the process is made the ledger is locked; our own copy of the lock is closed then."""
        seen: list[bool] = []
        start = self.children.start

        def watch(
            argv: Sequence[str],
            environ: Mapping[str, str],
            pipes: Mapping[int, Received],
            descriptors: Mapping[int, int],
        ) -> FakeChild:
            (ledger,) = self.ledger_folder.ledgers.values()
            self.assertRaises(BlockingIOError, lock_ledger, ledger.path)
            inherited = os.fstat(descriptors[LEDGER_DESCRIPTOR])
            seen.append(os.path.samestat(inherited, ledger.path.stat()))
            return start(argv, environ, pipes, descriptors)

        self.patch(self.children, "start", watch)
        self.launcher.start(Unheard())
        self.assertEqual([True], seen)
        (ledger,) = self.ledger_folder.ledgers.values()
        os.close(lock_ledger(ledger.path))

    def test_nothing_stays_open(self) -> None:
        """Of all that a worker is given nothing stays open here but the ledger's map."""
        self.start()
        before = open_here()
        self.start()
        self.assertLessEqual(len(open_here() - before), 1)

    def test_what_it_prints(self) -> None:
        """What a worker prints is logged with its number, line by line, from each output for itself."""
        worker = self.start()
        worker.say(b"half a ", pipe=1)
        worker.say(b"Traceback {braces}\n", pipe=2)
        worker.say(b"line\n", pipe=1)
        self.assertEqual(["worker 4: Traceback {braces}", "worker 4: half a line"], self.logged)


class SourcesTests(LauncherTestCase):
    """A worker that counts sources."""

    def setUp(self) -> None:
        """Have them counted."""
        super().setUp()
        self.board = SourceBoard(SourcePlan.by_chance()._replace(sets=1))
        self.launcher = Launcher(
            self.reactor,
            self.children,
            4,
            [self.socket, self.socket],
            LISTENERS,
            lambda path: Boot(path, (), 10, 60.0),
            self.ledger_folder,
            self.board,
        )
        self.addCleanup(self.forget)

    def forget(self) -> None:
        """Let go of the memory."""
        for memory in list(self.board.living):
            self.board.end(memory)
        for memory in list(self.board.ended):
            self.board.forget(memory)

    def test_memory(self) -> None:
        """The worker gets its memory after its sockets, and is told where."""
        child = self.start()
        (memory,) = self.board.living
        (boot,) = heard(self.reactor.channels[0])
        assert isinstance(boot, Boot)
        self.assertEqual(FIRST_SOCKET + 2, boot.sources)
        self.assertEqual(memory.descriptor, child.descriptors[boot.sources])

    def test_ended(self) -> None:
        """Of a worker that is gone the memory is kept until it was read."""
        process = self.launcher.start(Unheard())
        (memory,) = self.board.living
        self.assertIs(memory, process.sources)
        self.launcher.ended(process)
        self.assertEqual(([], [memory]), (self.board.living, self.board.ended))

    def test_no_process(self) -> None:
        """Without a process its memory is given up."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.assertRaises(LaunchError, self.launcher.start, Unheard())
        self.assertEqual(([], 1), (self.board.living, len(self.board.ended)))


class LimitsTests(LauncherTestCase):
    """A worker that limits sources."""

    def setUp(self) -> None:
        """Have room for two of them."""
        super().setUp()
        keys = tuple(range(7))
        self.limits = LimitBoard(LimitPlan(keys, columns=2, most_open=1, sets=8))
        self.addCleanup(self.limits.memory.close)
        common = (self.reactor, self.children, 4, [self.socket], LISTENERS)
        boot = lambda path: Boot(path, (), 10, 60.0)  # noqa: E731
        self.launcher = Launcher(*common, boot, self.ledger_folder, limits=self.limits)

    def boots(self) -> list[tuple[int, int]]:
        """Return what each worker was told: the descriptor of the memory, and its column."""
        told = [message for channel in self.reactor.channels for message in heard(channel)]
        return [(boot.limits, boot.column) for boot in told if isinstance(boot, Boot)]

    def test_columns(self) -> None:
        """Each worker that lives has a column of its own; that of one that has ended is empty when the next has it."""
        first, second = (self.launcher.start(Unheard()) for _ in range(2))
        self.assertEqual(self.limits.descriptor, self.children.started[-1].descriptors[FIRST_SOCKET + 2])
        held = SourceLimits(self.limits.memory, 0)
        self.assertEqual([True, False], [held.hold(bytes(16), 0)[0] for _ in range(2)])
        self.launcher.ended(first)
        self.launcher.start(Unheard())
        self.assertEqual([(FIRST_SOCKET + 2, 0), (FIRST_SOCKET + 2, 1), (FIRST_SOCKET + 2, 0)], self.boots())
        self.assertTrue(SourceLimits(self.limits.memory, 1).hold(bytes(16), 0)[0])
        self.launcher.ended(second)
        self.launcher.ended(second)

    def test_no_column(self) -> None:
        """A worker that is started while too many others have not gone limits nothing, which is logged."""
        for _ in range(3):
            self.launcher.start(Unheard())
        self.assertEqual((0, 0), self.boots()[-1])
        self.assertEqual(["worker 4 does not limit sources: too many old workers still run"], self.logged)

    def test_no_process(self) -> None:
        """A column is free again if there is no process for it."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        for _ in range(3):
            self.assertRaises(LaunchError, self.launcher.start, Unheard())
        self.children.error = None
        self.launcher.start(Unheard())
        self.assertEqual([(FIRST_SOCKET + 2, 0)], self.boots()[-1:])


class UnableTests(LauncherTestCase):
    """No worker can be started."""

    def assert_unable(self, words: str) -> None:
        """Check that it is an error with these words, and that nothing stays open."""
        before = open_here()
        error = self.assertRaises(LaunchError, self.launcher.start, Unheard())
        self.assertIn(words, str(error))
        # The ledger's map is closed when it is folded.
        self.assertLessEqual(len(open_here() - before), len(self.ledger_folder.ledgers))

    def test_no_ledger(self) -> None:
        """Without a ledger, as on a full disk, there is no worker."""

        def full(*arguments: object, **keywords: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(ledger_folder, "create_ledger", full)
        self.assert_unable("its ledger cannot be made: No space left on device")

    def test_no_process(self) -> None:
        """Without a process the ledger that was made for it is folded."""
        self.children.error = OSError(errno.EAGAIN, "no more processes")
        self.assert_unable("its process cannot be made: no more processes")
        self.assertEqual([True], [ledger.retired for ledger in self.ledger_folder.ledgers.values()])

    def test_no_channel(self) -> None:
        """A process that was made but cannot be spoken to is killed, and its ledger folded."""
        self.reactor.adoption_error = OSError(errno.EMFILE, "too many")
        self.assert_unable("its process cannot be made: too many")
        (worker,) = self.children.started
        self.assertEqual(1, worker.kills)
        self.assertEqual([True], [ledger.retired for ledger in self.ledger_folder.ledgers.values()])
        worker.end(None, 9)


class AdoptTests(LauncherTestCase):
    """A worker of an earlier image."""

    def test_adopted(self) -> None:
        """It is heard over what was left, and accepts; our own copy of the channel is closed."""
        ledger, lock = self.ledger_folder.make(4, LISTENERS)
        os.close(lock)
        channel = os.dup(self.socket.fileno())
        inherited = InheritedWorker(4, 77, ledger.ledger_id, channel, b"\0\0", [], leaving=False)
        process = self.launcher.adopt(inherited, ledger, Unheard())
        self.assertRaises(OSError, os.fstat, channel)
        self.assertEqual((77, 0.0), (process.child.pid, process.ready_at))
        self.assertEqual(b"\0\0", process.channel.unread())
