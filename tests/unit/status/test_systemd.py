"""What systemd is told, on a socket of the test's own."""

from __future__ import annotations

import array
import os
import shutil
import socket
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.status.systemd import Notifier
from tests.short import make_short_folder


class NotifierTests(SynchronousTestCase):
    """A notifier with a socket that listens."""

    def setUp(self) -> None:
        """Listen as systemd does."""
        folder = make_short_folder()
        self.addCleanup(shutil.rmtree, folder)
        self.path = str(folder / "notify")
        self.listen()

    def listen(self) -> None:
        """Make the socket."""
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.systemd.close)
        self.systemd.bind(self.path)
        self.systemd.setblocking(False)

    def notifier(self, **environ: str) -> Notifier:
        """Make a notifier for this process."""
        return Notifier({"NOTIFY_SOCKET": self.path, **environ}, os.getpid())

    def heard(self) -> list[str]:
        """Return the next message, line by line."""
        return self.systemd.recv(4096).decode().splitlines()

    def test_ready(self) -> None:
        """Readiness comes with the status and the main process."""
        self.notifier().ready("2 workers accept")
        self.assertEqual(["READY=1", "STATUS=2 workers accept", f"MAINPID={os.getpid()}"], self.heard())

    def test_reloading(self) -> None:
        """A reload is told with the time at which it began, as Type=notify-reload wants it."""
        self.notifier().reloading()
        first, second = self.heard()
        self.assertEqual("RELOADING=1", first)
        self.assertRegex(second, r"\AMONOTONIC_USEC=\d+\Z")

    def test_watchdog(self) -> None:
        """A sign of life is given only where one is waited for."""
        self.notifier(WATCHDOG_USEC="4000000").alive()
        self.assertEqual(["WATCHDOG=1"], self.heard())
        self.notifier().alive()
        self.notifier(WATCHDOG_USEC="4000000", WATCHDOG_PID="1").alive()
        self.assertRaises(BlockingIOError, self.heard)

    def test_period(self) -> None:
        """The period is half of what systemd would wait, in seconds."""
        self.assertEqual(2.0, self.notifier(WATCHDOG_USEC="4000000").watchdog)
        self.assertIsNone(self.notifier(WATCHDOG_USEC="x").watchdog)

    def test_keep(self) -> None:
        """Sockets are handed over, with their name."""
        one = socket.socket()
        self.addCleanup(one.close)
        self.notifier().keep("tcp_8125#0", [one.fileno()])
        data, ancillary, _, _ = self.systemd.recvmsg(4096, socket.CMSG_SPACE(64))
        ((_, kind, rights),) = ancillary
        got = array.array("i", rights[:4])[0]
        self.addCleanup(os.close, got)
        self.assertEqual(b"FDSTORE=1\nFDPOLL=0\nFDNAME=tcp_8125#0", data)
        self.assertEqual((socket.SCM_RIGHTS, True), (kind, os.path.sameopenfile(got, one.fileno())))

    def test_forget(self) -> None:
        """Sockets are to be kept no longer, by their name."""
        self.notifier().forget("tcp_8125#0")
        self.assertEqual(b"FDSTOREREMOVE=1\nFDNAME=tcp_8125#0", self.systemd.recv(4096))

    def test_nobody(self) -> None:
        """Without systemd nothing is sent, and nothing goes wrong."""
        notifier = Notifier({}, os.getpid())
        with capturedLogs() as logged:
            notifier.ready("x")
            notifier.keep("tcp_1#0", [0])
            notifier.stopping()
        self.assertEqual([], logged)

    def test_gone(self) -> None:
        """A systemd that does not listen costs a line in the log until it listens again, and no more."""
        notifier = self.notifier(WATCHDOG_USEC="4000000")
        with capturedLogs() as logged:
            self.go_away(notifier)
            self.listen()
            notifier.alive()
            self.go_away(notifier)
        self.assertEqual(["systemd cannot be told: {error}"] * 2, [event["log_format"] for event in logged])

    def go_away(self, notifier: Notifier) -> None:
        """Listen no longer, while some signs of life are given."""
        self.systemd.close()
        Path(self.path).unlink()
        for _ in range(3):
            notifier.alive()
