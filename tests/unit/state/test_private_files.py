"""Files and folders that are ours alone: what is opened, what is left alone, and what mode it has then."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.state.private_files import NotOursError, open_file, open_folder, replace_file
from tests.unit.folders import make_folder


class OpenTests(SynchronousTestCase):
    """What stands in the place of a file or folder of ours."""

    def setUp(self) -> None:
        """Make a folder, and another user's file in it."""
        self.folder = make_folder(self)
        self.foreign = self.folder / "foreign"
        self.foreign.write_text("precious")
        self.foreign.chmod(0o644)

    def refused(self, act: Callable[..., int], *arguments: object) -> str:
        """Return why it is not opened; what it led to must be as it was."""
        error = self.assertRaises(NotOursError, act, *arguments)
        self.assertEqual(("precious", 0o644), (self.foreign.read_text(), self.foreign.stat().st_mode & 0o777))
        return str(error.strerror)

    def bind(self, path: Path) -> None:
        """Make a socket file."""
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))

    def test_special_files(self) -> None:
        """Neither links nor anything else that is no file of ours is opened, for whatever purpose."""
        makers: dict[str, Callable[[Path], object]] = {
            "is a symbolic link and no file": lambda path: path.symlink_to(self.foreign),
            "is a fifo and no file": os.mkfifo,
            "is a folder and no file": Path.mkdir,
            "is a socket and no file": self.bind,
            "has a second name (a hard link)": lambda path: path.hardlink_to(self.foreign),
        }
        for number, (why, make) in enumerate(makers.items()):
            path = self.folder / str(number)
            make(path)
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT):
                self.assertEqual(why, self.refused(open_file, path, flags))
            if number == len(makers) - 1:
                path.unlink()

    def test_a_dangling_link(self) -> None:
        """A link that leads nowhere is not followed to make a file there."""
        (self.folder / "link").symlink_to(self.folder / "elsewhere")
        self.assertIn("symbolic link", self.refused(open_file, self.folder / "link", os.O_RDWR | os.O_CREAT))
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_a_device(self) -> None:
        """A device is not opened."""
        why = str(self.assertRaises(NotOursError, open_file, "/dev/null", os.O_RDONLY).strerror)
        self.assertEqual("is a device and no file", why)

    def test_another_owner(self) -> None:
        """A file of another user is refused, except for those who only look."""
        self.patch(os, "geteuid", lambda: os.getuid() + 1)
        self.assertIn("belongs to user", self.refused(open_file, self.foreign, os.O_RDONLY))
        os.close(open_file(self.foreign, os.O_RDONLY, foreign=True))
        self.assertIn("belongs to user", self.refused(open_folder, self.folder))

    def test_replaced_in_between(self) -> None:
        """What takes the place of a file between the look and the opening is found out."""
        path, opened = self.folder / "file", os.open
        path.write_text("")

        def swap(name: str, *arguments: object, **more: object) -> int:
            path.unlink()
            path.hardlink_to(self.foreign)
            self.patch(os, "open", opened)
            return opened(name, *arguments, **more)  # type: ignore[arg-type]

        self.patch(os, "open", swap)
        self.assertIn("hard link", self.refused(open_file, path, os.O_RDWR))

    def test_modes(self) -> None:
        """Files are 600 and folders 700, new ones and those that had another mode."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        (self.folder / "old").touch(0o666)
        (self.folder / "older").mkdir(0o775)
        for name in ("old", "new"):
            os.close(open_file(self.folder / name, os.O_RDWR | os.O_CREAT))
            self.assertEqual(0o600, (self.folder / name).stat().st_mode & 0o777)
        for name in ("older", "newer"):
            os.close(open_folder(self.folder / name))
            self.assertEqual(0o700, (self.folder / name).stat().st_mode & 0o777)

    def test_folders(self) -> None:
        """A folder that is a link or a file is refused."""
        (self.folder / "real").mkdir()
        (self.folder / "link").symlink_to("real")
        self.assertEqual("is a symbolic link and no folder", self.refused(open_folder, self.folder / "link"))
        self.assertEqual("is a file and no folder", self.refused(open_folder, self.foreign))

    def test_replace(self) -> None:
        """A link in the place of a file that is written again is replaced, and what it leads to stays."""
        path = self.folder / "link"
        path.symlink_to(self.foreign)
        replace_file(path, "new")
        self.assertEqual(("new", "precious"), (path.read_text(), self.foreign.read_text()))
        self.assertFalse(path.is_symlink())
        self.assertEqual({"link", "foreign"}, {one.name for one in self.folder.iterdir()})
