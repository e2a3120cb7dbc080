"""The user that root becomes after the start."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from statsd_tcp.state.user import User, UserError, acting_as, check_access, check_reading, check_writing, find_user
from tests.unit.folders import make_folder

NOBODY = User(65534, 65534, (65534,))


class UserTests(SynchronousTestCase):
    """Who it is, and what it needs."""

    def test_nobody_to_become(self) -> None:
        """Without the option, for root itself, and without root's rights there is no change."""
        self.assertIsNone(find_user(None, 5))
        self.assertIsNone(find_user(0, None))
        self.patch(os, "geteuid", lambda: 1000)
        self.assertIsNone(find_user(1000, None))

    def test_found(self) -> None:
        """A user comes with its own group, or the one that is asked for, and all its groups."""
        self.patch(os, "geteuid", lambda: 0)
        known = next(one for one in pwd.getpwall() if one.pw_uid)
        found = find_user(known.pw_uid, None)
        assert found is not None
        self.assertEqual((known.pw_uid, known.pw_gid), found[:2])
        self.assertIn(known.pw_gid, found.groups)
        self.assertEqual(7, (find_user(known.pw_uid, 7) or found).gid)

    def test_unknown(self) -> None:
        """A number that no user has is refused: twistd would end in an error of its own."""
        self.patch(os, "geteuid", lambda: 0)
        text = str(self.assertRaises(UserError, find_user, 3_999_999_999, None))
        self.assertEqual("--uid 3999999999: there is no such user on this machine", text)

    def test_access(self) -> None:
        """What the user may not read is named, with its file; root has its rights back afterwards."""
        if os.geteuid():
            raise SkipTest("needs root")
        folder = make_folder(self)
        (folder / "file").touch()
        text = str(self.assertRaises(UserError, check_access, NOBODY, {"Twisted": str(folder / "file")}))
        self.assertIn(f"--uid 65534: that user may not read Twisted ({folder}/file)", text)
        check_access(NOBODY, {"the table of users": "/etc/passwd"})
        self.assertEqual((0, 0), (os.geteuid(), os.getegid()))

    def test_files(self) -> None:
        """A file that the user may not read is named with its option, and so is a log that the user may not write."""
        if os.geteuid():
            raise SkipTest("needs root")
        folder = make_folder(self)
        folder.chmod(0o755)
        (folder / "x.toml").touch(0o640)
        (folder / "mine").mkdir()
        os.chown(folder / "mine", NOBODY.uid, NOBODY.gid)
        check_reading(NOBODY, {"--mapping": "/etc/passwd"})
        files = {"--mapping": "/etc/passwd", "--config": f"{folder}/x.toml"}
        text = str(self.assertRaises(UserError, check_reading, NOBODY, files))
        self.assertTrue(text.startswith(f"--config={folder}/x.toml: user 65534 may not read that file"), text)
        for name in ("x.toml", "y"):
            text = str(self.assertRaises(UserError, check_writing, NOBODY, "--logfile", f"{folder}/{name}"))
            self.assertTrue(text.startswith(f"--logfile={folder}/{name}: user 65534 cannot write that file ("), text)
        for _ in range(2):
            check_writing(NOBODY, "--logfile", f"{folder}/mine/log")
        self.assertEqual((NOBODY.uid, 0), ((folder / "mine/log").stat().st_uid, (folder / "mine/log").stat().st_size))
        self.assertEqual((0, 0), (os.geteuid(), os.getegid()))

    def test_no_right_to_become(self) -> None:
        """A process that may not become the user says so."""

        def refuse(_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "setgroups", refuse)
        with self.assertRaises(UserError) as caught, acting_as(NOBODY):
            Path("/nowhere").touch()
        self.assertIn("cannot become that user (Operation not permitted)", str(caught.exception))
