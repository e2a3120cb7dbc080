"""The command line with which a process starts itself again: the same, but in the foreground and as who it is now."""

from __future__ import annotations

import getopt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from twisted.scripts._twistd_unix import ServerOptions

__all__ = ["Again", "command_again"]

_DROPPED = frozenset(
    ("--nodaemon", "-n", "--pidfile", "--uid", "-u", "--gid", "-g", "--chroot", "--rundir", "-d", "--umask", "--euid")
)
_PID_FILE = "twistd.pid"
_LOG_FILE = "twistd.log"


class Again(NamedTuple):
    """How to start again: the arguments of the interpreter, and the file with our process number ("" if none)."""

    arguments: list[str]
    pid_file: str


def command_again(original: Sequence[str], arguments: Sequence[str], folder: Path, inherited: str = "") -> Again:
    """Make the command line of the next image.

    ``original`` is ``sys.orig_argv``, ``arguments`` is ``sys.argv``, ``folder`` the one in which the process was
    started, ``inherited`` the file with our process number that an earlier image has left to us. What is already done
    (going into the background, changing the user) must not be done again.
    """
    head = list(original[1 : len(original) - len(arguments) + 1])
    head[-1] = _absolute(head[-1], folder)
    if Path(arguments[0]).name != "twistd":
        # twist, or "python -m twisted": it stays in the foreground, and has no such options.
        return Again([*head, *arguments[1:]], inherited)
    options = ServerOptions()
    given, rest = getopt.getopt(list(arguments[1:]), options.shortOpt, options.longOpt)
    in_foreground = any(name in ("--nodaemon", "-n") for name, _ in given)
    pid_file = next((value for name, value in given if name == "--pidfile"), _PID_FILE)
    kept = [_written(name, value) for name, value in given if name not in _DROPPED]
    if not in_foreground and not any(name in ("--logfile", "-l", "--syslog") for name, _ in given):
        kept.append(f"--logfile={_LOG_FILE}")
    return Again([*head, *kept, "--nodaemon", "--pidfile=", *rest], _absolute_file(pid_file) if pid_file else inherited)


def _absolute(script: str, folder: Path) -> str:
    return str(folder / script) if os.sep in script else script


def _absolute_file(path: str) -> str:
    return str(Path(path).absolute())


def _written(name: str, value: str) -> str:
    if name.startswith("--"):
        return f"{name}={value}" if value else name
    return f"{name}{value}"
