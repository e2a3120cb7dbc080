"""The state folder: whose it is, who else may write it, and one instance for each."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from statsd_tcp.state import folder as folder_module
from statsd_tcp.state.folder import LEDGERS, LOCK, PRIVATE, STORE, StateError, check_state, files_in, open_state
from statsd_tcp.state.user import User
from tests.unit.folders import make_folder

NOBODY = User(65534, 65534, (65534,))


def as_root(act: Callable[..., None]) -> Callable[..., None]:
    """Have a function done by root, whichever user this process acts as."""

    def done(*arguments: Any) -> None:
        user = os.geteuid()
        os.seteuid(0)
        try:
            act(*arguments)
        finally:
            os.seteuid(user)

    return done


class StateTestCase(SynchronousTestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = make_folder(self)

    def open(self, folder: Path | None = None, user: User | None = None, lock: int | None = None) -> Path:
        """Open the state folder for the time of the test, and return where the files are."""
        place, taken = open_state(folder or self.folder, user, lock)
        if lock is None:
            self.addCleanup(os.close, taken)
        return place

    def refused(self, folder: Path | None = None, user: User | None = None) -> str:
        """Return the one line with which it is refused."""
        text = str(self.assertRaises(StateError, open_state, folder or self.folder, user))
        self.assertNotIn("\n", text)
        self.assertTrue(text.startswith(f"--state-dir {folder or self.folder}"), text)
        return text

    def mode(self, path: Path) -> int:
        """Return the mode of a file."""
        return path.stat().st_mode & 0o777


class OpenTests(StateTestCase):
    """Which folder it is, and what is made in it."""

    def test_made(self) -> None:
        """A folder that is not there is made with its parents, for us alone, with a lock and a folder of ledgers."""
        wanted = self.folder / "a/b"
        self.assertEqual(wanted, self.open(wanted))
        self.assertEqual([0o700, 0o700, 0o600], [self.mode(wanted / name) for name in ("", LEDGERS, LOCK)])

    def test_a_link_to_it(self) -> None:
        """The state folder may be reached through a link, as systemd makes one."""
        (self.folder / "real").mkdir(mode=0o755)
        link = self.folder / "link"
        link.symlink_to("real")
        self.assertEqual(link, self.open(link))
        self.assertEqual({LEDGERS, LOCK}, {path.name for path in (self.folder / "real").iterdir()})
        self.assertEqual(0o700, self.mode(self.folder / "real"))

    def test_links_in_it(self) -> None:
        """Links in the place of its files and folders are named, and what they lead to stays as it is."""
        precious = self.folder / "precious"
        precious.mkdir(mode=0o755)
        (precious / "file").write_text("precious")
        for name, target in ((LEDGERS, precious), (LOCK, precious / "file")):
            state = self.folder / f"state-{name}"
            state.mkdir(mode=0o700)
            (state / name).symlink_to(target)
            self.assertIn(f": {name} is a symbolic link", self.refused(state))
        self.assertEqual(("precious", 0o755), ((precious / "file").read_text(), self.mode(precious)))

    def test_modes_from_before(self) -> None:
        """Files and folders of an earlier version are closed to others."""
        (self.folder / LEDGERS).mkdir()
        (self.folder / LOCK).touch(0o644)
        for name in ("", LEDGERS):
            (self.folder / name).chmod(0o755)
        self.open()
        self.assertEqual([0o700, 0o700, 0o600], [self.mode(self.folder / name) for name in ("", LEDGERS, LOCK)])

    def test_a_folder_of_other_things(self) -> None:
        """A folder that contains other things stays open to others; ours in it are closed."""
        (self.folder / "notes").touch()
        self.folder.chmod(0o755)
        self.open()
        self.assertEqual([0o755, 0o700], [self.mode(self.folder), self.mode(self.folder / LEDGERS)])

    def test_can_t_be_made(self) -> None:
        """A folder below a file cannot be made."""
        (self.folder / "file").touch()
        self.assertEqual(
            f"--state-dir {self.folder}/file/x: cannot be made (Not a directory); name a folder that may be written",
            self.refused(self.folder / "file/x"),
        )

    def test_no_folder(self) -> None:
        """A file in the place of the folder is named."""
        (self.folder / "file").touch()
        self.assertIn("cannot be used", self.refused(self.folder / "file"))

    def test_may_not_be_written(self) -> None:
        """A folder that may not be written is refused before anything is tried in it."""
        self.patch(os, "access", lambda *_, **__: False)
        self.assertEqual(
            f"--state-dir {self.folder}: may not be written; name another folder or change its rights", self.refused()
        )


class SharedTests(StateTestCase):
    """State folders that others may write."""

    def as_somebody(self) -> None:
        """Be no longer root, as far as the state folder is concerned."""
        self.patch(os, "getuid", lambda: 1000)
        self.warned: list[str] = []
        log = folder_module._log
        self.patch(log, "warn", lambda text, **given: self.warned.append(text.format(**given)))

    def test_root(self) -> None:
        """Root does not work in a folder that others may write, nor in another user's own."""
        self.patch(os, "getuid", lambda: 0)
        for mode in (0o777, 0o770, 0o1777):
            self.folder.chmod(mode)
            self.assertIn("other users may write it", self.refused())
        self.folder.chmod(0o700)
        self.patch(os, "geteuid", lambda: os.stat(self.folder).st_uid + 7)  # noqa: PTH116
        self.patch(os, "access", lambda *_, **__: True)
        self.assertRegex(self.refused(), "belongs to user|other users")

    def test_another_user(self) -> None:
        """Another user's files go into a folder of its own below it, with one warning."""
        self.as_somebody()
        for name, mode in (("emptyDir", 0o777), ("fsGroup", 0o2770)):
            state = self.folder / name
            state.mkdir()
            state.chmod(mode)
            self.assertEqual(state / PRIVATE, self.open(state))
            self.assertEqual(state / PRIVATE, files_in(state))
            self.assertEqual([PRIVATE], [path.name for path in state.iterdir()])
            self.assertEqual(0o700, self.mode(state / PRIVATE))
            self.assertEqual(mode & 0o777, self.mode(state))
        self.assertEqual(2, len(self.warned))

    def test_taken_along(self) -> None:
        """Files of an earlier run in the open folder are moved, also when a first attempt ended half-way."""
        self.as_somebody()
        self.folder.chmod(0o777)
        (self.folder / LEDGERS).mkdir()
        (self.folder / LEDGERS / "x.ledger").touch()
        (self.folder / STORE).write_text("totals")
        (self.folder / PRIVATE).mkdir()
        (self.folder / PRIVATE / f"{STORE}-wal").write_text("more")
        place = self.open()
        self.assertEqual({LEDGERS, LOCK, STORE, f"{STORE}-wal"}, {path.name for path in place.iterdir()})
        self.assertEqual("totals", (place / STORE).read_text())
        self.assertTrue((place / LEDGERS / "x.ledger").exists())
        self.assertEqual({PRIVATE, LOCK}, {path.name for path in self.folder.iterdir()})

    def test_not_taken_along(self) -> None:
        """What is no file of ours is not moved, and neither is what is there twice or in use."""
        self.as_somebody()
        self.folder.chmod(0o777)
        (self.folder / STORE).symlink_to("/etc/passwd")
        self.assertIn(f"{STORE} is a symbolic link", self.refused())
        (self.folder / STORE).unlink()
        (self.folder / STORE).touch()
        (self.folder / PRIVATE / STORE).touch()
        self.assertIn(f"{STORE} is here and in {PRIVATE}", self.refused())
        (self.folder / PRIVATE / STORE).unlink()
        with (self.folder / LOCK).open("w") as old:
            fcntl.flock(old, fcntl.LOCK_EX)
            self.assertIn("in use by another instance", self.refused())

    def test_somebody_else_s_private(self) -> None:
        """A folder of that name that another user has made is refused."""
        self.as_somebody()
        self.folder.chmod(0o777)
        (self.folder / PRIVATE).symlink_to("/tmp")
        self.assertIn(f"{PRIVATE} is a symbolic link", self.refused())
        self.assertEqual(self.folder, files_in(self.folder))

    def test_reload(self) -> None:
        """An image that takes over stays where the one before had its files."""
        held = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, held)
        (self.folder / STORE).touch()
        self.as_somebody()
        self.folder.chmod(0o777)
        self.assertEqual(self.folder, self.open(lock=held))
        self.assertTrue((self.folder / STORE).exists())


class ReloadTests(StateTestCase):
    """What a reload finds out before the next image takes over."""

    def test_checked(self) -> None:
        """A folder in use is well; one that the next image would refuse is named with what it would say."""
        place = self.open()
        (place / STORE).touch()
        check_state(self.folder)
        self.assertTrue((self.folder / LOCK).exists())
        (self.folder / f"{STORE}-wal").symlink_to("elsewhere")
        text = str(self.assertRaises(StateError, check_state, self.folder))
        self.assertIn(f"--state-dir {self.folder}: {STORE}-wal is a symbolic link", text)
        (self.folder / f"{STORE}-wal").unlink()
        self.patch(os, "getuid", lambda: 0)
        self.folder.chmod(0o777)
        self.assertIn("other users may", str(self.assertRaises(StateError, check_state, self.folder)))

    def test_the_private_folder(self) -> None:
        """Where the files are in the folder of our own it is that one which is looked at, and no stranger's files."""
        self.patch(os, "getuid", lambda: 1000)
        self.folder.chmod(0o777)
        place = self.open()
        self.assertEqual(self.folder / PRIVATE, place)
        (self.folder / STORE).symlink_to("a stranger's")
        check_state(self.folder)
        (place / STORE).symlink_to("elsewhere")
        text = str(self.assertRaises(StateError, check_state, self.folder))
        self.assertIn(f"{STORE} is a symbolic link", text)
        place.rename(self.folder / "x")
        (self.folder / PRIVATE).symlink_to("x")
        text = str(self.assertRaises(StateError, check_state, self.folder))
        self.assertIn(f"{PRIVATE} is a symbolic link", text)


class LockTests(StateTestCase):
    """One instance for each state folder."""

    def test_one_instance(self) -> None:
        """A second instance is refused, with the number of the first; when that has gone the next is let in."""
        _, descriptor = open_state(self.folder)
        self.assertEqual(
            f"--state-dir {self.folder} is in use by another instance (pid {os.getpid()}): --state-dir DIR gives this "
            "one its own",
            self.refused(),
        )
        os.close(descriptor)
        self.open()

    def test_signature(self) -> None:
        """The lock says whose it is, and nothing that stood there before."""
        (self.folder / LOCK).write_text("12345678901234567890\n")
        self.open()
        self.assertEqual(f"{os.getpid()}\n", (self.folder / LOCK).read_text())

    def test_unsigned(self) -> None:
        """Who has the lock and has not signed it yet is unknown."""
        self.open()
        os.truncate(self.folder / LOCK, 0)
        self.assertIn("(pid unknown)", self.refused())

    def test_no_locks(self) -> None:
        """A file system without locks is named, and so is a full one."""
        for name, number, words in (
            ("flock", errno.ENOLCK, "lock cannot be locked (No locks available)"),
            ("ftruncate", errno.ENOSPC, "cannot be used (No space left on device)"),
        ):

            def fail(*_: object, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            patch = self.patch(fcntl if name == "flock" else os, name, fail)
            self.assertIn(words, self.refused())
            patch.restore()


class UserTests(StateTestCase):
    """Started by root, for another user."""

    def setUp(self) -> None:
        """Make a folder that everybody can go to."""
        if os.geteuid():
            raise SkipTest("needs root")
        super().setUp()
        self.folder.chmod(0o755)

    def owners(self, place: Path) -> set[int]:
        """Return who has the folder and what is in it."""
        return {path.lstat().st_uid for path in (place, *place.iterdir())}

    def test_made_for_the_user(self) -> None:
        """What root makes belongs to the user, and root has its rights back."""
        self.assertEqual({NOBODY.uid}, self.owners(self.open(self.folder / "state", NOBODY)))
        self.assertEqual((0, 0), (os.geteuid(), os.getegid()))

    def test_made_by_the_user(self) -> None:
        """Where another user may write root makes nothing: the user does, with the user's rights."""
        for mode, owner in ((0o777, 0), (0o700, NOBODY.uid)):
            parent = self.folder / f"{mode:o}"
            parent.mkdir()
            parent.chmod(mode)
            os.chown(parent, owner, owner)
            self.open(parent / "a/state", NOBODY)
            self.assertEqual([NOBODY.uid] * 2, [(parent / name).stat().st_uid for name in ("a", "a/state")])

    def test_swapped(self) -> None:
        """What is put in the place of a folder that was just made is not given away."""
        precious, parent = self.folder / "precious", self.folder / "parent"
        precious.mkdir(mode=0o755)
        parent.mkdir()
        parent.chmod(0o777)
        mkdir = os.mkdir

        def make_and_swap(path: str | Path, *mode: Any, **at: Any) -> None:
            mkdir(path, *mode, **at)
            if Path(path).name == "state":
                (parent / "state").rename(parent / "aside")
                precious.rename(parent / "state")

        # As another user would between the two calls.
        self.patch(os, "mkdir", make_and_swap)
        self.patch(os, "rename", as_root(os.rename))
        self.refused(parent / "state", NOBODY)
        self.assertEqual({0}, self.owners(parent / "state"))

    def test_a_way_that_leads_elsewhere(self) -> None:
        """Root makes nothing where another user's link leads to."""
        roots, parent = self.folder / "roots", self.folder / "parent"
        roots.mkdir(mode=0o755)
        parent.mkdir()
        parent.chmod(0o777)
        (parent / "way").symlink_to(roots)
        (self.folder / "link").symlink_to("parent/way")
        for way in ("parent/way", "link"):
            self.assertIn(
                "cannot be made by user 65534 (Permission denied)", self.refused(self.folder / way / "x", NOBODY)
            )
        self.assertEqual([], list(roots.iterdir()))
        (self.folder / "mine").symlink_to("roots/../roots")
        self.assertEqual({NOBODY.uid}, self.owners(self.open(self.folder / "mine/x/state", NOBODY)))

    def test_links(self) -> None:
        """Root gives the user nothing that a link in the user's folder leads to."""
        precious = self.folder / "precious"
        precious.mkdir()
        (precious / "file").write_text("precious")
        cases: tuple[tuple[str, Callable[[Path], None]], ...] = (
            (LEDGERS, lambda path: path.symlink_to(precious)),
            (LOCK, lambda path: path.symlink_to(precious / "file")),
            (LOCK, lambda path: path.hardlink_to(precious / "file")),
            (LOCK, os.mkfifo),
        )
        for number, (name, make) in enumerate(cases):
            state = self.folder / str(number)
            state.mkdir()
            os.chown(state, NOBODY.uid, NOBODY.gid)
            make(state / name)
            self.assertIn(f": {name} ", self.refused(state, NOBODY))
            if (state / name).lstat().st_nlink > 1:
                (state / name).unlink()
        self.assertEqual({0}, self.owners(precious))
        self.assertEqual("precious", (precious / "file").read_text())

    def test_a_lock_of_root(self) -> None:
        """The lock that an earlier version left, which was root's, is replaced unless a process holds it."""
        state = self.folder / "state"
        state.mkdir()
        os.chown(state, NOBODY.uid, NOBODY.gid)
        with (state / LOCK).open("w") as old:
            fcntl.flock(old, fcntl.LOCK_EX)
            self.assertIn("in use by another instance", self.refused(state, NOBODY))
        self.assertEqual({NOBODY.uid}, self.owners(self.open(state, NOBODY)))

    def test_a_lock_elsewhere(self) -> None:
        """Through a link of the user's, root takes away no lock of another folder."""
        roots = self.folder / "roots"
        roots.mkdir(mode=0o755)
        (roots / LOCK).touch()
        state = self.folder / "state"
        state.symlink_to(roots)
        self.assertIn("may not be written", self.refused(state, NOBODY))
        self.assertTrue((roots / LOCK).exists())

    def test_whose_it_is(self) -> None:
        """A folder that the user may not write, or cannot reach, is named; nothing is made then."""
        roots, closed = self.folder / "roots", self.folder / "closed"
        roots.mkdir(mode=0o755)
        closed.mkdir(mode=0o700)
        self.assertIn("may not be written", self.refused(roots, NOBODY))
        self.assertIn("Permission denied", self.refused(closed / "state", NOBODY))
        self.assertEqual([], list(closed.iterdir()))
        os.chown(roots, NOBODY.uid, NOBODY.gid)
        self.assertIn(f"belongs to user {NOBODY.uid}", self.refused(roots))
