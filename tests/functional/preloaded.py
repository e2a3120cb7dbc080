"""twistd with its imports done: run again and again in forks of one process, for tests of starts that fail.

Imports are nearly all that such a start costs. Everything else is what twistd does: it reads its arguments, goes into
the background if it gets so far, and ends with its own status.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.functional.processes import MARK, end_all, marked, new_mark
from tests.functional.service import environment, script

__all__ = ["Ended", "Preloaded"]


class Ended(NamedTuple):
    """A start that has ended: its status, and what it wrote to its two outputs."""

    status: int
    printed: str
    error: str


class Preloaded:
    """The process that forks, which keeps its files in ``folder``. To be used as a context."""

    def __init__(self, folder: Path) -> None:
        self._outputs = [folder / "printed", folder / "error"]
        self._mark = new_mark()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env=environment(folder, **{MARK: self._mark}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process, and whatever it has left."""
        end_all(self._mark)
        self._process.communicate()

    def run(self, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Ended:
        """Run the command, whose first word is twistd, in that folder; fails if any process is left."""
        row = {"command": [script(command[0]), *command[1:]], "folder": str(folder), "environ": dict(environ)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**row, "outputs": list(map(str, self._outputs))}) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        ended = Ended(status, *(path.read_text() for path in self._outputs))
        assert marked(self._mark) == [self._process.pid], ended
        return ended


def _preload() -> None:
    """Import what a start imports, except for the reactor itself: forks must not have the same one."""
    import OpenSSL.SSL  # noqa: F401
    import twisted.internet.epollreactor
    import twisted.scripts.twistd  # noqa: F401
    from twisted.application.service import IServiceMaker
    from twisted.plugin import getPlugins

    import statsd_tcp.store.database
    import statsd_tcp.tap  # noqa: F401

    list(getPlugins(IServiceMaker))
    # Collections in the forks would copy all of it.
    gc.freeze()


def _become(row: dict[str, Any]) -> None:
    """Be what twistd is when it begins."""
    for number, path in enumerate([os.devnull, *row["outputs"]]):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.chdir(row["folder"])
    os.environ.clear()
    os.environ.update(row["environ"])
    sys.argv = row["command"]


def _serve() -> None:
    """Fork for every line that comes, and answer with the status; return in a fork only, which is to run twistd."""
    while line := os.read(0, 1 << 20):
        row = json.loads(line)
        child = os.fork()
        if not child:
            return _become(row)
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    _preload()
    _serve()
    from twisted.scripts.twistd import run

    run()
