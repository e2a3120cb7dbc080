"""Children of ours as real processes under the real reactor: what they are given, what is heard of them, their end."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from statsd_tcp import children as module
from statsd_tcp.children import Child, Children, Ending, Lines, Received, inheritable
from tests.reactor.waiting import until
from tests.unit.descriptors import open_here

SHOW = """\
import json, os
found = {}
for number in map(int, os.listdir("/proc/self/fd")):
    try:
        found[number] = os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        pass  # The listing's own.
print(json.dumps(found))
"""
"""A program that prints which descriptors it has, and where they lead."""


@pytest.fixture(name="children")
def make_children(reactor: Any) -> Children:
    """Make the mechanism, with the reactor of the tests."""
    return Children(reactor)


@pytest.fixture(name="files")
def make_files(tmp_path: Path) -> Iterator[list[int]]:
    """Open two files with different contents."""
    with ExitStack() as stack:
        yield [stack.enter_context((tmp_path / name).open("w+b")).fileno() for name in ("one", "two")]


class Heard:
    """What a child said, by line."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.error: list[str] = []

    @property
    def pipes(self) -> dict[int, Received]:
        """Return where its outputs go."""
        return {1: Lines(self.out.append), 2: Lines(self.error.append)}


def is_reaped(pid: int) -> bool:
    """Return whether a process is no longer a child of ours, not even a dead one."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def spawn(command: str, *actions: tuple[int, int, int]) -> int:
    """Start a shell as another image of us did."""
    return os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ, file_actions=actions)


def await_dead(pid: int) -> None:
    """Wait until a child of ours has ended, and leave it to be reaped."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def reap(pid: int) -> None:
    """Reap a child of ours, as no other code should."""
    os.waitpid(pid, 0)


def shell(children: Children, command: str, heard: Heard | None = None) -> Child:
    """Start a shell with a command."""
    return children.start(["/bin/sh", "-c", command], os.environ, (heard or Heard()).pipes)


async def shown(children: Children, descriptors: dict[int, int]) -> dict[int, str]:
    """Return which descriptors a child has that is given these, and where they lead."""
    heard = Heard()
    child = children.start([sys.executable, "-I", "-S", "-c", SHOW], os.environ, heard.pipes, descriptors)
    assert await child.ended == Ending(0), heard.error
    return {int(number): link for number, link in json.loads(heard.out[0]).items()}


@pytest.mark.parametrize(
    "command, ending",
    [
        ("exit 0", Ending(status=0)),
        ("echo out; echo error >&2; exit 3", Ending(status=3)),
        ("kill -SEGV $$", Ending(signal=signal.SIGSEGV)),
    ],
)
@pytest_twisted.ensureDeferred
async def test_endings(children: Children, command: str, ending: Ending) -> None:
    """How a child ended is told exactly, and nothing of it stays open or unreaped."""
    before = open_here()
    child = shell(children, command)
    assert await child.ended == ending == child.ending
    assert child.pipes == []
    assert not open_here() - before
    assert is_reaped(child.pid)


@pytest_twisted.ensureDeferred
async def test_last_words(children: Children) -> None:
    """All that a child said has been given on when its end is told, even more than a pipe holds at once."""
    heard = Heard()
    child = shell(children, "seq 1 50000; echo no newline | tr -d '\\n' >&2", heard)
    await child.ended
    assert heard.out == [str(number) for number in range(1, 50001)]
    assert heard.error == ["no newline"]


@pytest_twisted.ensureDeferred
async def test_kill(children: Children) -> None:
    """A child can be killed; doing it again does no harm, nor when it has ended."""
    child = shell(children, "exec sleep 60")
    child.kill()
    child.kill()
    assert await child.ended == Ending(signal=signal.SIGKILL)
    child.kill()


@pytest_twisted.ensureDeferred
async def test_apart(children: Children) -> None:
    """A child that is apart has a process group of its own, which no Ctrl-C reaches; the others are in ours."""
    for apart in (True, False):
        child = children.start(["/bin/sleep", "60"], {}, {}, apart=apart)
        assert os.getpgid(child.pid) == (child.pid if apart else os.getpgrp())
        child.kill()
        await child.ended


@pytest_twisted.ensureDeferred
async def test_the_pipe_is_held_by_another(children: Children) -> None:
    """The end of a child is told though a process that it started holds its output open."""
    heard = Heard()
    child = shell(children, "sleep 60 & echo $!", heard)
    assert await child.ended == Ending(0)
    os.kill(int(heard.out[0]), signal.SIGKILL)


@pytest_twisted.ensureDeferred
async def test_what_it_is_given(children: Children, files: Sequence[int], tmp_path: Path) -> None:
    """A child has what it is given, at those numbers, and nothing else of ours, however inheritable that is."""
    with ExitStack() as stack:
        for number in (files[0], os.dup(files[1]), fcntl.fcntl(files[1], fcntl.F_DUPFD, 200)):
            os.set_inheritable(number, True)
            if number not in files:
                stack.callback(os.close, number)
        found = await shown(children, {3: files[0], 4: files[1], 9: files[1]})
    assert sorted(found) == [0, 1, 2, 3, 4, 9]
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert [found[number] for number in (0, 3, 4, 9)] == [os.devnull, one, two, two]
    assert all(found[number].startswith("pipe:") for number in (1, 2))


@pytest_twisted.ensureDeferred
async def test_sources_among_the_targets(children: Children, files: Sequence[int], tmp_path: Path) -> None:
    """Descriptors can change places, and keep theirs."""
    first, second = files
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    swapped = await shown(children, {first: second, second: first})
    assert (swapped[first], swapped[second]) == (two, one)
    kept = await shown(children, {first: first, second: second})
    assert (kept[first], kept[second]) == (one, two)


def test_closed_since_it_was_listed(tmp_path: Path, files: Sequence[int]) -> None:
    """A number that another thread closes while the inheritable ones are listed is left out."""
    closed = os.dup(files[0])
    os.close(closed)
    os.set_inheritable(files[0], True)
    listing = tmp_path / "fd"
    listing.mkdir()
    for number in (closed, *files):
        (listing / str(number)).touch()
    assert inheritable(listing) == [files[0]]


@pytest_twisted.ensureDeferred
async def test_closed_since_it_was_looked_at(children: Children, files: Sequence[int], monkeypatch: Any) -> None:
    """Nor is it an error when that happens a moment later."""
    closed = os.dup(files[0])
    os.close(closed)
    monkeypatch.setattr(module, "inheritable", lambda: [closed])
    assert await shell(children, "exit 0").ended == Ending(0)


@pytest_twisted.ensureDeferred
async def test_signals(children: Children) -> None:
    """A child ignores and blocks nothing, though we do."""
    heard = Heard()
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
    try:
        child = children.start(["/bin/cat", "/proc/self/status"], os.environ, heard.pipes)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGUSR1, before)
    assert await child.ended == Ending(0)
    fields = dict(line.split(":\t", 1) for line in heard.out)
    # glibc keeps two signals for itself, and ignores them in whatever it spawns.
    ours = sum(1 << number - 1 for number in signal.valid_signals())
    assert (int(fields["SigIgn"], 16) & ours, int(fields["SigBlk"], 16)) == (0, 0)


def test_no_such_program(children: Children) -> None:
    """That there is no such program is told at once, nothing is looked for in PATH, and nothing stays open."""
    before = open_here()
    for program in ("/nowhere/sh", "sh"):
        with pytest.raises(FileNotFoundError):
            children.start([program], os.environ, Heard().pipes)
    assert not open_here() - before


def test_no_pidfd(children: Children, monkeypatch: Any) -> None:
    """A child that cannot be watched is not left alone: it is killed, reaped, and an error."""
    before, pids = open_here(), list[int]()

    def full(pid: int) -> int:
        pids.append(pid)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", full)
    with pytest.raises(OSError, match="Too many"):
        shell(children, "exec sleep 60")
    assert is_reaped(pids[0])
    assert not open_here() - before


class Spawned(ProcessProtocol):
    """A child of Twisted's."""

    def __init__(self) -> None:
        self.ended: Deferred[int] = Deferred()

    def processEnded(self, reason: Failure) -> None:
        """Pass its status on."""
        self.ended.callback(getattr(reason.value, "exitCode", -1))


@pytest_twisted.ensureDeferred
async def test_beside_twisted_s(children: Children, reactor: Any) -> None:
    """Of Twisted's children and of ours each is reaped by its own, whichever signal wakes the reactor for whom."""
    theirs = [Spawned() for _ in range(5)]
    ours = []
    for number, protocol in enumerate(theirs):
        command = f"exit {10 + number}"
        reactor.spawnProcess(protocol, "/bin/sh", ["sh", "-c", command])
        ours.append(shell(children, f"exit {20 + number}"))
        # What Twisted does at each SIGCHLD, which the reactor of these tests does not take.
        reapAllProcesses()
    assert [await child.ended for child in ours] == [Ending(20 + number) for number in range(5)]

    def are_reaped() -> bool:
        # They may end later than ours, and their pipes before they can be reaped.
        reapAllProcesses()
        return all(protocol.ended.called for protocol in theirs)

    await until(reactor, are_reaped, "all of Twisted's are reaped")
    assert [await protocol.ended for protocol in theirs] == [10, 11, 12, 13, 14]


@pytest_twisted.ensureDeferred
async def test_inherited(children: Children) -> None:
    """A child that was not started here is heard, watched and buried as one that was."""
    read, write = os.pipe()
    pid = spawn("echo heard; exit 7", (os.POSIX_SPAWN_DUP2, write, 1))
    os.close(write)
    said: list[str] = []
    child = children.inherit(pid, [(read, Lines(said.append))])
    assert (child.pid, child.pipes) == (pid, [read])
    assert await child.ended == Ending(7)
    assert said == ["heard"]
    assert is_reaped(pid)


@pytest_twisted.ensureDeferred
async def test_inherited_and_dead(children: Children) -> None:
    """Of a child that had ended before it was inherited the end is known; of one that is nowhere only that it is."""
    pid = spawn("exit 7")
    await_dead(pid)
    assert await children.inherit(pid).ended == Ending(7)
    read, write = os.pipe()
    os.write(write, b"last words")
    os.close(write)
    said: list[str] = []
    assert await children.inherit(pid, [(read, Lines(said.append))]).ended == Ending()
    assert said == ["last words"]


@pytest_twisted.ensureDeferred
async def test_reaped_by_another(children: Children) -> None:
    """When the kernel or other code has reaped a child, its end is reported, and that its status is unknown."""
    child = shell(children, "exit 7")
    reap(child.pid)
    child.kill()
    assert await child.ended == Ending()
