"""The command line of the next image, for every way in which the service can have been started."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.reload.command_line import command_again

PYTHON = "/venv/bin/python"
FOLDER = Path("/here")

# How it was started (behind the interpreter), and how it is started again.
CASES = [
    ("/b/twistd -n statscounter -w 2", "/b/twistd --nodaemon --pidfile= statscounter -w 2"),
    ("bin/twistd -n statscounter", "/here/bin/twistd --nodaemon --pidfile= statscounter"),
    ("/b/twistd statscounter", "/b/twistd --logfile=twistd.log --nodaemon --pidfile= statscounter"),
    ("/b/twistd --pidfile=/r/x statscounter", "/b/twistd --logfile=twistd.log --nodaemon --pidfile= statscounter"),
    ("/b/twistd -l /v/log statscounter", "/b/twistd -l/v/log --nodaemon --pidfile= statscounter"),
    ("/b/twistd -n --uid=5 --gid 6 statscounter", "/b/twistd --nodaemon --pidfile= statscounter"),
    ("/b/twistd -n -d /run statscounter", "/b/twistd --nodaemon --pidfile= statscounter"),
    ("/b/twistd -ny etc/s.tac", "/b/twistd -yetc/s.tac --nodaemon --pidfile="),
    ("-X dev /b/twistd -n statscounter", "-X dev /b/twistd --nodaemon --pidfile= statscounter"),
    ("/b/twist statscounter -w 2", "/b/twist statscounter -w 2"),
    ("-m twisted statscounter", "-m twisted statscounter"),
]


class CommandAgainTests(SynchronousTestCase):
    """From one command line to the next."""

    def test_cases(self) -> None:
        """What is done already is not done again, and everything else is as it was."""
        for before, after in CASES:
            words = before.split()
            script = words.index("-m") + 1 if "-m" in words else next(i for i, w in enumerate(words) if "twist" in w)
            again = command_again([PYTHON, *words], words[script:], FOLDER)
            self.assertEqual(after.split(), again.arguments, before)

    def test_pid_file(self) -> None:
        """The file with the process number is known, so that it can be removed at the end."""
        words = ["/b/twistd", "--pidfile=/r/x", "statscounter"]
        self.assertEqual("/r/x", command_again([PYTHON, *words], words, FOLDER).pid_file)
        words[1] = "--pidfile="
        self.assertEqual("/r/x", command_again([PYTHON, *words], words, FOLDER, "/r/x").pid_file)
        self.assertEqual("", command_again([PYTHON, *words], words, FOLDER).pid_file)
