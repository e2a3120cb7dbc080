"""How a worker is started: command, environment, descriptors; and what it prints."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from twisted.internet.error import ProcessDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import statsd_tcp
from statsd_tcp.children import Ending, WorkerExit, environment
from statsd_tcp.supervisor.incarnation import command, spawn
from statsd_tcp.workers.channel import CHANNEL_DESCRIPTOR, FIRST_SOCKET, LEDGER_DESCRIPTOR
from tests.unit.descriptors import open_here
from tests.unit.supervisor.fakes import FakeReactor

HOME = str(Path(statsd_tcp.__file__).parent.parent)


class SpawnTests(SynchronousTestCase):
    """Starting a worker."""

    def test_command(self) -> None:
        """The worker runs under our interpreter, imports nothing from the current folder, and shows its number."""
        self.assertEqual([sys.executable, "-P", "-m", "statsd_tcp.workers.process", "7"], command(7))

    def test_environment(self) -> None:
        """The worker finds the package where its supervisor did, and what the operator has set."""
        self.assertEqual({"A": "b", "PYTHONPATH": HOME}, environment({"A": "b"}))
        self.assertEqual(f"{HOME}:/x", environment({"PYTHONPATH": "/x"})["PYTHONPATH"])

    def test_installed(self) -> None:
        """An installed package is found without help."""
        self.patch(sysconfig, "get_path", lambda name: HOME)
        self.assertEqual({"A": "b"}, environment({"A": "b"}))

    def test_the_operator_s_environment_is_left_alone(self) -> None:
        """What was inherited isn't changed."""
        inherited = {"PYTHONPATH": "/x"}
        environment(inherited)
        self.assertEqual({"PYTHONPATH": "/x"}, inherited)

    def test_descriptors(self) -> None:
        """Channel, ledger and sockets are where the worker expects them; its input is empty, its output is read."""
        reactor = FakeReactor()
        open_before = open_here()
        spawn(reactor, WorkerExit(print, print), 0, 50, 51, [52, 60])
        self.assertEqual(open_before, open_here())
        inherited = reactor.processes[0].arguments["childFDs"]
        self.assertEqual((50, 51), (inherited[CHANNEL_DESCRIPTOR], inherited[LEDGER_DESCRIPTOR]))
        self.assertEqual((52, 60), (inherited[FIRST_SOCKET], inherited[FIRST_SOCKET + 1]))
        self.assertEqual(("r", "r"), (inherited[1], inherited[2]))
        self.assertEqual(FIRST_SOCKET + 2, len(inherited))
        self.assertIsInstance(inherited[0], int)

    def test_own_environment(self) -> None:
        """The environment is passed on: by default a child of ours would have none."""
        reactor = FakeReactor()
        self.patch(os, "environ", {"A": "b"})
        spawn(reactor, WorkerExit(print, print), 0, 50, 51, [])
        self.assertEqual("b", reactor.processes[0].arguments["env"]["A"])

    def test_nothing_stays_open(self) -> None:
        """When the process can't be made, nothing stays open."""
        reactor = FakeReactor()
        reactor.spawn_error = OSError("no")
        open_before = open_here()
        self.assertRaises(OSError, spawn, reactor, WorkerExit(print, print), 0, 50, 51, [])
        self.assertEqual(open_before, open_here())


class WorkerExitTests(SynchronousTestCase):
    """What the operating system tells."""

    def setUp(self) -> None:
        """Note what is passed on."""
        self.lines: list[str] = []
        self.endings: list[Ending] = []
        self.protocol = WorkerExit(self.lines.append, self.endings.append)

    def test_lines(self) -> None:
        """Output is passed on line by line, however it comes."""
        for piece in (b"one\ntw", b"o", b"\n\xff\n"):
            self.protocol.childDataReceived(2, piece)
        self.assertEqual(["one", "two", "\N{REPLACEMENT CHARACTER}"], self.lines)

    def test_last_words(self) -> None:
        """An unfinished line is passed on before the end is told."""
        self.protocol.childDataReceived(2, b"one\nlast words")
        self.protocol.processEnded(Failure(ProcessDone(0)))
        self.assertEqual((["one", "last words"], [Ending(status=0)]), (self.lines, self.endings))
