"""Lines that are left out of a journal are kept in files, up to a limit."""

from __future__ import annotations

import errno
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commit import kept
from statsd_tcp.commit.kept import keep


class KeptTests(SynchronousTestCase):
    """A folder for them."""

    def setUp(self) -> None:
        """Make it."""
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_kept(self) -> None:
        """The lines are in a file of that name, which only its owner reads; the same again is the same file."""
        for _ in range(2):
            path, why_not = keep(self.folder, "a.8", b"x:1|c\n")
        self.assertEqual((str(self.folder / "a.8.skipped"), ""), (path, why_not))
        self.assertEqual((b"x:1|c\n", 0o600), (Path(path).read_bytes(), Path(path).stat().st_mode & 0o777))
        self.assertEqual(1, len(list(self.folder.iterdir())))

    def test_too_many(self) -> None:
        """Beyond a number of files or bytes nothing is kept, and it is said."""
        self.patch(kept, "MOST_KEPT", 2)
        for name in ("a", "b"):
            keep(self.folder, name, b"x")
        self.assertEqual(("", "there are 2 such files already"), keep(self.folder, "c", b"x"))
        self.assertNotEqual("", keep(self.folder, "b", b"x")[0])
        self.patch(kept, "MOST_KEPT", 9)
        self.patch(kept, "MOST_KEPT_BYTES", 3)
        self.assertEqual("", keep(self.folder, "c", b"xy")[0])

    def test_not_possible(self) -> None:
        """A full disk is for the caller to wait for; without any other file the lines are nowhere, and it is said."""

        def fail(path: Path, lines: bytes) -> None:
            raise OSError(number, "no")

        self.patch(kept, "_write", fail)
        number = errno.EACCES
        self.assertEqual(("", "no"), keep(self.folder, "c", b"x"))
        number = errno.ENOSPC
        self.assertRaises(OSError, keep, self.folder, "c", b"x")
