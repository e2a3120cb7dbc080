"""``statscounter files``: what it writes, and what it leaves as it is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.usage import EX_USAGE
from statsd_tcp.files.shipped import shipped
from tests.unit.commands.test_main import run

RULES = "prometheus/rules.yml"


class FilesTests(SynchronousTestCase):
    """The command, with a folder to write to."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_writes_all(self) -> None:
        """Every file is written as it is shipped, below a folder that is made, with a line for each."""
        out = self.folder / "a" / "b"
        status, said, errors = run("files", "--out", str(out))
        self.assertEqual((0, ""), (status, errors))
        texts = shipped()
        self.assertIn(RULES, texts)
        self.assertEqual([f"{out / name}: written" for name in texts], said.splitlines())
        self.assertEqual(texts, {str(path.relative_to(out)): path.read_text() for path in out.rglob("*.*")})

    def test_again(self) -> None:
        """Files that are as they would be written are left, and said to be."""
        run("files", "--out", str(self.folder))
        before = (self.folder / RULES).stat()
        status, said, _ = run("files", "--out", str(self.folder))
        self.assertEqual([0, before], [status, (self.folder / RULES).stat()])
        self.assertEqual({"as it was"}, {line.rpartition(": ")[2] for line in said.splitlines()})

    def test_different_file(self) -> None:
        """A file that is different is named, and nothing is written, unless --force is given."""
        (self.folder / "prometheus").mkdir()
        (self.folder / RULES).write_text("groups: []\n")
        status, said, errors = run("files", "--out", str(self.folder))
        self.assertEqual((1, ""), (status, said))
        words = "a different file is there; --force replaces it"
        self.assertEqual(f"statscounter files: {self.folder / RULES}: {words}\n", errors)
        self.assertEqual([self.folder / RULES], [path for path in self.folder.rglob("*") if path.is_file()])
        self.assertEqual(0, run("files", "--out", str(self.folder), "--force")[0])
        self.assertEqual(shipped()[RULES], (self.folder / RULES).read_text())

    def test_window(self) -> None:
        """--window is the one window of the rules."""
        run("files", "--out", str(self.folder), "--window", "2w")
        text = (self.folder / RULES).read_text()
        self.assertNotIn("30d", text)
        self.assertIn("last_over_time(statscounter_connections_total[2w])", text)

    def test_folder_that_cannot_be(self) -> None:
        """A folder that cannot be made, or read, is one line and status 1."""
        (self.folder / "file").touch()
        status, said, errors = run("files", "--out", str(self.folder / "file"))
        self.assertEqual((1, ""), (status, said))
        self.assertRegex(errors, r"\Astatscounter files: .*/file.*: Not a directory\n\Z")

    def test_wrong_command_lines(self) -> None:
        """A window that is no time, an address that is none, and a missing folder are one line and status 64."""
        windows = [["--window", time] for time in ("0d", "30 d", "2h", "101y")]
        for words in (*windows, ["--docs", "a b"], ["--docs", '"'], []):
            out = ["--out", str(self.folder)] if words else []
            status, _, errors = run("files", *out, *words)
            self.assertEqual((EX_USAGE, 1), (status, errors.count("\n")), words)
        self.assertEqual([], list(self.folder.iterdir()))
