"""Child processes: one way to start one, to hear what it says, and to bury it, whichever image of us started it.

Process transports of Twisted do not survive an exec of the supervisor, and two ways to hear of a death are two ways to
be wrong. A pidfd can be opened for any child:

    start    posix_spawn ----.    pidfd  readable: it has ended    reap it, read its pipes out, fire `Child.ended`
                              >-- Child
    inherit  pid, pipes -----'    pipes  readable: it says something               give it to the pipe's `Received`
"""

from __future__ import annotations

import fcntl
import os
import signal
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

import statsd_tcp

__all__ = ["LONGEST_LINE", "Child", "Children", "Ending", "Lines", "Pipe", "Received", "environment", "inheritable"]

Received = Callable[[bytes], object]
"""Gets what comes through a pipe, in pieces, and an empty one at its end."""

LONGEST_LINE = 1 << 20
"""Bytes of a line that are kept until its end comes. What a rehearsal wants is one line, of some 200 bytes for each
listener; a child that prints without end must not fill our memory."""

_LARGEST = 1 << 16


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a child of ours finds the same package as we did."""
    package = Path(statsd_tcp.__file__).parent.parent
    result = dict(inherited)
    # Their tables have names as keys that clients choose.
    result.pop("PYTHONHASHSEED", None)
    if package != Path(sysconfig.get_path("purelib")):
        result["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), inherited.get("PYTHONPATH")]))
    return result


class Ending(NamedTuple):
    """How a process ended: by a signal, or with an exit status. Both None: it was not our child, so that is unknown."""

    status: int | None = None
    signal: int | None = None


class Lines:
    """A `Received` that cuts what comes into lines; ``line`` gets each, the last one even if it is not whole.

    A line that reaches `LONGEST_LINE` is given in parts.
    """

    def __init__(self, line: Callable[[str], object]) -> None:
        self._line = line
        self._begun = bytearray()

    def __call__(self, data: bytes) -> None:
        """Take a piece, or the end."""
        *ends, begun = data.split(b"\n")
        for end in ends:
            self._begun += end
            self._give()
        self._begun += begun
        if len(self._begun) >= LONGEST_LINE or (self._begun and not data):
            self._give()

    def _give(self) -> None:
        line, self._begun = self._begun, bytearray()
        self._line(line.decode(errors="replace"))


@implementer(IReadDescriptor)
class Pipe:
    """The reading end of a pipe into which a child writes."""

    def __init__(self, reactor: Any, descriptor: int, received: Received) -> None:
        """Read ``descriptor`` until its other end is closed; then close it."""
        os.set_blocking(descriptor, False)
        self._reactor = reactor
        self._descriptor = descriptor
        self._received = received
        reactor.addReader(self)

    def fileno(self) -> int:
        """Return the descriptor, -1 once it is closed."""
        return self._descriptor

    def logPrefix(self) -> str:
        """Name the reader in the log."""
        return "Pipe"

    def doRead(self) -> None:
        """Read what is there."""
        self._read(_LARGEST)

    def finish(self) -> None:
        """Read what the dead process has left, and close the pipe.

        Another process may hold the other end, and is not waited for: if it goes on writing, reading until the pipe is
        empty would never end. All that the dead process wrote is in the pipe, so reading its size is enough.
        """
        left = fcntl.fcntl(self._descriptor, fcntl.F_GETPIPE_SZ) if self._descriptor >= 0 else 0
        while left > 0 and (read := self._read(left)):
            left -= read
        self._close()

    def connectionLost(self, reason: Failure) -> None:
        """Close it: its other end was closed, or the reactor stops."""
        self._close()

    def _read(self, most: int) -> int:
        """Read once, at most ``most`` bytes, and return how many: 0 if there are none now, or none left."""
        try:
            data = os.read(self._descriptor, most)
        except BlockingIOError:
            return 0
        if data:
            self._received(data)
        else:
            self._close()
        return len(data)

    def _close(self) -> None:
        if self._descriptor < 0:
            return
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        self._descriptor = -1
        self._received(b"")


@implementer(IReadDescriptor)
class Child:
    """A child process. Nothing else may wait for it.

    ``ended`` fires once it has ended and all that it said is given on; ``ending`` says how, and is None before.
    """

    def __init__(self, reactor: Any, pid: int, pidfd: int, pipes: Sequence[tuple[int, Received]]) -> None:
        """Watch a process; a ``pidfd`` of -1 stands for one that is gone already."""
        self._reactor = reactor
        self._pidfd = pidfd
        self._pipes = [Pipe(reactor, descriptor, received) for descriptor, received in pipes]
        self.pid = pid
        self.ended: Deferred[Ending] = Deferred()
        self.ending: Ending | None = None
        if pidfd < 0:
            self._finish(Ending())
        else:
            reactor.addReader(self)

    @property
    def pipes(self) -> list[int]:
        """Return the descriptors of the pipes that are open."""
        return [pipe.fileno() for pipe in self._pipes if pipe.fileno() >= 0]

    def kill(self) -> None:
        """End the process at once, if it has not ended."""
        if self._pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            # The kernel has reaped it, as it does for a process that was started with SIGCHLD ignored.
            pass

    def fileno(self) -> int:
        """Return the pidfd."""
        return self._pidfd

    def logPrefix(self) -> str:
        """Name the reader in the log."""
        return "Child"

    def doRead(self) -> None:
        """Reap the process, and take its last words."""
        ending = _reap(self._pidfd)
        self._close()
        self._finish(ending)

    def connectionLost(self, reason: Failure) -> None:
        """Stop watching it: the reactor stops."""
        self._close()

    def _finish(self, ending: Ending) -> None:
        for pipe in self._pipes:
            pipe.finish()
        self.ending = ending
        self.ended.callback(ending)

    def _close(self) -> None:
        if self._pidfd >= 0:
            self._reactor.removeReader(self)
            os.close(self._pidfd)
            self._pidfd = -1


class Children:
    """Starts and inherits child processes, and listens to them in a reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def start(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        pipes: Mapping[int, Received],
        descriptors: Mapping[int, int] | None = None,
        *,
        apart: bool = False,
    ) -> Child:
        """Start the program at the path ``argv[0]``.

        It has these descriptors and no other: /dev/null at 0, the writing ends of ``pipes``, and copies of our
        ``descriptors``; the keys are their numbers in the child. One that is ``apart`` has a process group of its own:
        signals to ours, as Ctrl-C sends them, do not reach it. Raises `OSError`.
        """
        with ExitStack() as ours, ExitStack() as theirs:
            sources, reading = dict(descriptors or {}), list[tuple[int, Received]]()
            for target, received in pipes.items():
                read, sources[target] = os.pipe()
                ours.callback(os.close, read)
                theirs.callback(os.close, sources[target])
                reading.append((read, received))
            pid = _spawn(argv, environ, sources, apart=apart)
            pidfd = _open_pidfd(pid)
            ours.pop_all()
        return Child(self._reactor, pid, pidfd, reading)

    def inherit(self, pid: int, pipes: Sequence[tuple[int, Received]] = ()) -> Child:
        """Go on with a child that another image of us started, and the reading ends of its pipes. Raises `OSError`."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            pidfd = -1
        return Child(self._reactor, pid, pidfd, pipes)


def inheritable(listing: Path = Path("/proc/self/fd")) -> list[int]:
    """List our descriptors that an exec leaves open: those with which our own parent started us, as a rule."""
    found = []
    for number in [int(entry.name) for entry in listing.iterdir()]:
        try:
            if os.get_inheritable(number):
                found.append(number)
        except OSError:
            # Closed since it was listed: by another thread, or with the listing.
            pass
    return found


def _spawn(argv: Sequence[str], environ: Mapping[str, str], sources: Mapping[int, int], *, apart: bool) -> int:
    """Start a program with copies of ``sources``, by their numbers in the child, and return its process number."""
    with ExitStack() as stack:
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)]
        for target, source in sources.items():
            # Above all targets, so that no copy overwrites what is still to be copied.
            lifted = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, max(sources) + 1)
            stack.callback(os.close, lifted)
            actions.append((os.POSIX_SPAWN_DUP2, lifted, target))
        # What our parent left open is neither ours nor our children's. Closing what is closed by then is no error.
        actions += [(os.POSIX_SPAWN_CLOSE, one) for one in inheritable() if one and one not in sources]
        # An ignored signal stays ignored after an exec: Python ignores SIGPIPE, and nohup SIGHUP. So does a blocked
        # one, and all of ours are between two images.
        ignored = [one for one in signal.valid_signals() if signal.getsignal(one) == signal.SIG_IGN]
        group: dict[str, Any] = {"setpgroup": 0} if apart else {}
        return os.posix_spawn(
            argv[0], list(argv), environ, file_actions=actions, setsigdef=ignored, setsigmask=(), **group
        )


def _open_pidfd(pid: int) -> int:
    """Open a pidfd for a child that was just started; if that fails the child must not stay."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _reap(pidfd: int) -> Ending:
    try:
        result: Any = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return Ending()
    if result.si_code == os.CLD_EXITED:
        return Ending(status=result.si_status)
    return Ending(signal=result.si_status)
