"""``statscounter check``: what is at fault in options and the files that they name."""

from __future__ import annotations

import contextlib
import io
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.main import main
from statsd_tcp.settings.options import OPTIONS
from tests.certificates import Authority

FILES = (
    ("workers = = 2", ["not valid TOML: Invalid value (at line 1, column 11)"]),
    ("workers = 2\ncolour", ["not valid TOML: Expected '=' after a key in a key/value pair (at end of document)"]),
    (
        'colour = "red"\nworkers = 0\nidle-timeout = true',
        ["unknown option 'colour'", "idle-timeout: true", "workers: '0'"],
    ),
    ('listen = ["tcp:x", "ftp:1"]', ["listen tcp:x: 'x' is not a port", "listen ftp:1: 'ftp' is not one of"]),
    (
        'histogram = ["a"]\npercentiles = [0]',
        ["percentiles: '0' is not a percentile", "histogram: 'a' is not of the form"],
    ),
    ('graphite = "tcp:h:2003:prefix=p"', ["graphite: prefix= is for namespace=new only"]),
    ('listen = ["tcp:1", "tcp:1"]', ["listen/count: tcp:1 is given twice"]),
    ("listen = []\ncount = []", ["listen/count: both are empty"]),
    ('listen = "ssl:1:privateKey=/nowhere"', ["listen ssl:1: privateKey=/nowhere cannot be read: No such file"]),
    ('listen = ["ssl:1:privateKey=a/key.pem:certKey=b/key.pem"]', ["listen ssl:1: privateKey and certKey="]),
    ('mapping = "m.yml"', ["mapping: m.yml:2: "]),
    ('output = "nowhere"', ["output nowhere: no installed package has such an output"]),
)
"""The text of a file, and how each line about it begins behind the file's name."""


class CheckTests(SynchronousTestCase):
    """The command, in a folder with a few files."""

    def setUp(self) -> None:
        """Make the folder, and go there."""
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)

    def check(self, *arguments: str, file: str | None = None) -> tuple[int, str, list[str]]:
        """Return the status, what was printed, and the lines on standard error."""
        if file is not None:
            Path("x.toml").write_text(file)
            arguments = ("--config", "x.toml", *arguments)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["check", *arguments])
        return status, out.getvalue(), err.getvalue().splitlines()

    def make_files(self) -> None:
        """Write keys that do not fit together, and a mapping file that is wrong."""
        for name in "ab":
            Path(name).mkdir()
            Authority(Path(name)).issue("key")
        Path("m.yml").write_text("mappings:\n- match: a.[\n  name: b\n")

    def test_faults(self) -> None:
        """Each fault has a line that names the file, the option or line, and the cause; the status is 1."""
        self.make_files()
        for text, beginnings in FILES:
            status, printed, lines = self.check(file=text)
            self.assertEqual((1, "", len(beginnings)), (status, printed, len(lines)), lines)
            for line, beginning in zip(lines, beginnings, strict=True):
                self.assertTrue(line.startswith(f"x.toml: {beginning}"), line)

    def test_good(self) -> None:
        """Of good options the sum is printed, by which one sees that they are those that were meant."""
        Path("m.yml").write_text("mappings:\n- match: a.*\n  name: b\n")
        text = 'listen = "tcp:1"\ncount = []\ngraphite = "tcp:h:1"\nconsole = "json"\n'
        text += 'repeat = "udp:h:1"\nmapping = "m.yml"'
        self.assertEqual(
            (0, "x.toml is good: 1 listener, 2 outputs, 1 repeater, 1 mapping rule\n", []), self.check(file=text)
        )
        self.assertEqual((0, "the command line is good: 3 listeners, 0 outputs\n", []), self.check())

    def test_the_command_line_wins(self) -> None:
        """Options are those of the service: what the command line says is checked in the place of the file's."""
        text = "workers = 0\nidle-timeout = 5\n"
        self.assertEqual(0, self.check("-w2", file=text)[0])
        status, _, [line] = self.check("-w", "2", "--percentiles", "-10,x", file=text)
        self.assertEqual((1, "--percentiles: 'x' is"), (status, line[:21]))
        self.assertEqual(1, self.check("--mapping=/nowhere.yml", file="")[0])

    def test_milliseconds(self) -> None:
        """A time that looks like milliseconds is a warning with its place, and no fault."""
        words = "10,000 seconds, 2 h 47 min: times here are in seconds, etsy's in milliseconds"
        status, _, lines = self.check(file="flush-interval = 10000")
        self.assertEqual((0, [f"warning: x.toml: flush-interval: {words}"]), (status, lines))
        self.assertEqual([f"warning: --flush-interval: {words}"], self.check("--flush-interval=10000", file="")[2])

    def test_nothing_is_touched(self) -> None:
        """A port in use and a state folder that is not there do not matter, and nothing is made."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            text = f'listen = ["tcp:{taken.getsockname()[1]}:interface=127.0.0.1", "unix:s"]\nstate-dir = "state"'
            self.assertEqual(0, self.check(file=text)[0])
        self.assertEqual(["x.toml"], [path.name for path in self.folder.iterdir()])

    def test_wrong_command_lines(self) -> None:
        """What is no option has status 64, as with every command."""
        for arguments in (("--colour=red",), ("stray",), ("--listen",)):
            status, printed, lines = self.check(*arguments)
            self.assertEqual((64, "", 1), (status, printed, len(lines)))
            self.assertTrue(lines[0].startswith("statscounter check: "), lines)

    def test_help(self) -> None:
        """The help names every option of the service and the meaning of the status."""
        status, printed, _ = self.check("--help")
        self.assertEqual(0, status)
        self.assertEqual([], [option.name for option in OPTIONS if f"--{option.name}" not in printed])
        self.assertIn("Exit status: 0 good, 1 at fault", " ".join(printed.split()))
