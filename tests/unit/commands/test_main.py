"""The console command: finding subcommands, and what wrong command lines get."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from types import SimpleNamespace
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import __version__
from statsd_tcp.commands import main as main_module
from statsd_tcp.commands.main import COMMANDS, EX_BROKEN_PIPE, main
from statsd_tcp.commands.usage import EX_INTERRUPTED


def run(*arguments: str) -> tuple[int, str, str]:
    """Run a command line; gives the exit status, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    return status, out.getvalue(), err.getvalue()


class MainTests(SynchronousTestCase):
    """The command line as a whole."""

    def test_version(self) -> None:
        """--version prints the version and succeeds."""
        self.assertEqual((0, f"statscounter {__version__}\n", ""), run("--version"))

    def test_interrupted(self) -> None:
        """Ctrl-C ends a command without a word, while it is imported as well as while it runs."""
        module = SimpleNamespace(add_arguments=lambda parser: None, run=mock.Mock(side_effect=KeyboardInterrupt))
        for imported in (mock.Mock(side_effect=KeyboardInterrupt), lambda name: module):
            self.patch(main_module, "import_module", imported)
            for name in COMMANDS:
                self.assertEqual((EX_INTERRUPTED, "", ""), run(name), name)

    def test_nobody_reads(self) -> None:
        """A pipe that is closed ends a command without a word, as it ends any program."""
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as closed:
            command = [sys.executable, "-m", "statsd_tcp.commands.main", "--help"]
            environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
            ended = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, env=environ, check=False)
        self.assertEqual((EX_BROKEN_PIPE, b""), (ended.returncode, ended.stderr))

    def test_help_names_every_command(self) -> None:
        """-h lists each command with its summary."""
        status, out, _ = run("-h")
        self.assertEqual(0, status)
        for name, command in COMMANDS.items():
            self.assertIn(name, out)
            self.assertIn(command.summary, out)

    def test_help_of_a_command(self) -> None:
        """A command's -h explains its options."""
        status, out, _ = run("load", "-h")
        self.assertEqual(0, status)
        self.assertIn("--verify URL", out)

    def test_wrong_command_lines(self) -> None:
        """A wrong command line ends with status 64 and one line that names what is wrong."""
        table: dict[tuple[str, ...], str] = {
            (): "COMMAND",
            ("lode",): "'lode'",
            ("--wrong",): "COMMAND",
            ("load", "--wrong"): "--wrong",
            ("load", "--rate", "fast"): "--rate: 'fast'",
            ("load", "--late", "3"): "--late:",
            ("load", "--target", "tcp:nowhere.invalid:1"): "--target: nowhere.invalid",
        }
        for arguments, words in table.items():
            status, out, err = run(*arguments)
            self.assertEqual((64, ""), (status, out), arguments)
            self.assertEqual(1, err.count("\n"), err)
            self.assertIn(words, err)
