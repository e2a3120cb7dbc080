"""The options of ``twistd statscounter``: what is taken, and how the process ends when it is wrong."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import __version__
from statsd_tcp.reload.rehearsal import VARIABLE
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.options import OPTIONS
from statsd_tcp.settings.scalars import YES
from statsd_tcp.tap import Options, makeService


class OptionsTests(SynchronousTestCase):
    """Command lines."""

    def parse(self, *arguments: str) -> Options:
        """Parse a command line."""
        options = Options()
        options.parseOptions(list(arguments))
        return options

    def failure(self, *arguments: str) -> str:
        """Return the line with which a command line is refused."""
        error = self.assertRaises(SystemExit, self.parse, *arguments)
        # A text as exit code is printed on standard error, and the status is 1.
        self.assertIsInstance(error.code, str)
        self.assertNotIn("\n", str(error.code))
        return str(error.code)

    def printed(self, *arguments: str) -> str:
        """Return what a command line that ends well prints."""
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        error = self.assertRaises(SystemExit, self.parse, *arguments)
        self.assertIn(error.code, (0, None))
        return output.getvalue()

    def test_nothing_given(self) -> None:
        """Without options the defaults hold."""
        self.assertEqual({}, self.parse().given)
        self.assertEqual(5.0, self.parse().settings().drain_timeout)

    def test_repeated(self) -> None:
        """A repeatable option collects its values, by whichever name."""
        settings = self.parse("-l", "tcp:1", "--listen", "udp:2", "--listen=tcp:3").settings()
        self.assertEqual((Endpoint("tcp", 1), Endpoint("udp", 2), Endpoint("tcp", 3)), settings.listen)

    def test_aliases(self) -> None:
        """The short names do the same as the long ones."""
        self.assertEqual(3, self.parse("-w", "3").settings().workers)
        self.assertEqual(3, self.parse("-w3").settings().workers)

    def test_empty(self) -> None:
        """An empty value switches an option off."""
        settings = self.parse("--count=", "--http=").settings()
        self.assertEqual(((), None), (settings.count, settings.http))

    def test_every_option(self) -> None:
        """Every option of the table is taken under its name."""
        for option in OPTIONS:
            words = [f"--{option.name}"] if option.flag else [f"--{option.name}", "x"]
            self.assertEqual({option.name: [YES if option.flag else "x"]}, self.parse(*words).given)

    def test_flags(self) -> None:
        """A flag stands alone, and can be taken back; whichever comes last counts."""
        self.assertEqual(
            [False, True, False, True],
            [
                self.parse(*words).settings().pin
                for words in ((), ("--pin",), ("--pin", "--no-pin"), ("--no-pin", "--pin"))
            ],
        )
        self.assertIn("--pin must not have an argument", self.failure("--pin=1"))

    def test_config(self) -> None:
        """A file's values count where the command line says nothing."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "x.toml"
            file.write_text("workers = 2\nidle-timeout = 9\n")
            settings = self.parse("--config", str(file), "-w", "3").settings()
        self.assertEqual((3, 9.0), (settings.workers, settings.idle_timeout))

    def test_help(self) -> None:
        """The help names every option with its explanation, and ends well."""
        text = " ".join(self.printed("--help").split())
        for option in OPTIONS:
            self.assertIn(f"--{option.name} " if option.flag else f"--{option.name}=", text)
        self.assertIn("-l, --listen=", text)
        self.assertIn("default: tcp:8125 and udp:8125", text)

    def test_version(self) -> None:
        """The version is our own."""
        self.assertEqual(f"statscounter {__version__}\n", self.printed("--version"))

    def test_unknown(self) -> None:
        """What there is not is refused with one line."""
        remedy = "; twistd statscounter --help lists the options"
        self.assertEqual(f"statscounter: option --frobnicate not recognized{remedy}", self.failure("--frobnicate"))
        self.assertEqual(f"statscounter: option -x not recognized{remedy}", self.failure("-x"))
        self.assertEqual(f"statscounter: option --listen requires argument{remedy}", self.failure("--listen"))
        self.assertTrue(self.failure("stray").endswith(remedy))

    def test_wrong_values(self) -> None:
        """What is wrong in the values ends the process with the line of the settings."""
        options = self.parse("-w", "0")
        error = self.assertRaises(SystemExit, makeService, options)
        self.assertEqual("statscounter: --workers: '0' is not a whole number from 1 to 256", error.code)

    def test_a_log_that_a_reload_could_not_open(self) -> None:
        """The check of a reload refuses a log file that the next image could not open: there is no way back then."""
        options = self.parse("--listen=tcp:0")
        options.parent = usage.Options()
        options.parent.update({"logfile": "/nowhere/x.log", "nodaemon": 1})
        os.environ[VARIABLE] = "nothing"
        self.addCleanup(os.environ.pop, VARIABLE, "")
        text = str(self.assertRaises(SystemExit, makeService, options, object()).code)
        self.assertTrue(text.startswith("statscounter: --logfile=/nowhere/x.log: user "), text)
        self.assertIn("(No such file or directory)", text)
