"""How a worker is started: its command, its environment, its descriptors."""

from __future__ import annotations

import os
import sys

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.supervisor.worker_process import command, start_worker
from statsd_tcp.workers.channel import CHANNEL_DESCRIPTOR, FIRST_SOCKET, LEDGER_DESCRIPTOR
from tests.unit.supervisor.fakes import FakeChild, FakeChildren


class StartTests(SynchronousTestCase):
    """Starting a worker."""

    def start(self, *sockets: int) -> FakeChild:
        """Start one."""
        children, self.lines = FakeChildren(), list[str]()
        start_worker(children, 7, 50, 51, sockets, self.lines.append)
        return children.started[0]

    def test_command(self) -> None:
        """The worker runs under our interpreter, imports nothing from the current folder, and shows its number."""
        self.assertEqual([sys.executable, "-P", "-m", "statsd_tcp.workers.process", "7"], command(7))
        self.assertEqual(command(7), self.start().command)

    def test_descriptors(self) -> None:
        """Channel, ledger and sockets are where the worker expects them."""
        expected = {CHANNEL_DESCRIPTOR: 50, LEDGER_DESCRIPTOR: 51, FIRST_SOCKET: 52, FIRST_SOCKET + 1: 60}
        self.assertEqual(expected, self.start(52, 60).descriptors)

    def test_own_environment(self) -> None:
        """The worker has our environment."""
        self.patch(os, "environ", {"A": "b"})
        self.assertEqual("b", self.start().environ["A"])

    def test_output(self) -> None:
        """Both outputs are read, line by line, each for itself."""
        worker = self.start()
        worker.say(b"half a ", pipe=1)
        worker.say(b"other\n", pipe=2)
        worker.say(b"line\n", pipe=1)
        self.assertEqual(["other", "half a line"], self.lines)
